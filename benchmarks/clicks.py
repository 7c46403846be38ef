"""What clicks select by superpixels of SLIC, and by a network that knows the truth, beside what the stages have found.

    cd pipelines/mis && dvc repro && cd ../..
    python -m benchmarks.clicks --folder pipelines/mis --learned
    python -m benchmarks.clicks --folder pipelines/mis --also pipelines/other    # clicks of the same network on other images too

SLIC: a click adds the superpixel that it is in, or takes it away. The network: that of `clicker.mis`, with all its parameters, but what is
wanted of an image is a true thing and no region of its tree; so it is a bound, which no stage could reach.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from seedbed import clicker, clicks
from seedbed.algorithms.clicks import Answer, Click, Mask
from seedbed.clicker.mis import Mis, View, Views
from seedbed.clicks.learned import Learned
from seedbed.images import Images
from seedbed.learning.checkpoints import Checkpoints
from seedbed.learning.loop import fit
from seedbed.learning.training import Sampling
from seedbed.networks.click_network import ClickNetwork
from seedbed.networks.contracts import Inherited
from seedbed.networks.inference import TrainedNetwork
from seedbed.networks.zooming import Zoom, ZoomedAnswer
from seedbed.params import Params, rebuild
from seedbed.run.machine import Machine
from seedbed.scoring import clicking
from seedbed.scoring.clicking import Wanted
from seedbed.scoring.instance_truth import ClassTruth, InstanceTruth
from seedbed.scoring.truth import Truth
from seedbed.store.artifact import Artifact, open_artifact
from seedbed.superpixels.slic import Slic
from seedbed.types import Image, PatchFeatures, RegionMap

SHOWN = {
    "things": "things",
    "iou_of_first_click": "1 click, IoU",
    "iou_of_last_click": "20",
    **{f"clicks_to_{target}": f"clicks to 0.{target}" for target in (80, 85, 90)},
    **{f"failures_at_{target}": f"fail at 0.{target}" for target in (80, 85, 90)},
}


@dataclass(frozen=True)
class Known:
    """An image, and the true things in it."""

    image: Image
    things: Sequence[Wanted]


def read(data: Artifact, root: Path, split: str, wanted: str) -> list[Known]:
    """Images of a split whose things are known, or where classes are wanted, their masks."""
    pictures = Images(root, data)
    masks = Truth.of_images(pictures)
    truth = InstanceTruth.of(masks, data.made_by.method) if wanted == "things" else ClassTruth(masks)
    found = ((image, truth[image]) for image in data.split(split))
    return [Known(pictures[image], clicking.list_wanted(true)) for image, true in found if true is not None]


def click(seen: Sequence[Known], begin: Callable[[Image], Answer], *, most: int, things: int) -> dict[str, float]:
    """Figures of clicks on the largest things of images, from nothing."""
    found = []
    for known in seen:
        for thing in known.things[:things]:
            nothing = np.zeros_like(thing.shape)
            made, iou, _ = clicking.click_through(begin(known.image), thing, start=nothing, most=most)
            found.append([*iou, *iou[-1:] * (most - len(made))])
    return clicking.judge(np.array(found, np.float32), np.zeros((0, 3), np.float32))


def select(regions: RegionMap, given: Sequence[Click]) -> Mask:
    """Superpixels that clicks are in: of each, the last click counts."""
    selected = np.zeros(regions.shape, np.bool_)
    for one in given:
        selected[regions == regions[one.row, one.column]] = one.wanted
    return selected


def begin_regions(slic: Slic, image: Image) -> Answer:
    """What superpixels answer."""
    return partial(select, slic.segment(image, PatchFeatures.empty()))


def begin_network(network: ClickNetwork, zoom: Zoom, image: Image) -> Answer:
    """What a network answers."""
    return ZoomedAnswer(network, image, zoom, "cpu")


def open_clicker() -> ClickNetwork:
    """The network that the stage `clicker` has left."""
    artifact = open_artifact("clicker")
    made_by = artifact.made_by
    method = rebuild(clicker.Method, made_by.method, made_by.parameters, where=str(artifact.path))
    network: ClickNetwork = TrainedNetwork(method, (), artifact, "cpu").load()
    return network


def learn(method: Mis, seen: Sequence[Known], seed: int, folder: Path) -> ClickNetwork:
    """A network that has learned to answer clicks on true things, of each image one in each pass."""
    method = replace(method, training=replace(method.training, seed=seed))

    def view(known: Known, random: np.random.Generator) -> View:
        return method.show(known.image, known.things[int(random.integers(len(known.things)))].shape, random)

    sampling = Sampling(method.training, view, Views.of)
    digest = hashlib.sha256(repr(method).encode()).hexdigest()[:8]
    checkpoints = Checkpoints(folder / f"true things, seed {seed}, {digest}", seconds=300)
    build = partial(method.learner, 0, given=Inherited())
    return fit(build, seen, sampling, machine=Machine("cpu"), name=f"seed {seed}", checkpoints=checkpoints).network


def judge(networks: Mapping[str, ClickNetwork], region_size: int) -> dict[str, dict[str, float]]:
    """Figures of what the stages of the pipeline in the current folder have found, of superpixels and of networks."""
    params, rows = Params.read(), dict[str, dict[str, float]]()
    asked = params.of_stage("clicks")
    settings, method = asked.settings(clicks.Settings), asked.method(clicks.Method)
    for file in sorted(Path("data/metrics").glob("clicks*.json")):
        rows |= json.loads(file.read_text(encoding="utf-8"))
    known = read(open_artifact("dataset"), params.raw_root(), settings.split, settings.wanted)
    judged = partial(click, known, most=settings.most, things=settings.things)
    slic = Slic(region_size=region_size, smoothness=10, num_iterations=30, smallest=25)
    rows[f"superpixels of SLIC, of {region_size} pixels"] = judged(partial(begin_regions, slic))
    for name, network in networks.items():
        assert isinstance(method, Learned), "clicks.method says how a network is asked"
        rows[name] = judged(partial(begin_network, network, method.zoom))
    return rows


def learn_truth(seeds: Sequence[int]) -> dict[str, ClickNetwork]:
    """Networks that learn from true things of the images that the clicker in the current folder learns from."""
    params = Params.read()
    trainer, wanted = params.of_stage("clicker").method(clicker.Method), params.of_stage("clicks").settings(clicks.Settings).wanted
    assert isinstance(trainer, Mis), "a network that regions have taught"
    seen = [known for known in read(open_artifact("dataset"), params.raw_root(), params.splits()["clicker"], wanted) if known.things]
    return {f"a network that knows the truth, seed {seed}": learn(trainer, seen, seed, Path("data/.work")).eval() for seed in seeds}


def tell(rows: Mapping[str, Mapping[str, float]]) -> None:
    """Print figures as a table."""
    lines = [["", *SHOWN.values()], ["---"] * (1 + len(SHOWN))]
    lines += [[name, *(f"{figures[key]:g}" for key in SHOWN)] for name, figures in rows.items()]
    print("\n".join("| " + " | ".join(line) + " |" for line in lines))


def main() -> None:
    """Click, and print a table for each folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=Path("pipelines/mis"), help="a pipeline whose stages have been run")
    parser.add_argument(
        "--also", type=Path, nargs="+", default=[], help="further ones, on whose images networks of the first are asked too"
    )
    parser.add_argument("--region-size", type=int, default=16, help="mean edge of a superpixel of SLIC, in pixels")
    parser.add_argument("--learned", action="store_true", help="let a network learn from true things; takes as long as the clicker")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    options = parser.parse_args()
    with contextlib.chdir(options.folder):
        bounds = learn_truth(options.seeds) if options.learned else {}
        own = {f"the network of {options.folder}": open_clicker()} if options.also else {}
    for folder in [options.folder, *options.also]:
        print(f"\n{folder}\n", flush=True)
        with contextlib.chdir(folder):  # the stages have judged the first one's own network
            tell(judge(bounds if folder == options.folder else own | bounds, options.region_size))


if __name__ == "__main__":
    main()
