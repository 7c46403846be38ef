"""AffinityNet: features of cells, and the balanced losses of their pairs."""

from __future__ import annotations

import copy
import dataclasses
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from seedbed.affinity.psa import Psa
from seedbed.algorithms.cell_pairs import list_offsets
from seedbed.errors import ParamsError
from seedbed.learning.batches import Batch
from seedbed.learning.optimisers import Descent
from seedbed.networks.contracts import Inherited
from seedbed.networks.weights import InitialWeights

DESCENT = Descent(learning_rate=0.03, new_layer_factor=7, momentum=0.6, weight_decay=0.02, warmup=0.3, power=1.4, decay_starts="at_once")
SIZE, GRID, STRIDE, RADIUS = (26, 34), (7, 9), 4, 3
Doubles = npt.NDArray[np.float64]


@pytest.fixture
def psa(small_method: Callable[[str, str], Any]) -> Psa:
    made = small_method("affinity", "psa")
    assert isinstance(made, Psa)
    return dataclasses.replace(made, stride=STRIDE, channels=(5, 6, 7), radius=RADIUS, descent=DESCENT)


def random_batch(*, seed: int = 0) -> Batch:
    """Two images with patches of labels, some of them unknown."""
    random = np.random.default_rng(seed)
    coarse = random.choice(np.array([0, 0, 1, 1, 3, 255]), (2, 4, 5)).repeat(8, axis=1).repeat(8, axis=2)[:, : SIZE[0], : SIZE[1]]
    images = torch.from_numpy(random.random((2, 3, *SIZE), np.float32))
    return Batch(images_BCYX=images, labels_BK=torch.ones(2, 4), maps_BYX={"labels": torch.from_numpy(coarse)})


def two_colours() -> Batch:
    """Background on the left, a class on the right."""
    right = np.arange(40) >= 16
    image = np.where(right, [[0.9], [0.2], [0.1]], [[0.1], [0.3], [0.8]])[:, None].repeat(24, axis=1)
    labels = torch.from_numpy(2 * np.tile(right, (1, 24, 1)).astype(np.int64))
    return Batch(images_BCYX=torch.from_numpy(image[None]).float(), labels_BK=torch.ones(1, 4), maps_BYX={"labels": labels})


def run_stages(backbone: Any, images_BCYX: Tensor) -> list[Tensor]:
    """Maps of all stages of a ResNet, layer by layer."""
    trunk = backbone.trunk
    mean, deviation = (torch.tensor(trunk.pretrained_cfg[name]).view(3, 1, 1) for name in ("mean", "std"))
    maps = [trunk.act1(trunk.bn1(trunk.conv1((images_BCYX - mean) / deviation)))]
    maps.append(trunk.layer1(trunk.maxpool(maps[0])))
    for layer in (trunk.layer2, trunk.layer3, trunk.layer4):
        maps.append(layer(maps[-1]))
    return maps


def mixed(maps: Tensor, layer: Any) -> Tensor:
    """A convolution of single cells without an offset."""
    assert layer.bias is None
    return torch.einsum("kd,bdyx->bkyx", layer.weight[:, :, 0, 0], maps)


def elu(maps: Tensor) -> Tensor:
    return torch.where(maps > 0, maps, torch.exp(maps) - 1)


def enlarged(maps: Tensor, grid: tuple[int, int] = GRID) -> Tensor:
    return functional.interpolate(maps, size=grid, mode="bilinear", align_corners=False)


def features_of(network: Any, images_BCYX: Tensor) -> Tensor:
    last = run_stages(network.backbone, images_BCYX)[-3:]
    joined = torch.cat([enlarged(elu(mixed(one, layer))) for one, layer in zip(last, network.reduce, strict=True)], dim=1)
    return elu(mixed(joined, network.mix))


def without_zeros(learner: Any) -> Any:
    """A learner whose blocks do something from the start: timm lets the last norm of each be 0."""
    for name, one in learner.network.backbone.trunk.named_parameters():
        if name.endswith("weight") and one.ndim == 1:
            torch.nn.init.uniform_(one, 0.5, 1.5)
    return learner


def kinds_of(labels: Tensor) -> dict[str, list[tuple[int, int, int, int, int]]]:
    """Pairs by what labels say of them: image, row and column of one cell, and rows and columns to the other."""
    found: dict[str, list[tuple[int, int, int, int, int]]] = {"background": [], "foreground": [], "different": []}
    for image, y, x in np.ndindex(len(labels), GRID[0] - 2, GRID[1] - 4):
        for down, across in list_offsets(RADIUS):
            cells = (y, x + 2), (y + down, x + 2 + across)
            one, other = (
                int(labels[image, int((row + 0.5) * SIZE[0] / GRID[0]), int((column + 0.5) * SIZE[1] / GRID[1])]) for row, column in cells
            )
            if 255 not in (one, other):
                kind = "different" if one != other else "foreground" if one else "background"
                found[kind].append((image, y, x + 2, down, across))
    return found


def trained(learner: Any, batch: Batch, steps: int) -> None:
    """Some steps at the learning rates of the beginning."""
    learner.train()
    [scheduled] = learner.optimizers()
    for _ in range(steps):
        scheduled.optimizer.zero_grad()
        sum(learner(batch, 0.0).values()).backward()
        scheduled.optimizer.step()


