"""Growing: equal to the paper's sentence, superpixel by superpixel; the balanced loss by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from seedbed.algorithms.label_growing import balanced_loss, grow

CLASSES = 4  # with background


def transcribed(seeds: Tensor, regions: Tensor, answers: Tensor, present: Tensor, foreground: float, background: float) -> Tensor:
    """As the paper says it, one superpixel after another."""
    labels = seeds.clone()
    for image in range(len(seeds)):
        for region in range(int(regions[image].max()) + 1):
            free = (regions[image] == region) & (seeds[image] == 255)
            if free.any():
                means = answers[image][:, free].mean(dim=1)
                means[~present[image]] = -1
                best = int(means.argmax())
                if means[best] > (background if best == 0 else foreground):
                    labels[image][free] = best
    return labels


def drawn(seed: int, *, batch_size: int = 2, sure: float = 3.0) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Seeds, superpixels with padding, answers, and classes that are there."""
    random = np.random.default_rng(seed)
    size = (batch_size, 6, 9)
    seeds = torch.from_numpy(np.where(random.random(size) < 0.3, random.integers(0, CLASSES, size), 255))
    regions = torch.from_numpy(random.integers(-1, 5, size))
    seeds[regions < 0] = 255
    patches = random.normal(size=(batch_size, 6, CLASSES)) * sure  # superpixels differ, so that some are sure
    logits = torch.from_numpy(patches)[torch.arange(batch_size)[:, None, None], regions.clamp(min=0)].movedim(-1, 1)
    present = torch.from_numpy(random.random((batch_size, CLASSES)) < 0.6)
    present[:, 0] = True
    return seeds, regions, (logits + torch.from_numpy(random.normal(size=logits.shape))).softmax(dim=1), present


@given(st.integers(0, 10_000), st.sampled_from([0.0, 0.3, 0.7, 1.0]), st.sampled_from([0.2, 0.6, 0.9]))
def test_growing_is_what_the_paper_says(seed: int, foreground: float, background: float) -> None:
    seeds, regions, answers, present = drawn(seed)
    found = grow(seeds, regions, answers, present_BK=present, foreground=foreground, background=background)
    assert torch.equal(found, transcribed(seeds, regions, answers, present, foreground, background))


def test_a_superpixel_that_is_just_as_sure_as_it_must_be_does_not_grow() -> None:
    seeds, regions = torch.full((1, 2, 3), 255), torch.zeros(1, 2, 3, dtype=torch.int64)
    answers = torch.tensor([0.25, 0.75])[None, :, None, None].expand(1, 2, 2, 3)
    for foreground, label in ((0.75, 255), (0.74, 1)):
        found = grow(seeds, regions, answers, present_BK=torch.ones(1, 2, dtype=torch.bool), foreground=foreground, background=0.5)
        assert (found == label).all()


def test_what_is_random_really_grows() -> None:
    seeds, regions, answers, present = drawn(0)
    found = grow(seeds, regions, answers, present_BK=present, foreground=0.5, background=0.5)
    assert ((found != 255) & (seeds == 255)).any() and ((found == 255) & (regions >= 0)).any()


def test_a_sure_network_labels_every_superpixel() -> None:
    seeds, regions, _, _ = drawn(1)
    wanted = (regions.clamp(min=0) + torch.arange(2)[:, None, None]) % CLASSES
    answers = torch.nn.functional.one_hot(wanted, CLASSES).movedim(-1, 1).double()
    everything = torch.ones(2, CLASSES, dtype=torch.bool)
    found = grow(seeds, regions, answers, present_BK=everything, foreground=0.99, background=0.99)
    assert torch.equal(found, torch.where(seeds != 255, seeds, torch.where(regions >= 0, wanted, 255)))


def test_a_network_that_knows_nothing_grows_nothing() -> None:
    seeds, regions, answers, present = drawn(2)
    even = torch.full_like(answers, 1 / CLASSES)
    assert torch.equal(grow(seeds, regions, even, present_BK=present, foreground=0.3, background=0.3), seeds)


