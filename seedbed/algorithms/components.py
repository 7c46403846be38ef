"""Principal components of patch features: fitted to each image, or once for all of them and then frozen."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Components:
    """Directions in which vectors differ most, the strongest first."""

    mean: npt.NDArray[np.float32]  # (channel,)
    directions: npt.NDArray[np.float32]  # (component, channel), of length 1

    @classmethod
    def of(cls, vectors: Iterable[npt.NDArray[np.float32]], count: int) -> Self:
        """Those of all vectors together.

        vectors: runs of them, (vector, channel), each looked at once.
        """
        total, sums, products = 0, np.zeros(0), np.zeros(0)
        for run in vectors:
            exact = run.astype(np.float64)
            total, sums, products = total + len(exact), _plus(sums, exact.sum(axis=0)), _plus(products, exact.T @ exact)
        mean = sums / total
        _, directions = np.linalg.eigh(products / total - np.outer(mean, mean))  # ascending
        return cls(mean.astype(np.float32), np.ascontiguousarray(_fix_signs(directions[:, ::-1].T[:count]), np.float32))

    def of_vectors(self, values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """How far vectors (..., channel) reach in each direction (..., component)."""
        return np.asarray((values - self.mean) @ self.directions.T, np.float32)


def _plus(before: npt.NDArray[np.float64], more: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return before + more if before.size else more


def _fix_signs(directions: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The same with a positive largest entry: which of two opposite directions it is means nothing."""
    largest = np.take_along_axis(directions, np.abs(directions).argmax(axis=1)[:, None], axis=1)
    return np.asarray(directions * np.sign(largest))
