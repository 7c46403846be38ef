"""Clicks of somebody who sees what is wrong with each answer, and how many of them it takes.

The next click is in the middle of the larger error, farthest from its border: on what is missed, or on what is too much (Sofiiuk et al.,
"Reviving Iterative Training with Mask Guidance for Interactive Segmentation", 2021, whose protocol this is). People do not hit the middle,
so a click may also be anywhere that is deep enough. Clicks begin with nothing, or with labels that they correct.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from seedbed.algorithms.clicks import Answer, Click, ClickTree, Mask
from seedbed.algorithms.depths import measure_depths
from seedbed.scoring.true_things import TrueThings
from seedbed.types import LabelMap

TARGETS = (0.8, 0.85, 0.9)  # IoU that is to be reached


@dataclass(frozen=True)
class Wanted:
    """A true thing that somebody wants to select."""

    shape: Mask
    counted: Mask  # pixels of which it is known whether they are of it
    label: int


def list_wanted(true: TrueThings) -> list[Wanted]:
    """The true things of an image, the largest first, without crowds, and without those of which it is not known where they are."""
    counted = ~true.void
    known = [Wanted(one.shape & counted, counted, one.label) for one in true.things if not one.crowd]
    return sorted((one for one in known if one.shape.any()), key=lambda one: int(one.shape.sum()), reverse=True)


def find_starts(labels: LabelMap, things: Sequence[Wanted], *, apart: bool) -> list[Mask]:
    """What each thing of an image has of some labels already.

    Pixels of a class that touch each other, at corners too, are all had by one thing of that class: by the one that most of them are of,
    the first of equals; by none if none of them is of any. Pixels that do not count join what is beside them: else the unknown border
    between two things would tell them apart.
    apart: whether things of a class are told apart; else each has all of its class.
    """
    if not apart:
        return [labels == one.label for one in things]
    starts = [np.zeros(labels.shape, np.bool_) for _ in things]
    for label in sorted({one.label for one in things}):
        count, parts = cv2.connectedComponents((labels == label).astype(np.uint8), connectivity=8)
        alike = [place for place, one in enumerate(things) if one.label == label]
        agreeing = np.stack([np.bincount(parts[things[place].shape], minlength=count) for place in alike])  # (thing, part)
        owners = np.where(agreeing.any(axis=0), agreeing.argmax(axis=0), -1)  # of each part
        owners[0] = -1  # what has another label
        for number, place in enumerate(alike):
            starts[place] = (owners == number)[parts]
    return starts


@dataclass(frozen=True)
class Aim:
    """How well somebody hits the middle of what is wrong."""

    depth: float = 1.0  # share of the greatest depth that a click exceeds; 1: it is where that is
    random: np.random.Generator = field(default_factory=np.random.default_rng)  # draws one of several pixels

    def choose(self, depths: npt.NDArray[np.int64]) -> int:
        """A pixel of a map of squared depths, counted row by row."""
        if self.depth == 1:
            return int(depths.argmax())
        return int(self.random.choice(np.flatnonzero(depths > self.depth**2 * depths.max())))


MIDDLE = Aim()


def find_next(answer: Mask, thing: Wanted, clicks: Sequence[Click], aim: Aim = MIDDLE) -> Click | None:
    """Where somebody clicks next; nowhere if no pixel is wrong but those that have a click."""
    unclicked = np.ones(answer.shape, np.bool_)
    for one in clicks:
        unclicked[one.row, one.column] = False
    missed, excess = (measure_depths(wrong) * unclicked for wrong in (thing.shape & ~answer, answer & thing.counted & ~thing.shape))
    wanted = bool(missed.max() > excess.max())
    depth = missed if wanted else excess
    if not depth.max():
        return None
    row, column = divmod(aim.choose(depth), depth.shape[1])
    return Click(row, column, wanted)


def click_through(answer: Answer, thing: Wanted, *, start: Mask, most: int, aim: Aim = MIDDLE) -> tuple[list[Click], list[float], Mask]:
    """Click until nothing is wrong. Returns the clicks, the IoU before the first and after each, and the last answer.

    answer: what some clicks select; start: what is selected before.
    """
    clicks, found, selected = list[Click](), [_fit(start, thing)], start
    while len(clicks) < most and (click := find_next(selected, thing, clicks, aim)) is not None:
        clicks.append(click)
        selected = answer(clicks)
        found.append(_fit(selected, thing))
    return clicks, found, selected


def _fit(selected: Mask, thing: Wanted) -> float:
    return int((selected & thing.shape).sum()) / int(((selected & thing.counted) | thing.shape).sum())


def find_first(thing: Wanted, aim: Aim) -> Click:
    """Where somebody clicks first who begins with nothing."""
    click = find_next(np.zeros_like(thing.shape), thing, [], aim)
    assert click is not None, "a thing has pixels, and none of them has a click"
    return click


def find_best(regions: ClickTree, thing: Wanted, click: Click) -> tuple[float, float, float]:
    """What an oracle could select, who knows the thing: the highest IoU of a region around a click, of any region, and of any patches."""
    within, counted, whole = regions.count(thing.shape), regions.count(thing.counted), int(thing.shape.sum())
    fits = within / (counted + whole - within)
    around = [*regions.climb(int(regions.patches[click.row, click.column]))]
    within, counted = within[: regions.tree.num_vectors], counted[: regions.tree.num_vectors]
    fullest = np.argsort(-within / np.maximum(counted, 1), kind="stable")  # the best of so many patches are those with most of it
    taken = within[fullest].cumsum()
    together = taken / (counted[fullest].cumsum() + whole - taken)
    return float(fits[around].max()), float(fits.max()), float(together.max())


def judge(iou: npt.NDArray[np.float32], levels: npt.NDArray[np.float32]) -> dict[str, float]:
    """Figures of what was clicked on: clicks to an IoU, or the most, and things that do not reach it; what oracles would select.

    iou: (thing, 1 + click), before the first click and after each.
    levels: (thing, 3) as of `find_best`; negative where no regions are known.
    """
    figures: dict[str, float] = {"things": len(iou)}
    if len(iou):
        for target in TARGETS:
            reached = iou >= target
            clicks = np.where(reached.any(axis=1), reached.argmax(axis=1), iou.shape[1] - 1)
            figures[f"clicks_to_{100 * target:.0f}"] = _round(clicks)
            figures[f"failures_at_{100 * target:.0f}"] = int((~reached.any(axis=1)).sum())
        if _corrects(iou):
            figures["iou_of_start"] = _round(iou[:, 0])
        figures |= {"iou_of_first_click": _round(iou[:, 1]), "iou_of_last_click": _round(iou[:, -1])}
    if len(levels) and levels.min() >= 0:
        for oracle, one in zip(("around_first_click", "region", "patches"), levels.T, strict=True):
            figures[f"best_{oracle}"] = _round(one)
    return figures


def _round(figures: npt.NDArray[Any]) -> float:
    return round(float(figures.mean(dtype=np.float64)), 4)


def average(iou: npt.NDArray[np.float32]) -> list[tuple[int, float]]:
    """The mean IoU by the number of clicks; of no click only where something is corrected.

    iou: as of `judge`.
    """
    return [(number, _round(one)) for number, one in enumerate(iou.T) if len(one) and (number > 0 or _corrects(iou))]


def _corrects(iou: npt.NDArray[np.float32]) -> bool:
    """Whether something was selected of some thing before the first click."""
    return bool(iou[:, 0].any())
