"""`seedbed init`: looks at a folder of images, and writes what is missing to learn from it.

The only file that it changes is `params.yaml`, whose section `dataset` will name the folder. A folder outside the project gets a link below
data/raw. If there is no table of labels, it writes one, with the names of subfolders as labels if there are any.
"""

from __future__ import annotations

import csv
import hashlib
import io
import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from seedbed import dataset, images
from seedbed.dataset import Problems
from seedbed.dataset.folder import CLASS_NAME, COLUMNS, CSV, JSON_LINES, rows, words
from seedbed.errors import FULL, DataError, ParamsError, join_names, list_problems, of_system
from seedbed.params import Params
from seedbed.store import raw
from seedbed.tools.editing import PARAMS, check_checkout, inline, load, put, replace
from seedbed.tools.recipe_files import find_weights, list_recipes
from seedbed.types import BACKGROUND_NAME, Size

RAW = Path("data/raw")
ENDINGS = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp"})
TO_VALIDATE = 5  # one image in so many is kept for validation if the folders name no splits
LARGE = 1024  # pixels; larger images are shrunk by default
STEP = 32  # max_size is a multiple of it, so that slightly larger images still fit later
FALLBACKS: dict[str, dict[str, Any]] = {  # for a reader without a block in params.yaml
    "folder": {"complete": False},
    "voc": {"lists": "ImageSets/Segmentation", "difficult": True},
    "coco": {},
}
SPLITS = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}  # names of folders
# Folders that hold no images.
MASKS = re.compile(r"(masks?|instances?|gt|labels?|annotations?|segmentations?|segmentation.*|trimaps?)", re.IGNORECASE)
MASK_FILE = re.compile(r"_(mask|gt|label|seg)$", re.IGNORECASE)
FOR_PHOTOGRAPHS = "quick"  # a recipe
PLACEHOLDERS = ("first_class", "second_class")


@dataclass
class NewProject:
    """What was found in a folder, what was written, and what is left to do."""

    reader: str
    root: Path
    block: Mapping[str, Any]  # parameters of the reader
    images: Sequence[Path]
    done: list[str] = field(default_factory=list)  # what was written
    left: list[str] = field(default_factory=list)  # what the user has to do


def begin(path: Path) -> NewProject:
    """Look at a folder, write what is missing, and enter it in params.yaml."""
    check_checkout()
    if (found := raw.kind(path)) != raw.FOLDER:
        found = "no such folder" if found == raw.NOTHING else found
        raise DataError(str(path), found=found, expected="a folder with images", do="correct it")
    if raw.holds_project(path):
        raise DataError(str(path), found="the project itself", expected="a folder with images", do="name one below data/raw")
    if not raw.is_writable(os.path.realpath(path)):
        raise DataError(str(path), found="a name that is not UTF-8", expected="a name that params.yaml can hold", do="rename it")
    linked = raw.check(path)
    try:
        start = _recognise(path)
        _write_params(start)
    except OSError as error:
        if error.errno in FULL and (known := of_system(error)) is not None:
            raise known from error
        raise DataError(
            str(path),
            found=f"that {error.filename} cannot be written: {error.strerror}",
            expected="a folder where you may write",
            do="check its permissions",
        ) from error
    if linked:
        start.left.append(f"mind {raw.describe_links(linked)}")
    return start


def _recognise(path: Path) -> NewProject:
    for folder in (path, path / "VOC2012", path / "VOCdevkit" / "VOC2012"):
        if raw.kind(folder / "JPEGImages") == raw.FOLDER:
            return _voc(folder)
    if instances := raw.matching(path / "annotations", "instances_*20[0-9][0-9].json"):
        return _coco(path, instances)
    if raw.matching(path / "annotations", "*.json"):
        expected = "annotations/instances_train2017.json, instances_val2017.json, and folders of these names with images"
        raise DataError(str(path), found="annotations in JSON of other names", expected=expected, do="rename them, if they are COCO's")
    table = next((path / name for name in (CSV, JSON_LINES) if raw.kind(path / name) != raw.NOTHING), None)
    return _own_table(path, table) if table else _write_table(path)


