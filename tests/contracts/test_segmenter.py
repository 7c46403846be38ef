"""What every segmenter promises."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from seedbed import methods
from seedbed.learning.loop import arrange_memory
from seedbed.networks.contracts import Inherited, PatchSegmenter, SegmentationNetwork
from seedbed.networks.weights import restore
from seedbed.types import IGNORE
from tests.support.learning import (
    CHANNELS,
    NUM_CHANNELS,
    NUM_CLASSES,
    PADDING,
    batch,
    described,
    gradients,
    patch_batch,
    published,
    samples,
    small_classifier,
    trained,
)

NAMES = methods.list_available("segmenter")
OF_IMAGES = ("attention",)  # terms that go by what an image contains, and by no map


def given(method: Any) -> Inherited:
    """What a training is given beside its samples."""
    return CHANNELS if method.needs_features else Inherited(classifier=small_classifier())


def rebuilt(method: Any) -> torch.nn.Module:
    """The network that is kept, as it is built before its weights are loaded."""
    network: torch.nn.Module = method.network(NUM_CLASSES, NUM_CHANNELS) if method.needs_features else method.network(NUM_CLASSES)
    return network


def labelled(method: Any, value: int) -> dict[str, int]:
    """A map that says one label of every pixel, or that there is an object."""
    return {"labels": value} if "labels" in method.wanted_maps else {"objects": value if value == IGNORE else min(value, 1)}


def one_batch(method: Any, *, fill: Mapping[str, int] | None = None, count: int = 2) -> Any:
    """Views that it learns from."""
    made = patch_batch if method.needs_features else batch
    return made(method.wanted_maps, fill=fill, count=count)


def examples(method: Any, *, count: int = 3) -> Sequence[Any]:
    """Samples that it learns from."""
    made: Callable[..., Sequence[Any]] = described if method.needs_features else samples
    return made(method.wanted_maps, count=count)


def shown(method: Any, *, count: int = 1) -> torch.Tensor:
    """What its network sees: images, or vectors of patches."""
    return torch.rand(count, NUM_CHANNELS, 5, 7) if method.needs_features else torch.rand(count, 3, 40, 56)


@pytest.mark.parametrize("name", NAMES)
def test_the_network_gives_a_logit_for_background_and_every_class(name: str, small_method: Callable[[str, str], Any]) -> None:
    method = small_method("segmenter", name)
    network = rebuilt(method).eval()
    assert isinstance(network, PatchSegmenter if method.needs_features else SegmentationNetwork)
    with torch.inference_mode():
        logits = network(shown(method, count=2))
    assert logits.shape[:2] == (2, 1 + NUM_CLASSES)
    assert 1 < logits.shape[2] < logits.shape[3]
    assert logits.isfinite().all()


@pytest.mark.parametrize("name", NAMES)
def test_the_learner_learns_all_that_is_kept(name: str, small_method: Callable[[str, str], Any]) -> None:
    method = small_method("segmenter", name)
    learner = method.learner(NUM_CLASSES, given=given(method)).train()
    terms = learner(one_batch(method), 0.0)
    assert terms and all(term.ndim == 0 and term.isfinite() for term in terms.values())
    sum(terms.values()).backward()
    found = list(gradients(learner.network))
    assert found and all(one.isfinite().all() for one in found)
    assert any(one.abs().max() > 0 for one in found)
    driven = {id(one) for scheduled in learner.optimizers() for group in scheduled.optimizer.param_groups for one in group["params"]}
    assert all(id(one) in driven for one in learner.network.parameters() if one.requires_grad)


@pytest.mark.parametrize("name", NAMES)
def test_views_without_any_label_do_no_harm(name: str, small_method: Callable[[str, str], Any]) -> None:
    method = small_method("segmenter", name)
    learner = method.learner(NUM_CLASSES, given=given(method)).train()
    terms = learner(one_batch(method, fill=labelled(method, IGNORE)), 0.0)
    total = sum(terms.values())
    assert total.isfinite()
    total.backward()
    assert all(one.isfinite().all() for one in gradients(learner))


@pytest.mark.parametrize("name", NAMES)
def test_views_that_show_nothing_of_the_image_teach_nothing(name: str, small_method: Callable[[str, str], Any]) -> None:
    method = small_method("segmenter", name)
    learner = method.learner(NUM_CLASSES, given=given(method)).train()
    terms = learner(one_batch(method, fill={one: PADDING[one] for one in method.wanted_maps}), 0.0)
    total = sum(term for name, term in terms.items() if name not in OF_IMAGES)
    total.backward()
    assert total.item() == 0
    assert all(not one.any() for one in gradients(learner))


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("value", range(1 + NUM_CLASSES))
@pytest.mark.parametrize("name", NAMES)
def test_views_of_a_single_class_and_batches_of_one_are_learned_from(
    name: str, value: int, count: int, small_method: Callable[[str, str], Any]
) -> None:
    method = small_method("segmenter", name)
    learner = method.learner(NUM_CLASSES, given=given(method)).train()
    total = sum(learner(one_batch(method, fill=labelled(method, value), count=count), 0.0).values())
    assert total.isfinite() and total.item() > 0
    total.backward()
    found = list(gradients(learner.network))
    assert all(one.isfinite().all() for one in found) and any(one.any() for one in found)


@pytest.mark.parametrize("name", NAMES)
def test_lower_precision_is_of_sums_within_the_network_alone(name: str, small_method: Callable[[str, str], Any], tmp_path: Path) -> None:
    method = small_method("segmenter", name)
    low = dataclasses.replace(method, training=dataclasses.replace(method.training, precision="bf16-mixed"))
    learner = method.learner(NUM_CLASSES, given=given(method)).train()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert learner.network(shown(method)).dtype == torch.bfloat16
        assert {term.dtype for term in learner(one_batch(method), 0.0).values()} == {torch.float32}
    [full, lower] = [
        trained(one, partial(one.learner, NUM_CLASSES, given=given(one)), examples(one), tmp_path / one.training.precision)
        for one in (method, low)
    ]
    assert lower.losses != full.losses and lower.losses == pytest.approx(full.losses, rel=0.02)
    assert all(value.isfinite().all() and value.dtype != torch.bfloat16 for value in lower.network.state_dict().values())


@pytest.mark.parametrize("name", NAMES)
def test_as_it_lies_in_the_memory_of_a_gpu_it_learns_the_same(name: str, small_method: Callable[[str, str], Any], tmp_path: Path) -> None:
    method = small_method("segmenter", name)
    seen = examples(method, count=4)

    def as_on_a_gpu() -> Any:
        return arrange_memory(method.learner(NUM_CLASSES, given=given(method)), torch.device("cuda"))

    def lying(learner: Any) -> set[bool]:
        convolutions = [one.weight for one in learner.modules() if isinstance(one, torch.nn.Conv2d) and one.kernel_size != (1, 1)]
        return {one.is_contiguous(memory_format=torch.channels_last) for one in convolutions if one.shape[1] > 1}

    assert lying(as_on_a_gpu()) == {True}
    assert lying(arrange_memory(method.learner(NUM_CLASSES, given=given(method)), torch.device("cpu"))) == {False}
    plain = trained(method, partial(method.learner, NUM_CLASSES, given=given(method)), seen, tmp_path / "plain")
    left = trained(method, as_on_a_gpu, seen, tmp_path / "gpu", seconds=0)
    assert lying(left.network) == {True}
    assert left.losses == pytest.approx(plain.losses, rel=1e-4)
    images = shown(method)
    again = restore(rebuilt(method), published("segmenter", left.network, tmp_path), device="cpu")
    with torch.inference_mode():
        assert torch.allclose(again(images), plain.network(images), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_a_training_that_was_interrupted_comes_to_the_same_weights(
    name: str, small_method: Callable[[str, str], Any], tmp_path: Path
) -> None:
    method = small_method("segmenter", name)
    # Six steps of five images: each but the first and the last begins in the middle of a pass.
    method = dataclasses.replace(method, training=dataclasses.replace(method.training, epochs=2.4, averaging=0.5))
    seen, steps = examples(method, count=5), 0

    def interrupted() -> Any:
        learner = method.learner(NUM_CLASSES, given=given(method))
        learner.register_forward_pre_hook(interrupt)
        return learner

    def interrupt(_module: torch.nn.Module, inputs: tuple[Any, ...]) -> None:
        nonlocal steps
        steps += 1
        if inputs[1] >= 0.5:
            raise KeyboardInterrupt

    whole = trained(method, partial(method.learner, NUM_CLASSES, given=given(method)), seen, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        trained(method, interrupted, seen, tmp_path / "interrupted", seconds=0)
    assert steps == 4
    resumed = trained(method, partial(method.learner, NUM_CLASSES, given=given(method)), seen, tmp_path / "interrupted")
    assert resumed.log == whole.log
    states = whole.network.state_dict(), resumed.network.state_dict()
    assert all(torch.equal(value, states[1][entry]) for entry, value in states[0].items())


@pytest.mark.parametrize("name", NAMES)
def test_a_trained_network_comes_back_from_its_artifact_exactly(name: str, small_method: Callable[[str, str], Any], tmp_path: Path) -> None:
    method = small_method("segmenter", name)
    seen = examples(method)
    left = trained(method, partial(method.learner, NUM_CLASSES, given=given(method)), seen, tmp_path)
    artifact = published("segmenter", left.network, tmp_path)
    again = restore(rebuilt(method), artifact, device="cpu")
    images = shown(method)
    with torch.inference_mode():
        assert torch.equal(left.network(images), again(images))
