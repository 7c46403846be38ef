"""Images that two evaluations have in common, with the same truth, and how each fits it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from seedbed.reads import read_shards
from seedbed.scoring.metrics import overlap
from seedbed.store.artifact import Artifact
from seedbed.tools.bootstrap import Difference, Overlaps, Resampling, compare_overlaps, mean_iou


@dataclass(frozen=True)
class Evaluated:
    """What was counted on every image of an evaluation, small enough to be in memory for all of them."""

    rows: dict[str, int]  # of images
    kinds: list[str]  # of labels
    held: npt.NDArray[np.bool_]  # (image, kind): whether there are such labels and a truth
    overlaps: npt.NDArray[np.int32]  # (image, kind, class, intersection and union)
    truth: npt.NDArray[np.int32]  # (image, class): pixels

    @classmethod
    def of(cls, evaluation: Artifact) -> Evaluated:
        """What an artifact has. Matrices are read a shard at a time and kept as intersections and unions."""
        overlaps, truth = [], []
        for shard in read_shards(evaluation, "confusion"):
            overlaps.append(overlap(shard).astype(np.int32))
            truth.append(shard.sum(axis=-1).max(axis=1, initial=0).astype(np.int32))  # kinds that an image lacks count nothing
        kinds, classes = [str(one) for one in evaluation.array("kinds")], evaluation.lengths["class"]
        return cls(
            {image: row for row, image in enumerate(evaluation.ids)},
            kinds,
            evaluation.array("judged") & evaluation.array("with_truth")[:, None],
            np.concatenate(overlaps) if overlaps else np.zeros((0, len(kinds), classes, 2), np.int32),
            np.concatenate(truth) if truth else np.zeros((0, classes), np.int32),
        )

    def images(self, kind: str) -> list[str]:
        """Those that have such labels and a truth."""
        held = self.held[:, self.kinds.index(kind)]
        return [image for image, row in self.rows.items() if held[row]]


@dataclass(frozen=True)
class Pairs:
    """Labels of one kind that two runs gave to the same images."""

    kind: str
    images: Sequence[str]
    only_before: int  # images that the other run has no such labels of
    only_after: int
    other_truth: int  # images that both have, but whose truth is another
    before: Overlaps
    after: Overlaps

    @property
    def complete(self) -> bool:
        """Whether these are all images of both runs."""
        return not (self.only_before or self.only_after or self.other_truth)

    def compare(self, how: Resampling) -> list[Difference]:
        """Mean IoU, and then the IoU of every class."""
        return compare_overlaps(self.before, self.after, how)

    @cached_property
    def changes(self) -> list[tuple[str, float, float]]:
        """Every image that has a mean IoU in both, with these, by what it gained: most first."""
        before, after = mean_iou(self.before), mean_iou(self.after)
        order = np.argsort(before - after, kind="stable")  # NaN last
        return [(self.images[row], float(before[row]), float(after[row])) for row in order if not np.isnan(before[row] - after[row])]


def pair(before: Evaluated, after: Evaluated) -> list[Pairs]:
    """Images that both have, for every kind of labels that both have, in the order of the later."""
    return [_pair(before, after, kind) for kind in after.kinds if kind in before.kinds]


def _pair(before: Evaluated, after: Evaluated, kind: str) -> Pairs:
    first, second = before.images(kind), after.images(kind)
    known = set(first)
    both = [image for image in second if image in known]
    earlier, later = np.array([before.rows[one] for one in both], np.intp), np.array([after.rows[one] for one in both], np.intp)
    same = (before.truth[earlier] == after.truth[later]).all(axis=1)
    return Pairs(
        kind,
        [image for image, kept in zip(both, same, strict=True) if kept],
        len(first) - len(both),
        len(second) - len(both),
        int((~same).sum()),
        before.overlaps[earlier[same], before.kinds.index(kind)],
        after.overlaps[later[same], after.kinds.index(kind)],
    )
