"""Refinement: from class maps to a label for every pixel, to train a segmenter on."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Annotated, ClassVar, Literal

import numpy as np
import numpy.typing as npt

from seedbed import methods
from seedbed.algorithms.crf import SMALLEST_PROBABILITY, DenseCrf
from seedbed.algorithms.random_walk import Links, Walk
from seedbed.methods import parameters
from seedbed.run.slots import Slot
from seedbed.types import CellEdges, Evidence, PseudoMask

Confidence = Literal["probability", "margin_rank"]


@parameters
class Settings:
    """What masks are made from, beside images."""

    class_maps: Annotated[str, Slot(("cams",))]  # that are refined
    superpixels: Annotated[str, Slot(("superpixels",), "the selected method needs regions")]  # which get one label each
    features: Annotated[str, Slot(("features",), "the selected method compares regions")]  # by which regions resemble each other
    edges: Annotated[str, Slot(("edges",), "the selected method walks over cells")]  # by which cells are linked, found by its namesake


class Method(methods.Method):
    """From class maps to a pseudo mask."""

    @property
    def unread(self) -> tuple[str, ...]:
        return ("superpixels", "features", "edges")

    @property
    def compared(self) -> int:
        """The radius within which edges must say how far cells are from each other; 0 where they need not."""
        return 0

    @abstractmethod
    def refine(self, known: Sequence[Evidence], *, device: str = "cpu") -> list[PseudoMask]:
        """For each image, labels of its classes and background, or 255, with their confidence.

        The result for an image does not depend on the others.
        """


class WalkingMethod(Method):
    """Scores spread in a random walk over the cells of an image, or over its superpixels; a CRF may follow."""

    uses_gpu: ClassVar[bool] = True

    walk: Walk
    crf: DenseCrf
    confidence: Confidence  # of a label: its probability, or how its margin ranks among the pixels with that label

    @property
    def unread(self) -> tuple[str, ...]:
        return ("superpixels", "features") if self.walk.over == "cells" else ("features",)

    def memory(self, extents: Mapping[str, int]) -> int:
        return max(self.crf.memory(2, extents), self.walk.memory(extents))  # background and one class at the least

    def refine(self, known: Sequence[Evidence], *, device: str = "cpu") -> list[PseudoMask]:
        masks = [PseudoMask.empty(one.size) for one in known]
        places = [place for place, one in enumerate(known) if one.class_maps.classes]
        labelled = [known[place] for place in places]
        values, links = [self.score_cells(one) for one in labelled], [self.link_cells(one.edges) for one in labelled]
        regions, strides = [one.regions for one in labelled], [one.edges.stride for one in labelled]
        beliefs = [self.believe(one) for one in self.walk.diffuse(values, links, regions, strides=strides, device=device)]
        if self.crf.iterations:
            probabilities = self.crf.probabilities([one.image for one in labelled], beliefs, device=device)
        else:
            probabilities = [one / np.maximum(one.sum(axis=0), SMALLEST_PROBABILITY) for one in beliefs]
        scores = probabilities if self.crf.iterations else beliefs
        for place, likely, compared in zip(places, probabilities, scores, strict=True):
            masks[place] = PseudoMask.likeliest(known[place].class_maps, likely)
            if self.confidence == "margin_rank":
                second, highest = np.partition(compared, -2, axis=0)[-2:]
                masks[place] = masks[place].rank_by(highest - second)
        return masks

    @abstractmethod
    def link_cells(self, edges: CellEdges) -> Links:
        """Links between the cells of an image."""

    @abstractmethod
    def score_cells(self, known: Evidence) -> npt.NDArray[np.float32]:
        """What spreads: scores of cells (map, y, x)."""

    @abstractmethod
    def believe(self, walked: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Scores of background and the image's classes (label, y, x) after the walk, not negative."""