def inspect(start: NewProject) -> Iterator[str]:
    """What the reader finds in the data set, and what is left to do."""
    index = Params.read().method(dataset.Method).read(start.root)
    index.check(start.root)
    labelled = sum(entry.labels is not None for entry in index.entries)
    splits = ", ".join(f"{sum(split in one.splits for one in index.entries)} in {split}" for split in index.split_names)
    yield f"found {len(index.entries)} images ({splits}), {labelled} of them with labels, of {len(index.class_names)} classes"
    for line in start.left:
        yield f"next: {line}"
    if missing := [split for split in ("train", "val") if split not in index.split_names]:
        sections = "classifier.split, segmenter.split and evaluation.split (to learn from), and predictions.split"
        yield f"next: there is no split {' and no '.join(missing)}: let {sections} name others of: {join_names(index.split_names)}"
    if FOR_PHOTOGRAPHS in list_recipes() and _begins_at_random():
        fits = "networks here begin at random, which suits drawn images"
        yield f"next: {fits}; for photographs run `seedbed recipe {FOR_PHOTOGRAPHS}`, then this command again"
    yield "next: run `seedbed plan`, then `dvc repro`"


def _begins_at_random() -> bool:
    """Whether no method that params.yaml selects has a network that has learned before."""
    selected = {name: section.get(section.get("method")) for name, section in load().items()}
    return not any(source in ("hub", "file") for source, _ in find_weights(selected))


def _voc(folder: Path) -> NewProject:
    return NewProject("voc", _below_raw(folder), {}, raw.matching(folder / "JPEGImages", "*.jpg"))


def _coco(folder: Path, instances: Sequence[Path]) -> NewProject:
    years = sorted({int(file.stem[-4:]) for file in instances})
    below = [one for file in instances for one in (folder / file.stem.removeprefix("instances_"), folder / "images")]
    return NewProject("coco", _below_raw(folder), {"year": years[-1]}, _pictures(*below))


def _own_table(folder: Path, table: Path) -> NewProject:
    """A folder with images and a table of its owner's."""
    cells = [row["labels"] for _, row in rows(table, Problems())]
    separated = any(isinstance(cell, list) or re.search("[,;]", cell or "") for cell in cells)
    names = sorted({name for cell in cells for name in words(cell, ("two words",) if separated else ())})
    start = NewProject("folder", _below_raw(folder), {"classes": names or list(PLACEHOLDERS)}, _list_shown(folder))
    if names:
        start.left.append(f"check that these are your classes, in the order of their numbers in your masks: {', '.join(names)}")
    else:
        start.left.append("put the names of your classes into dataset.folder.classes")
    return start


def _write_table(path: Path) -> NewProject:
    """A folder with images and no table: write one."""
    folder, pictures = _images_of(path), _list_shown(path)
    if not pictures:
        endings = ", ".join(sorted(ENDINGS))
        raise DataError(str(path), found="no images", expected=f"files that end in {endings}, or VOC, or COCO", do="name another folder")
    below = [picture.relative_to(folder) for picture in pictures]
    twice = [name for name, count in Counter(file.with_suffix("") for file in below).items() if count > 1]
    if twice:
        found = f"images that differ in their ending alone: {list_problems([str(name) for name in twice])}"
        raise DataError(str(path), found=found, expected="one of each name", do="rename some")
    by_split = all(len(file.parts) > 1 and file.parts[0].lower() in SPLITS for file in below)
    groups = [file.parts[by_split:-1] for file in below]
    classes = sorted({parts[0] for parts in groups if parts})
    by_folder = len(classes) > 1 and all(groups)
    if by_folder and (odd := [name for name in classes if not re.fullmatch(CLASS_NAME, name) or name == BACKGROUND_NAME]):
        raise DataError(str(path), found=f"folders called {join_names(map(repr, odd))}", expected="names of classes", do="rename them")
    splits = [SPLITS[file.parts[0].lower()] for file in below] if by_split else _split(below, groups)
    root, table = _below_raw(path), io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(COLUMNS)
    for file, parts, split in zip(below, groups, splits, strict=True):
        writer.writerow([file.as_posix(), parts[0] if by_folder else "", split])
    replace(path / CSV, table.getvalue())
    start = NewProject("folder", root, {"classes": classes if by_folder else list(PLACEHOLDERS), "complete": False}, pictures)
    start.done.append(f"{path / CSV}: {len(below)} images")
    if by_folder:
        start.left.append(f"check that the names of the subfolders say everything that their images show: {', '.join(classes)}")
    else:
        start.left.append(f"write into {path / CSV} what each image shows, and the names of all classes into dataset.folder.classes")
    if left_out := _left_out(path):
        start.left.append(f"left out, because they look like masks:  {list_problems(left_out)}")
    return start


