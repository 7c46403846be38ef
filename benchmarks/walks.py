"""What a random walk makes of class maps: by affinities that were learned, and by those of the truth, which none could better.

Of a pipeline whose masks are made by `refinement.psa` or `refinement.irn`: mIoU by the background that the method is given, as a table. The
second line says how much of what is missing is the class maps' fault. Nothing is kept; look at some of the images and report others.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

sys.path.insert(0, str(Path(__file__).parents[1]))
from seedbed import refinement
from seedbed.algorithms.cell_pairs import list_offsets, split_pairs
from seedbed.images import Images
from seedbed.params import Params
from seedbed.reads import AllEvidence, Edges, Maps, Patches, Pictures, Regions
from seedbed.refinement.irn import Irn
from seedbed.refinement.psa import Psa
from seedbed.scoring import metrics
from seedbed.scoring.truth import Truth
from seedbed.store.artifact import open_artifact
from seedbed.types import IGNORE, CellEdges, LabelMap, cells

FAR = 100.0  # distance of cells of different classes
SHARES = (0.15, 0.25, 0.35, 0.45, 0.55, 0.65)  # scores of background, of IRN
POWERS = (2, 4, 8, 12, 16, 24)  # likewise, of PSA


def with_backgrounds(method: refinement.Method) -> dict[str, Psa | Irn]:
    """The method with background of several strengths."""
    if isinstance(method, Irn):
        return {f"{share:g}": replace(method, preset="own", threshold=share) for share in SHARES}
    if isinstance(method, Psa):
        return {f"{power:g}": replace(method, preset="own", background="power", background_value=power) for power in POWERS}
    raise SystemExit("refinement.method is neither psa nor irn")


def find_true_edges(truth: LabelMap, num_classes: int, stride: int, radius: int) -> CellEdges:
    """Edges as the truth has them. A cell is of the class of most of its pixels; one above or left of another class is a boundary."""
    grid, (height, width) = cells((truth.shape[0], truth.shape[1]), stride), truth.shape
    padded = np.pad(truth, ((0, grid[0] * stride - height), (0, grid[1] * stride - width)), constant_values=IGNORE)
    pixels = padded.reshape(grid[0], stride, grid[1], stride)
    shares = np.stack([(pixels == label).sum(axis=(1, 3)) for label in range(1 + num_classes)])
    labels = shares.argmax(axis=0)
    boundaries = np.zeros(grid, np.float32)
    boundaries[:-1] = labels[:-1] != labels[1:]
    boundaries[:, :-1] = np.maximum(boundaries[:, :-1], labels[:, :-1] != labels[:, 1:])
    distances = np.zeros((len(list_offsets(radius)), *grid), np.float32)
    for offset, into in zip(list_offsets(radius), distances, strict=True):
        one, other = split_pairs(labels, offset)
        split_pairs(into, offset)[0][:] = np.where(one == other, 0, FAR)
    return CellEdges(boundaries, np.zeros((2, *grid), np.float32), distances, stride)


def measure(methods: dict[str, Psa | Irn], images: Sequence[str]) -> dict[str, dict[str, float]]:
    """The mIoU of each method, by learned and by true edges."""
    params = Params.read()
    method = next(iter(methods.values()))
    settings, data = params.settings(refinement.Settings), open_artifact("dataset")
    pictures, edges = Images(params.raw_root(), data), open_artifact(settings.edges)
    regions = Regions(open_artifact(settings.superpixels) if "superpixels" not in method.unread else None)
    known = AllEvidence(data, Pictures(pictures), Maps(open_artifact(settings.class_maps)), regions, Patches(None), Edges(edges))
    truth = Truth.of_images(pictures)
    empty = np.zeros((1 + data.num_classes, 2 + data.num_classes), np.int64)
    totals: dict[str, dict[str, npt.NDArray[np.int64]]] = {kind: dict.fromkeys(methods, empty) for kind in ("learned", "of the truth")}
    for number, image in enumerate(images):
        if (true := truth[image]) is not None:
            learned = known[image]
            perfect = replace(learned, edges=find_true_edges(true, data.num_classes, learned.edges.stride, method.walk.radius))
            for kind, evidence in zip(totals, (learned, perfect), strict=True):
                for name, method in methods.items():
                    [mask] = method.refine([evidence])
                    totals[kind][name] = totals[kind][name] + metrics.confusion(true, mask.labels, num_classes=data.num_classes)
        print(f"\r{1 + number} of {len(images)} images", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    return {
        kind: {name: metrics.mean(metrics.intersection_over_union(metrics.overlap(one))) for name, one in counts.items()}
        for kind, counts in totals.items()
    }


def main() -> None:
    """Measure and tell."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=Path(), help="a pipeline that has run; the checkout unless given")
    parser.add_argument("--split", default="train")
    parser.add_argument("--every", type=int, default=3, help="of so many images one is looked at")
    options = parser.parse_args()
    os.chdir(options.folder)
    methods = with_backgrounds(Params.read().method(refinement.Method))
    found = measure(methods, open_artifact("dataset").split(options.split)[:: options.every])
    print("| edges | " + " | ".join(methods) + " |")
    print("|---" * (1 + len(methods)) + "|")
    for kind, values in found.items():
        print(f"| {kind} | " + " | ".join(f"{value:.3f}" for value in values.values()) + " |")


if __name__ == "__main__":
    main()
