"""Clicks of somebody who sees what is wrong with each answer, and how many of them it takes.

The next click is in the middle of the larger error, farthest from its border: on what is missed, or on what is too much (Sofiiuk et al.,
"Reviving Iterative Training with Mask Guidance for Interactive Segmentation", 2021, whose protocol this is). People do not hit the middle,
so a click may also be anywhere that is deep enough.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from seedbed.algorithms.clicks import Answer, Click, ClickTree, Mask
from seedbed.algorithms.depths import measure_depths
from seedbed.scoring.true_things import TrueThings

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


def click_through(answer: Answer, thing: Wanted, *, most: int, aim: Aim = MIDDLE) -> tuple[list[Click], list[float], Mask]:
    """Click until nothing is wrong. Returns the clicks, the IoU after each, and the last answer.

    answer: what some clicks select.
    """
    clicks, found, selected = list[Click](), list[float](), np.zeros(thing.shape.shape, np.bool_)
    while len(clicks) < most and (click := find_next(selected, thing, clicks, aim)) is not None:
        clicks.append(click)
        selected = answer(clicks)
        found.append(int((selected & thing.shape).sum()) / int(((selected & thing.counted) | thing.shape).sum()))
    return clicks, found, selected


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

    iou: (thing, click), after each click; levels: (thing, 3) as of `find_best`; negative where no regions are known.
    """
    figures: dict[str, float] = {"things": len(iou)}
    if len(iou):
        for target in TARGETS:
            reached = iou >= target
            clicks = np.where(reached.any(axis=1), reached.argmax(axis=1) + 1, iou.shape[1])
            figures[f"clicks_to_{100 * target:.0f}"] = _round(clicks)
            figures[f"failures_at_{100 * target:.0f}"] = int((~reached.any(axis=1)).sum())
        figures |= {"iou_of_first_click": _round(iou[:, 0]), "iou_of_last_click": _round(iou[:, -1])}
    if len(levels) and levels.min() >= 0:
        for oracle, one in zip(("around_first_click", "region", "patches"), levels.T, strict=True):
            figures[f"best_{oracle}"] = _round(one)
    return figures


def _round(figures: npt.NDArray[Any]) -> float:
    return round(float(figures.mean(dtype=np.float64)), 4)


def average(iou: npt.NDArray[np.float32]) -> list[tuple[int, float]]:
    """The mean IoU by the number of clicks."""
    return [(number, _round(one)) for number, one in enumerate(iou.T, start=1) if len(one)]
