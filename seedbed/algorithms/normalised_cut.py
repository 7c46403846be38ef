"""Normalised cuts of a graph: the second eigenvector of (D - W) y = lambda D y, found by Lanczos iterations.

With y = D^(-1/2) z this is the largest but one eigenvector z of D^(-1/2) W D^(-1/2). Its largest one, D^(1/2) 1, is known, so it is taken
out and what is left of the matrix is asked for its largest. That takes some tens of products with a vector, where a solution of the whole
problem takes the cube of the number of nodes.

Paper: Shi and Malik, "Normalized Cuts and Image Segmentation", TPAMI 2000.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import linalg
from scipy.sparse.linalg import ArpackError, LinearOperator, eigsh

Floats = npt.NDArray[np.float64]

DENSE = 32  # a graph of so many nodes is solved as a whole
TOLERANCE = 1e-9  # of eigenvalues; at most 1
LARGEST = 2.0  # value of a cut
WANTED = 2  # eigenvectors: the one that is cut at, and the next, from which the search for the next cut starts


@dataclass(frozen=True)
class Cut:
    """A partition of the nodes of a graph into two."""

    side: npt.NDArray[np.bool_]  # (node,)
    value: float  # paper: Ncut; what is cut as a share of all weights of either side, summed: 0 to 2
    following: Floats  # (node,): the next eigenvector, which likely shows where the rest will be cut


def bipartition(weights: Floats, *, start: Floats, device: str = "cpu") -> Cut:
    """Cut a graph at the mean of its second eigenvector; the side is the one without the first node.

    A graph whose nodes are all linked alike, or of one node, has no cut that is better than others, and none is made: the side is empty.
    weights: (node, node), symmetric and positive.
    start: (node,), where the search for eigenvectors starts; whatever it is, the cut is the same where one is clearly best.
    device: that multiplies; the search itself runs on the CPU.
    """
    if weights.min() == weights.max():
        return Cut(side=np.zeros(len(weights), np.bool_), value=LARGEST, following=start)
    degrees = weights.sum(axis=1)
    solutions = _find_vectors(weights, degrees, start, device) / np.sqrt(degrees)[:, None]
    chosen = solutions[:, 0]
    side = chosen > chosen.mean()
    if side[0]:
        side = ~side
    return Cut(side=side, value=measure_cut(weights, side), following=solutions[:, -1])


def measure_cut(weights: Floats, side: npt.NDArray[np.bool_]) -> float:
    """What is cut as a share of all weights of either side, summed; the largest value where a side has no node."""
    if side.all() or not side.any():
        return LARGEST
    degrees = weights.sum(axis=1)
    cut = float(degrees[side].sum() - weights[np.ix_(side, side)].sum())
    return cut / float(degrees[side].sum()) + cut / float(degrees[~side].sum())


def _find_vectors(weights: Floats, degrees: Floats, start: Floats, device: str) -> Floats:
    """The largest eigenvectors (node, vector) of the normalised weights without the one that is known, in descending order."""
    scale = 1 / np.sqrt(degrees)
    known = np.sqrt(degrees / degrees.sum())
    count = len(weights)
    if count > DENSE:
        product = _place(weights, device)

        def multiply(vector: Floats) -> Floats:
            flat = vector.ravel()
            return np.asarray(scale * product(scale * flat) - known * (known @ flat))

        operator = LinearOperator((count, count), matvec=multiply, dtype=np.float64)
        try:
            values, vectors = eigsh(operator, k=WANTED, which="LA", v0=start, tol=TOLERANCE)
        except ArpackError:  # many eigenvalues are the same, so that it converges to none or cannot begin
            pass
        else:
            return np.asarray(vectors[:, np.argsort(-values)])
    matrix = scale[:, None] * weights * scale - np.outer(known, known)
    return np.asarray(linalg.eigh(matrix)[1][:, ::-1][:, :WANTED])


def _place(weights: Floats, device: str) -> Callable[[Floats], Floats]:
    """The product of weights with a vector; elsewhere than on a CPU the weights are brought there once, and vectors to and fro."""
    if device == "cpu":
        return lambda vector: np.asarray(weights @ vector)
    import torch  # for which nobody pays on a CPU

    there = torch.from_numpy(weights).to(device)
    return lambda vector: np.asarray((there @ torch.from_numpy(vector).to(device)).cpu().numpy())
