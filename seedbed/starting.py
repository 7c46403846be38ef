"""`seedbed init`: looks at a folder of images, and writes what is missing to learn from it.

Nothing that is there is changed but `params.yaml`, whose section `dataset` will name the folder; one that lies outside of the project
gets a link below data/raw. Images without a table of labels get one, with the names of subfolders as labels if they lie in such.
"""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image as PillowImage
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedSeq

from seedbed import dataset
from seedbed.dataset import Problems
from seedbed.dataset.folder import COLUMNS, CSV, JSON_LINES, rows, words
from seedbed.errors import DataError, MachineError, ParamsError, listed
from seedbed.params import Params
from seedbed.types import Size

PARAMS = Path("params.yaml")
RAW = Path("data/raw")
ENDINGS = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp"})
TO_VALIDATE = 5  # one of so many images is left out of training where nobody has said which
LARGE = 1024  # pixels; larger images are shrunk unless somebody says otherwise
STEP = 32  # max_size is a multiple of it, so that somewhat larger images still fit later
FALLBACKS: dict[str, dict[str, Any]] = {  # where params.yaml has no block for a reader
    "folder": {"complete": False},
    "voc": {"lists": "ImageSets/Segmentation", "difficult": True},
    "coco": {},
}
PLACEHOLDERS = ("first_class", "second_class")


@dataclass
class Start:
    """What was found in a folder, and what to do with it."""

    reader: str
    root: Path
    block: Mapping[str, Any]  # parameters of the reader
    images: Sequence[Path]
    done: list[str] = field(default_factory=list)  # what was written
    left: list[str] = field(default_factory=list)  # what the user has to do


def begin(path: Path) -> Start:
    """Look at a folder, write what is missing, and let params.yaml name it."""
    if not PARAMS.is_file() or not Path("dvc.yaml").is_file():
        raise MachineError(str(Path.cwd()), found="no params.yaml and dvc.yaml", expected="a checkout of Seedbed", do="go there")
    if not path.is_dir():
        raise DataError(str(path), found="no such folder", expected="a folder with images", do="correct it")
    for folder in (path, path / "VOC2012", path / "VOCdevkit" / "VOC2012"):
        if (folder / "JPEGImages").is_dir():
            start = _voc(folder)
            break
    else:
        instances = sorted((path / "annotations").glob("instances_*20[0-9][0-9].json"))
        table = next((path / name for name in (CSV, JSON_LINES) if (path / name).is_file()), None)
        start = _coco(path, instances) if instances else _own(path, table) if table else _unlabelled(path)
    _write_params(start)
    return start


def looked_at(start: Start) -> Iterator[str]:
    """What a reader makes of it, and what is left to do."""
    index = Params.read().method(dataset.Method).read(start.root)
    index.check(start.root)
    labelled = sum(entry.labels is not None for entry in index.entries)
    splits = ", ".join(f"{sum(split in one.splits for one in index.entries)} in {split}" for split in index.split_names)
    yield f"found {len(index.entries)} images ({splits}), {labelled} of them with labels, of {len(index.class_names)} classes"
    for line in start.left:
        yield f"next: {line}"
    if missing := [split for split in ("train", "val") if split not in index.split_names]:
        sections = "classifier.split, segmenter.split and evaluation.split (to learn from), and predictions.split"
        yield f"next: there is no split {' and no '.join(missing)}: let {sections} name others of: {listed(index.split_names)}"
    yield "next: run `seedbed plan`, then `dvc repro`"


def _voc(folder: Path) -> Start:
    return Start("voc", _below_raw(folder), {}, sorted((folder / "JPEGImages").glob("*.jpg")))


def _coco(folder: Path, instances: Sequence[Path]) -> Start:
    years = sorted({int(file.stem[-4:]) for file in instances})
    below = [one for file in instances for one in (folder / file.stem.removeprefix("instances_"), folder / "images")]
    return Start("coco", _below_raw(folder), {"year": years[-1]}, _pictures(*below))


def _own(folder: Path, table: Path) -> Start:
    """A folder with images and a table, made by its owner."""
    names = sorted({name for _, row in rows(table, Problems()) for name in words(row["labels"], ())})
    start = Start("folder", _below_raw(folder), {"classes": names or list(PLACEHOLDERS)}, _shown(folder))
    if names:
        start.left.append(f"look whether these are the classes that you mean, in the order of your masks: {', '.join(names)}")
    else:
        start.left.append("put the names of your classes into dataset.folder.classes")
    return start


