"""The classifier whose maps keep to the structure of the image."""

from __future__ import annotations

import dataclasses
import operator
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from seedbed.classifier.ssc import Modulation, Ssc, SscLearner, Suppressed, average_regions, erode, measure_uneven, normalise
from seedbed.errors import ParamsError
from seedbed.learning.batches import Batch
from seedbed.networks.contracts import Inherited
from tests.support.learning import NUM_CLASSES, batch, gradients, samples, trained

MODULATION = Modulation(weight=0.7, begins=0.25, scale=0.5, active=0.4, erosion=4)


@pytest.fixture
def ssc(small_method: Callable[[str, str], Any]) -> Ssc:
    """The method, with no parameter at its published value."""
    made = small_method("classifier", "ssc")
    assert isinstance(made, Ssc)
    painter = dataclasses.replace(
        made.reconstruction,
        weight=0.3,
        widths=(8, 6, 5, 4, 3),
        target="between",
        levels=(0.5, 0.4, 0.3, 0.2, 0.1),
        perception=dataclasses.replace(made.reconstruction.perception, widest=40),
    )
    return dataclasses.replace(
        made,
        suppression=dataclasses.replace(made.suppression, share=0.7, also_behind=3),
        reconstruction=painter,
        modulation=MODULATION,
    )


def learner_of(method: Ssc) -> SscLearner:
    torch.manual_seed(0)
    made = method.learner(NUM_CLASSES, given=Inherited())
    assert isinstance(made, SscLearner)
    torch.nn.init.normal_(made.network.head.weight, std=0.3)  # so that maps say something
    return made.train()


def without(method: Ssc, *parts: str) -> Ssc:
    """The method without some of its losses."""
    return dataclasses.replace(method, **{part: dataclasses.replace(getattr(method, part), weight=0.0) for part in parts})


def some_maps(*, seed: int = 0) -> Tensor:
    """Signed scores of two images."""
    return torch.randn(2, NUM_CLASSES, 3, 4, generator=torch.Generator().manual_seed(seed))


def some_regions(*, seed: int = 0) -> Tensor:
    """Superpixels of 40 x 56 pixels, partly beyond the border."""
    coarse = np.random.default_rng(seed).integers(0, 6, (2, 5, 7))
    regions = coarse.repeat(8, axis=1).repeat(8, axis=2)
    regions[1, :, 40:] = -1
    return torch.from_numpy(regions)


PRESENT = torch.tensor([[True, False, True], [False, True, False]])


def measure(maps: Tensor, present: Tensor = PRESENT, regions: Tensor | None = None, **changes: Any) -> float:
    return measure_uneven(maps, present, some_regions() if regions is None else regions, dataclasses.replace(MODULATION, **changes)).item()


# --- Maps drawn towards superpixels ---


def test_means_over_regions_keep_what_there_is_and_change_nothing_twice() -> None:
    scores, regions = torch.randn(2, 40, 56), some_regions()
    even = average_regions(scores, regions)
    assert torch.allclose(even.sum(dim=(1, 2)), scores.sum(dim=(1, 2)), atol=1e-3)
    assert torch.allclose(average_regions(even, regions), even, atol=1e-5)
    for number in range(2):
        for region in regions[number].unique():
            where = regions[number] == region
            assert torch.allclose(even[number][where], scores[number][where].mean(), atol=1e-5)


def test_regions_of_single_pixels_draw_nowhere() -> None:
    regions = torch.arange(20 * 28).view(1, 20, 28).repeat(2, 1, 1).repeat_interleave(2, dim=1).repeat_interleave(2, dim=2)
    assert measure(some_maps(), regions=regions) == pytest.approx(0.0, abs=1e-9)
    assert measure(some_maps()) > 0.001


def test_a_single_region_draws_everything_to_its_mean() -> None:
    """Of a map whose mean is positive, the even one is 1 everywhere."""
    maps = some_maps().abs() + 0.1
    scores = functional.interpolate(maps, size=(20, 28), mode="bilinear", align_corners=False)[PRESENT]
    expected = (normalise(scores) - 1).square().mean().item()
    assert measure(maps, regions=torch.zeros(2, 40, 56, dtype=torch.long)) == pytest.approx(expected, rel=1e-4)


