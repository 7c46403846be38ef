"""A step of learners beside the plain one of their family: classifiers beside `cam`, segmenters beside `pseudo_masks`, all on one network.

With the constants of the drawn world, but for `--network` and `--crop`.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ruamel.yaml import YAML

sys.path.insert(0, str(Path(__file__).parents[1]))
from benchmarks._rounds import medians, report
from seedbed import classifier, segmenter
from seedbed.learning.augmentation import Sample
from seedbed.learning.contract import AugmentedMethod
from seedbed.learning.learner import Learner
from seedbed.learning.loop import arrange_memory
from seedbed.networks.backbones import Backbone
from seedbed.networks.cam_network import CamNetwork
from seedbed.networks.contracts import Inherited
from seedbed.params import rebuild
from seedbed.tools.recipe_files import find_block
from seedbed.types import IGNORE

CHECKOUT = Path(__file__).parents[1]
NUM_CLASSES = 20
NOT_COMPARED = {"contrast.background": 0, "contrast.foreground": 0, "contrast.apart": 0}
CLASSIFIERS: dict[str, tuple[str, dict[str, Any]]] = {  # what a method is called here, its name, and parameters that are others
    "cam": ("cam", {}),
    "masking, 3 dilated blocks": ("masking", {"rates": [1, 2, 3]}),
    "usage, a temperature alone": ("usage", {"consistency": 0, "adjustment.largest": 0}),
    "usage": ("usage", {}),
    "ssc, suppression alone": ("ssc", {"reconstruction.weight": 0, "modulation.weight": 0}),
    "ssc, modulation beside it": ("ssc", {"reconstruction.weight": 0}),
    "ssc, reconstruction beside it": ("ssc", {"modulation.weight": 0}),
    "ssc": ("ssc", {}),
    "fbr, thresholded pooling alone": ("fbr", {**NOT_COMPARED, "segmentation.weight": 0}),
    "fbr, against backgrounds beside it": ("fbr", {**NOT_COMPARED, "contrast.background": 0.05, "segmentation.weight": 0}),
    "fbr": ("fbr", {}),
    "ssc, VGG19": ("ssc", {"reconstruction.perception.network": "vgg19"}),
}
SEGMENTERS: dict[str, tuple[str, dict[str, Any]]] = {
    "pseudo_masks": ("pseudo_masks", {}),
    "region_growing": ("region_growing", {}),
    "masking, no classifier": ("masking", {"attention": 0}),
    **{f"masking, {count} path{'s' if count > 1 else ''}": ("masking", {"paths": count}) for count in (1, 2, 3)},
}


def build(contract: type[Any], name: str, others: Mapping[str, Any], options: argparse.Namespace) -> AugmentedMethod:
    """A method with the network that is asked for."""
    family = contract.__module__.rpartition(".")[2]
    block = dict(find_block(YAML(typ="safe").load(CHECKOUT / "params.yaml"), f"{family}.{name}", folder=CHECKOUT / "recipes"))
    weights = {"source": "none", "file": "", "sha256": ""}
    block["backbone"] |= {"network": options.network, "initial_weights": weights, "frozen_norms": "none", "frozen_stages": 0}
    for address, value in others.items():
        *way, last = address.split(".")
        place = block
        for part in way:
            place = place[part]
        place[last] = value
    made: AugmentedMethod = rebuild(contract, name, block, where="params.yaml")
    return made


def gather(method: AugmentedMethod, options: argparse.Namespace) -> Any:
    """A batch of views of noise, with maps that a method may learn from."""
    random, shape = np.random.default_rng(0), (options.crop, options.crop)
    values = {"labels": [*range(4), IGNORE], "regions": range(40), "confidence": range(256), "objects": [0, 1, IGNORE]}

    def view() -> Any:
        maps = {name: random.choice(np.array(values[name], np.int32), shape) for name in method.maps}
        image, labels = random.integers(0, 256, (*shape, 3), np.uint8), np.arange(NUM_CLASSES + 1) < 3
        return method.sampling.view(Sample(image, labels, maps, dict.fromkeys(maps, 0)), random)

    return method.sampling.gather([view() for _ in range(options.batch_size)]).to(torch.device(options.device))


def stepping(method: AugmentedMethod, options: argparse.Namespace) -> Callable[[], None]:
    """A step of a method's learner."""
    torch.manual_seed(0)
    device = torch.device(options.device)
    given = Inherited(classifier=CamNetwork(Backbone(options.network, output_stride=16), NUM_CLASSES))
    learner: Learner[Any, Any] = arrange_memory(method.learner(NUM_CLASSES, given=given).train().to(device), device)
    optimizers, batch = [one.optimizer for one in learner.optimizers()], gather(method, options)

    def step() -> None:
        for one in optimizers:
            one.zero_grad(set_to_none=True)
        torch.stack(list(learner(batch, 0.5).values())).sum().backward()
        for one in optimizers:
            one.step()
        learner.after_step(0.5)
        if device.type == "cuda":
            torch.cuda.synchronize()

    return step


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--network", default="test_resnet", help="of timm, with random weights")
    parser.add_argument("--crop", type=int, default=144, help="edge of a view")
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--only", default="", help="how methods begin that are measured beside the plain ones, such as fbr; all, if empty")
    options = parser.parse_args()
    for contract, kinds in ((classifier.NetworkMethod, CLASSIFIERS), (segmenter.NetworkMethod, SEGMENTERS)):
        base = next(iter(kinds))
        chosen = {name: kind for name, kind in kinds.items() if name == base or name.startswith(options.only)}
        ways = {name: stepping(build(contract, method, others, options), options) for name, (method, others) in chosen.items()}
        title = f"a step with {options.network}, {options.batch_size} views of {options.crop} pixels, on {options.device}"
        report(title, medians(ways, rounds=options.rounds), base=base)
