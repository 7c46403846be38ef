"""Which patch features group best what belongs together: superpixels of several sources against the truth, at equal counts.

Regions are found as `superpixels.dino` finds them, without a CRF, at many thresholds; what is compared is the accuracy that they make
possible when there are so many of them on average. Colour alone and a transformer with drawn weights are what a source must beat.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from ruamel.yaml import YAML

sys.path.insert(0, str(Path(__file__).parents[1]))
from benchmarks.world import World
from seedbed import dataset, features, predictions
from seedbed.features.texture import Texture
from seedbed.features.vit import Vit
from seedbed.networks.weights import InitialWeights
from seedbed.params import Params, rebuild
from seedbed.scoring import metrics
from seedbed.superpixels.dino import discover
from seedbed.types import Image, LabelMap, PatchFeatures

THRESHOLDS = (-0.2, -0.1, 0.0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.55, 0.6, 0.65, 0.7, 0.8, 0.9, 0.95)
COUNTS = (3, 5, 10, 20)
NONE = InitialWeights(source="none", file="", sha256="")


def regions(patches: PatchFeatures, image: Image, *, threshold: float) -> npt.NDArray[np.int32]:
    """Regions of an image, without a CRF."""
    rows, columns, channels = patches.values.shape
    grid = discover(patches.values.reshape(-1, channels), threshold=threshold, first="lowest").reshape(rows, columns)
    return patches.on_pixels(grid, (image.shape[0], image.shape[1]))


def accuracy(method: features.Method, images: list[Image], truths: list[LabelMap]) -> npt.NDArray[np.float64]:
    """(threshold, [mean count, achievable segmentation accuracy, undersegmentation error])."""
    network = method.network()
    described = method.describe(images, network if network is None else network.eval(), device="cpu")
    found = []
    for threshold in THRESHOLDS:
        made = [regions(patches, image, threshold=threshold) for patches, image in zip(described, images, strict=True)]
        overlap = np.sum([metrics.region_overlap(one, truth) for one, truth in zip(made, truths, strict=True)], axis=0)
        count = np.mean([len(np.unique(one)) for one in made])
        found.append([count, overlap[0] / overlap[2], overlap[1] / overlap[2]])
    return np.array(found)


def at(counts: npt.NDArray[np.float64], values: npt.NDArray[np.float64], wanted: float) -> float:
    """A value at a count, between the nearest that were tried; NaN beyond them."""
    order = np.argsort(counts)
    return float(np.interp(np.log(wanted), np.log(counts[order]), values[order], left=np.nan, right=np.nan))


def sources(params: Params) -> Mapping[str, features.Method]:
    """What is compared."""
    chosen = params.method(features.Method)
    block: dict[str, Any] = YAML(typ="safe").load(Path("params.yaml"))["features"]["texture"]
    texture = rebuild(features.Method, "texture", block, where="params.yaml")
    assert isinstance(texture, Texture)
    compared: dict[str, features.Method] = {"colour": dataclasses.replace(texture, texture_weight=0.0), "colour and texture": texture}
    if isinstance(chosen, Vit):
        compared["transformer, drawn weights"] = dataclasses.replace(chosen, initial_weights=NONE)
        compared["transformer, given weights"] = chosen
    return compared


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=100, help="so many of the predicted split")
    options = parser.parse_args()
    params = Params.read()
    world = World.read(params.raw_root(), params.method(dataset.Method))
    entries = world.split(params.settings(predictions.Settings).split)[: options.images]
    images, truths = [world.pictures[entry.id] for entry in entries], [world.truth(entry) for entry in entries]
    print(f"{len(images)} images; achievable segmentation accuracy (undersegmentation error) by the mean count of regions")
    print(f"{'':28}" + "".join(f"{count:>18}" for count in COUNTS))
    for name, method in sources(params).items():
        found = accuracy(method, images, truths)
        cells = [f"{at(found[:, 0], found[:, 1], count):.3f} ({at(found[:, 0], found[:, 2], count):.3f})" for count in COUNTS]
        print(f"{name:28}" + "".join(f"{cell:>18}" for cell in cells), flush=True)


if __name__ == "__main__":
    main()