def _split(files: Sequence[Path], groups: Sequence[tuple[str, ...]]) -> list[str]:
    """A split for every file: every fifth of each group is kept for validation, in an order that does not depend on names."""
    ranks: dict[tuple[str, ...], list[Path]] = {}
    for file, group in zip(files, groups, strict=True):
        ranks.setdefault(group[:1], []).append(file)
    kept = {
        file
        for members in ranks.values()
        for file in sorted(members, key=lambda one: hashlib.sha256(one.as_posix().encode()).hexdigest())[TO_VALIDATE - 1 :: TO_VALIDATE]
    }
    return ["val" if file in kept else "train" for file in files]


def _below_raw(folder: Path) -> Path:
    """The folder by a path within the project, where DVC can follow it; a folder elsewhere gets a link below data/raw."""
    here, there = Path.cwd(), Path(os.path.normpath(folder.absolute()))
    if there.is_relative_to(here):
        return there.relative_to(here)
    target = os.path.realpath(folder)
    link = RAW / Path(target).name
    if link.is_symlink() and os.path.realpath(link) == target:
        return link
    if os.path.lexists(link):
        raise DataError(str(link), found="another file or folder", expected=f"nothing, or a link to {folder}", do="rename it")
    RAW.mkdir(parents=True, exist_ok=True)
    link.symlink_to(target)
    return link


def _images_of(path: Path) -> Path:
    """Where the reader `folder` looks for images."""
    return path / "images" if raw.kind(path / "images") == raw.FOLDER else path


def _list_shown(path: Path) -> list[Path]:
    """Images of a folder, without files that look like masks."""
    return [file for file in _pictures(_images_of(path)) if not _is_mask(file.relative_to(path))]


def _left_out(path: Path) -> list[str]:
    """Files and folders that look like masks."""
    masks = (file.relative_to(path) for file in _pictures(_images_of(path)) if _is_mask(file.relative_to(path)))
    return sorted({str(file.parent if MASKS.fullmatch(file.parent.name) else file) for file in masks})


def _is_mask(file: Path) -> bool:
    return any(MASKS.fullmatch(part) for part in file.parts[:-1]) or bool(MASK_FILE.search(file.stem))


def _pictures(*folders: Path) -> list[Path]:
    """Image files below folders, in order."""
    below = ((folder, file) for folder in folders for file in raw.below(folder))
    shown = (file for folder, file in below if not any(part.startswith((".", "__MACOSX", "@")) for part in file.relative_to(folder).parts))
    return sorted(file for file in shown if file.suffix.lower() in ENDINGS and raw.kind(file) == raw.FILE)


def _largest(files: Sequence[Path]) -> Size:
    """Height and width that no image exceeds, according to the headers of the files."""
    with ThreadPoolExecutor() as threads:
        sizes = [size or (0, 0) for size in threads.map(partial(images.read_announced_size, upright=True), files)]
    heights, widths = zip(*sizes, (1, 1), strict=True)
    return -(-max(heights) // STEP) * STEP, -(-max(widths) // STEP) * STEP


def _write_params(start: NewProject) -> None:
    """Let the section `dataset` name what was found; the rest of params.yaml stays, comments included.

    If it names that folder already, only missing settings are added: the others may be the user's own.
    """
    content = load()
    section = content.get("dataset") if isinstance(content, dict) else None
    if not isinstance(section, dict):
        raise ParamsError(f"{PARAMS}: dataset", found=repr(section), expected="a section", do="restore it from params.yaml in git")
    height, width = _largest(start.images)
    bound, larger = inline([min(height, LARGE), min(width, LARGE)]), "shrink" if max(height, width) > LARGE else "refuse"
    values = {"method": start.reader, "root": start.root.as_posix(), "classes": inline([]), "max_size": bound, "larger": larger}
    block = section.setdefault(start.reader, {})
    if section.get("method") == start.reader and section.get("root") == start.root.as_posix():
        mine = {**start.block, **block}
        if list(mine.get("classes", ())) == list(PLACEHOLDERS):
            mine["classes"] = start.block["classes"]
        section |= {**values, **section}
        start.done.append(f"{PARAMS}: only missing settings, because it already names {start.root}")
    else:
        mine = {**block, **start.block}
        section |= values
        sizes = f"images of up to {height} x {width} pixels" + f", shrunk to fit {bound[0]} x {bound[1]}" * (larger == "shrink")
        start.done.append(f"{PARAMS}: dataset is {start.root}, read as {start.reader}, {sizes}")
    for name, value in {**FALLBACKS[start.reader], **mine}.items():
        block[name] = inline(value) if isinstance(value, list) else value
    put(content)
