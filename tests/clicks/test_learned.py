"""A network that answers clicks."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

from seedbed.algorithms.clicks import Click
from seedbed.clicks import Seen
from seedbed.clicks.learned import Learned
from seedbed.merge_trees import Trees
from seedbed.networks.zooming import Box, Zoom
from tests.support.toys import Nearby


def ask_plainly(network: Any, image: Any, zoom: Zoom, given: list[Click], start: np.ndarray) -> list[np.ndarray]:
    """Probabilities after each click, from the published protocol: inclusive boxes, one list of clicks after another."""
    height, width = image.shape[:2]
    last, found = start.astype(np.float32), []
    box: Any = None
    for count in range(1, len(given) + 1):
        clicks = given[:count]
        seen = last > zoom.threshold
        if seen.sum():
            for one in clicks:
                if one.wanted:
                    seen[one.row, one.column] = True
            rows, columns = np.where(seen.any(axis=1))[0], np.where(seen.any(axis=0))[0]
            now = []
            for first, end, length in ((rows[0], rows[-1], height), (columns[0], columns[-1], width)):
                middle, reach = 0.5 * (first + end), max(zoom.widened * (end - first + 1), zoom.smallest)
                now += [max(0, round(middle - 0.5 * reach)), min(length - 1, round(middle + 0.5 * reach))]
        else:
            now = [0, height - 1, 0, width - 1]
        moves = box is None or any(one.wanted and not (box[0] <= one.row < box[1] and box[2] <= one.column < box[3]) for one in clicks)
        if not moves:
            shares = []
            for a, b, c, d in ((*now[:2], *box[:2]), (*now[2:], *box[2:])):
                shares.append(max(0, min(b, d) - max(a, c) + 1) / (max(b, d) - min(a, c) + 1))
            moves = shares[0] * shares[1] < zoom.kept
        box = now if moves else box
        top, bottom, left, right = box
        both = np.concatenate([image.astype(np.float32) / 255, last[..., None]], axis=2)[top : bottom + 1, left : right + 1]
        shown = functional.interpolate(
            torch.from_numpy(both).permute(2, 0, 1)[None], size=(zoom.side,) * 2, mode="bilinear", align_corners=True
        )
        ones: list[list[list[float]]] = [[], []]
        for one in clicks:
            place = [zoom.side * (one.row - top) / (bottom - top + 1), zoom.side * (one.column - left) / (right - left + 1)]
            ones[0 if one.wanted else 1].append(place)
        most = max(map(len, ones))
        placed = torch.tensor([[each + [[-1.0, -1.0]] * (most - len(each)) for each in ones]])
        logits = network(shown[:, :3], shown[:, 3:], placed)
        if zoom.mirrored:
            mirrored = placed.clone()
            mirrored[..., 1] = torch.where(placed[..., 0] >= 0, zoom.side - placed[..., 1] - 1, -1)
            logits = 0.5 * (logits + network(shown[:, :3].flip(3), shown[:, 3:].flip(3), mirrored).flip(3))
        inside = functional.interpolate(logits.sigmoid(), size=(bottom - top + 1, right - left + 1), mode="bilinear", align_corners=True)
        last = np.zeros((height, width), np.float32)
        last[top : bottom + 1, left : right + 1] = inside[0, 0].numpy()
        found.append(last)
    return found


@pytest.mark.parametrize("corrects", [True, False])
@pytest.mark.parametrize("mirrored", [True, False])
def test_the_whole_answer_is_the_same_written_down_plainly(mirrored: bool, corrects: bool) -> None:
    random, boxes = np.random.default_rng(0), set[Box]()
    zoom = Zoom(side=16, widened=1.3, smallest=9, kept=0.6, threshold=0.45, mirrored=mirrored)
    for size in ((40, 60), (33, 21)):
        image = random.integers(0, 256, (*size, 3), dtype=np.uint8) // 3
        given = [Click(int(random.integers(size[0])), int(random.integers(size[1])), number in (0, 2, 3)) for number in range(6)]
        network: Any = Nearby()
        start = np.zeros(size, np.bool_)
        start[4:11, 3:15] = corrects
        regions = Trees(None).of("", (image.shape[0], image.shape[1]))
        answer: Any = Learned(zoom=zoom).begin(Seen(image, regions, network), start)
        for count, expected in enumerate(ask_plainly(network, image, zoom, given, start), start=1):
            assert np.array_equal(answer(given[:count]), expected > 0.45)
            assert answer.probabilities is not None and np.allclose(answer.probabilities, expected, atol=1e-5)
            assert answer.box is not None
            boxes.add(answer.box)
    assert len(boxes) > 4


def test_a_mask_that_clicks_correct_is_shown_as_the_last_answer_and_what_is_around_it() -> None:
    size, shown = (40, 60), list[torch.Tensor]()
    start = np.zeros(size, np.bool_)
    start[10:16, 20:28] = True

    def network(images: torch.Tensor, answers: torch.Tensor, clicks: torch.Tensor) -> torch.Tensor:
        shown.append(answers)
        answer: torch.Tensor = Nearby()(images, answers, clicks)
        return answer

    zoom = Zoom(side=24, widened=1.5, smallest=6, kept=0.5, threshold=0.5, mirrored=False)
    seen = Seen(np.zeros((*size, 3), np.uint8), Trees(None).of("", size), network)
    given = [Click(12, 22, False)]
    answer: Any = Learned(zoom=zoom).begin(seen, start)
    answer(given)
    assert answer.box == Box(10, 15, 20, 27).widen(1.5, 6, size) and start.sum() == 48
    box = answer.box
    expected = torch.from_numpy(start.astype(np.float32))[None, None, box.top : box.bottom + 1, box.left : box.right + 1]
    assert torch.allclose(shown[0], functional.interpolate(expected, size=(24, 24), mode="bilinear", align_corners=True))
    nothing: Any = Learned(zoom=zoom).begin(seen, np.zeros(size, np.bool_))
    nothing(given)
    assert nothing.box == (0, 39, 0, 59) and not shown[1].any()
