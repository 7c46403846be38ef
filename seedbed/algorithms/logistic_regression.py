"""Logistic regression: a linear layer that tells which labels a vector has, each for itself, solved to convergence.

What is minimised is the mean over vectors of the cross-entropy of all labels, and half of the weight decay times the squared weights.
Offsets do not decay. It is convex, so there is one solution.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
from scipy import linalg, optimize, special

from seedbed.types import LinearHead

Floats = npt.NDArray[np.float64]
Truth = npt.NDArray[np.bool_]

STILL = 1e-12  # deviation of a channel that does not vary
GRADIENT = 1e-7  # largest entry of the gradient at which the solution is taken for found
MOST = 10_000  # iterations, of which some hundreds are needed


def solve(vectors: Floats, labels: Truth, *, weight_decay: float, standardised: bool) -> LinearHead:
    """The solution for vectors (vector, channel) with labels (vector, class).

    weight_decay: more than 0.
    standardised: whether the decay is that of channels which are brought to a deviation of 1 first.
    """
    mean = vectors.mean(axis=0)
    deviation = np.maximum(vectors.std(axis=0), STILL) if standardised else np.ones(vectors.shape[1])
    # Weights of the solution are sums of vectors, so it lies in the space that these span.
    coordinates, lengths, axes = linalg.svd((vectors - mean) / deviation, full_matrices=False)
    inputs, truth = coordinates * lengths, labels.astype(np.float64)
    count, (channels, classes) = len(inputs), (inputs.shape[1], truth.shape[1])

    def measure(flat: Floats) -> tuple[float, Floats]:
        weight, offset = flat[: channels * classes].reshape(channels, classes), flat[channels * classes :]
        logits = inputs @ weight + offset
        loss = (np.logaddexp(0, logits) - truth * logits).sum() / count + weight_decay * (weight**2).sum() / 2
        error = (special.expit(logits) - truth) / count
        return float(loss), np.concatenate([(inputs.T @ error + weight_decay * weight).ravel(), error.sum(axis=0)])

    found = optimize.minimize(
        measure,
        np.zeros((channels + 1) * classes),
        jac=True,
        method="L-BFGS-B",
        options={"maxiter": MOST, "maxfun": MOST, "gtol": GRADIENT, "ftol": 0},
    )
    weight = axes.T @ found.x[: channels * classes].reshape(channels, classes) / deviation[:, None]
    offset = found.x[channels * classes :] - mean @ weight
    return LinearHead(np.ascontiguousarray(weight.T, np.float32), np.asarray(offset, np.float32))


def measure_held_out(
    vectors: Floats, labels: Truth, *, weight_decay: float, standardised: bool, folds: int, random: np.random.Generator
) -> float:
    """Mean cross-entropy of all labels of vectors that had no part in the solution, each in its turn."""
    total = 0.0
    for held in _divide(len(vectors), folds, random):
        head = solve(vectors[~held], labels[~held], weight_decay=weight_decay, standardised=standardised)
        logits = head.score(vectors[held].astype(np.float32)).astype(np.float64)
        total += float((np.logaddexp(0, logits) - labels[held] * logits).sum())
    return total / len(vectors)


def choose_weight_decay(weight_decays: Sequence[float], losses: Sequence[float]) -> float:
    """Of weight decays with these losses of what was held out the best; of equal ones the largest."""
    return -min((loss, -weight_decay) for weight_decay, loss in zip(weight_decays, losses, strict=True))[1]


def _divide(count: int, folds: int, random: np.random.Generator) -> Iterator[npt.NDArray[np.bool_]]:
    """Parts of about the same size, drawn by chance, which together are all: whether each vector is in it."""
    order = random.permutation(count)
    for fold in range(folds):
        held = np.zeros(count, bool)
        held[order[fold::folds]] = True
        yield held