def _unlabelled(path: Path) -> Start:
    """Images without a table: it is written beside them."""
    images, pictures = _images_of(path), _shown(path)
    if not pictures:
        endings = ", ".join(sorted(ENDINGS))
        raise DataError(str(path), found="no image", expected=f"files that end in {endings}, or VOC, or COCO", do="name another folder")
    below = [picture.relative_to(images) for picture in pictures]
    classes = sorted({file.parts[0] for file in below if len(file.parts) > 1})
    by_folder = len(classes) > 1 and all(len(file.parts) > 1 for file in below)
    with (path / CSV).open("x", newline="", encoding="utf-8") as stream:
        table = csv.writer(stream, lineterminator="\n")
        table.writerow(COLUMNS)
        for file in below:
            left_out = int(hashlib.sha256(file.as_posix().encode()).hexdigest(), 16) % TO_VALIDATE == 0
            table.writerow([file.as_posix(), file.parts[0] if by_folder else "", "val" if left_out else "train"])
    root = _below_raw(path)
    start = Start("folder", root, {"classes": classes if by_folder else list(PLACEHOLDERS)}, pictures)
    start.done.append(f"{path / CSV}: {len(below)} images, one of {TO_VALIDATE} for validation")
    if by_folder:
        start.left.append(f"look whether the names of the subfolders are what the images show, and all of it: {', '.join(classes)}")
    else:
        start.left.append(f"write into {path / CSV} what each image shows, and the names of all classes into dataset.folder.classes")
    return start


def _below_raw(folder: Path) -> Path:
    """The folder as params.yaml may name it: below the project, where DVC can follow it; a link is made where it lies elsewhere."""
    here = Path.cwd()
    if not folder.is_absolute() and ".." not in folder.parts:
        return folder
    if folder.absolute().is_relative_to(here):
        return folder.absolute().relative_to(here)
    link = RAW / folder.resolve().name
    if link.is_symlink() and link.resolve() == folder.resolve():
        return link
    if link.exists() or link.is_symlink():
        raise DataError(str(link), found="something else", expected=f"nothing, or a link to {folder}", do="rename it")
    RAW.mkdir(parents=True, exist_ok=True)
    link.symlink_to(folder.resolve())
    return link


def _images_of(path: Path) -> Path:
    """Where the reader `folder` looks for images."""
    return path / "images" if (path / "images").is_dir() else path


def _shown(path: Path) -> list[Path]:
    """Images of a folder of one's own."""
    return [file for file in _pictures(_images_of(path)) if not file.is_relative_to(path / "masks")]


def _pictures(*folders: Path) -> list[Path]:
    """Image files below folders, in order."""
    return sorted(file for folder in folders for file in folder.rglob("*") if file.suffix.lower() in ENDINGS and file.is_file())


def _largest(images: Sequence[Path]) -> Size:
    """Height and width that no image exceeds, as far as the heads of the files say."""

    def size(file: Path) -> Size:
        try:
            with PillowImage.open(file) as opened:
                turned = opened.getexif().get(0x0112, 1) >= 5  # EXIF: it lies on its side
                return (opened.width, opened.height) if turned else (opened.height, opened.width)
        except (OSError, ValueError, SyntaxError, PillowImage.DecompressionBombError):
            return 0, 0

    with ThreadPoolExecutor() as threads:
        sizes = list(threads.map(size, images))
    heights, widths = zip(*sizes, strict=True) if sizes else ((STEP,), (STEP,))
    return -(-max(heights) // STEP) * STEP, -(-max(widths) // STEP) * STEP


def _write_params(start: Start) -> None:
    """Let the section `dataset` name what was found; the rest of params.yaml stays, comments too."""
    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 1000
    content = yaml.load(PARAMS.read_text(encoding="utf-8"))
    section = content.get("dataset") if isinstance(content, dict) else None
    if not isinstance(section, dict):
        raise ParamsError(f"{PARAMS}: dataset", found=repr(section), expected="a section", do="restore it from params.yaml in git")
    height, width = _largest(start.images)
    bound, larger = _inline([min(height, LARGE), min(width, LARGE)]), "shrink" if max(height, width) > LARGE else "refuse"
    section |= {"method": start.reader, "root": start.root.as_posix(), "classes": _inline([]), "max_size": bound, "larger": larger}
    block = section.setdefault(start.reader, {})
    for name, value in {**FALLBACKS[start.reader], **block, **start.block}.items():
        block[name] = _inline(value) if isinstance(value, list) else value
    with PARAMS.open("w", encoding="utf-8") as stream:
        yaml.dump(content, stream)
    sizes = f"images of up to {height} x {width} pixels" + f", shrunk to fit {bound[0]} x {bound[1]}" * (larger == "shrink")
    start.done.append(f"{PARAMS}: dataset is {start.root}, read as {start.reader}, {sizes}")


def _inline(values: Sequence[Any]) -> CommentedSeq:
    """A list that stays on its line."""
    line = CommentedSeq(values)
    line.fa.set_flow_style()
    return line
