"""Superpixels with a high mean of a class map are foreground, those in which all means are low are background, and the rest is unlabelled.

Scores may first spread between superpixels that look alike (`propagation`).

Paper: none; it is `refinement.superpixel_means` where labels need not be full.

Differs from the paper: not applicable.
"""

from __future__ import annotations

from typing import Annotated, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from seedbed import seeds
from seedbed.algorithms.region_means import Propagation
from seedbed.methods import method
from seedbed.types import BACKGROUND, IGNORE, Evidence, LabelMap

Share = Annotated[float, Field(ge=0, lt=1)]


@method
class SuperpixelMeans(seeds.Method):
    foreground: Share  # inferred; superpixels with a mean class map above it are confident
    background: Share  # inferred; those in which no mean is above it are background
    propagation: Propagation

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.background > self.foreground:
            raise ValueError(f"no more than foreground, which is {self.foreground}")
        return self

    @property
    def unread(self) -> tuple[str, ...]:
        return () if self.propagation.share else ("features",)

    def label(self, known: Evidence, *, device: str = "cpu") -> LabelMap:
        return self._judge(known)[1][known.regions]

    def explain(self, known: Evidence) -> list[str]:
        because = {
            BACKGROUND: f"background, because it is no more than {self.background:g}",
            IGNORE: f"no label, because it is above {self.background:g}, but not above {self.foreground:g}",
        }
        return [
            f"the highest mean of its scores is {mean:.4f}: {because.get(label, f'foreground, because it is above {self.foreground:g}')}"
            for mean, label in zip(*(one.tolist() for one in self._judge(known)), strict=True)
        ]

    def _judge(self, known: Evidence) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.uint8]]:
        """For every region, its highest score and its label."""
        class_maps = known.maps
        means = self.propagation.score(class_maps.maps, known.regions, known.patches)
        highest = means.max(axis=0, initial=0.0)
        labels = np.where(highest <= self.background, BACKGROUND, IGNORE).astype(np.uint8)
        if class_maps.classes:
            best = np.asarray(class_maps.classes, np.uint8)[means.argmax(axis=0)]
            labels = np.where(highest > self.foreground, best, labels)
        return highest, labels
