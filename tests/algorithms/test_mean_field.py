"""Inference as tensors: the same as pydensecrf's, whatever the constants, the number of labels, the size and the image."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
import torch

from seedbed.algorithms import mean_field
from seedbed.algorithms.crf import NUMBERS, PRESETS, DenseCrf
from seedbed.algorithms.permutohedral import Lattice
from seedbed.types import Image
from tests.algorithms.test_crf import field_of
from tests.support.devices import answer_on_cpu

RANDOM = np.random.default_rng(3)
ONES = np.ones(200, np.float32)


def make_image(kind: str, size: tuple[int, int]) -> Image:
    """An image of one colour, of noise, or smooth as a photograph."""
    if kind == "flat":
        return np.full((*size, 3), 117, np.uint8)
    coarse = size if kind == "noise" else (max(2, size[0] // 8), max(2, size[1] // 8))
    drawn = RANDOM.integers(0, 256, (*coarse, 3), np.uint8)
    return np.asarray(cv2.resize(drawn, (size[1], size[0]), interpolation=cv2.INTER_CUBIC), np.uint8).reshape(*size, 3)


def make_energy(labels: int, size: tuple[int, int]) -> npt.NDArray[np.float32]:
    return (3 * RANDOM.random((labels, *size))).astype(np.float32)


def run(field: DenseCrf, image: Image, energy: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    constants: dict[str, Any] = {name: getattr(field, name) for name in NUMBERS}
    made = mean_field.infer([image], [energy], [ONES[: len(energy)]], **constants, device="cpu")
    assert made is not None
    return made[0]


def run_pydensecrf(field: DenseCrf, image: Image, energy: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    return field._infer([image], [energy], "cpu", stand_for=[ONES[: len(energy)]])[0]


def own(*numbers: float) -> DenseCrf:
    constants: dict[str, Any] = dict(zip(NUMBERS, numbers, strict=True))
    return DenseCrf(preset="own", **constants)


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("kind", ["photo", "noise", "flat"])
def test_all_presets_give_what_pydensecrf_gives(preset: str, kind: str) -> None:
    image, energy, field = make_image(kind, (29, 52)), make_energy(5, (29, 52)), field_of(preset)
    made, expected = run(field, image, energy), run_pydensecrf(field, image, energy)
    assert np.allclose(made, expected, atol=2e-3) and np.median(abs(made - expected)) < 1e-5
    assert np.array_equal(made.argmax(axis=0), expected.argmax(axis=0))


@pytest.mark.parametrize("labels", [1, 2, 21, 200])
@pytest.mark.parametrize("size", [(1, 1), (1, 9), (7, 1), (13, 22)])
def test_any_number_of_labels_and_any_size(labels: int, size: tuple[int, int]) -> None:
    image, energy, field = make_image("photo", size), make_energy(labels, size), field_of("superpixels")
    made, expected = run(field, image, energy), run_pydensecrf(field, image, energy)
    assert made.shape == (labels, *size) and np.allclose(made, expected, atol=1e-4)
    assert np.array_equal(made.argmax(axis=0), expected.argmax(axis=0))


def test_no_rounds_leave_beliefs_as_they_are() -> None:
    energy = make_energy(3, (4, 6))
    made = run(own(2, 3, 20, 10, 4, 0), make_image("noise", (4, 6)), energy)
    assert np.allclose(made, np.exp(-energy) / np.exp(-energy).sum(axis=0), atol=1e-6)


def test_where_corners_cannot_be_numbered_pydensecrf_does_it(monkeypatch: pytest.MonkeyPatch) -> None:
    image, energy, field = make_image("noise", (9, 14)), make_energy(3, (9, 14)), own(2, 3, 0.01, 0.01, 4, 2)
    constants: dict[str, Any] = {name: getattr(field, name) for name in NUMBERS}
    assert mean_field.infer([image], [energy], [ONES[:3]], **constants, device="cpu") is None
    monkeypatch.setattr(mean_field, "infer", lambda *_, **__: None)
    [made] = field._infer([image], [energy], "cuda", stand_for=[ONES[:3]])
    assert np.array_equal(made, run_pydensecrf(field, image, energy))


def test_a_device_other_than_the_cpu_takes_tensors(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = answer_on_cpu(monkeypatch)
    field, image = field_of("irn"), make_image("photo", (12, 17))
    beliefs = np.exp(-make_energy(3, (12, 17)))
    there, here = (field.probabilities([image, image], [beliefs, 1 - beliefs], device=device) for device in ("cuda", "cpu"))
    assert np.allclose(there, here, atol=1e-4)
    labels = beliefs.argmax(axis=0).astype(np.int32)
    made = field.labels(image, labels, count=3, certainty=0.7, device="cuda")
    assert np.array_equal(made, field.labels(image, labels, count=3, certainty=0.7)) and asked == ["cuda", "cuda"]


def test_several_images_give_what_each_gives_alone() -> None:
    sizes, counts, field = [(13, 22), (1, 1), (29, 17)], [5, 2, 9], field_of("irn")
    images = [make_image(kind, size) for kind, size in zip(["photo", "flat", "noise"], sizes, strict=True)]
    energies = [make_energy(count, size) for count, size in zip(counts, sizes, strict=True)]
    shares = [np.linspace(0.1, 1, count, dtype=np.float32) for count in counts]
    constants: dict[str, Any] = {name: getattr(field, name) for name in NUMBERS}
    together = mean_field.infer(images, energies, shares, **constants, device="cpu")
    assert together is not None
    for image, energy, share, made in zip(images, energies, shares, together, strict=True):
        alone = mean_field.infer([image], [energy], [share], **constants, device="cpu")
        assert alone is not None and np.allclose(made, alone[0], atol=1e-5) and made.shape == energy.shape
        assert np.array_equal(made.argmax(axis=0), alone[0].argmax(axis=0))


def test_labels_that_share_rows_are_the_same_as_tensors(monkeypatch: pytest.MonkeyPatch) -> None:
    answer_on_cpu(monkeypatch)
    field, image = own(2, 3, 5, 40, 10, 5), make_image("photo", (9, 160))
    labels = np.repeat(np.arange(20, dtype=np.int32), 8)[None].repeat(9, 0)
    made = field.labels(image, labels, count=20, certainty=0.3, device="cuda")
    assert np.array_equal(made, field.labels(image, labels, count=20, certainty=0.3)) and not np.array_equal(made, labels)


# --- The lattice ---


def test_a_filter_is_close_to_a_gaussian() -> None:
    points = torch.from_numpy(RANDOM.uniform(0, 4, (60, 2))).float()
    lattice = Lattice.build(points, torch.zeros(60, dtype=torch.long))
    assert lattice is not None
    kernel = lattice.filter(torch.eye(60))
    true = torch.exp(-(torch.cdist(points, points) ** 2) / 2)
    true = true / torch.sqrt(true.sum(0) * true.sum(1)[:, None])
    assert float((kernel - true).abs().max()) < 0.05


@pytest.mark.parametrize(
    "places",
    [
        [[0.0, 0.0], [50.0, 0.0], [0.0, 50.0]],
        [[8.0, 0.0], [12.0, -8.0]],  # at opposite borders of the corners that there are
        [[-12.0, 12.0], [-8.0, 4.0]],
    ],
)
def test_points_far_apart_do_not_see_each_other(places: list[list[float]]) -> None:
    points = torch.tensor(places)
    lattice = Lattice.build(points, torch.zeros(len(points), dtype=torch.long))
    assert lattice is not None
    kernel, one = lattice.filter(torch.eye(len(points))), torch.eye(len(points))
    assert torch.equal(kernel * (1 - one), torch.zeros_like(one)) and bool((kernel.diagonal() > 0.5).all())


def test_points_of_different_groups_do_not_see_each_other() -> None:
    points, groups = torch.zeros(4, 2), torch.tensor([0, 1, 1, 2])
    lattice = Lattice.build(points, groups)
    assert lattice is not None
    assert torch.equal(lattice.filter(torch.eye(4)) > 0, groups[:, None] == groups)


@pytest.mark.parametrize("axes", [2, 3])
def test_every_group_is_filtered_as_if_it_were_alone(axes: int) -> None:
    random = np.random.default_rng(5)
    points, groups = torch.from_numpy(random.uniform(0, 12, (180, axes))).float(), torch.from_numpy(random.integers(0, 6, 180))
    lattice = Lattice.build(points, groups)
    assert lattice is not None
    kernel = lattice.filter(torch.eye(180))
    for group in range(6):
        members = groups == group
        alone = Lattice.build(points[members], torch.zeros(int(members.sum()), dtype=torch.long))
        assert alone is not None
        assert torch.allclose(kernel[members][:, members], alone.filter(torch.eye(int(members.sum()))), atol=1e-6)
        assert not kernel[members][:, ~members].any()


def test_corners_of_so_many_groups_that_they_cannot_be_numbered() -> None:
    points = torch.tensor([[0.0, 0.0, 0.0], [4e4, 4e4, -4e4]])
    assert Lattice.build(points, torch.tensor([0, 1])) is not None
    assert Lattice.build(points, torch.tensor([0, 2**14])) is None
