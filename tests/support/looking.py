"""A small run to look at and to export: two images that the data set shrinks, with labels, maps, regions and features of each."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image as PillowImage

from seedbed.store.artifact import MadeBy
from seedbed.types import LabelMap, Probabilities
from tests.support.publishing import published

SIZE, FILE_SIZE = (6, 8), (12, 16)
ARTIFACTS = ("features", "superpixels", "cams", "seeds", "refinement", "predictions")
IDS = ("train_000000000009", "a/val_000000000042")
LABELS = np.zeros((2, *SIZE), np.uint8)
LABELS[0, 1:5, 1:4] = 1
LABELS[0, 2, 2] = 2
LABELS[0, 5, :] = 255
LABELS[1, 0:3, 4:] = 2
CONFIDENCE = np.where(LABELS == 1, 204, np.where(LABELS == 255, 0, 255)).astype(np.uint8)
OBJECTS = np.zeros(SIZE, np.uint8)
OBJECTS[1:4, 2:5], OBJECTS[4] = 1, 255
THINGS = np.zeros((2, *SIZE), np.uint8)
THINGS[0, 1:5, 1:3], THINGS[0, 2:6, 4:7] = 2, 1
REGIONS = (np.arange(8) // 4 + np.zeros((6, 1))).astype(np.int32)
LIKELIEST = np.array([[0, 1], [2, 0]])
PARTS_OF_CLASSES = np.where(np.arange(3)[:, None, None] == LIKELIEST, 155, 50).astype(np.uint8)


def enlarge(labels: LabelMap) -> LabelMap:
    """Labels at the size of the image files, which is twice as large."""
    return labels.repeat(2, axis=0).repeat(2, axis=1)


def write_run(
    root: Path,
    *,
    reader: str = "folder",
    names: Sequence[str] = ("cat", "dog"),
    values: Sequence[int] = (0, 1, 2),
    ids: Sequence[str] = IDS,
    files: Sequence[str] = ("images/0.png", "images/1 ü.png"),
    only: Collection[str] = ARTIFACTS,
) -> Path:
    """Everything below a folder.

    values: of background and both classes in true masks.
    only: artifacts that are wanted, beside the data set.
    """
    folder, raw = root / "data", root / "data/raw/tiny"
    root.mkdir(exist_ok=True)
    (root / "params.yaml").write_text("dataset: {root: data/raw/tiny}\n")
    digests = []
    for number, file in enumerate(files):
        (raw / file).parent.mkdir(parents=True, exist_ok=True)
        photo = np.random.default_rng(number).integers(0, 256, (*FILE_SIZE, 3), np.uint8)
        PillowImage.fromarray(photo).save(raw / file)
        digests.append(hashlib.sha256((raw / file).read_bytes()).hexdigest())
    rows: list[dict[str, Any]] = [{"ids": one, "size": SIZE} for one in ids]
    meaning = np.full(256, -1)
    meaning[list(values)] = range(len(values))
    meaning[255] = 255
    published(
        "dataset",
        folder,
        [
            {
                **row,
                "original_size": FILE_SIZE,
                "file": files[number],
                "image_digest": digests[number],
                "labels": [True, number == 0, True],
                "splits": [number == 0, number == 1],
                "labelled": True,
                "problem": "",
                "mask_problem": "",
            }
            for number, row in enumerate(rows)
        ],
        whole={
            "max_size": SIZE,
            "class_names": ["background", *names],
            "split_names": ["train", "val"],
            "mask_meaning": meaning,
        },
        extents={"class": 3, "split": 2},
        made_by=MadeBy("dataset", reader, {}),
    )
    pixels, low = {"y": SIZE[0], "x": SIZE[1]}, {"class": 3, "map_y": 3, "map_x": 4}
    first, second = rows
    maps, present = np.zeros((3, 3, 4)), [False, True, True]
    maps[1], maps[2] = 0.25, 0.75
    shown: dict[str, Any] = {"scores": [0, 1, 0], "map_size": (3, 4)}
    grid = {"patches": np.random.default_rng(1).normal(size=(3, 4, 5)), "patch_grid": (3, 4)}
    columns: dict[str, tuple[list[dict[str, Any]], dict[str, int]]] = {
        "refinement": ([{**row, "labels": LABELS[k], "confidence": CONFIDENCE[k]} for k, row in enumerate(rows)], pixels),
        "instances": (
            [
                {**first, "things": THINGS[0], "thing_count": 2, "classes": [2, 1, 0], "scores": [1, 0.625, 0]},
                {**second, "things": THINGS[1], "thing_count": 0, "classes": [0, 0, 0], "scores": [0, 0, 0]},
            ],
            {**pixels, "instance": 3},
        ),
        "saliency": ([{**row, "saliency": CONFIDENCE[k], "objects": OBJECTS} for k, row in enumerate(rows)], pixels),
        "seeds": ([{**first, "labels": LABELS[0]}, {**second, "labels": np.full(SIZE, 255)}], pixels),
        "superpixels": ([{**row, "regions": REGIONS, "region_count": 2} for row in rows], pixels),
        "cams": (
            [{**first, **shown, "present": present, "maps": maps}, {**second, **shown, "present": [False] * 3, "maps": 0 * maps}],
            low,
        ),
        "predictions": ([{**second, "map_size": (2, 2), "probabilities": PARTS_OF_CLASSES}], {"class": 3, "map_y": 2, "map_x": 2}),
        "features": ([{**row, **grid} for row in rows], {"patch_y": 3, "patch_x": 4, "channel": 5}),
    }
    for name in only:
        whole = {"patch_size": 2, "alignment": "resized", "mirrored": False} if name == "features" else None
        published(name, folder, columns[name][0], whole=whole, extents=columns[name][1])
    return root


def predicted_labels() -> LabelMap:
    """What the predictions of the second image say at the size of its file."""
    return enlarge(Probabilities.of_parts(PARTS_OF_CLASSES).resize(SIZE).labels)
