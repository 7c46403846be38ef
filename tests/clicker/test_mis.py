"""The network that learns to answer clicks: views, rounds, and what it is taught."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from torch.nn import functional

from seedbed.algorithms import ward
from seedbed.algorithms.clicks import ClickTree
from seedbed.algorithms.proposals import draw_large
from seedbed.clicker.mis import Distortion, Mis, MisLearner, Views
from seedbed.learning.tree_samples import TreeSample
from seedbed.networks.contracts import Inherited
from seedbed.types import Alignment
from tests.support.learning import trained

SIZE = (40, 56)
STILL = Distortion(turned=0, tilted=0, tilt=0, shift=0, tinted=0, tint=0)


@pytest.fixture
def mis(small_method: Callable[[str, str], Any]) -> Mis:
    made = small_method("clicker", "mis")
    assert isinstance(made, Mis)
    return made


def sample(seed: int = 0) -> TreeSample:
    """An image, not square, of which each quarter has its own colour, and its tree."""
    random = np.random.default_rng(seed)
    colours = random.integers(0, 256, (2, 2, 3)).repeat(3, axis=0)[:5].repeat(4, axis=1)[:, :7]
    image = colours.repeat(8, axis=0).repeat(8, axis=1).astype(np.uint8)
    vectors = (colours + random.normal(0, 1, colours.shape)).reshape(-1, 3).astype(np.float32)
    return TreeSample(image, ClickTree.on_pixels(ward.merge(vectors, ward.link_grid((5, 7))), (5, 7), 8, Alignment.RESIZED, SIZE))


def still(mis: Mis, **changes: Any) -> Mis:
    """Views that are the image itself, padded."""
    alike = dataclasses.replace(mis.augmentation.colours, brightness=0, contrast=0, saturation=0, hue=0)
    augmentation = dataclasses.replace(mis.augmentation, crop=64, smallest_scale=1, largest_scale=1, flip=0, colours=alike)
    return dataclasses.replace(mis, distortion=STILL, augmentation=augmentation, colours_share=0, grey=0, blur=0, **changes)


def changed(mis: Mis, **changes: Any) -> Mis:
    return dataclasses.replace(mis, proposals=dataclasses.replace(mis.proposals, **changes))


# --- Views ---


def test_what_is_wanted_is_a_region_of_the_image(mis: Mis) -> None:
    method, one = changed(still(mis), least=0, smallest=0), sample()
    masks = {one.regions.mask([region]).tobytes() for region in range(len(one.regions.sizes))}
    found = set()
    for seed in range(40):
        view = method.view(one, np.random.default_rng(seed))
        top, left = (int(np.flatnonzero((view.image != 0).any(axis=(axis, 2)))[0]) for axis in (1, 0))
        window = (slice(top, top + SIZE[0]), slice(left, left + SIZE[1]))
        assert np.array_equal(view.image[window], one.image) and np.array_equal(view.seen, view.image)
        assert view.wanted.sum() == view.wanted[window].sum()
        assert view.wanted[window].tobytes() in masks
        found.add(view.wanted[window].tobytes())
        for places, kind in zip(view.clicks, (True, False), strict=True):
            assert all(view.wanted[row, column] == kind for row, column in places.tolist() if row >= 0)
    assert len(found) > 10


def test_large_regions_are_wanted_as_the_parameters_say(mis: Mis) -> None:
    method, one = changed(still(mis), decay=0.7, least=0.3, tries=4, smallest=0), sample()
    for seed in range(20):
        random = np.random.default_rng(seed)
        region = draw_large(one.regions.tree, random, decay=0.7, least=0.3, tries=4)
        assert method.view(one, np.random.default_rng(seed)).wanted.sum() == one.regions.mask([region]).sum()


def test_of_too_little_nothing_is_wanted(mis: Mis) -> None:
    patch = changed(still(mis), decay=1.0, least=0, tries=1)  # always a patch of 64 pixels
    for smallest, some in ((64, True), (65, False)):
        view = changed(patch, smallest=smallest).view(sample(), np.random.default_rng(0))
        assert view.wanted.any() == some and (view.clicks[0] >= 0).any() == some


def test_a_view_shows_some_of_the_region_but_now_and_then(mis: Mis) -> None:
    method = changed(still(mis), decay=1.0, least=0, tries=1, smallest=0)
    method = dataclasses.replace(method, augmentation=dataclasses.replace(method.augmentation, crop=32))
    shares = []
    for empty in (0, 1):
        views = [changed(method, empty=empty).view(sample(), np.random.default_rng(seed)) for seed in range(60)]
        shares.append(np.mean([view.wanted.any() for view in views]))
    assert shares[0] == 1 and shares[1] < 0.8


def test_images_are_turned_and_moved_with_their_masks() -> None:
    one = sample()
    mask = one.regions.mask([len(one.regions.sizes) - 2])
    sizes = set()
    for seed in range(30):
        image, moved = dataclasses.replace(STILL, turned=1).distort(one.image, mask, np.random.default_rng(seed))
        sizes.add(image.shape[:2])
        turned = [(np.rot90(one.image, quarters), np.rot90(mask, quarters)) for quarters in range(4)]
        assert any(np.array_equal(image, each) and np.array_equal(moved, there) for each, there in turned)
    assert sizes == {SIZE, SIZE[::-1]}


def test_images_are_tilted_and_moved_about_their_middle() -> None:
    one = sample()
    mask = one.regions.mask([len(one.regions.sizes) - 2])
    method = dataclasses.replace(STILL, tilted=1, tilt=20, shift=0.1)
    image, moved = method.distort(one.image, mask, np.random.default_rng(3))
    random = np.random.default_rng(3)
    random.random(), random.random()  # of turning, of tilting
    angle, (across, down) = random.uniform(-20, 20), random.uniform(-0.1, 0.1, 2)
    cosine, sine = np.cos(np.deg2rad(angle)), np.sin(np.deg2rad(angle))
    agree = []
    for row in range(SIZE[0]):
        for column in range(SIZE[1]):
            x, y = column - 27.5 - across * 56, row - 19.5 - down * 40
            there = round(19.5 + sine * x + cosine * y), round(27.5 + cosine * x - sine * y)
            inside = 0 <= there[0] < SIZE[0] and 0 <= there[1] < SIZE[1]
            agree.append(bool(moved[row, column]) == (inside and bool(mask[there])))
    assert np.mean(agree) > 0.98 and not np.array_equal(moved, mask)
    assert (image[0, 0] == 0).all() or (image[-1, -1] == 0).all(), "black beyond the border"


def test_red_green_and_blue_are_changed_each_by_itself() -> None:
    image = np.full((*SIZE, 3), 100, np.uint8)
    tinted, _ = dataclasses.replace(STILL, tinted=1, tint=10).distort(image, np.zeros(SIZE, np.bool_), np.random.default_rng(0))
    shifts = tinted[0, 0].astype(int) - 100
    assert (tinted == tinted[0, 0]).all() and len({*shifts.tolist()}) == 3 and (abs(shifts) <= 10).all()
    dark, _ = dataclasses.replace(STILL, tinted=1, tint=255).distort(image, np.zeros(SIZE, np.bool_), np.random.default_rng(1))
    assert set(np.unique(dark)) & {0, 255}, "no farther than black and white"


def test_what_is_learned_from_has_other_colours_than_what_is_answered_in_between(mis: Mis) -> None:
    grey = dataclasses.replace(still(mis), grey=1.0).view(sample(), np.random.default_rng(0))
    assert (grey.seen == grey.seen[..., :1]).all() and not (grey.image == grey.image[..., :1]).all()
    blurred = dataclasses.replace(still(mis), blur=1.0).view(sample(), np.random.default_rng(0))
    assert not np.array_equal(blurred.seen, blurred.image) and abs(blurred.seen.mean() - blurred.image.mean()) < 1
    strong = dataclasses.replace(mis.colours, brightness=0.5)
    other = dataclasses.replace(still(mis), colours=strong, colours_share=1.0).view(sample(), np.random.default_rng(0))
    assert not np.array_equal(other.seen, other.image)


# --- What it learns ---


def batch(mis: Mis, count: int = 2) -> Views:
    return Views.of([mis.view(sample(seed), np.random.default_rng(seed)) for seed in range(count)]).to(torch.device("cpu"))


def test_terms_have_names_and_one_that_is_off_has_none(mis: Mis) -> None:
    views = batch(mis)
    learner = mis.learner(0, given=Inherited())
    assert learner(views, 0.0).keys() == {"regions", "smoothness"}
    assert 0 <= float(learner.measure_batch()["iou"]) <= 1
    off = dataclasses.replace(mis, smoothness=dataclasses.replace(mis.smoothness, weight=0))
    assert off.learner(0, given=Inherited())(views, 0.0).keys() == {"regions"}


def test_all_that_is_used_learns(mis: Mis) -> None:
    learner = mis.learner(0, given=Inherited())
    sum(learner(batch(mis), 0.0).values(), torch.tensor(0.0)).backward()
    unused = {name for name, one in learner.network.named_parameters() if one.grad is None or not one.grad.any()}
    assert unused == {"tokens.trunk.cls_token", "tokens.trunk.norm.weight", "tokens.trunk.norm.bias"}


def test_answers_in_between_teach_nothing_and_leave_nothing_out(mis: Mis, monkeypatch: pytest.MonkeyPatch) -> None:
    learner = mis.learner(0, given=Inherited())
    learner.train()
    asked: list[tuple[bool, bool]] = []
    forward = learner.network.forward

    def watched(*inputs: Any) -> torch.Tensor:
        asked.append((learner.network.training, torch.is_grad_enabled()))
        return forward(*inputs)

    monkeypatch.setattr(learner.network, "forward", watched)
    counts = set()
    for seed in range(12):
        torch.manual_seed(seed)
        asked.clear()
        learner(batch(mis), 0.0)
        assert asked[-1] == (True, True) and set(asked[:-1]) <= {(False, False)}
        counts.add(len(asked) - 1)
    assert counts == {0, 1, 2, 3}


def test_the_learning_rate_falls_where_it_is_said_to(mis: Mis) -> None:
    method = dataclasses.replace(mis, learning_rate=0.5, drops=(0.4, 0.8), drop=0.1)
    [scheduled] = method.learner(0, given=Inherited()).optimizers()
    assert [scheduled.rate(progress) for progress in (0, 0.39, 0.4, 0.79, 0.8, 1)] == pytest.approx([1, 1, 0.1, 0.1, 0.01, 0.01])
    assert type(scheduled.optimizer) is torch.optim.Adam


def test_what_has_not_learned_before_learns_at_a_rate_of_its_own(mis: Mis) -> None:
    learner = dataclasses.replace(mis, learning_rate=0.5, new_layer_factor=3).learner(0, given=Inherited())
    rates = {id(weight): group["lr"] for group in learner.optimizers()[0].optimizer.param_groups for weight in group["params"]}
    found = {name: rates[id(weight)] for name, weight in learner.network.named_parameters()}
    assert found == {name: 0.5 if name.startswith("tokens.") else 1.5 for name in found}


def test_crops_are_whole_patches(mis: Mis) -> None:
    for crop in (40, 16):
        with pytest.raises(ValueError, match=r"an augmentation.crop of two or more whole patches, of which patch_size is 16"):
            dataclasses.replace(mis, augmentation=dataclasses.replace(mis.augmentation, crop=crop))


def test_a_window_is_of_whole_patches(mis: Mis) -> None:
    for window in (8, 24):
        with pytest.raises(ValueError, match=r"a window of whole patches, of which patch_size is 16, or 0"):
            dataclasses.replace(mis, window=window)


def test_it_learns_to_answer_with_what_was_clicked_on(mis: Mis, tmp_path: Path) -> None:
    """Of images of four colours it learns to select halves and quarters better than by chance."""
    method = changed(still(mis, learning_rate=3e-3, drops=()), least=0.15)
    training = dataclasses.replace(method.training, epochs=20, batch_size=4)
    smooth = dataclasses.replace(method.smoothness, weight=0.1)
    method = dataclasses.replace(method, training=training, smoothness=smooth, dropout=0.0)
    left = trained(method, lambda: method.learner(0, given=Inherited()), [sample(seed) for seed in range(8)], tmp_path)
    assert np.mean(left.log["regions"][-5:]) < 0.7 * left.log["regions"][0]
    assert np.mean(left.log["iou"][-5:]) > np.mean(left.log["iou"][:5]) + 0.1


def learn_plainly(learner: MisLearner, views: Views, seed: int) -> tuple[float, float]:
    """Both terms of a batch, from the published description, with clicks as lists."""
    method, network, simulation = learner.method, learner.network, learner.method.simulation
    torch.manual_seed(seed)
    random = np.random.default_rng(int(torch.randint(2**31, ())))
    rounds = int(random.integers(simulation.rounds + 1))
    images, seen, wanted = views.images_BCYX.float() / 255, views.seen_BCYX.float() / 255, views.wanted_B1YX.float()
    last, places = torch.zeros_like(wanted), [one.copy() for one in views.clicks]
    network.eval()
    for number in range(rounds):
        with torch.no_grad():
            last = torch.sigmoid(network(images, last, torch.tensor(np.stack(places))))
        for index in range(len(places)):
            truth, said = wanted[index, 0].numpy() > 0.5, last[index, 0].numpy()
            maps = [truth & (said < simulation.threshold), ~truth & (said > simulation.threshold)]
            far = [cv2.distanceTransform(np.pad(one, 1).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)[1:-1, 1:-1] for one in maps]
            kind = 0 if far[0].max() > far[1].max() else 1
            inner = np.argwhere(far[kind] > simulation.depth * far[kind].max() + 1e-4)
            if len(inner):
                places[index][kind, simulation.most - 1 - number] = inner[int(random.choice(len(inner)))]
    network.train()
    torch.manual_seed(1)  # of what is left out
    logits = network(seen, last, torch.tensor(np.stack(places)))
    yuv = torch.tensor([[0.299, 0.587, 0.114], [-0.147, -0.289, 0.436], [0.615, -0.515, -0.100]])
    colours = torch.einsum("kc,bcyx->bkyx", yuv, 255 * images)
    smooth, far_off = [], method.smoothness.distance
    rows, columns = images.shape[2:]
    grid = torch.stack(torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")).float()
    for down in (-far_off, 0, far_off):
        for across in (-far_off, 0, far_off):
            if down or across:
                y, x = (torch.arange(rows) + down).clamp(0, rows - 1), (torch.arange(columns) + across).clamp(0, columns - 1)

                def there(one: torch.Tensor, y: torch.Tensor = y, x: torch.Tensor = x) -> torch.Tensor:
                    return one[..., y, :][..., x]

                difference = (colours - there(colours)) ** 2
                exponent = ((grid - there(grid)) ** 2).sum(0) / method.smoothness.place / 2
                exponent = exponent + difference[:, 0] / method.smoothness.brightness / 2
                exponent = exponent + difference[:, 1:].sum(1) / method.smoothness.hue / 2
                smooth.append((torch.exp(-exponent) * (logits - there(logits))[:, 0] ** 2).mean())
    entropy = functional.binary_cross_entropy(logits.sigmoid(), wanted)
    return float(entropy.detach()), float(method.smoothness.weight * torch.stack(smooth).mean().detach())


def test_the_whole_loss_is_the_same_written_down_plainly(mis: Mis, monkeypatch: pytest.MonkeyPatch) -> None:
    simulation = dataclasses.replace(mis.simulation, most=6, another=0.6, rounds=4, threshold=0.52, depth=0.3)
    smoothness = dataclasses.replace(mis.smoothness, weight=3, distance=3, place=20, brightness=300, hue=150)
    method = dataclasses.replace(mis, simulation=simulation, smoothness=smoothness, dropout=0.0)
    learner = method.learner(0, given=Inherited())
    assert isinstance(learner, MisLearner)
    learner.train()
    views, found = batch(method, 3), []
    for seed in range(6):
        torch.manual_seed(seed)
        terms = learner(views, 0.0)
        found.append((float(terms["regions"].detach()), float(terms["smoothness"].detach())))
        assert found[-1] == pytest.approx(learn_plainly(learner, views, seed), rel=1e-4)
    assert len({round(one, 6) for one, _ in found}) > 2, "with other clicks"


def test_the_same_view_is_drawn_from_the_same_state(mis: Mis) -> None:
    one, other = (mis.view(sample(), np.random.default_rng(7)) for _ in range(2))
    assert np.array_equal(one.image, other.image) and np.array_equal(one.clicks, other.clicks) and np.array_equal(one.seen, other.seen)