def test_the_whole_written_down_pair_by_pair(psa: Psa) -> None:
    torch.manual_seed(0)
    learner: Any = without_zeros(psa.learner(3, given=Inherited()).eval())
    batch = random_batch()
    with torch.no_grad():
        found, features = learner(batch, 0.0), learner.network(batch.images_BCYX)
        expected = features_of(learner.network, batch.images_BCYX)
    assert features.shape == (2, 18, *GRID) and torch.allclose(features, expected, atol=1e-5)
    kinds = kinds_of(batch.maps_BYX["labels"])
    assert min(map(len, kinds.values())) > 20 and list(found) == list(kinds)
    for kind, share in (("background", 1 / 4), ("foreground", 1 / 4), ("different", 1 / 2)):
        losses = []
        for image, y, x, down, across in kinds[kind]:
            one, other = expected[image, :, y, x].double(), expected[image, :, y + down, x + across].double()
            affinity = math.exp(-float((one - other).abs().mean()))
            losses.append(-math.log(1 + 1e-5 - affinity) if kind == "different" else -math.log(affinity + 1e-5))
        assert found[kind].item() == pytest.approx(share * np.mean(losses), rel=1e-4)


def test_what_no_pair_says_costs_nothing(psa: Psa) -> None:
    learner, batch = psa.learner(3, given=Inherited()), random_batch()
    for label, kind in ((0, "background"), (2, "foreground"), (255, "")):
        batch.maps_BYX["labels"][...] = label
        found = learner(batch, 0.0)
        assert [name for name, one in found.items() if one.item()] == ([kind] if kind else [])


def test_what_is_surely_wrong_costs_no_more_than_a_logarithm_can_say(psa: Psa) -> None:
    learner: Any = psa.learner(3, given=Inherited())
    torch.nn.init.zeros_(learner.network.mix.weight)  # all cells are the same
    found = {name: one.item() for name, one in learner(random_batch(), 0.0).items()}
    little, much = pytest.approx(-math.log(1 + 1e-5) / 4, abs=1e-6), pytest.approx(-math.log(1e-5) / 2, rel=1e-3)
    assert found == {"background": little, "foreground": little, "different": much}


def test_gradients_reach_everything_that_learns(psa: Psa) -> None:
    learner = without_zeros(psa.learner(3, given=Inherited()))
    torch.stack(list(learner(random_batch(), 0.0).values())).sum().backward()
    assert all(one.grad is not None and one.grad.abs().sum() > 0 for one in learner.parameters())


def test_new_layers_begin_as_published(psa: Psa) -> None:
    torch.manual_seed(0)
    network: Any = dataclasses.replace(psa, channels=(300, 500)).network()
    assert [one.weight.std().item() for one in network.reduce] == pytest.approx([math.sqrt(2 / 192), math.sqrt(2 / 96)], rel=0.03)
    assert network.mix.weight.abs().max().item() == pytest.approx(4 * math.sqrt(6 / 1600), rel=0.01)


def test_what_learns_how_fast(psa: Psa) -> None:
    learner: Any = psa.learner(3, given=Inherited())
    [scheduled] = learner.optimizers()
    old, new = scheduled.optimizer.param_groups
    assert [id(one) for one in old["params"]] == [id(one) for one in learner.network.backbone.parameters()]
    assert [id(one) for one in new["params"]] == [id(one.weight) for one in (*learner.network.reduce, learner.network.mix)]
    assert (old["lr"], new["lr"]) == (0.03, pytest.approx(0.21))
    assert {(one["momentum"], one["weight_decay"]) for one in (old, new)} == {(0.6, 0.02)}
    assert scheduled.rate(0.15) == pytest.approx(0.5 * 0.85**1.4)


def test_a_classifier_s_trunk_that_is_frozen_stays_as_it_is(psa: Psa) -> None:
    start = psa.backbone.build().trunk.state_dict()
    weights = InitialWeights(source="classifier", file="", sha256="")
    backbone = dataclasses.replace(psa.backbone, initial_weights=weights, frozen_norms="all", frozen_stages=9)
    frozen = dataclasses.replace(psa, backbone=backbone)
    assert frozen.unread == () and psa.unread == ("start",) and frozen.trunk is frozen.backbone
    learner: Any = frozen.learner(3, given=Inherited({"start": copy.deepcopy(start)}))
    before = copy.deepcopy(learner.network.mix.weight)
    trained(learner, random_batch(), 2)
    assert all(torch.equal(one, start[name]) for name, one in learner.network.backbone.trunk.state_dict().items())
    assert not torch.equal(before, learner.network.mix.weight)


def test_cells_of_two_colours_come_to_differ(psa: Psa) -> None:
    torch.manual_seed(0)
    learner: Any = psa.learner(3, given=Inherited())
    trained(learner, two_colours(), 30)
    features = learner.network(two_colours().images_BCYX)[0].detach()
    affinities = (features[:, :, 1:] - features[:, :, :-1]).abs().mean(dim=0).neg().exp().mean(dim=0)  # of each column and the next
    assert affinities[3] < 0.4 and affinities[[0, 1, 5, 6, 7, 8]].min() > 0.6, affinities


def test_the_network_is_built_without_classes(psa: Psa) -> None:
    network, learner = psa.network().eval(), psa.learner(3, given=Inherited()).eval()
    network.load_state_dict(learner.network.state_dict())
    images = random_batch().images_BCYX
    assert torch.equal(network(images), learner.network(images)) and (network.stride, network.radius) == (STRIDE, RADIUS)
    assert psa.extents((37, 50)) == {"map_y": 10, "map_x": 13, "pair": 12} and psa.wanted_maps == ("labels",)


def test_more_maps_than_the_network_has_are_refused(psa: Psa) -> None:
    with pytest.raises(ParamsError, match=r"params.yaml: channels: found 6 maps of the network; expected at most 5"):
        dataclasses.replace(psa, channels=(4,) * 6).network()
