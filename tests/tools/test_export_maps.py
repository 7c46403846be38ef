"""Arrays as .npy files."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from seedbed import cli
from seedbed.errors import SeedbedError
from seedbed.tools.export_maps import encode_array, export_maps
from seedbed.tools.export_source import Wanted
from tests.support.looking import IDS, PARTS_OF_CLASSES


def read(file: Path) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    stream = io.BytesIO(file.read_bytes())
    assert np.lib.format.read_magic(stream) == (1, 0)
    return np.asarray(np.lib.format.read_array(io.BytesIO(file.read_bytes())))


def test_class_maps_say_which_classes_they_are_of(run: str, tmp_path: Path) -> None:
    done = CliRunner().invoke(cli.app, ["export", "npy", str(tmp_path / "out"), "--from", "cams", "--run", run])
    assert done.stdout == f"{tmp_path}/out: 2 images\n", done.output
    maps = read(tmp_path / f"out/maps/{IDS[0]}.npy")
    assert maps.dtype == np.float32 and maps.shape == (2, 3, 4) and (maps[0] == 0.25).all() and (maps[1] == 0.75).all()
    assert read(tmp_path / f"out/maps/{IDS[1]}.npy").shape == (0, 3, 4)
    content = json.loads((tmp_path / "out/classes.json").read_text())
    assert content == {
        "artifact": "cams",
        "array": "maps",
        "axes": "class, y, x",
        "class_names": ["background", "cat", "猫"],
        "images": [{"id": IDS[0], "classes": [1, 2], "size": [12, 16]}, {"id": IDS[1], "classes": [], "size": [12, 16]}],
    }


def test_maps_at_the_size_of_the_file(run: str, tmp_path: Path) -> None:
    export_maps(Wanted("cams", run, split="train"), tmp_path / "out", full_size=True)
    maps = read(tmp_path / f"out/maps/{IDS[0]}.npy")
    assert maps.shape == (2, 12, 16) and (maps[1] == 0.75).all()


def test_probabilities_and_features(run: str, tmp_path: Path) -> None:
    export_maps(Wanted("predictions", run), tmp_path / "p", full_size=False)
    assert np.allclose(read(tmp_path / f"p/probabilities/{IDS[1]}.npy"), PARTS_OF_CLASSES / 255, atol=1e-6)
    assert json.loads((tmp_path / "p/classes.json").read_text())["images"][0]["classes"] == [0, 1, 2]
    export_maps(Wanted("features", run), tmp_path / "f", full_size=False)
    assert read(tmp_path / f"f/patches/{IDS[0]}.npy").shape == (3, 4, 5)
    assert json.loads((tmp_path / "f/classes.json").read_text())["axes"] == "patch_y, patch_x, channel"


def test_labels_are_no_maps(run: str, tmp_path: Path) -> None:
    with pytest.raises(SeedbedError) as raised:
        export_maps(Wanted("seeds", run), tmp_path / "out", full_size=False)
    expected = "expected an artifact with scores, probabilities, features; name another"
    assert str(raised.value).startswith(f"seeds: found nothing of that kind; {expected}")


def test_an_array_is_as_numpy_writes_it() -> None:
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    content = encode_array(array.T)
    assert content.startswith(b"\x93NUMPY") and np.array_equal(np.lib.format.read_array(io.BytesIO(content)), array.T)
