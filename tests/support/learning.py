"""Small things to learn from, for methods that train."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch

from seedbed.learning.augmentation import Sample
from seedbed.learning.batches import Batch, PatchBatch, PatchView
from seedbed.learning.checkpoints import Checkpoints
from seedbed.learning.contrast import Contrast
from seedbed.learning.learner import Learner, Trained
from seedbed.learning.loop import fit
from seedbed.learning.samples import Described
from seedbed.networks.backbones import Backbone
from seedbed.networks.cam_network import CamNetwork
from seedbed.networks.contracts import Inherited
from seedbed.networks.weights import read_state
from seedbed.run.machine import Machine
from seedbed.store.artifact import Artifact
from seedbed.store.schemas import SCHEMAS
from seedbed.types import Alignment, LinearHead, PatchFeatures
from tests.support.publishing import published_network

N = TypeVar("N", bound=torch.nn.Module)
NUM_CLASSES = 3
CPU = Machine("cpu")
MAP_VALUES = {"labels": NUM_CLASSES + 1, "regions": 5, "confidence": 256}  # how many values the map of a name has
NUM_CHANNELS = 4  # of features
CHANNELS = Inherited({"features": {"mean": torch.tensor([0.4, -0.2, 0.1, 0.5]), "deviation": torch.tensor([1.0, 0.8, 1.3, 0.9])}})
PADDING = {"labels": 255, "regions": -1, "confidence": 0, "objects": 255}  # where there is no image


def small_classifier() -> CamNetwork:
    """A classifier that knows something, always the same."""
    with torch.random.fork_rng():
        torch.manual_seed(5)
        network = CamNetwork(Backbone("test_resnet", output_stride=16), NUM_CLASSES)
        torch.nn.init.normal_(network.head.weight, std=0.5)
    return network.eval()


def random_map(name: str, size: tuple[int, int], random: np.random.Generator) -> np.ndarray[Any, Any]:
    """A random map that a method can learn from."""
    holders = [schema.arrays[name] for schema in SCHEMAS.values() if name in schema.arrays]
    dtype = next(array.dtype for array in holders if "y" in array.dimensions)
    return random.integers(0, MAP_VALUES.get(name, 2), size).astype(dtype)


def samples(names: Iterable[str], *, count: int = 3, seed: int = 0) -> list[Sample]:
    """Images of several sizes with random maps."""
    random = np.random.default_rng(seed)
    made = []
    for number in range(count):
        size = (40 + number, 56 - number)
        labels = np.array([True, *(random.random(NUM_CLASSES) < 0.5)])
        maps = {name: random_map(name, size, random) for name in names}
        image = random.integers(0, 256, (*size, 3), dtype=np.uint8)
        made.append(Sample(image=image, labels=labels, maps=maps, padding={name: PADDING[name] for name in maps}))
    return made


def described(names: Iterable[str] = (), *, count: int = 12, seed: int = 0) -> list[Described]:
    """Features of images, of which the first channels speak for the classes, more or less, with random maps."""
    random = np.random.default_rng(seed)
    made = []
    for number in range(count):
        labels = np.array([True, *(random.random(NUM_CLASSES) < 0.5)])
        values = random.standard_normal((5, 7, NUM_CHANNELS)).astype(np.float32) + 0.5 * np.array([*labels[1:], 1.0], np.float32)
        alignment = (Alignment.RESIZED, Alignment.PADDED)[number % 2]
        maps = {name: random_map(name, (37 + number % 4, 56 - number % 8), random) for name in names}
        made.append(Described(PatchFeatures(values, 8, alignment), labels, maps))
    return made


def patch_batch(names: Iterable[str], *, fill: Mapping[str, int] | None = None, count: int = 2) -> PatchBatch:
    """Images by their features, not square, with random maps or with maps of one value."""
    made = described(names, count=count)
    for one in made:
        for name, value in (fill or {}).items():
            one.maps[name][...] = value
    return PatchBatch([PatchView.of(one, 4) for one in made]).to(torch.device("cpu"))


def linear_head() -> LinearHead:
    """A linear layer for four channels."""
    random = np.random.default_rng(9)
    return LinearHead(random.standard_normal((NUM_CLASSES, 4)).astype(np.float32), random.standard_normal(NUM_CLASSES).astype(np.float32))


def batch(names: Iterable[str], *, fill: Mapping[str, int] | None = None, count: int = 2) -> Batch:
    """Up to two views, not square, with random maps or with maps of one value."""
    random = np.random.default_rng(0)
    maps = {name: np.stack([random_map(name, (40, 56), random) for _ in range(count)]) for name in names}
    for name, value in (fill or {}).items():
        maps[name][...] = value
    return Batch(
        images_BCYX=torch.from_numpy(random.random((count, 3, 40, 56), np.float32)),
        labels_BK=torch.tensor([[1.0, 1, 0, 0], [1, 0, 1, 1]])[:count],
        maps_BYX={name: torch.from_numpy(one.astype(np.int64)) for name, one in maps.items()},
    )


def trained(
    method: Any,
    build: Callable[[], Learner[N, Any]],
    examples: Sequence[Any],
    folder: Path,
    *,
    seconds: float = 60,
    machine: Machine = CPU,
) -> Trained[N]:
    """What a method's training leaves of some samples, on the CPU.

    seconds: the least time between two checkpoints.
    """
    checkpoints = Checkpoints(folder / "checkpoint.safetensors", seconds=seconds)
    return fit(build, examples, method.sampling, machine=machine, name="test", checkpoints=checkpoints)


def interrupted_halfway(method: Any, examples: Sequence[Any], folder: Path) -> tuple[Trained[Any], Trained[Any]]:
    """What a training without labels leaves undisturbed, and interrupted halfway and resumed."""
    build = partial(method.learner, 0, given=Inherited())

    def interrupted() -> Any:
        learner = build()
        learner.register_forward_pre_hook(interrupt)
        return learner

    def interrupt(_module: torch.nn.Module, inputs: tuple[Any, ...]) -> None:
        if inputs[1] >= 0.5:
            raise KeyboardInterrupt

    whole = trained(method, build, examples, folder / "whole")
    with contextlib.suppress(KeyboardInterrupt):
        trained(method, interrupted, examples, folder / "interrupted", seconds=0)
        raise AssertionError("it was not interrupted")
    return whole, trained(method, build, examples, folder / "interrupted")


def unpublished(contrast: Contrast) -> Contrast:
    """A contrast of places with no parameter at its published value."""
    doubt = dataclasses.replace(contrast.doubt, floor=0.2, surest=0.5, clearest=0.2, background_clear=not contrast.doubt.background_clear)
    weights: dict[str, Any] = {"background": 0.3, "foreground": 0.7, "apart": 0.2}
    sizes: dict[str, Any] = {"width": 7, "negatives": 5, "tops": 3, "centroids": 3, "rounds": 2, "capacity": 9}
    return dataclasses.replace(contrast, **weights, **sizes, temperature=0.4, doubt=doubt)


def at_size(network: torch.nn.Module, images_BCYX: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """A network's logits of images at another size, at the size of the images."""
    resize = partial(torch.nn.functional.interpolate, mode="bilinear", align_corners=False)
    return resize(network(resize(images_BCYX, size=size)), size=images_BCYX.shape[-2:])


def gradients(learner: torch.nn.Module) -> Iterator[torch.Tensor]:
    """Gradients of everything that has one."""
    return (one.grad for one in learner.parameters() if one.grad is not None)


def published(name: str, network: torch.nn.Module, folder: Path) -> Artifact:
    """The artifact of a trained network."""
    return published_network(name, folder, dict(read_state(network)))
