"""Which images there are, which of them are asked for, and in which order: by what the evaluation counted of each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt

from seedbed.errors import ParamsError, join_names
from seedbed.store.artifact import Artifact

Values = npt.NDArray[np.float64]  # (image,), NaN where nothing is known
UNKNOWN = np.nan


@dataclass(frozen=True)
class Question:
    """Which images are wanted, and in which order."""

    text: str = ""  # within the id
    class_name: str = ""
    split: str = ""
    labelled: str = ""  # yes or no
    sort: str = ""
    descending: bool = False


class Catalogue:
    """The images of a data set, with what an evaluation says of each."""

    def __init__(self, data: Artifact, judged: Artifact | None, other: Artifact | None = None) -> None:
        """judged: the evaluation; other: that of another run."""
        self.data = data
        self._keys = dict(_keys(data, judged, other))

    @property
    def keys(self) -> dict[str, str]:
        """By what images can be sorted: keys, and what they mean."""
        return {key: meaning for key, (meaning, _) in self._keys.items()}

    def values(self, key: str) -> Values:
        """What images are sorted by."""
        if key not in self._keys:
            raise ParamsError("sort", found=repr(key), expected=f"one of: {join_names(self._keys)}", do="choose one")
        return self._keys[key][1]

    def select(self, question: Question) -> npt.NDArray[np.int64]:
        """Rows of the images that are asked for, in order; those of which nothing is known stand last."""
        data = self.data
        wanted = np.ones(len(data), np.bool_)
        for name, chosen, array in (
            ("class", question.class_name, ("class_names", "labels")),
            ("split", question.split, ("split_names", "splits")),
        ):
            if chosen:
                names = [str(one) for one in data.array(array[0])]
                if chosen not in names:
                    raise ParamsError(name, found=repr(chosen), expected=f"one of: {join_names(names)}", do="choose one")
                wanted &= data.array(array[1])[:, names.index(chosen)]
        if question.labelled:
            wanted &= data.array("labelled") == (question.labelled == "yes")
        if question.text:
            wanted &= np.char.find(np.char.lower(self._ids), question.text.lower()) >= 0
        rows = np.flatnonzero(wanted)
        if not question.sort:
            return rows[::-1] if question.descending else rows
        values = self.values(question.sort)[rows]
        known = ~np.isnan(values)
        order = np.argsort(-values[known] if question.descending else values[known], kind="stable")
        return np.concatenate([rows[known][order], rows[~known]])

    @property
    def _ids(self) -> npt.NDArray[np.str_]:
        return np.asarray(self.data.ids, np.str_)

    def describe(self, row: int, key: str) -> dict[str, Any]:
        """An image in a list."""
        value = float(self.values(key)[row]) if key else UNKNOWN
        height, width = (int(length) for length in self.data.array("size")[row])
        return {
            "id": self.data.ids[row],
            "size": [height, width],
            "labelled": bool(self.data.array("labelled")[row]),
            "classes": [int(one) for one in np.flatnonzero(self.data.array("labels")[row]) if one],
            "problem": str(self.data.array("problem")[row]),
            "value": None if np.isnan(value) else value,
        }

    def figures(self, row: int) -> dict[str, float]:
        """All that is known of an image, by key."""
        return {key: float(values[row]) for key, (_, values) in self._keys.items() if not np.isnan(values[row])}


def _keys(data: Artifact, judged: Artifact | None, other: Artifact | None) -> Iterator[tuple[str, tuple[str, Values]]]:
    if judged is None or "miou" not in judged.schema.arrays:
        return
    here = _columns(data, judged)
    for key, (meaning, values) in here.items():
        yield key, (meaning, values)
    if other is not None:
        there = _columns(data, other)
        for key, (meaning, values) in here.items():
            if key in there and key.startswith("miou:"):
                yield f"gain:{key.removeprefix('miou:')}", (f"gain of {meaning}", values - there[key][1])


def _columns(data: Artifact, judged: Artifact) -> Mapping[str, tuple[str, Values]]:
    """What an evaluation says of the images of a data set, by key, with what it means."""
    kinds = [str(one) for one in judged.array("kinds")]
    place = {image_id: row for row, image_id in enumerate(judged.ids)}
    rows = np.array([place.get(image_id, -1) for image_id in data.ids], np.int64)
    there = judged.array("judged")

    def spread(column: npt.NDArray[Any], known: npt.NDArray[np.bool_]) -> Values:
        values = np.append(np.where(known, column, UNKNOWN), UNKNOWN)  # the last is that of images that it has not
        return np.asarray(values[rows], np.float64)

    found: dict[str, tuple[str, Values]] = {}
    for index, kind in enumerate(kinds):
        if not there[:, index].any():
            continue
        words, known = kind.replace("_", " "), there[:, index]
        found[f"miou:{kind}"] = f"mIoU of {words}", spread(judged.array("miou")[:, index], known & judged.array("with_truth"))
        found[f"ignored:{kind}"] = f"share of {words} without a label", spread(1 - judged.array("coverage")[:, index], known)
        wrong = judged.array("violations")[:, index] / judged.array("size").astype(np.float64).prod(axis=1)
        found[f"violations:{kind}"] = (
            f"share of {words} in classes that the image lacks",
            spread(wrong, known & judged.array("with_labels")),
        )
        smallest = judged.array("smallest")[:, index]
        found[f"smallest:{kind}"] = f"smallest thing in {words}, in pixels", spread(smallest, known & (smallest > 0))
    for (first, one), (second, two) in combinations(enumerate(kinds), 2):
        both = there[:, first] & there[:, second]
        if both.any():
            meaning = f"disagreement of {one.replace('_', ' ')} and {two.replace('_', ' ')}"
            found[f"disagreement:{one}:{two}"] = meaning, spread(judged.array("disagreement")[:, first, second], both)
    return {key: value for key, value in found.items() if not np.isnan(value[1]).all()}
