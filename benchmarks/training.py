"""Training of a segmenter: what a step of the one training loop costs beyond the network's own, and what else a step is made of."""

from __future__ import annotations

import argparse
import math
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from ruamel.yaml import YAML
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).parents[1]))
from benchmarks._rounds import medians, report
from seedbed import segmenter
from seedbed.algorithms.label_growing import balanced_loss, grow
from seedbed.learning.augmentation import Sample
from seedbed.learning.batches import Batch
from seedbed.learning.checkpoints import Checkpoints
from seedbed.learning.learner import Learner
from seedbed.learning.loop import arrange_memory, fit
from seedbed.learning.optimisers import Scheduled
from seedbed.learning.training import Sampling
from seedbed.networks.contracts import Inherited, SegmentationNetwork
from seedbed.params import rebuild
from seedbed.run.machine import Machine
from seedbed.tools.recipe_files import find_block
from seedbed.types import IGNORE

NUM_CLASSES = 20
IMAGES = 16
HEIGHT, WIDTH = 256, 336
REGIONS = 60
RATES = (6, 12, 18, 24)
SEEDED = 0.3  # share of the pixels that have a label
UNCOUNTED = 2  # first steps of a training, in which memory is found


def samples() -> list[Sample]:
    """Images in memory, in blocks of superpixels."""
    random = np.random.default_rng(0)
    edge = math.isqrt(HEIGHT * WIDTH // REGIONS)
    rows, columns = np.mgrid[:HEIGHT, :WIDTH] // edge
    made = []
    for _ in range(IMAGES):
        present = random.random(1 + NUM_CLASSES) < 2 / NUM_CLASSES
        present[[0, 1]] = True
        regions = np.asarray(rows * (1 + columns.max()) + columns, np.int32)
        labels = random.choice(np.flatnonzero(present), 1 + regions.max())[regions].astype(np.uint8)
        labels[random.random(1 + regions.max())[regions] > SEEDED] = IGNORE
        image = random.integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
        maps = {"labels": labels, "regions": regions}
        made.append(Sample(image=image, labels=present, maps=maps, padding={"labels": IGNORE, "regions": -1}))
    return made


def chosen(name: str, options: argparse.Namespace) -> segmenter.NetworkMethod:
    """A method of the project with another network and size."""
    checkout = Path(__file__).parents[1]
    block = dict(find_block(YAML(typ="safe").load(checkout / "params.yaml"), f"segmenter.{name}", folder=checkout / "recipes"))
    weights = {"source": "none", "file": "", "sha256": ""}
    block["backbone"] |= {"network": options.network, "initial_weights": weights, "frozen_norms": "none", "frozen_stages": 0}
    epochs = (UNCOUNTED + options.steps) * options.batch_size / IMAGES
    block["training"] |= {"epochs": epochs, "batch_size": options.batch_size, "precision": options.precision}
    block |= {"rates": list(RATES), "augmentation": block["augmentation"] | {"crop": options.crop}}
    return rebuild(segmenter.NetworkMethod, name, block, where="params.yaml")


class Bare:
    """The shortest loop that learns, one step at a time: the same network, loss, optimiser and schedule; batches are on the device."""

    def __init__(self, method: segmenter.NetworkMethod, batches: Sequence[Batch], device: str) -> None:
        torch.manual_seed(method.training.seed)
        self._device, self._batches = device, batches
        self._learner = arrange_memory(method.learner(NUM_CLASSES, given=Inherited()).train().to(device), torch.device(device))
        [self._scheduled] = self._learner.optimizers()
        self._highest = [dict(group) for group in self._scheduled.optimizer.param_groups]
        self._low = method.training.precision == "bf16-mixed"

    def step(self, number: int) -> None:
        """Learn from a batch."""
        progress, optimizer = number / len(self._batches), self._scheduled.optimizer
        self._scheduled.set_rates(progress, self._highest)
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast(self._device, dtype=torch.bfloat16, enabled=self._low):
            loss = torch.stack(list(self._learner(self._batches[number], progress).values())).sum()
        loss.backward()
        optimizer.step()


class Interrupted(Learner[SegmentationNetwork, Batch]):
    """A learner that lets something else be done after every step."""

    def __init__(self, learner: Learner[SegmentationNetwork, Batch], then: Callable[[], None]) -> None:
        super().__init__()
        self.learner, self.network = learner, learner.network
        self._then = then

    def forward(self, batch: Batch, progress: float) -> dict[str, Tensor]:
        """The learner's own."""
        terms: dict[str, Tensor] = self.learner(batch, progress)
        return terms

    def optimizers(self) -> list[Scheduled]:
        """The learner's own."""
        return self.learner.optimizers()

    def after_step(self, progress: float) -> None:
        """The learner's own, and then the other thing."""
        self.learner.after_step(progress)
        self._then()

    def measure_batch(self) -> dict[str, Tensor]:
        """The learner's own."""
        return self.learner.measure_batch()


def in_turn(method: segmenter.NetworkMethod, views: Sequence[Sample], options: argparse.Namespace) -> dict[str, float]:
    """Median seconds of a step of the project's loop and of a bare one, which takes its turn after each."""
    count, device = method.training.batch_size, torch.device(options.device)
    steps = UNCOUNTED + options.steps
    bare = Bare(
        method, [Batch.of([views[(step * count + one) % IMAGES] for one in range(count)]).to(device) for step in range(steps)], device.type
    )
    seconds: dict[str, list[float]] = {"bare step": [], "step of the loop": []}
    moment = time.perf_counter()

    def passed() -> float:
        nonlocal moment
        if device.type == "cuda":
            torch.cuda.synchronize()
        before, moment = moment, time.perf_counter()
        return moment - before

    def stepped() -> None:
        seconds["step of the loop"].append(passed())
        bare.step(len(seconds["bare step"]))
        seconds["bare step"].append(passed())

    def build() -> Interrupted:
        return Interrupted(method.learner(NUM_CLASSES, given=Inherited()), stepped)

    sampling: Sampling[Sample, Sample, Batch] = Sampling(method.training, lambda view, _: view, Batch.of)
    machine, checkpoints = Machine(options.device, readers=options.readers), Checkpoints(Path("there is none"), seconds=math.inf)
    fit(build, views, sampling, machine=machine, name=method.name, checkpoints=checkpoints)
    return {name: statistics.median(each[UNCOUNTED:]) for name, each in seconds.items()}


def compare(name: str, options: argparse.Namespace) -> None:
    """A method's steps in the loop and bare, and what readers do for a step."""
    method, images = chosen(name, options), samples()
    random, count = np.random.default_rng(0), method.training.batch_size
    views = [method.augmentation.view(one, random) for one in images]
    seconds = in_turn(method, views, options)
    ahead: dict[str, Callable[[], object]] = {
        "ahead, in a thread: its views": lambda: [method.augmentation.view(one, random) for one in images[:count]],
        "ahead, in a thread: side by side": lambda: Batch.of(views[:count]),
    }
    report(f"{name}, {options.network}, {count} views of {options.crop} pixels", seconds | medians(ahead), base="bare step")


def losses(options: argparse.Namespace) -> None:
    """The two losses on the same logits, forward and back, without any network."""
    device, count = torch.device(options.device), options.batch_size
    random = np.random.default_rng(0)
    augmentation = chosen("region_growing", options).augmentation
    batch = Batch.of([augmentation.view(one, random) for one in samples()[:count]]).to(device)
    labels, regions = batch.maps_BYX["labels"], batch.maps_BYX["regions"]
    logits = torch.randn(count, 1 + NUM_CLASSES, options.crop, options.crop, device=device, requires_grad=True)

    def plain() -> None:
        nn.functional.cross_entropy(logits, labels, ignore_index=IGNORE).backward()

    def growing(*, with_growth: bool) -> None:
        answers = logits.log_softmax(dim=1)
        wanted = labels
        if with_growth:
            with torch.no_grad():
                present = batch.labels_BK.bool()
                wanted = grow(labels, regions, answers.exp(), present_BK=present, foreground=0.7, background=0.7)
        balanced_loss(answers, wanted).backward()

    def waited(way: Callable[[], None]) -> Callable[[], None]:
        def run() -> None:
            way()
            if options.device == "cuda":
                torch.cuda.synchronize()

        return run

    ways = {
        "cross-entropy": waited(plain),
        "balanced": waited(lambda: growing(with_growth=False)),
        "grown and balanced": waited(lambda: growing(with_growth=True)),
    }
    report(f"losses of {count} x {1 + NUM_CLASSES} x {options.crop} x {options.crop} logits:", medians(ways), base="cross-entropy")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--network", default="resnet18")
    parser.add_argument("--crop", type=int, default=160)
    parser.add_argument("--batch-size", type=int, default=4)
    parser.add_argument("--precision", default="32-true")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--readers", type=int, default=1)
    parser.add_argument("--steps", type=int, default=20)
    options = parser.parse_args()
    print(f"on {options.device}, {torch.get_num_threads()} threads, {options.readers} readers")
    for name in ("pseudo_masks", "region_growing"):
        compare(name, options)
    losses(options)
