"""Which patch features group best what belongs together: superpixels of several sources against the truth, at equal counts.

Patches are grouped as `superpixels.dino` does at many thresholds, and as `superpixels.merge` does, both without a CRF. What is compared is
the accuracy that the superpixels make possible when there are so many of them on average. Colour alone and a transformer with drawn weights
are what a source must beat. Of a transformer, blocks, keys and tokens, centring and the size of the image can be tried, all with all.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import product
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from ruamel.yaml import YAML

sys.path.insert(0, str(Path(__file__).parents[1]))
from benchmarks.world import World, spread
from seedbed import dataset, features
from seedbed.algorithms import ward
from seedbed.features.texture import Texture
from seedbed.features.vit import Vit
from seedbed.networks.weights import InitialWeights
from seedbed.params import Params, rebuild
from seedbed.scoring import metrics
from seedbed.superpixels.dino import discover
from seedbed.types import Image, LabelMap, PatchFeatures, cells

CHECKOUT = Path(__file__).parents[1]
THRESHOLDS = (-0.2, -0.1, 0.0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.55, 0.6, 0.65, 0.7, 0.8, 0.9, 0.95)
COUNTS = (3, 5, 10, 20, 30, 80)
NONE = InitialWeights(source="none", file="", sha256="")
Describe = Callable[[Sequence[Image]], list[PatchFeatures]]


def describe(method: features.Method, images: Sequence[Image]) -> list[PatchFeatures]:
    """Features of images."""
    network = method.network()
    return method.describe(images, network if network is None else network.eval(), device="cpu")


def describe_resized(method: Vit, images: Sequence[Image], *, edge: int) -> list[PatchFeatures]:
    """Features of images that are resized first, so that a patch covers so many pixels of the image."""
    sizes = [cells((image.shape[0], image.shape[1]), edge) for image in images]
    views = [
        np.asarray(cv2.resize(image, (columns * method.patch_size, rows * method.patch_size), interpolation=cv2.INTER_CUBIC), np.uint8)
        for image, (rows, columns) in zip(images, sizes, strict=True)
    ]
    return [dataclasses.replace(one, patch_size=edge) for one in describe(method, views)]


def group(patches: PatchFeatures, image: Image) -> Iterator[tuple[str, float, npt.NDArray[np.int32]]]:
    """Superpixels of an image without a CRF: the method, its threshold or count, regions."""
    rows, columns, channels = patches.values.shape
    vectors, size = patches.values.reshape(-1, channels), (image.shape[0], image.shape[1])
    for threshold in THRESHOLDS:
        found = discover(vectors, threshold=threshold, first="lowest")
        yield "dino", threshold, patches.on_pixels(found.reshape(rows, columns), size)
    tree = ward.merge(vectors, ward.link_grid((rows, columns)))
    for count in COUNTS:
        yield "merge", count, patches.on_pixels(tree.cut(count).reshape(rows, columns), size)


def accuracy(described: Sequence[PatchFeatures], images: Sequence[Image], truths: Sequence[LabelMap]) -> dict[str, npt.NDArray[np.float64]]:
    """For each method, (setting, [mean count, achievable segmentation accuracy, undersegmentation error])."""
    sums: dict[tuple[str, float], npt.NDArray[np.float64]] = {}
    for patches, image, truth in zip(described, images, truths, strict=True):
        for name, setting, regions in group(patches, image):
            one = np.array([len(np.unique(regions)), *metrics.region_overlap(regions, truth)], np.float64)
            sums[name, setting] = sums.get((name, setting), np.zeros(4)) + one
    found: dict[str, list[list[float]]] = {}
    for (name, _), (count, agreeing, leaking, total) in sums.items():
        found.setdefault(name, []).append([count / len(images), agreeing / total, leaking / total])
    return {name: np.array(rows) for name, rows in found.items()}


def at(counts: npt.NDArray[np.float64], values: npt.NDArray[np.float64], wanted: float) -> float:
    """A value at a count, between the nearest that were tried; NaN beyond them."""
    order = np.argsort(counts)
    return float(np.interp(np.log(wanted), np.log(counts[order]), values[order], left=np.nan, right=np.nan))


def list_sources(params: Params, tried: argparse.Namespace) -> Iterator[tuple[str, Describe]]:
    """What is compared: names, and what describes images."""
    chosen = params.method(features.Method)
    block = YAML(typ="safe").load(CHECKOUT / "params.yaml")["features"]["texture"]
    texture = rebuild(features.Method, "texture", {**block, "patch_size": chosen.patch_size}, where="params.yaml")
    assert isinstance(texture, Texture)
    for weight, name in ((0.0, "colour"), (1.0, "colour and texture")):
        yield name, partial(describe, dataclasses.replace(texture, texture_weight=weight))
    if not isinstance(chosen, Vit):
        return
    yield "drawn weights", partial(describe, dataclasses.replace(chosen, initial_weights=NONE))
    for edge, block_number, what, centred in product(
        tried.edges or [chosen.patch_size], tried.blocks or [chosen.block], tried.what or [chosen.what], tried.centred or [chosen.centred]
    ):
        tried_one = dataclasses.replace(chosen, block=block_number, what=what, centred=centred)
        name = f"{what} of block {block_number}, {'' if centred else 'not '}centred, patches of {edge}"
        yield name, partial(describe_resized, tried_one, edge=edge)


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--params", type=Path, default=CHECKOUT / "params.yaml", help="data set, and features")
    parser.add_argument("--split", default="val")
    parser.add_argument("--images", type=int, default=100, help="so many of the split, evenly spread")
    parser.add_argument("--blocks", type=int, nargs="+", help="of a transformer, counted from its end; that of the parameters if not given")
    parser.add_argument("--what", choices=["keys", "tokens"], nargs="+")
    parser.add_argument("--centred", type=lambda text: text == "yes", nargs="+", metavar="yes|no")
    parser.add_argument("--edges", type=int, nargs="+", help="pixels that a patch covers: images are resized for it")
    options = parser.parse_args()
    params = Params.read(options.params)
    world = World.read(params.raw_root(), params.method(dataset.Method))
    entries = spread(world.split(options.split), options.images)
    images, truths = [world.pictures[entry.id] for entry in entries], [world.truth(entry) for entry in entries]
    print(f"{len(images)} images; achievable segmentation accuracy (undersegmentation error) by the mean count of regions")
    print(f"{'':54}" + "".join(f"{count:>15}" for count in COUNTS))
    for name, describes in list_sources(params, options):
        for method, found in accuracy(describes(images), images, truths).items():
            values = [(at(found[:, 0], found[:, 1], count), at(found[:, 0], found[:, 2], count)) for count in COUNTS]
            line = "".join(f"{'':>15}" if np.isnan(one) else f"  {one:.3f} ({other:.3f})" for one, other in values)
            print(f"{method + ', ' + name:54}{line}", flush=True)


if __name__ == "__main__":
    main()
