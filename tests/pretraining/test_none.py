"""No pretraining."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from seedbed import pretraining
from seedbed.learning.checkpoints import Checkpoints
from seedbed.learning.learner import collect_columns
from seedbed.pretraining.none import Nothing
from seedbed.run.machine import Machine


def test_nothing_is_learned_and_that_is_an_artifact_too(tmp_path: Path) -> None:
    method: pretraining.Method = Nothing()
    left = method.learn([np.zeros((4, 6, 3), np.uint8)], machine=Machine("cpu"), checkpoints=Checkpoints(tmp_path / "one", seconds=0))
    assert left is None
    empty = collect_columns(left)
    assert len(empty["log"]) == len(empty["figures"]) == len(list(empty["weights"])) == 0
    assert not list(tmp_path.iterdir())
