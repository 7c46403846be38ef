"""The command `export`: labels as results in COCO's JSON, one entry for each class of each image, or for each thing, in packed run lengths.

No entry has a box: COCO's tool makes it from the run lengths. If it is given one, it takes the area of the box for that of the thing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from seedbed.report.outlining import measure_runs, pack_runs
from seedbed.store.artifact import Artifact
from seedbed.tools.export_folder import ExportFolder, Hashed, check_ids
from seedbed.tools.export_source import LABELLED, TOLD_APART, Source, Wanted, describe_left_out, mask_values, open_source
from seedbed.types import BACKGROUND, IGNORE, LabelMap

RESULTS, IMAGES = "results.json", "images.json"
NUMBER = re.compile(r"[0-9]+$")  # at the end of what COCO calls its files


class JsonList:
    """A list of JSON that is written entry by entry."""

    def __init__(self, out: Hashed, *, before: str = "[", after: str = "]\n") -> None:
        """before, after: what stands around the entries."""
        self._out = out
        self._after = after
        self._between = ""
        self._write(before)

    def add(self, entry: Any) -> None:
        """Go on with it."""
        self._write(f"{self._between}{encode_json(entry)}")
        self._between = ",\n"

    def end(self) -> None:
        """Close it."""
        self._write(self._after)

    def _write(self, text: str) -> None:
        self._out.write(text.encode())


def encode_json(content: Any) -> str:
    """JSON in one line, with letters as they are."""
    return json.dumps(content, ensure_ascii=False, separators=(",", ":"))


def export_coco(wanted: Wanted, folder: Path) -> str:
    """Write results, and images and categories that they are of. Returns what was done."""
    with open_source(wanted, shown=(*LABELLED, TOLD_APART)) as source:
        check_ids(source.image_ids)
        values, count = mask_values(source.data), 0
        numbers, told = number_images(source.data, source.image_ids)
        with ExportFolder(folder) as out, out.writing(RESULTS) as results, out.writing(IMAGES) as images:
            found = JsonList(results)
            head = f'{{"categories":{encode_json(describe_categories(source))},\n"images":['
            listed = JsonList(images, before=head, after='],"annotations":[]}\n')
            for image_id, shapes in list_shapes(source):
                listed.add(describe_image(source, image_id, numbers[image_id]))
                for class_id, score, shape in shapes:
                    found.add(
                        {
                            "image_id": numbers[image_id],
                            "category_id": int(values[class_id]),
                            "segmentation": {"size": list(shape.shape), "counts": pack_runs(measure_runs(shape))},
                            "score": round(score, 4),
                        }
                    )
                count += 1
            found.end()
            listed.end()
        return f"{describe_left_out(source, count)}; image_id is {told}"


def list_shapes(source: Source) -> Iterator[tuple[str, Iterator[tuple[int, float, npt.NDArray[np.bool_]]]]]:
    """Images, with the class, score and pixels of whatever is an entry."""
    if source.shown == TOLD_APART:
        for image_id, made in source.told_apart():
            told = enumerate(zip(made.classes, made.scores, strict=True), 1)
            yield image_id, ((class_id, score, made.things == number) for number, (class_id, score) in told)
    else:
        for one in source.labelled():
            present = list_classes(one.labels)
            yield one.image_id, ((class_id, one.certainty.get(class_id, 1.0), one.labels == class_id) for class_id in present)


def number_images(data: Artifact, image_ids: Sequence[str]) -> tuple[dict[str, int], str]:
    """A number for every image, and whose it is: COCO's own where files are called as COCO's are, else its place in the data set."""
    if data.made_by.method == "coco":
        endings = [NUMBER.search(one) for one in image_ids]
        numbers = {one: int(ending.group()) for one, ending in zip(image_ids, endings, strict=True) if ending}
        if len(set(numbers.values())) == len(image_ids):
            return numbers, "the number at the end of the file's name"
    return {one: data.row(one) + 1 for one in image_ids}, f"the image's place in the data set, from 1: see {IMAGES}"


def describe_image(source: Source, image_id: str, number: int) -> dict[str, Any]:
    """An image as COCO lists it."""
    height, width = source.file_size(image_id)
    return {"id": number, "file_name": source.file_name(image_id), "height": height, "width": width}


def describe_categories(source: Source) -> list[dict[str, Any]]:
    """Classes as COCO lists them, by the numbers that true masks have."""
    values = mask_values(source.data)
    return [{"id": int(values[number]), "name": name, "supercategory": ""} for number, name in source.classes()]


def list_classes(labels: LabelMap) -> list[int]:
    """Classes that are labelled, without background."""
    return [int(one) for one in np.unique(labels) if one not in (BACKGROUND, IGNORE)]
