"""How long stages take here, by what their runs have noted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from seedbed.store.store import Store
from seedbed.tools.speeds import count_images, estimate_seconds
from tests.stages.surviving import new_album, photos, show


def test_the_last_run_tells_how_long_images_of_now_take(tmp_path: Path, original: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    project = new_album(tmp_path / "project", original, photos(*range(4)))
    monkeypatch.chdir(project.root)
    assert count_images("features") is None and estimate_seconds("features", 4) is None
    project.run("dataset", "pretraining", "features")
    assert count_images("features") == 4 and count_images("classifier") is None
    show(project, photos(*range(6)))
    project.run("dataset")
    assert count_images("features") == 6  # though its artifact has four
    store, last = Store("features"), {"computed": 3, "seconds": 2.0, "workers": 1}
    store.remember([], [], last | {"seconds": 600.0})
    store.remember([], [], last)
    assert estimate_seconds("features", 6) == 4.0
    assert estimate_seconds("features", None) == 2.0  # of a training, whose images do not count
