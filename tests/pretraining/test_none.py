"""No pretraining."""

from __future__ import annotations

from pathlib import Path
from typing import NoReturn

from seedbed import pretraining
from seedbed.learning.loop import learn
from seedbed.networks.start import Given
from seedbed.pretraining.none import Nothing
from seedbed.run.machine import Machine


class Unread(list[NoReturn]):
    """Images of which none may be read."""

    def __getitem__(self, index: object) -> NoReturn:
        raise AssertionError("it reads an image")


def test_nothing_is_learned_and_that_is_an_artifact_too(tmp_path: Path) -> None:
    method: pretraining.Method = Nothing()
    columns = learn(method, "pretraining", 0, Unread(), Given(), machine=Machine("cpu"), checkpoint=tmp_path / "one", seconds=0)
    assert columns["log"].shape == (0, 0) and columns["figures"] == [] and list(columns["weights"]) == []
    assert not list(tmp_path.iterdir())
