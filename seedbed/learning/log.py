"""Figures of every step of a training."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import lightning_fabric
import numpy as np
import torch
from torch import Tensor

from seedbed.errors import TrainingError, join_names
from seedbed.learning.learner import TOTAL

RATE = "learning_rate"
BUFFERED = 20  # steps whose figures stay on the device: to fetch each at once would make a GPU wait


class Log:
    """Figures of every step. Those of the last steps stay on the device until they are flushed."""

    def __init__(self, name: str, figures: Mapping[str, list[float]]) -> None:
        """name: of the training; figures: of the steps that are done already."""
        self.name = name
        self.figures = dict(figures)
        self._buffered: list[Tensor] = []
        self._rates: list[float] = []

    def __len__(self) -> int:
        """Number of steps whose figures are flushed."""
        return len(self.figures.get(TOTAL, ()))

    @property
    def full(self) -> bool:
        """Whether it is time to flush."""
        return len(self._buffered) >= BUFFERED

    def buffer(self, figures: Sequence[Mapping[str, Tensor]], *, rate: float, fabric: lightning_fabric.Fabric) -> None:
        """Keep the figures of a step's micro-batches, as means over all of them and all processes."""
        if not self.figures:
            self.figures = {name: [] for name in (*figures[0], RATE)}
        *columns, _ = self.figures
        for each in figures:
            if set(each) != set(columns):
                raise TrainingError(
                    f"{self.name}, step {len(self) + len(self._buffered)}",
                    found=f"the figures {join_names(each)}",
                    expected=f"{join_names(columns)}, as in the first step",
                    do="let the learner give the same terms and figures in every step, 0 where one does not apply",
                )
        values = torch.stack([torch.stack([each[name].detach().float() for name in columns]) for each in figures])
        mean: Any = fabric.all_reduce(values.mean(dim=0), reduce_op="mean")
        self._buffered.append(mean)
        self._rates.append(rate)

    def flush_buffer(self) -> None:
        """Fetch the buffered figures, and refuse to go on where a loss is not finite."""
        steps = torch.stack(self._buffered).tolist()
        for values, rate in zip(steps, self._rates, strict=True):
            for series, value in zip(self.figures.values(), (*values, rate), strict=True):
                series.append(value)
            if not math.isfinite(values[0]):
                raise TrainingError(
                    f"{self.name}, step {len(self) - 1}",
                    found=f"a loss of {values[0]}",
                    expected="a finite number",
                    do="lower its learning_rate in params.yaml",
                )
        self._buffered, self._rates = [], []

    def recent_loss(self) -> float | None:
        """Mean loss of the last steps that are flushed; None where there are none."""
        return float(np.mean(self.figures[TOTAL][-BUFFERED:])) if self.figures.get(TOTAL) else None