@pytest.mark.parametrize("seed", range(5))
def test_seeds_stay_classes_stay_out_and_padding_stays_open(seed: int) -> None:
    seeds, regions, answers, present = drawn(seed)
    found = grow(seeds, regions, answers, present_BK=present, foreground=0.0, background=0.0)
    assert torch.equal(found[seeds != 255], seeds[seeds != 255])
    new = (seeds == 255) & (found != 255)
    assert present[torch.arange(2)[:, None, None].expand_as(found)[new], found[new]].all()
    assert (found[regions < 0] == 255).all()
    assert (found[regions >= 0] != 255).all()  # at a threshold of 0 everything grows


def test_no_seed_no_region_one_image() -> None:
    seeds, regions, answers, present = drawn(3, batch_size=1)
    nothing = torch.full_like(seeds, 255)
    found = grow(nothing, regions, answers, present_BK=present, foreground=0.5, background=0.5)
    assert torch.equal(found, transcribed(nothing, regions, answers, present, 0.5, 0.5))
    padding = torch.full_like(regions, -1)
    assert torch.equal(grow(nothing, padding, answers, present_BK=present, foreground=0.0, background=0.0), nothing)


def test_an_image_that_is_one_superpixel_grows_too() -> None:
    seeds, regions = torch.full((1, 2, 3), 255), torch.zeros((1, 2, 3), dtype=torch.int64)
    answers = torch.tensor([0.1, 0.9]).view(1, 2, 1, 1).expand(1, 2, 2, 3)
    found = grow(seeds, regions, answers, present_BK=torch.ones(1, 2, dtype=torch.bool), foreground=0.5, background=0.5)
    assert (found == 1).all()


# --- The loss ---


def test_the_loss_by_hand() -> None:
    probabilities = torch.tensor([[[[0.5, 0.25], [0.8, 0.1]], [[0.5, 0.75], [0.2, 0.9]]]])
    labels = torch.tensor([[[0, 1], [0, 255]]])
    expected = -(np.log(0.5) + np.log(0.8)) / 2 - np.log(0.75)
    assert balanced_loss(probabilities.log(), labels).item() == pytest.approx(expected, rel=1e-6)


def test_it_does_not_matter_how_much_background_there_is() -> None:
    logs = torch.randn(1, CLASSES, 3, 4).log_softmax(dim=1)
    labels = torch.tensor([[[0, 1, 255, 2], [0, 0, 3, 255], [255, 0, 0, 1]]])
    twice = torch.cat([logs, logs], dim=2), torch.cat([labels, torch.where(labels == 0, 0, 255)], dim=1)
    assert balanced_loss(*twice).item() == pytest.approx(balanced_loss(logs, labels).item(), rel=1e-5)


def test_each_image_counts_alike_and_one_without_labels_is_0() -> None:
    logs = torch.randn(3, CLASSES, 3, 4).log_softmax(dim=1)
    labels = torch.randint(0, CLASSES, (3, 3, 4))
    labels[1] = 255
    labels[2, 1:] = 255
    alone = [balanced_loss(logs[[one]], labels[[one]]).item() for one in range(3)]
    assert alone[1] == 0
    assert balanced_loss(logs, labels).item() == pytest.approx(sum(alone) / 3, rel=1e-5)


def test_who_is_right_and_sure_loses_nothing() -> None:
    labels = torch.tensor([[[0, 1], [2, 255]]])
    logits = 50.0 * torch.nn.functional.one_hot(torch.where(labels == 255, 3, labels), CLASSES).movedim(-1, 1).float()
    assert balanced_loss(logits.log_softmax(dim=1), labels).item() == pytest.approx(0, abs=1e-6)


def test_gradients_are_those_of_finite_differences() -> None:
    labels = torch.tensor([[[0, 1], [2, 255]], [[255, 255], [0, 0]]])
    logits = torch.randn(2, CLASSES, 2, 2, dtype=torch.double, requires_grad=True)
    assert torch.autograd.gradcheck(lambda one: balanced_loss(one.log_softmax(dim=1), labels), logits)
