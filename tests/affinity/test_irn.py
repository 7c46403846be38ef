"""IRNet: boundaries and displacement of cells, and the losses of their pairs."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from seedbed.affinity.irn import MEMORY, Irn
from seedbed.algorithms.cell_pairs import trace_path
from seedbed.errors import ParamsError
from seedbed.networks.contracts import Inherited
from seedbed.networks.weights import InitialWeights
from tests.affinity.test_psa import (
    DESCENT,
    GRID,
    RADIUS,
    STRIDE,
    enlarged,
    kinds_of,
    mixed,
    random_batch,
    run_stages,
    trained,
    two_colours,
    without_zeros,
)

MEAN = torch.tensor([0.3, -0.7])


@pytest.fixture
def irn(small_method: Callable[[str, str], Any]) -> Irn:
    made = small_method("affinity", "irn")
    assert isinstance(made, Irn)
    return dataclasses.replace(
        made,
        stride=STRIDE,
        boundary_channels=16,
        displacement_channels=(8, 16, 24, 32),
        joined_channels=144,
        displacement_factor=5,
        radius=RADIUS,
        descent=DESCENT,
    )


def reduced(maps: Tensor, layers: Any, groups: int) -> Tensor:
    """A convolution of single cells, then each group of channels with a mean of 0 and a deviation of 1, then factors and offsets."""
    convolution, norm = layers
    made = mixed(maps, convolution)
    parts = made.reshape(len(made), groups, -1)
    mean, variance = parts.mean(dim=2, keepdim=True), parts.var(dim=2, keepdim=True, correction=0)
    standard = ((parts - mean) / torch.sqrt(variance + 1e-5)).reshape(made.shape)
    return torch.addcmul(norm.bias[:, None, None], standard, norm.weight[:, None, None])


def answers_of(network: Any, images_BCYX: Tensor) -> tuple[Tensor, Tensor]:
    """Logits of boundaries and displacement, before a mean is subtracted."""
    stages = run_stages(network.backbone, images_BCYX)[-4:]
    sides = [enlarged(reduced(one, layers, 2)).clamp(min=0) for one, layers in zip(stages, network.boundaries.stages, strict=True)]
    join = network.boundaries.join
    boundaries = torch.einsum("d,bdyx->byx", join.weight[0, :, 0, 0], torch.cat(sides, dim=1)) + join.bias
    branch = network.displacement
    own = [reduced(one, layers, groups) for one, layers, groups in zip(stages, branch.stages, (1, 2, 3, 4), strict=True)]
    middle = (own[1].shape[-2], own[1].shape[-1])
    deep = reduced(torch.cat([enlarged(one, middle).clamp(min=0) for one in own[1:]], dim=1), branch.join_deep, 16)
    last = reduced(torch.cat([enlarged(own[0]).clamp(min=0), enlarged(deep).clamp(min=0)], dim=1), branch.join[0], 16)
    return boundaries, mixed(last.clamp(min=0), branch.join[2])


def made_alive(learner: Any) -> Any:
    """A learner whose norms have factors and offsets of their own."""
    for name, one in learner.network.named_parameters():
        if not name.startswith("backbone") and one.ndim == 1:
            torch.nn.init.uniform_(one, 0.5, 1.5)
    learner.network.mean_displacement.copy_(MEAN)
    return without_zeros(learner)


def test_the_whole_written_down_pair_by_pair(irn: Irn) -> None:
    torch.manual_seed(0)
    learner = made_alive(irn.learner(3, given=Inherited())).eval()
    batch = random_batch()
    with torch.no_grad():
        found, (boundaries, displacement) = learner(batch, 0.0), learner.network(batch.images_BCYX)
        logits, ways = answers_of(learner.network, batch.images_BCYX)
    assert boundaries.shape == (2, *GRID) and torch.allclose(boundaries, logits, atol=1e-4)
    assert displacement.shape == (2, 2, *GRID) and torch.allclose(displacement, ways - MEAN[:, None, None], atol=1e-4)
    losses: dict[str, list[float]] = {}
    for kind, pairs in kinds_of(batch.maps_BYX["labels"]).items():
        for image, y, x, down, across in pairs:
            highest = max(1 / (1 + math.exp(-logits[image, y + row, x + column])) for row, column in trace_path((down, across)))
            affinity = 1 - highest
            losses.setdefault(kind, []).append(-math.log(1 + 1e-5 - affinity) if kind == "different" else -math.log(affinity + 1e-5))
            rows, columns = (ways[image, :, y, x] - ways[image, :, y + down, x + across]).tolist()
            if kind == "foreground":
                losses.setdefault("ways", []).append((abs(rows - down) + abs(columns - across)) / 2)
            elif kind == "background":
                losses.setdefault("still", []).append((abs(rows) + abs(columns)) / 2)
    means = {kind: float(np.mean(each)) for kind, each in losses.items()}
    assert {name: one.item() for name, one in found.items()} == {
        "same": pytest.approx((means["background"] + means["foreground"]) / 2 / 2, rel=1e-4),
        "different": pytest.approx(means["different"] / 2, rel=1e-4),
        "displacement_foreground": pytest.approx(means["ways"] / 2, rel=1e-4),
        "displacement_background": pytest.approx(means["still"] / 2, rel=1e-4),
    }


def test_what_no_pair_says_costs_nothing(irn: Irn) -> None:
    learner, batch = irn.learner(3, given=Inherited()), random_batch()
    for label, kinds in ((0, {"same", "displacement_background"}), (2, {"same", "displacement_foreground"}), (255, set())):
        batch.maps_BYX["labels"][...] = label
        assert {name for name, one in learner(batch, 0.0).items() if one.item()} == kinds


def test_three_stages_are_all_deep(irn: Irn) -> None:
    network: Any = dataclasses.replace(irn, displacement_channels=(8, 16, 24)).network()
    boundaries, displacement = network(random_batch().images_BCYX)
    assert boundaries.shape == (2, *GRID) and displacement.shape == (2, 2, *GRID)
    assert network.displacement.join[0][0].weight.shape[1] == 144


def test_what_is_surely_wrong_costs_no_more_than_a_logarithm_can_say(irn: Irn) -> None:
    learner: Any = irn.learner(3, given=Inherited())
    torch.nn.init.zeros_(learner.network.boundaries.join.weight)
    for boundary, right, wrong in ((-40.0, "same", "different"), (40.0, "different", "same")):
        torch.nn.init.constant_(learner.network.boundaries.join.bias, boundary)
        found = learner(random_batch(), 0.0)
        assert found[wrong].item() == pytest.approx(-math.log(1e-5) / 2, rel=1e-3)
        assert found[right].item() == pytest.approx(-math.log(1 + 1e-5) / 2, abs=1e-6)


def test_gradients_reach_everything_that_learns(irn: Irn) -> None:
    learner = made_alive(irn.learner(3, given=Inherited()))
    torch.stack(list(learner(random_batch(), 0.0).values())).sum().backward()
    assert all(one.grad is not None and one.grad.abs().sum() > 0 for one in learner.parameters())


def test_what_learns_how_fast(irn: Irn) -> None:
    learner: Any = irn.learner(3, given=Inherited())
    [scheduled] = learner.optimizers()
    old, new, fastest = scheduled.optimizer.param_groups
    parts = learner.network.backbone, learner.network.boundaries, learner.network.displacement
    for group, part in zip((old, new, fastest), parts, strict=True):
        assert [id(one) for one in group["params"]] == [id(one) for one in part.parameters()]
        assert (group["momentum"], group["weight_decay"]) == (0.6, 0.02)
    assert (old["lr"], new["lr"], fastest["lr"]) == (0.03, pytest.approx(0.21), pytest.approx(1.05))
    assert scheduled.rate(0.15) == pytest.approx(0.5 * 0.85**1.4)


def test_a_classifier_s_trunk_that_is_frozen_stays_as_it_is(irn: Irn) -> None:
    start = {name: one.clone() for name, one in irn.backbone.build().trunk.state_dict().items()}
    weights = InitialWeights(source="classifier", file="", sha256="")
    backbone = dataclasses.replace(irn.backbone, initial_weights=weights, frozen_norms="all", frozen_stages=9)
    frozen = dataclasses.replace(irn, backbone=backbone)
    assert frozen.unread == () and irn.unread == ("start",) and frozen.trunk is backbone
    learner: Any = frozen.learner(3, given=Inherited({"start": start}))
    before = learner.network.displacement.join[2].weight.clone()
    trained(learner, random_batch(), 2)
    assert all(torch.equal(one, start[name]) for name, one in learner.network.backbone.trunk.state_dict().items())
    assert not torch.equal(before, learner.network.displacement.join[2].weight)


def test_the_mean_displacement_follows_the_training(irn: Irn) -> None:
    network = made_alive(irn.learner(3, given=Inherited())).network
    means = []
    for seed in (0, 1):
        _, displacement = network(random_batch(seed=seed).images_BCYX)
        means.append(displacement.mean(dim=(0, 2, 3)).detach())
    expected = 0.9 * (0.9 * MEAN + 0.1 * means[0]) + 0.1 * means[1]
    assert torch.allclose(network.mean_displacement, expected, atol=1e-5) and MEMORY == 0.9
    assert "mean_displacement" in network.state_dict() and not network.mean_displacement.requires_grad
    network.eval()(random_batch().images_BCYX)
    assert torch.allclose(network.mean_displacement, expected, atol=1e-5)


def test_a_boundary_comes_to_lie_between_two_colours(irn: Irn) -> None:
    torch.manual_seed(0)
    learner: Any = irn.learner(3, given=Inherited())
    trained(learner, two_colours(), 40)
    boundaries = learner.network(two_colours().images_BCYX)[0][0].sigmoid().detach().mean(dim=0)  # of each column
    assert boundaries[3:5].max() > 0.6 and boundaries[[0, 1, 7, 8, 9]].max() < 0.4, boundaries


def test_the_network_is_built_without_classes(irn: Irn) -> None:
    network, learner = irn.network().eval(), irn.learner(3, given=Inherited()).eval()
    assert network.mean_displacement.tolist() == [0, 0]
    network.load_state_dict(learner.network.state_dict())
    images = random_batch().images_BCYX
    assert all(torch.equal(one, other) for one, other in zip(network(images), learner.network(images), strict=True))
    assert network.stride == STRIDE and irn.extents((37, 50)) == {"map_y": 10, "map_x": 13, "pair": 0} and irn.wanted_maps == ("labels",)


def test_more_maps_than_the_network_has_are_refused(irn: Irn) -> None:
    with pytest.raises(ParamsError, match=r"params.yaml: displacement_channels: found 6 maps of the network; expected at most 5"):
        dataclasses.replace(irn, displacement_channels=(8,) * 6).network()


@pytest.mark.parametrize(("channels", "groups"), [(8, 1), (24, 3), (32, 4), (64, 8), (128, 16), (136, 8), (160, 16), (256, 16)])
def test_channels_are_in_as_many_groups_of_eight_or_more_as_there_can_be_up_to_sixteen(irn: Irn, channels: int, groups: int) -> None:
    network: Any = dataclasses.replace(irn, boundary_channels=channels).network()
    assert network.boundaries.stages[0][1].num_groups == groups
    assert network(random_batch().images_BCYX)[0].shape == (2, *GRID)
