"""Small raw data sets, one in the layout of every reader: four images that are not square, with true masks for three of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image as PillowImage
from pycocotools import mask as reference

from seedbed.types import LabelMap

SIZES = {"one": (30, 44), "two": (38, 26), "three": (24, 40), "four": (33, 31)}
PALETTE = bytes(range(256)) * 3


def write_image(file: Path, name: str) -> None:
    """An image of its own colours."""
    pixels = np.random.default_rng(len(name)).integers(0, 256, (*SIZES[name], 3), dtype=np.uint8)
    file.parent.mkdir(parents=True, exist_ok=True)
    PillowImage.fromarray(pixels).save(file)


def write_mask(file: Path, mask: LabelMap) -> None:
    """A mask with a palette, as VOC has them."""
    image = PillowImage.fromarray(mask, "L").convert("P")
    image.putdata(mask.ravel().tolist())
    image.putpalette(PALETTE)
    file.parent.mkdir(parents=True, exist_ok=True)
    image.save(file)


def rectangle(name: str, *values: int) -> LabelMap:
    """A mask with one column of pixels after the other in these classes, background around them."""
    mask = np.zeros(SIZES[name], np.uint8)
    for place, value in enumerate(values):
        mask[4:20, 4 + 8 * place : 10 + 8 * place] = value
    return mask


def folder(root: Path) -> None:
    """Cats (1) and dogs (2)."""
    for name in SIZES:
        write_image(root / "images" / f"{name}.png", name)
    rows = ["image,labels,split", "one.png,cat,train", "two.png,cat dog,train val", "three.png,dog,val", "four.png,,val"]
    (root / "labels.csv").write_text("\n".join([*rows, ""]))
    for name, values in (("one", (1, 255)), ("two", (1, 2)), ("three", (2,))):
        write_mask(root / "masks" / f"{name}.png", rectangle(name, *values))
    write_mask(root / "instances" / "two.png", rectangle("two", 2, 7))


def voc(root: Path) -> None:
    """Cats (8) and dogs (12)."""
    objects = {"one": ["cat", "cat"], "two": ["cat", "dog"], "three": ["dog"]}
    for name in SIZES:
        write_image(root / "JPEGImages" / f"{name}.jpg", name)
    (root / "Annotations").mkdir()
    for name, things in objects.items():
        inner = "".join(f"<object><name>{thing}</name><difficult>0</difficult></object>" for thing in things)
        (root / "Annotations" / f"{name}.xml").write_text(f"<annotation><filename>{name}.jpg</filename>{inner}</annotation>")
    lists = root / "ImageSets" / "Segmentation"
    lists.mkdir(parents=True)
    (lists / "train.txt").write_text("one\n")
    (lists / "train_aug.txt").write_text("one\ntwo\n")
    (lists / "val.txt").write_text("three\nfour\n")
    write_mask(root / "SegmentationClass" / "one.png", rectangle("one", 8, 255))
    write_mask(root / "SegmentationClass" / "three.png", rectangle("three", 12))
    write_mask(root / "SegmentationObject" / "one.png", rectangle("one", 1, 255))
    write_mask(root / "SegmentationObject" / "three.png", rectangle("three", 1))
    write_mask(root / "SegmentationObject" / "of_no_list.png", rectangle("three", 1))
    write_mask(root / "SegmentationClassAug" / "two.png", rectangle("two", 8, 12))
    for name in ("one", "three"):  # other people's, of images that have VOC's own
        write_mask(root / "SegmentationClassAug" / f"{name}.png", rectangle(name, 1))


def coco(root: Path) -> None:
    """Cats (17) and dogs (18): a polygon, run lengths, packed run lengths, a crowd, and an image in which nothing is annotated."""
    for name, split in (("one", "train"), ("two", "train"), ("three", "val"), ("four", "val")):
        write_image(root / f"{split}2017" / f"{name}.jpg", name)
    crowd = rectangle("one", 0, 1)
    packed = reference.encode(np.asfortranarray(rectangle("three", 1)))
    things: dict[str, list[dict[str, Any]]] = {
        "one": [thing("one", 17, [[4, 4, 10, 4, 10, 20, 4, 20]], 96), thing("one", 18, runs(crowd), 96, crowd=1)],
        "two": [thing("two", 17, [[4, 4, 10, 4, 10, 20, 4, 20]], 96), thing("two", 18, [[12, 4, 18, 4, 18, 20, 12, 20]], 90)],
        "three": [thing("three", 18, {"size": packed["size"], "counts": packed["counts"].decode()}, 96)],
        "four": [],
    }
    for split, names in (("train", ("one", "two")), ("val", ("three", "four"))):
        write_instances(root, f"{split}2017", names, things)


def thing(name: str, category: int, segmentation: Any, area: float, *, crowd: int = 0) -> dict[str, Any]:
    """An annotation."""
    return {"image_id": list(SIZES).index(name), "category_id": category, "segmentation": segmentation, "area": area, "iscrowd": crowd}


def runs(mask: LabelMap) -> dict[str, Any]:
    """Run lengths of a mask, as crowds have them."""
    column_by_column = mask.T.ravel().astype(bool)
    ends = np.flatnonzero(np.diff(column_by_column)) + 1
    counts = np.diff([0, *ends, column_by_column.size]).tolist()
    return {"size": list(mask.shape), "counts": counts if not column_by_column[0] else [0, *counts]}


def write_instances(root: Path, folder_name: str, names: tuple[str, ...], things: dict[str, list[dict[str, Any]]]) -> Path:
    """The file of one split."""
    suffix = ".jpg"
    content = {
        "images": [
            {"id": list(SIZES).index(name), "file_name": name + suffix, "height": SIZES[name][0], "width": SIZES[name][1]} for name in names
        ],
        "annotations": [{"id": number, **one} for number, one in enumerate(one for name in names for one in things[name])],
        "categories": [{"id": 17, "name": "cat"}, {"id": 18, "name": "dog"}],
    }
    file = root / "annotations" / f"instances_{folder_name}.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(content))
    return file


def davis(root: Path) -> None:
    """Two videos: of two frames with two things, and of one whose mask says nothing but where something is."""
    for video, frame, name in (("bear", "00000", "one"), ("bear", "00001", "two"), ("swan", "00000", "three")):
        write_image(root / "JPEGImages" / "480p" / video / f"{frame}.jpg", name)
        values = (255,) if video == "swan" else (1, 2)
        write_mask(root / "Annotations" / "480p" / video / f"{frame}.png", rectangle(name, *values))


LAYOUTS: dict[str, Callable[[Path], None]] = {"folder": folder, "voc": voc, "coco": coco, "davis": davis}
