"""A small run to look at and to export: two images that the data set shrinks, with labels, maps, regions and features of each."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image as PillowImage
from ruamel.yaml import YAML

from seedbed.store.artifact import MadeBy
from seedbed.types import LabelMap, Probabilities
from tests.conftest import PROJECT
from tests.support.publishing import published

SIZE, FILE_SIZE = (6, 8), (12, 16)
IDS = ("train_000000000009", "a/val_000000000042")
LABELS = np.zeros((2, *SIZE), np.uint8)
LABELS[0, 1:5, 1:4] = 1
LABELS[0, 2, 2] = 2
LABELS[0, 5, :] = 255
LABELS[1, 0:3, 4:] = 2
CONFIDENCE = np.where(LABELS == 1, 204, np.where(LABELS == 255, 0, 255)).astype(np.uint8)
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
) -> Path:
    """Everything below a folder.

    values: of background and both classes in true masks.
    """
    folder, raw = root / "data", root / "data/raw/tiny"
    yaml = YAML()
    content = yaml.load(PROJECT / "params.yaml")
    content["dataset"] |= {"root": "data/raw/tiny"}
    root.mkdir(exist_ok=True)
    yaml.dump(content, root / "params.yaml")
    shutil.copy(PROJECT / "dvc.yaml", root)
    digests = []
    for number, file in enumerate(files):
        (raw / file).parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(number).integers(0, 256, (*FILE_SIZE, 3), np.uint8)
        PillowImage.fromarray(pixels).save(raw / file)
        digests.append(hashlib.sha256((raw / file).read_bytes()).hexdigest())
    rows = [{"ids": one, "size": SIZE} for one in ids]
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
            "palette": np.zeros((3, 3)),
            "class_names": ["background", *names],
            "split_names": ["train", "val"],
            "mask_meaning": meaning,
        },
        extents={"class": 3, "split": 2},
        made_by=MadeBy("dataset", reader, {}),
    )
    pixels_of = {"y": SIZE[0], "x": SIZE[1]}
    refined = [{**row, "labels": LABELS[number], "confidence": CONFIDENCE[number]} for number, row in enumerate(rows)]
    published("refinement", folder, refined, extents=pixels_of)
    nothing = [{**row, "labels": np.full(SIZE, 255) if number else LABELS[0]} for number, row in enumerate(rows)]
    published("seeds", folder, nothing, extents=pixels_of)
    published("superpixels", folder, [{**row, "regions": REGIONS, "region_count": 2} for row in rows], extents=pixels_of)
    maps = np.zeros((3, 3, 4))
    maps[1], maps[2] = 0.25, 0.75
    low = {"class": 3, "map_y": 3, "map_x": 4}
    present = [[False, True, True], [False, False, False]]
    published(
        "cams",
        folder,
        [
            {**row, "scores": [0, 1, 0], "present": present[number], "map_size": (3, 4), "maps": maps if number == 0 else 0 * maps}
            for number, row in enumerate(rows)
        ],
        extents=low,
    )
    predicted = [{**rows[1], "map_size": (2, 2), "probabilities": PARTS_OF_CLASSES}]
    published("predictions", folder, predicted, extents={"class": 3, "map_y": 2, "map_x": 2})
    patches = np.random.default_rng(1).normal(size=(3, 4, 5))
    published(
        "features",
        folder,
        [{**row, "patches": patches, "patch_grid": (3, 4)} for row in rows],
        whole={"patch_size": 2, "alignment": "resized"},
        extents={"patch_y": 3, "patch_x": 4, "channel": 5},
    )
    return root


def predicted_labels() -> LabelMap:
    """What the predictions of the second image say at the size of its file."""
    return enlarge(Probabilities.of_parts(PARTS_OF_CLASSES).resize(SIZE).labels)
