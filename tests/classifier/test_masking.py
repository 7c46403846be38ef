"""The classifier that learns from dilated blocks."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from seedbed.classifier.masking import BlockNetwork, Masking, MaskingLearner, measure_missed
from seedbed.learning.footprint import estimate_memory
from seedbed.learning.optimisers import Descent
from seedbed.networks.backbones import Backbone
from seedbed.networks.contracts import Inherited
from tests.support.learning import NUM_CLASSES, batch, samples, trained

LABELS = torch.tensor([[1.0, 0, 1]])  # of one image


@pytest.fixture
def masking(small_method: Callable[[str, str], Any]) -> Masking:
    made = small_method("classifier", "masking")
    assert isinstance(made, Masking)
    return dataclasses.replace(made, width=6, backbone=dataclasses.replace(made.backbone, output_stride=8))


def learner_of(method: Masking, *, seed: int = 0) -> MaskingLearner:
    torch.manual_seed(seed)
    made = method.learner(NUM_CLASSES, given=Inherited())
    assert isinstance(made, MaskingLearner)
    return made


# --- Blocks ---


def test_blocks_keep_the_size_of_maps_and_the_first_convolution_alone_is_dilated(masking: Masking) -> None:
    learner = learner_of(dataclasses.replace(masking, rates=(2, 5)))
    blocks = [learner.network.block, *learner.dilated]
    reach = [[one.dilation for one in block.modules() if isinstance(one, torch.nn.Conv2d)] for block in blocks]
    assert reach == [[(rate, rate), (1, 1), (1, 1)] for rate in (1, 2, 5)]
    features = torch.rand(2, learner.network.backbone.num_features, 5, 7)
    assert {tuple(block(features).shape) for block in blocks} == {(2, NUM_CLASSES, 5, 7)}


def test_what_a_dilated_block_sees_lies_as_far_away_as_its_rate(masking: Masking) -> None:
    block = learner_of(dataclasses.replace(masking, rates=(3,), dropout=0.0)).dilated[0]
    first, *_ = (one for one in block.modules() if isinstance(one, torch.nn.Conv2d))
    torch.nn.init.ones_(first.weight)
    impulse = torch.zeros(1, first.in_channels, 9, 11)
    impulse[0, 0, 4, 5] = 1
    seen = (first(impulse)[0, 0] != 0).nonzero().tolist()
    assert seen == [[y, x] for y in (1, 4, 7) for x in (2, 5, 8)]


@pytest.mark.parametrize(("deviation", "expected"), [(0.03, (0.03, 0.03, 0.03)), (0.0, None)])
def test_initial_weights(masking: Masking, deviation: float, expected: tuple[float, ...] | None) -> None:
    """Without a deviation, that of He et al.: the root of 2 by the number of inputs."""
    learner = learner_of(dataclasses.replace(masking, width=96, deviation=deviation))
    features = learner.network.backbone.num_features
    wanted = expected or tuple(math.sqrt(2 / inputs) for inputs in (9 * features, 9 * 96, 96))
    for block in (learner.network.block, *learner.dilated):
        layers = [one for one in block.modules() if isinstance(one, torch.nn.Conv2d)]
        assert [one.weight.std().item() for one in layers] == pytest.approx(wanted, rel=0.1)
        assert all(one.bias is not None and not one.bias.any() for one in layers)
    state = learner.state_dict()
    assert not torch.equal(state["network.block.0.weight"], state["dilated.0.0.weight"])


def test_values_are_left_out_while_it_learns_alone(masking: Masking) -> None:
    learner, images = learner_of(dataclasses.replace(masking, dropout=0.5)), torch.rand(2, 3, 40, 56)
    learner.network.backbone.freeze(norms="all", stages=0)
    once, again = (learner.train().network(images)[0] for _ in range(2))
    assert not torch.equal(once, again)
    left_out = [one.p for one in learner.modules() if isinstance(one, torch.nn.Dropout) and one in [*learner.network.block.modules()]]
    assert left_out == [0.5, 0.5]
    kept = learner.eval().network
    assert torch.equal(kept(images)[0], kept(images)[0])


# --- What is kept ---


def test_the_backbone_and_the_standard_block_alone_are_kept(masking: Masking) -> None:
    learner = learner_of(masking)
    assert len(learner.dilated) == 3
    kept = masking.network(NUM_CLASSES)
    assert isinstance(kept, BlockNetwork) and list(kept.state_dict()) == list(learner.network.state_dict())
    assert {name.partition(".")[0] for name in kept.state_dict()} == {"backbone", "block"}
    assert len({name.split(".")[1] for name in kept.state_dict() if name.startswith("block")}) == 3  # convolutions


def test_logits_are_the_means_of_the_maps(masking: Masking) -> None:
    network = masking.network(NUM_CLASSES).eval()
    maps, logits = network(torch.rand(2, 3, 40, 56))
    assert maps.shape == (2, NUM_CLASSES, 5, 7) and torch.equal(logits, maps.mean(dim=(2, 3)))
    assert network.backbone.mean.shape == (1, 3, 1, 1)


# --- What it learns from ---


def blocks_alike(masking: Masking) -> MaskingLearner:
    """Dilated blocks that are the standard block over again."""
    learner = learner_of(dataclasses.replace(masking, rates=(1, 1), dropout=0.0))
    for block in learner.dilated:
        block.load_state_dict(learner.network.block.state_dict())
    return learner


def test_blocks_that_are_all_alike_say_nothing_new(masking: Masking) -> None:
    learner, seen = blocks_alike(masking), batch([])
    terms = learner(seen, 0.0)
    assert terms["dense"].item() == 0
    _, logits = learner.network(seen.images_BCYX)
    alone = functional.binary_cross_entropy_with_logits(logits, seen.labels_BK[:, 1:])
    assert terms["classes"].item() == pytest.approx(3 * alone.item(), rel=1e-5)


def test_nothing_is_missed_where_no_map_is_positive() -> None:
    standard, dilated = -torch.rand(1, 3, 5, 7), [-torch.rand(1, 3, 5, 7), torch.rand(1, 3, 5, 7).neg()]
    assert measure_missed(standard, dilated, LABELS).item() == 0


def test_nothing_is_missed_where_the_mean_of_dilated_maps_is_not_higher() -> None:
    standard = torch.rand(1, 3, 5, 7)
    assert measure_missed(standard, [standard + 0.5, standard - 0.6], LABELS).item() == 0
    assert measure_missed(standard, [standard + 0.5, standard - 0.4], LABELS).item() > 0


def test_a_sum_by_hand() -> None:
    """Two classes of three are present; at each of two places one of them is missed, by parts that are positive."""
    standard = torch.tensor([[[[1.0, -2.0]], [[0.0, 0.0]], [[-1.0, 3.0]]]])
    dilated = [torch.tensor([[[[2.0, 1.0]], [[9.0, 9.0]], [[-1.0, 3.0]]]]), torch.tensor([[[[4.0, 0.0]], [[9.0, 9.0]], [[0.0, 1.0]]]])]
    assert measure_missed(standard, dilated, LABELS).item() == pytest.approx((2**2 + 0.5**2) / (3 * 2))


@pytest.mark.parametrize("seed", range(5))
def test_what_is_missed_is_never_negative_and_draws_the_standard_map_upwards_alone(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    standard, *dilated = (torch.randn(2, 3, 5, 7, generator=generator).requires_grad_() for _ in range(4))
    labels = torch.tensor([[1.0, 0, 1], [0, 0, 1]])
    missed = measure_missed(standard, list(dilated), labels)
    assert missed.item() > 0
    missed.backward()
    assert standard.grad is not None and (standard.grad <= 0).all() and (standard.grad < 0).any()
    assert not standard.grad[labels == 0].any() and all(one.grad is None for one in dilated)


def test_without_dilated_blocks_it_is_a_plain_classifier(masking: Masking) -> None:
    learner, seen = learner_of(dataclasses.replace(masking, rates=(), dropout=0.0)), batch([])
    terms = learner(seen, 0.0)
    _, logits = learner.network(seen.images_BCYX)
    assert list(terms) == ["classes", "dense"] and terms["dense"].item() == 0
    assert terms["classes"].item() == pytest.approx(functional.binary_cross_entropy_with_logits(logits, seen.labels_BK[:, 1:]).item())


def test_losses_have_full_precision_whatever_the_network_has(masking: Masking) -> None:
    learner = learner_of(masking)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert learner.network(torch.rand(2, 3, 40, 56))[0].dtype == torch.bfloat16
        assert {one.dtype for one in learner(batch([]), 0.0).values()} == {torch.float32}


def test_what_is_learned_from_two_images_is_learned(masking: Masking, tmp_path: Path) -> None:
    training = dataclasses.replace(masking.training, epochs=24.0, batch_size=2)
    descent = dataclasses.replace(masking.descent, learning_rate=0.05, new_layer_factor=1.0)
    still = dataclasses.replace(masking.augmentation.colours, brightness=0.0, contrast=0.0)
    augmentation = dataclasses.replace(masking.augmentation, smallest_scale=1.0, largest_scale=1.0, flip=0.0, colours=still)
    method = dataclasses.replace(masking, training=training, descent=descent, augmentation=augmentation, dropout=0.0, width=16)
    left = trained(method, partial(method.learner, NUM_CLASSES, given=Inherited()), samples([], count=2), tmp_path)
    assert len(left.losses) == 24
    assert sum(left.losses[-3:]) < 0.8 * sum(left.losses[:3])


def test_a_vgg_can_be_the_backbone(masking: Masking) -> None:
    method = dataclasses.replace(masking, backbone=dataclasses.replace(masking.backbone, network="vgg11_bn"))
    learner = learner_of(method)
    assert learner.network.eval()(torch.rand(1, 3, 40, 60))[0].shape == (1, NUM_CLASSES, 5, 8)
    sum(learner.train()(batch([]), 0.0).values(), torch.zeros(())).backward()
    assert all(one.grad is not None for one in learner.parameters())


def test_what_learns_how_fast(masking: Masking) -> None:
    descent = Descent(
        learning_rate=0.03, new_layer_factor=7, momentum=0.6, weight_decay=0.02, warmup=0.3, power=1.4, decay_starts="at_once"
    )
    learner = learner_of(dataclasses.replace(masking, descent=descent))
    [scheduled] = learner.optimizers()
    old, new = scheduled.optimizer.param_groups
    assert [id(one) for one in old["params"]] == [id(one) for one in learner.network.backbone.parameters()]
    assert [id(one) for one in new["params"]] == [id(one) for part in (learner.network.block, learner.dilated) for one in part.parameters()]
    assert (old["lr"], new["lr"]) == (0.03, pytest.approx(0.21))
    assert {(one["momentum"], one["weight_decay"]) for one in (old, new)} == {(0.6, 0.02)}


# --- Memory ---


def test_every_dilated_block_takes_memory(masking: Masking) -> None:
    method = dataclasses.replace(masking, width=40)
    [none, one, three] = [dataclasses.replace(method, rates=rates).memory({"class": 4}) for rates in ((), (2,), (2, 4, 6))]
    assert one > none and three - none == 3 * (one - none)
    with torch.device("meta"):
        alone = method.network(3)
    assert none == pytest.approx(estimate_memory(alone, method.training, [method.augmentation.crop]), rel=0.01)
    weights = 9 * alone.backbone.num_features * 40 + 40 + 9 * 40 * 40 + 40 + 40 * 3 + 3
    kept = 2 * (2 * 40 * 4 * 4) * method.training.batch_size  # of two layers, 4 x 4 cells: what ReLU gives, and what dropout leaves
    masks = 2 * 40 * 4 * 4 * method.training.batch_size / 4  # bytes
    assert one - none == pytest.approx(4 * (3 * weights + kept + masks), rel=0.05)


# --- As a whole ---


def run_block(features: Tensor, state: Mapping[str, Tensor], rate: int, dropout: float) -> Tensor:
    """One block, written down plainly: its layers are 0, 3 and 6, between which are ReLU and dropout."""
    values = functional.conv2d(features, state["0.weight"], state["0.bias"], padding=rate, dilation=rate)
    values = functional.dropout(values.clamp(min=0), dropout)
    values = functional.conv2d(values, state["3.weight"], state["3.bias"], padding=1)
    values = functional.dropout(values.clamp(min=0), dropout)
    return torch.einsum("kd,bdyx->bkyx", state["6.weight"][:, :, 0, 0], values) + state["6.bias"][:, None, None]


def test_the_whole_masking_classifier_written_down_plainly(masking: Masking) -> None:
    """From images to the losses and their gradients; no parameter has its usual value."""
    method = dataclasses.replace(masking, width=5, rates=(3, 1, 2), dense_weight=0.7, dropout=0.35, deviation=0.2)
    learner, seen = learner_of(method).train(), batch([])
    for layer in learner.modules():
        if isinstance(layer, torch.nn.Conv2d) and layer.bias is not None:
            torch.nn.init.normal_(layer.bias, std=0.3)
    learned = dict(learner.named_parameters())

    torch.manual_seed(7)
    terms = learner(seen, 0.25)
    given = torch.autograd.grad(sum(terms.values(), torch.zeros(())), list(learned.values()))

    torch.manual_seed(7)
    backbone: Backbone = learner.network.backbone
    features = backbone.trunk.forward_features((seen.images_BCYX - backbone.mean) / backbone.deviation)
    states = [
        {name.removeprefix(prefix): value for name, value in learned.items() if name.startswith(prefix)}
        for prefix in ("network.block.", "dilated.0.", "dilated.1.", "dilated.2.")
    ]
    maps = [run_block(features, state, rate, 0.35) for state, rate in zip(states, (1, 3, 1, 2), strict=True)]
    classes, dense = torch.zeros(()), torch.zeros(())
    for image in range(2):
        for label in (1, 2, 3):
            present = seen.labels_BK[image, label]
            for one in maps:
                probability = 1 / (1 + torch.exp(-one[image, label - 1].mean()))
                classes = classes - torch.log(probability if present else 1 - probability) / (2 * 3)
            if present:
                standard, *others = (one[image, label - 1] for one in maps)
                target = torch.maximum(standard, sum(others, torch.zeros(())) / 3).detach()
                dense = dense + 0.7 * ((target.clamp(min=0) - standard.clamp(min=0)) ** 2).sum() / (2 * 3 * 5 * 7)
    expected = torch.autograd.grad(classes + dense, list(learned.values()))

    assert list(terms) == ["classes", "dense"] and dense.item() > 1e-4
    assert [one.item() for one in terms.values()] == pytest.approx([classes.item(), dense.item()], rel=1e-4)
    for name, one, other in zip(learned, given, expected, strict=True):
        assert torch.allclose(one, other, rtol=1e-3, atol=1e-4 * float(other.abs().max())), name
    assert all(one.any() for name, one in zip(learned, given, strict=True) if "block" in name or "dilated" in name)
