"""Progress where there is no terminal: few lines, and none of them after an error."""

from __future__ import annotations

import re
import time

import pytest

from seedbed.run import progress
from seedbed.run.progress import Progress


def test_the_end_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with Progress("features", total=3, unit="images") as bar:
        for _ in range(3):
            bar.advance()
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1 and captured.err.startswith("features: 3 images in ")


def test_an_error_is_left_to_whoever_reports_it(capsys: pytest.CaptureFixture[str]) -> None:
    def fail() -> None:
        with Progress("features", total=3, unit="images") as bar:
            bar.advance()
            raise RuntimeError("half way")

    with pytest.raises(RuntimeError, match="half way"):
        fail()
    assert capsys.readouterr().err == ""


def test_now_and_then_a_line_says_how_far_it_is(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_LINES", -1.0)
    with Progress("classifier", total=2, unit="steps") as bar:
        bar.advance(loss=0.5)
    said = capsys.readouterr().err.splitlines()[0]
    assert re.fullmatch(r"classifier: 1/2 steps, \d+\.\d/s, \d+ s left loss 0\.500", said)


def test_what_was_there_before_counts_as_done_but_not_for_the_speed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    with Progress("features", total=1000, unit="images", done=900) as bar:
        now = 120.0
        bar.advance(10)
        now = 121.0
        bar.advance(11)
    assert capsys.readouterr().err == "features: 910/1000 images, 0.5/s, 180 s left\nfeatures: 921 images in 21.0 s\n"


def test_the_last_line_ends_with_a_summary(capsys: pytest.CaptureFixture[str]) -> None:
    with Progress("features", total=3, unit="images", done=2) as bar:
        bar.advance()
        bar.summary = "(1 computed, 2 reused, 0 removed)"
    assert capsys.readouterr().err.endswith(" s (1 computed, 2 reused, 0 removed)\n")


def test_nothing_to_do_is_said_too(capsys: pytest.CaptureFixture[str]) -> None:
    with Progress("features", total=3, unit="images", done=3):
        pass
    assert capsys.readouterr().err.startswith("features: 3 images in ")


def test_what_is_left_is_told_once_it_can_be(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    told = []
    with Progress("classifier", total=10, unit="steps", done=2, quiet=True) as bar:
        for _ in range(4):
            now[0] += 2
            bar.advance()
            told.append(bar.left())
    assert told == [None, None, 10, 8]
    with Progress("classifier", total=10, unit="steps", quiet=True) as bar:
        now[0] += 100
        bar.advance()
        assert bar.left() is None  # the first is often slower than all others
