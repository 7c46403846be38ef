"""Pictures of an evaluation: what they show, and in which order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from seedbed.images import Images
from seedbed.report import drawing, export
from seedbed.report import overview as report
from seedbed.scoring.judgement import Judged, Scores
from seedbed.types import Image, LabelMap

TRUTH = np.array([[0, 0, 1], [0, 1, 1]], np.uint8)
LABELS = {"good": TRUTH, "bad": np.zeros((2, 3), np.uint8), "worse": 1 - TRUTH}
MIOUS = {"good": 1.0, "bad": 0.25, "worse": 0.0}


@dataclass(frozen=True)
class Known:
    """A verdict that is known without judging."""

    def worst(self, kind: str) -> list[tuple[str, float]]:
        return sorted(MIOUS.items(), key=lambda one: one[1])

    def miou(self, image: str, kind: str) -> float:
        return MIOUS[image]


class Pictures(dict[str, Image]):
    """Grey images of a data set with one class."""

    data = cast(Any, SimpleNamespace(num_classes=1, class_names=["background", "cat"]))


def test_a_gallery_of_errors_shows_the_worst_first_and_asks_for_each_once(monkeypatch: pytest.MonkeyPatch) -> None:
    sheets: list[tuple[Sequence[Mapping[str, Image]], Sequence[str]]] = []
    asked: list[str] = []

    def sheet(rows: Sequence[Mapping[str, Image]], *, captions: Sequence[str], legend: Any) -> Image:
        sheets.append((rows, captions))
        assert legend == {"background": (0, 0, 0), "cat": (230, 159, 0), **drawing.LEGEND}
        return np.zeros((4, 4, 3), np.uint8)

    def made(image: str, kind: str) -> dict[str, LabelMap]:
        asked.append(image)
        return {kind: LABELS[image]}

    monkeypatch.setattr(drawing, "arrange_sheet", sheet)
    monkeypatch.setattr(export, "write_picture", lambda picture, file: None)
    pictures = Pictures({image: np.full((2, 3, 3), 100, np.uint8) for image in LABELS})
    report.draw_errors(cast(Images, pictures), cast(Scores, Known()), "predictions", count=2, made=made, truth=lambda _: {"truth": TRUTH})
    [(rows, captions)] = sheets
    assert list(captions) == ["worse: mIoU predictions 0.000", "bad: mIoU predictions 0.250"]
    assert asked == ["worse", "bad"]
    for row, image in zip(rows, asked, strict=True):
        assert list(row) == ["image", "truth", "predictions", "errors of predictions"]
        assert np.array_equal(row["errors of predictions"], drawing.draw_errors(pictures[image], LABELS[image], TRUTH))


def test_sheets_have_a_legend_of_the_classes_that_they_show(monkeypatch: pytest.MonkeyPatch) -> None:
    legends: list[Mapping[str, Any]] = []

    def sheet(rows: Sequence[Mapping[str, Image]], *, legend: Mapping[str, Any]) -> Image:
        legends.append(legend)
        return np.zeros((4, 4, 3), np.uint8)

    monkeypatch.setattr(drawing, "arrange_sheet", sheet)
    monkeypatch.setattr(export, "write_picture", lambda picture, file: None)
    pictures = cast(Images, Pictures({"bad": np.full((2, 3, 3), 100, np.uint8)}))
    partial = np.array([[0, 255, 0], [0, 0, 0]], np.uint8)
    report.draw_predictions(pictures, ["bad"], made=lambda *_: {"predictions": partial}, truth=lambda _: {})
    report.draw_predictions(pictures, ["bad"], made=lambda *_: {"predictions": TRUTH}, truth=lambda _: {})
    report.draw_training_images(pictures, ["bad"], judged=Judged(None, {}, None, None, None, None), truth=lambda _: {"truth": TRUTH})
    cat = {"background": (0, 0, 0), "cat": (230, 159, 0)}
    assert legends == [{"background": (0, 0, 0), "no label": (128, 128, 128)}, cat, cat]