def test_nothing_active_means_even_maps_alone() -> None:
    scores = functional.interpolate(some_maps(), size=(20, 28), mode="bilinear", align_corners=False)[PRESENT]
    regions = some_regions()[:, ::2, ::2][PRESENT.nonzero()[:, 0]]
    expected = (normalise(scores) - normalise(average_regions(scores, regions))).square().mean().item()
    assert measure(some_maps(), active=1.0) == pytest.approx(expected, rel=1e-5)
    assert measure(some_maps(), active=0.0, erosion=1) < expected


def test_what_is_exactly_as_high_as_the_bound_is_not_active() -> None:
    """Of a block that is positive where all else is 0, only the inside keeps its height."""
    maps = torch.full((2, NUM_CLASSES, 20, 28), -1.0)  # so that the mean over all is not positive
    maps[:, :, 4:11, 6:15] = torch.rand(7, 9, generator=torch.Generator().manual_seed(2)) + 0.5
    inside = torch.zeros(20, 28)
    inside[5:10, 7:14] = 1
    active = normalise(maps[PRESENT])
    expected = (active - active * inside).square().mean().item()
    found = measure(maps, regions=torch.zeros(2, 20, 28, dtype=torch.long), scale=1.0, active=0.0, erosion=3)
    assert found == pytest.approx(expected, rel=1e-5) and found > 0.001


def test_what_a_map_says_of_absent_classes_does_not_matter() -> None:
    maps = some_maps()
    other = torch.where(PRESENT[:, :, None, None], maps, 5 * maps + 3)
    assert measure(other) == measure(maps)


def test_a_map_of_nothing_positive_is_drawn_nowhere() -> None:
    assert measure(-some_maps().abs() - 0.1) == 0


def test_a_batch_without_any_class_loses_nothing() -> None:
    maps = some_maps().requires_grad_()
    assert measure_uneven(maps, torch.zeros(2, NUM_CLASSES, dtype=torch.bool), some_regions(), MODULATION).item() == 0


def test_what_maps_are_drawn_towards_has_no_gradient() -> None:
    """Only the active map moves: the gradient of the difference is 2 (A - target) times that of A."""
    maps = some_maps().requires_grad_()
    [found] = torch.autograd.grad(measure_uneven(maps, PRESENT, some_regions(), MODULATION), maps)
    scores = functional.interpolate(maps, size=(20, 28), mode="bilinear", align_corners=False)[PRESENT]
    active = normalise(scores)
    even = normalise(average_regions(scores, some_regions()[:, ::2, ::2][PRESENT.nonzero()[:, 0]]))
    target = torch.maximum(even, active * erode(active > 0.4, 4)).detach()
    [expected] = torch.autograd.grad((active - target).square().mean(), maps)
    assert torch.allclose(found, expected, atol=1e-7) and found.abs().sum() > 0


@pytest.mark.parametrize("edge", [1, 2, 3, 4, 7, 8, 16])
def test_erosion_is_that_of_opencv(edge: int) -> None:
    marked = torch.from_numpy(np.random.default_rng(3).random((2, 19, 26)) < 0.95)
    marked[0, 4:, 3:] = True  # a corner that stays
    expected = [cv2.erode(one.astype(np.uint8), np.ones((edge, edge), np.uint8), iterations=1) for one in marked.numpy()]
    assert np.array_equal(erode(marked, edge).numpy(), np.stack(expected).astype(bool))


def test_what_is_eroded_was_marked() -> None:
    marked = torch.from_numpy(np.random.default_rng(4).random((2, 19, 26)) < 0.9)
    assert (erode(marked, 3) & ~marked).sum() == 0 and torch.equal(erode(marked, 1), marked)


# --- The whole ---


