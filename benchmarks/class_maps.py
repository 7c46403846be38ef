"""What class maps are worth as they are, averaged within superpixels, and spread between superpixels that look alike.

Of a pipeline that has class maps, superpixels and features: mIoU of labels by threshold, where the truth is known, as a table. Nothing is
kept; this is how thresholds and ways of spreading are chosen, so look at some of the images and report others.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))
from seedbed.algorithms.region_means import Propagation, average_within
from seedbed.images import Images
from seedbed.params import Params
from seedbed.reads import read_class_maps, read_entry, read_patches
from seedbed.scoring import metrics
from seedbed.scoring.truth import Truth
from seedbed.store.artifact import Artifact, open_artifact
from seedbed.types import ClassMaps

WAYS = {
    "averaged within superpixels": Propagation(share=0, temperature=1),
    **{
        f"spread, share {share}, temperature {temperature}": Propagation(share=share, temperature=temperature)
        for share, temperature in ((0.5, 0.1), (0.8, 0.03), (0.8, 0.1), (0.8, 0.3), (0.95, 0.1))
    },
}


def scored(class_maps: Artifact, superpixels: Artifact, features: Artifact, image: str) -> Iterator[tuple[str, ClassMaps]]:
    """An image's class maps in every way."""
    regions, patches = read_entry(superpixels, "regions", image), read_patches(features, image)
    maps = read_class_maps(class_maps, image).resize((regions.shape[0], regions.shape[1]))
    yield "as they are", maps
    for name, way in WAYS.items():
        means = way.score(maps.maps, regions, patches) if maps.classes else average_within(maps.maps, regions)
        yield name, ClassMaps(maps.classes, np.asarray(means[:, regions], np.float32))


def measure(names: Sequence[str], images: Sequence[str], thresholds: Sequence[float]) -> dict[str, np.ndarray]:
    """The mIoU at every threshold, in every way.

    names: artifacts of class maps, superpixels and features.
    """
    data, (class_maps, superpixels, features) = open_artifact("dataset"), map(open_artifact, names)
    pictures = Images(Params.read().raw_root(), data)
    truth, totals = Truth.of_images(pictures), dict[str, np.ndarray]()
    for number, image in enumerate(images):
        if (known := truth[image]) is not None:
            for name, maps in scored(class_maps, superpixels, features, image):
                counts = metrics.threshold_sweep(maps, known, np.asarray(thresholds), num_classes=data.num_classes)
                totals[name] = totals.get(name, 0) + counts
        print(f"\r{1 + number} of {len(images)} images", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    return {name: np.array([metrics.mean(metrics.intersection_over_union(one)) for one in counts]) for name, counts in totals.items()}


def main() -> None:
    """Measure and tell."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=Path(), help="a pipeline that has run; the checkout unless given")
    parser.add_argument("--artifacts", nargs=3, default=["cams", "superpixels", "features"], help="class maps, superpixels and features")
    parser.add_argument("--split", default="train")
    parser.add_argument("--every", type=int, default=3, help="of so many images one is looked at")
    parser.add_argument("--thresholds", type=float, nargs="+", default=[0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4])
    options = parser.parse_args()
    os.chdir(options.folder)
    data = open_artifact("dataset")
    found = measure(options.artifacts, data.split(options.split)[:: options.every], options.thresholds)
    print("| mIoU at threshold | " + " | ".join(f"{one:g}" for one in options.thresholds) + " |")
    print("|---" * (1 + len(options.thresholds)) + "|")
    for name, values in found.items():
        print(f"| {name} | " + " | ".join(f"{value:.3f}" for value in values) + " |")


if __name__ == "__main__":
    main()
