"""Parameters of every training, and how samples become batches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Generic, Literal, Self, TypeVar

import numpy as np
from pydantic import Field, model_validator

from seedbed.learning.batches import Movable
from seedbed.methods import parameters

S = TypeVar("S")
V = TypeVar("V")
B = TypeVar("B", bound=Movable)


@parameters
class Training:
    """How long a training lasts, its random seed, and how its steps are computed."""

    seed: Annotated[int, Field(ge=0, lt=2**32)]  # of initial weights, the order of images, and views
    epochs: Annotated[float, Field(gt=0, le=100_000)]  # passes over the images
    batch_size: Annotated[int, Field(ge=1, le=100_000)]  # images per step, all processes together
    micro_batches: Annotated[int, Field(ge=1, le=100_000)]  # that a batch is computed in, one after another, to save memory
    precision: Literal["32-true", "bf16-mixed"]  # of the network's arithmetic; weights and losses always have 32 bits
    clip: Annotated[float, Field(ge=0, le=1e6)]  # largest norm of the gradient, to which larger ones are scaled down; 0: no clipping
    clip_each: bool  # whether each parameter's gradient is clipped by itself, not all together
    averaging: Annotated[float, Field(ge=0, lt=1)]  # decay of the running mean of weights that is kept; 0: the last weights are kept

    @model_validator(mode="after")
    def _check_micro_batches(self) -> Self:
        if self.batch_size % self.micro_batches:
            raise ValueError(f"a number of micro_batches that divides batch_size, which is {self.batch_size}")
        return self


@dataclass(frozen=True)
class Sampling(Generic[S, V, B]):
    """How samples become batches, and for how many steps."""

    training: Training
    view: Callable[[S, np.random.Generator], V]  # a random view of a sample
    gather: Callable[[Sequence[V]], B]  # makes a batch of views
