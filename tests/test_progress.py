"""Progress where there is no terminal: few lines, and none of them after an error."""

from __future__ import annotations

import pytest

from seedbed import progress
from seedbed.progress import Progress


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
        bar.advance(note="loss 0.5")
    assert capsys.readouterr().err.splitlines()[0].startswith("classifier: 1/2 steps, ")