def test_the_whole_method_written_down_plainly(ssc: Ssc) -> None:
    """A step's losses in torch, numpy and OpenCV: after its warm-up, in training mode, with no parameter at its published value."""
    learner, seen = learner_of(ssc), batch(["regions"])
    seen.maps_BYX = {"regions": some_regions()}
    trunk, painter, eye = learner.network.backbone.trunk, learner.painter, learner.perceived
    assert painter is not None and eye is not None
    terms = learner(seen, 0.25)

    def suppressed(x: Tensor) -> Tensor:
        flat = x.reshape(*x.shape[:2], -1)
        return torch.min(flat, 0.7 * flat.max(dim=2, keepdim=True)[0]).reshape(x.shape)

    images = (seen.images_BCYX - 0.5) / 0.5  # what this network was made for
    x = trunk.maxpool(functional.relu(trunk.bn1(trunk.conv1(images))))
    x = suppressed(trunk.layer3(trunk.layer2(trunk.layer1(x))))
    [block] = trunk.layer4
    y = block.bn2(block.conv2(functional.relu(block.bn1(block.conv1(x)))))
    x = suppressed(functional.relu(y + (x if block.downsample is None else block.downsample(x))))
    maps = torch.einsum("kd,bdyx->bkyx", learner.network.head.weight[:, :, 0, 0], x)

    labels = seen.labels_BK[:, 1:]
    soft_margin = functional.multilabel_soft_margin_loss(maps.mean(dim=(2, 3)), labels)
    assert terms["classes"].item() == pytest.approx(soft_margin.item(), rel=1e-5)

    painted = painter(maps)[:, :, :40, :56]
    total = 0.0
    halved = (functional.avg_pool2d(one, 2) for one in (painted, 2 * seen.images_BCYX - 1))  # 56 is more than 40
    one, other = (eye.network.backbone.trunk.forward_intermediates(each, intermediates_only=True) for each in halved)
    for weight, ours, theirs in zip((0.5, 0.4, 0.3, 0.2, 0.1), one, other, strict=True):
        total += weight * (ours - theirs).abs().mean().item()
    assert terms["reconstruction"].item() == pytest.approx(0.3 * total, rel=1e-4)

    squares = []
    large = functional.interpolate(maps, size=(20, 28), mode="bilinear", align_corners=False).detach().numpy()
    for image, scores in enumerate(large):
        regions = some_regions()[image, ::2, ::2].numpy()
        for number in range(NUM_CLASSES):
            if labels[image, number]:
                even = np.zeros((20, 28))
                for region in np.unique(regions):
                    even[regions == region] = scores[number][regions == region].mean()
                active = np.maximum(scores[number], 0) / (np.maximum(scores[number], 0).max() + 1e-5)
                even = np.maximum(even, 0) / (np.maximum(even, 0).max() + 1e-5)
                reliable = cv2.erode((active > 0.4).astype(np.uint8), np.ones((4, 4), np.uint8), iterations=1)
                squares.append((active - np.maximum(even, active * reliable)) ** 2)
    assert terms["modulation"].item() == pytest.approx(0.7 * np.mean(squares), rel=1e-4)
    assert all(one.item() > 1e-4 for one in terms.values())


def test_the_image_is_standardised_as_the_network_wants_it_that_perceives_it(ssc: Ssc) -> None:
    learner = learner_of(dataclasses.replace(ssc, reconstruction=dataclasses.replace(ssc.reconstruction, target="standardised")))
    other, seen, maps = learner_of(ssc), batch([]), some_maps()
    for one in (learner, other):
        assert one.perceived is not None
        one.perceived.network.backbone.mean.fill_(0.4)
        one.perceived.network.backbone.deviation.fill_(0.25)
    standardised = learner._measure_painted(maps, 0.4 + 0.25 * (2 * seen.images_BCYX - 1)).item()
    assert standardised == pytest.approx(other._measure_painted(maps, seen.images_BCYX).item(), rel=1e-4)
    assert learner._measure_painted(maps, seen.images_BCYX).item() != pytest.approx(standardised, rel=0.01)


