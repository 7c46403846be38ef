"""Principal components of vectors, such as the patch features of one image or of many."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class PrincipalComponents:
    """The directions in which vectors vary most, in descending order."""

    mean: npt.NDArray[np.float32]  # (channel,)
    directions: npt.NDArray[np.float32]  # (component, channel), unit vectors

    @classmethod
    def fit(cls, batches: Iterable[npt.NDArray[np.float32]], count: int) -> Self:
        """Fit components to all vectors together.

        batches: vectors (vector, channel); each batch is read once.
        """
        total, sums, products = 0, np.zeros(()), np.zeros(())
        for batch in batches:
            exact = batch.astype(np.float64)
            total, sums, products = total + len(exact), sums + exact.sum(axis=0), products + exact.T @ exact
        mean = sums / total
        _, directions = np.linalg.eigh(products / total - np.outer(mean, mean))  # ascending
        return cls(mean.astype(np.float32), np.ascontiguousarray(_fix_signs(directions[:, ::-1].T[:count]), np.float32))

    def project(self, values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Coordinates (..., component) of vectors (..., channel) along the directions."""
        return np.asarray((values - self.mean) @ self.directions.T, np.float32)


def _fix_signs(directions: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Make the largest entry of each direction positive: a direction and its opposite are the same component."""
    largest = np.take_along_axis(directions, np.abs(directions).argmax(axis=1)[:, None], axis=1)
    return np.asarray(directions * np.sign(largest))
