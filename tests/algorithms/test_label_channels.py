"""Labels that share a channel: which may, and how they are told apart afterwards."""

from __future__ import annotations

import numpy as np
import pytest

from seedbed.algorithms.label_channels import Channels, _colour

RANDOM = np.random.default_rng(5)
STRIPES = np.repeat(np.arange(10, dtype=np.int32), 40)[None].repeat(16, 0)  # ten labels from left to right, each 40 pixels wide


def test_stripes_share_with_those_beyond_their_reach() -> None:
    near = Channels.share(STRIPES, count=10, reach=40)
    assert near.count == 2 and near.of_pixels[0, ::40].tolist() in ([0, 1] * 5, [1, 0] * 5)
    assert Channels.share(STRIPES, count=10, reach=80).count == 3


def test_height_and_width_are_not_exchanged() -> None:
    upright = Channels.share(np.ascontiguousarray(STRIPES.T), count=10, reach=80)
    assert upright.count == 3 and upright.of_pixels.shape == (400, 16)


def test_what_lies_beyond_a_corner_is_farther_than_its_row_and_column() -> None:
    labels = np.ones((60, 60), np.int32)
    labels[:10, :10], labels[40:50, 40:50] = 0, 2  # 30 pixels between them each way, and 42 across
    assert Channels.share(labels, count=3, reach=40).count == 2
    assert Channels.share(labels, count=3, reach=44).count == 3


@pytest.mark.parametrize("share", [0.0, 0.1, 0.3, 0.6])
def test_colours_are_brelaz_s(share: float) -> None:
    for _ in range(10):
        upper = np.triu(RANDOM.random((23, 23)) < share, 1)
        neighbours = upper | upper.T
        beside = [set(np.flatnonzero(row).tolist()) for row in neighbours]
        colours: dict[int, int] = {}
        while len(colours) < 23:
            taken = {node: {colours[other] for other in beside[node] if other in colours} for node in range(23) if node not in colours}
            node = max(taken, key=lambda one: (len(taken[one]), len(beside[one]), -one))
            colours[node] = next(colour for colour in range(23) if colour not in taken[node])
        assert _colour(neighbours).tolist() == [colours[node] for node in range(23)]
    assert _colour(neighbours | np.eye(23, dtype=bool)).tolist() == [colours[node] for node in range(23)], (
        "a node is no neighbour of its own"
    )


@pytest.mark.parametrize("reach", [0.03, 5, 30, 1e6])
@pytest.mark.parametrize("size", [(1, 1), (3, 50), (37, 90)])
def test_labels_nearer_than_the_reach_never_share(reach: float, size: tuple[int, int]) -> None:
    labels = (
        RANDOM.integers(0, 12, (size[0] // 10 + 1, size[1] // 10 + 1)).astype(np.int32).repeat(10, 0).repeat(10, 1)[: size[0], : size[1]]
    )
    channels = Channels.share(labels, count=12, reach=reach)
    places = np.argwhere(np.ones(size))
    for place in places[RANDOM.choice(len(places), min(len(places), 60), replace=False)]:
        near = np.hypot(*(places - place).T).reshape(size) < reach
        rival = near & (channels.of_pixels == channels.of_pixels[tuple(place)]) & (labels != labels[tuple(place)])
        assert not rival.any()


def test_labels_that_all_see_each_other_have_a_channel_each() -> None:
    channels = Channels.share(STRIPES, count=10, reach=1000)
    assert channels.count == 10 and len(np.unique(channels.of_pixels)) == 10


def test_labels_without_pixels_take_no_channel() -> None:
    channels = Channels.share(np.array([[5, 5, 2]], np.int32), count=9, reach=50)
    assert channels.count == 2 and len(np.unique(channels.of_pixels)) == 2


def test_a_pixel_that_moves_gets_the_nearest_label_of_its_channel() -> None:
    channels = Channels.share(STRIPES, count=10, reach=40)
    moved = channels.of_pixels.copy()
    moved[:, 75:80] = channels.of_pixels[0, 80]  # of label 1, next to label 2
    moved[:, 40:45] = channels.of_pixels[0, 0]  # of label 1, next to label 0, which shares a channel with 2
    expected = STRIPES.copy()
    moved[:, 80:85] = channels.of_pixels[0, 40]  # of label 2, next to label 1
    expected[:, 75:80], expected[:, 40:45], expected[:, 80:85] = 2, 0, 1
    assert np.array_equal(channels.restore(moved), expected)
    assert np.array_equal(channels.restore(channels.of_pixels), STRIPES) and channels.restore(moved).dtype == np.int32
