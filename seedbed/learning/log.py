"""Figures of every step of a training."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import lightning_fabric
import numpy as np
import torch
from torch import Tensor

from seedbed.errors import TrainingError
from seedbed.learning.learner import TOTAL

RATE = "learning_rate"
HELD = 20  # steps whose figures stay on the device: to ask for each at once would let a GPU wait


class Log:
    """Figures of every step. The last ones stay where they were computed until they are settled."""

    def __init__(self, figures: Mapping[str, list[float]]) -> None:
        self.figures = dict(figures)
        self._held: list[Tensor] = []
        self._rates: list[float] = []

    def __len__(self) -> int:
        """Steps that are settled."""
        return len(self.figures.get(TOTAL, ()))

    @property
    def full(self) -> bool:
        """Whether it is time to settle."""
        return len(self._held) >= HELD

    def buffer(self, figures: Sequence[Mapping[str, Tensor]], *, rate: float, fabric: lightning_fabric.Fabric) -> None:
        """Keep the figures of a step's parts, as means over all parts and processes."""
        for name in (*figures[0], RATE):
            self.figures.setdefault(name, [])
        parts = torch.stack([torch.stack([value.detach().float() for value in one.values()]) for one in figures])
        mean: Any = fabric.all_reduce(parts.mean(dim=0), reduce_op="mean")
        self._held.append(mean)
        self._rates.append(rate)

    def flush_buffer(self, name: str) -> None:
        """Have the figures as numbers, and refuse to go on where the loss is none."""
        steps = torch.stack(self._held).tolist()
        for values, rate in zip(steps, self._rates, strict=True):
            for series, value in zip(self.figures.values(), (*values, rate), strict=True):
                series.append(value)
            if not math.isfinite(values[0]):
                raise TrainingError(
                    f"{name}, step {len(self) - 1}",
                    found=f"a loss of {values[0]}",
                    expected="a finite number",
                    do="lower its learning_rate in params.yaml",
                )
        self._held, self._rates = [], []

    def recent_loss(self) -> float | None:
        """Mean loss of the last steps that are settled; None where there are none."""
        return float(np.mean(self.figures[TOTAL][-HELD:])) if self.figures.get(TOTAL) else None