def test_with_everything_off_it_is_the_plain_classifier_to_the_bit(
    ssc: Ssc, small_method: Callable[[str, str], Any], tmp_path: Path
) -> None:
    cam = small_method("classifier", "cam")
    shared = {name: getattr(ssc, name) for name in ("backbone", "augmentation", "training", "descent")}
    off = dataclasses.replace(without(ssc, "reconstruction", "modulation"), suppression=Suppressed(share=1.0, also_behind=0))
    made = [
        trained(one, partial(one.learner, NUM_CLASSES, given=Inherited()), samples([]), tmp_path / type(one).__name__)
        for one in (dataclasses.replace(cam, **shared), off)
    ]
    weights, others = (dict(one.weights) for one in made)
    assert list(weights) == list(others) and all((weights[name] == others[name]).all() for name in weights)
    assert made[0].losses == made[1].losses


def test_before_it_begins_maps_are_drawn_nowhere(ssc: Ssc) -> None:
    learner, seen = learner_of(ssc), batch(["regions"])
    assert learner(seen, 0.2499)["modulation"].item() == 0
    assert learner(seen, 0.25)["modulation"].item() > 0


def test_each_loss_can_be_off_and_then_costs_nothing(ssc: Ssc) -> None:
    seen = batch([])
    plain = learner_of(without(ssc, "reconstruction", "modulation"))
    assert list(plain(seen, 0.5)) == ["classes"] and plain.painter is None and plain.perceived is None
    assert len(plain.optimizers()) == 1 and without(ssc, "modulation").wanted_maps == () and ssc.wanted_maps == ("regions",)
    assert list(learner_of(without(ssc, "modulation"))(seen, 0.5)) == ["classes", "reconstruction"]


def test_two_optimisers_share_the_work(ssc: Ssc) -> None:
    learner = learner_of(ssc)
    of_network, of_painter = (one.optimizer for one in learner.optimizers())
    owned = [{id(weight) for group in one.param_groups for weight in group["params"]} for one in (of_network, of_painter)]
    assert learner.painter is not None
    assert owned == [{id(one) for one in part.parameters()} for part in (learner.network, learner.painter)]
    assert isinstance(of_network, torch.optim.SGD) and isinstance(of_painter, torch.optim.Adam)
    assert of_painter.param_groups[0]["betas"] == (0.5, 0.999) and of_painter.param_groups[0]["lr"] == 5e-4


def test_what_is_painted_teaches_the_classifier_and_the_eye_learns_nothing(ssc: Ssc) -> None:
    learner = learner_of(without(ssc, "modulation"))
    assert learner.perceived is not None
    before = {name: one.clone() for name, one in learner.perceived.network.state_dict().items()}
    learner(batch([]), 0.0)["reconstruction"].backward()
    assert learner.network.head.weight.grad is not None and learner.network.head.weight.grad.abs().sum() > 0
    assert all(one.grad is None for one in learner.perceived.network.parameters())
    assert all(torch.equal(one, before[name]) for name, one in learner.perceived.network.state_dict().items())


def test_the_eye_is_in_no_checkpoint_and_the_painter_is(ssc: Ssc) -> None:
    learner = learner_of(ssc)
    owners = {name.partition(".")[0] for name in learner.state_dict()}
    assert owners == {"network", "painter"}
    assert not any(name.startswith("painter") for name in learner.network.state_dict())


def test_images_that_are_alike_cost_nothing_to_paint(ssc: Ssc, monkeypatch: pytest.MonkeyPatch) -> None:
    learner, seen = learner_of(ssc), batch([])
    assert learner.painter is not None
    monkeypatch.setattr(learner.painter, "forward", lambda _: functional.pad(2 * seen.images_BCYX - 1, (0, 8, 0, 8)))
    assert learner._measure_painted(some_maps(), seen.images_BCYX).item() == 0


def test_frozen_stages_get_no_gradient_and_their_features_are_suppressed(ssc: Ssc) -> None:
    """Published: the first two stages and the stem do not learn, and behind them features are suppressed while it learns."""
    learner = learner_of(dataclasses.replace(ssc, suppression=dataclasses.replace(ssc.suppression, also_behind=2)))
    learner.network.backbone.freeze(norms="all", stages=3)
    sum(learner(batch(["regions"]), 0.5).values(), torch.zeros(())).backward()
    names = {name for name, one in learner.network.backbone.trunk.named_parameters() if one.grad is not None}
    assert names and all(name.startswith(("layer3", "layer4")) for name in names)
    assert any(one.abs().sum() > 0 for one in gradients(learner))


