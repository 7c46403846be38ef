"""Things by the way from each cell to the middle of its thing: cells that arrive at one middle are of one thing.

Each cell follows its displacement, step by step. Cells whose own displacement is short lie around a middle, one for all that touch.
Class maps, cut to the cells of each middle, spread in a random walk up to the boundaries, and the highest of them is what a pixel is of.
The connected pixels of a class and a middle are a thing; its score is the highest within it.

Paper: Ahn et al., "Weakly Supervised Learning of Instance Segmentation with Inter-pixel Relations" (IRN), CVPR 2019.

Differs from the paper: fragments that are too small are left out; its code keeps them with a score of 0. No more things than `most` are
kept. As in its code, cells that arrive at no middle are taken together. Class maps of another stride than that of the boundaries are
resized. The transition matrix stays sparse (see `seedbed/algorithms/random_walk.py`). The walk between superpixels is an addition of ours.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, ClassVar

import cv2
import numpy as np
import numpy.typing as npt
from pydantic import Field

from seedbed import instances
from seedbed.algorithms.boundary_walk import keep_within, link_within, measure_relative
from seedbed.algorithms.random_walk import Walk
from seedbed.methods import method
from seedbed.types import Evidence, Instances, RegionMap

BESIDE = 4  # cells and pixels are connected with those beside, above and below them, not with those at their corners
TOGETHER = 64  # maps that are walked on at once, which bounds the memory: a network that has learned little gives many middles


@method
class Irn(instances.Method):
    uses_gpu: ClassVar[bool] = True

    steps: Annotated[int, Field(ge=0, le=10_000)]  # paper: u, 100 or more; with which each cell follows its displacement
    weak_displacement: Annotated[float, Field(gt=0, le=1000)]  # in cells; those with a shorter displacement lie around a middle
    walk: Walk
    background: Annotated[float, Field(gt=0, lt=1)]  # score of background; the highest of all maps and pixels is 1
    smallest: Annotated[float, Field(ge=0, lt=1)]  # share of the image's pixels that a thing has at the least
    most: Annotated[int, Field(ge=1, le=255)]  # ours; things of an image that are kept, the surest

    @property
    def unread(self) -> tuple[str, ...]:
        return () if self.walk.over == "superpixels" else ("superpixels",)

    @property
    def extents(self) -> dict[str, int]:
        return {"instance": self.most}

    def memory(self, extents: Mapping[str, int]) -> int:
        return self.walk.memory(extents)

    def part(self, known: Sequence[Evidence], *, device: str = "cpu") -> list[Instances]:
        return [self._part(one, device=device) for one in known]

    def _part(self, known: Evidence, *, device: str) -> Instances:
        edges = known.edges
        values = keep_within(known.class_maps, edges.boundaries)
        middles = find_middles(edges.displacement, steps=self.steps, weak=self.weak_displacement)
        scores, classes = cut_maps(values, known.class_maps.classes, middles)
        if not classes:
            return Instances.empty(known.size)
        links = link_within(edges.boundaries, self.walk)
        best, winners = np.zeros(known.size, np.float32), np.zeros(known.size, np.int32)
        for first in range(0, len(scores), TOGETHER):
            cut = scores[first : first + TOGETHER]
            [walked] = self.walk.diffuse([cut], [links], [known.regions], strides=[edges.stride], device=device)
            highest = walked.max(axis=0)
            winners = np.where(highest > best, 1 + first + walked.argmax(axis=0), winners).astype(np.int32)
            best = np.maximum(best, highest)
        relative = measure_relative(best)
        return self._gather(np.where(relative > self.background, winners, 0).astype(np.int32), relative, classes)

    def _gather(self, winners: RegionMap, relative: npt.NDArray[np.float32], classes: Sequence[int]) -> Instances:
        """Connected pixels of one map as things.

        winners: number of the map that the pixel is of, from 1; 0 is background.
        relative: what that map says (y, x). classes: of each map.
        """
        found: list[tuple[float, int, npt.NDArray[np.bool_]]] = []
        for number in np.unique(winners[winners > 0]).tolist():
            _, parts, about, _ = cv2.connectedComponentsWithStats((winners == number).astype(np.uint8), connectivity=BESIDE)
            for part in np.flatnonzero(about[:, cv2.CC_STAT_AREA] >= self.smallest * winners.size):
                if part:  # 0 is what is not of the map
                    shape = parts == part
                    found.append((float(relative[shape].max()), classes[number - 1], shape))
        found.sort(key=lambda one: -one[0])
        things = np.zeros(winners.shape, np.uint8)
        for number, (_, _, shape) in enumerate(found[: self.most], 1):
            things[shape] = number
        return Instances(things, tuple(one[1] for one in found[: self.most]), tuple(one[0] for one in found[: self.most]))


def find_middles(displacement: npt.NDArray[np.float32], *, steps: int, weak: float) -> RegionMap:
    """Number of the middle at which each cell arrives (y, x), from 1; 0 is none.

    displacement: (2, y, x), in cells.
    """
    places = follow_displacement(displacement, steps=steps)
    short = np.hypot(*displacement) < weak
    _, middles = cv2.connectedComponents(short.astype(np.uint8), connectivity=BESIDE)
    return np.asarray(middles[tuple(places)], np.int32)


def follow_displacement(displacement: npt.NDArray[np.float32], *, steps: int) -> npt.NDArray[np.int64]:
    """Row and column of the cell (2, y, x) that is reached from each, by as many steps as there are.

    A step is the displacement where it begins, bilinear between cells; none leads beyond the image.
    """
    ways = displacement.astype(np.float64)
    _, rows, columns = ways.shape
    places = np.indices((rows, columns)).astype(np.float64)
    last = np.array([rows - 1, columns - 1]).reshape(2, 1, 1)
    for _ in range(steps):
        low = np.floor(places).astype(np.int64)
        high, (down, across) = np.minimum(low + 1, last), places - low
        upper = ways[:, low[0], low[1]] * (1 - across) + ways[:, low[0], high[1]] * across
        lower = ways[:, high[0], low[1]] * (1 - across) + ways[:, high[0], high[1]] * across
        places = np.clip(places + upper * (1 - down) + lower * down, 0, last)
    return np.rint(places).astype(np.int64)


def cut_maps(values: npt.NDArray[np.float32], classes: Sequence[int], middles: RegionMap) -> tuple[npt.NDArray[np.float32], list[int]]:
    """Maps of cells (map, y, x) for each class and middle, and the class of each. What would be 0 everywhere is left out."""
    maps, owners = [np.zeros((0, *middles.shape), np.float32)], list[int]()
    for single, name in zip(values, classes, strict=True):
        for number in np.unique(middles[single > 0]):
            maps.append(np.where(middles == number, single, 0).astype(np.float32)[None])
            owners.append(name)
    return np.concatenate(maps), owners