def test_behind_a_middle_stage_it_suppresses_only_while_it_learns(ssc: Ssc) -> None:
    learner, seen = learner_of(without(ssc, "reconstruction", "modulation")).eval(), batch([])
    _, logits = learner.network(seen.images_BCYX)
    assert learner(seen, 0.0)["classes"].item() != functional.binary_cross_entropy_with_logits(logits, seen.labels_BK[:, 1:]).item()
    off = dataclasses.replace(ssc, suppression=dataclasses.replace(ssc.suppression, also_behind=0))
    learner = learner_of(without(off, "reconstruction", "modulation")).eval()
    _, logits = learner.network(seen.images_BCYX)
    assert learner(seen, 0.0)["classes"].item() == functional.binary_cross_entropy_with_logits(logits, seen.labels_BK[:, 1:]).item()


def test_one_image_in_a_batch_is_enough(ssc: Ssc) -> None:
    learner, whole = learner_of(ssc).eval(), batch(["regions"])
    found = [
        learner(Batch(whole.images_BCYX[[place]], whole.labels_BK[[place]], {"regions": whole.maps_BYX["regions"][[place]]}), 0.5)
        for place in range(2)
    ]
    together = learner(whole, 0.5)
    for name in ("classes", "reconstruction"):
        assert sum(one[name].item() for one in found) / 2 == pytest.approx(together[name].item(), rel=1e-4)
    pairs = whole.labels_BK[:, 1:].sum(dim=1)
    weighted = sum(one["modulation"].detach() * count for one, count in zip(found, pairs, strict=True)) / pairs.sum()
    assert weighted.item() == pytest.approx(together["modulation"].item(), rel=1e-4)


# --- Parameters that do not fit ---


@pytest.mark.parametrize(
    ("part", "changes", "message"),
    [
        (
            "reconstruction",
            {"widths": (8, 4)},
            "params.yaml: classifier.ssc.reconstruction.widths: found 2, which make maps 2 times as large; expected as many as make them "
            "16 times as large, which is backbone.output_stride; correct one of the two",
        ),
        (
            "augmentation",
            {"crop": 16},
            "params.yaml: classifier.ssc.augmentation.crop: found 16, which is one cell of a class map; expected more than 16, which is "
            "backbone.output_stride; correct one of the two",
        ),
        (
            "reconstruction",
            {"levels": (1.0,)},
            "params.yaml: classifier.ssc.reconstruction.levels: found weights of 1 levels; expected 5, one for each level of test_resnet; "
            "correct them",
        ),
        (
            "backbone",
            {"network": "test_byobnet"},
            "params.yaml: classifier.ssc.backbone.network: found a network that is no ResNet of timm, whose blocks alone are known; "
            "expected one such as resnet50; choose one, or another method",
        ),
    ],
)
def test_what_does_not_fit_is_refused(ssc: Ssc, part: str, changes: dict[str, Any], message: str) -> None:
    ssc.check()
    wrong = dataclasses.replace(ssc, **{part: dataclasses.replace(getattr(ssc, part), **changes)})
    with pytest.raises(ParamsError, match=f"^{re.escape(message)}$"):
        wrong.check()


def test_without_a_painter_its_parameters_need_not_fit(ssc: Ssc) -> None:
    wrong = dataclasses.replace(ssc, reconstruction=dataclasses.replace(ssc.reconstruction, weight=0.0, widths=(8, 4)))
    wrong.check()


def test_memory_counts_what_paints_and_perceives(ssc: Ssc) -> None:
    extents = {"class": NUM_CLASSES + 1}
    large = dataclasses.replace(ssc, augmentation=dataclasses.replace(ssc.augmentation, crop=64))
    assert operator.gt(large.memory(extents), 1.3 * without(large, "reconstruction").memory(extents))
