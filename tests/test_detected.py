"""Maps of a detector, in files that are called like their images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from seedbed.detected import DetectedMaps
from seedbed.errors import DataError
from seedbed.store.artifact import Artifact
from tests.support.publishing import published

SIZE, SHRUNK = (6, 8), (3, 4)
RAMP = np.arange(48, dtype=np.uint8).reshape(SIZE) * 5


@pytest.fixture
def data(tmp_path: Path) -> Artifact:
    """Two images, of which the second is shrunk."""
    row: dict[str, Any] = {"original_size": SIZE, "file": "a.png", "image_digest": "", "labels": [True], "labelled": True, "splits": [True]}
    rows = [{**row, "ids": "a", "size": SIZE}, {**row, "ids": "sub/b", "size": SHRUNK}]
    rows = [{**one, "problem": "", "mask_problem": ""} for one in rows]
    whole = {"split_names": ["train"], "class_names": ["background"], "max_size": SIZE, "mask_meaning": [0] * 256}
    return published("dataset", tmp_path, rows, whole=whole, extents={"class": 1, "split": 1, "value": 256})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A map of each image."""
    made = tmp_path / "maps"
    (made / "sub").mkdir(parents=True)
    cv2.imwrite(str(made / "a.png"), RAMP)
    save(made / "sub" / "b.npy", RAMP / np.float32(255))
    return made


def save(file: Path, values: np.ndarray[Any, Any]) -> None:
    """Write an npy file."""
    with file.open("wb") as out:
        np.lib.format.write_array(out, values)


def refusal(folder: Path, data: Artifact) -> str:
    """What is said of maps that are refused."""
    with pytest.raises(DataError) as caught:
        DetectedMaps.of(folder, data, data.ids).check(data.ids)
    return str(caught.value)


def test_maps_are_found_by_the_image_s_id_and_shrunk_as_the_image_is(folder: Path, data: Artifact) -> None:
    maps = DetectedMaps.of(folder, data, data.ids)
    assert np.allclose(maps["a"], RAMP / 255, atol=1e-6) and maps["a"].dtype == np.float32
    halves = (RAMP / 255).reshape(3, 2, 4, 2).mean(axis=(1, 3))
    assert np.allclose(maps["sub/b"], halves, atol=1e-6) and maps["sub/b"].dtype == np.float32


@pytest.mark.parametrize("values", [RAMP.astype(np.float64) / 255, RAMP.astype(np.float16) / 255, RAMP.astype(np.uint16) * 257, RAMP])
def test_numbers_of_every_kind_are_read(folder: Path, data: Artifact, values: np.ndarray[Any, Any]) -> None:
    (folder / "a.png").unlink()
    save(folder / "a.npy", values)
    assert np.allclose(DetectedMaps.of(folder, data, data.ids)["a"], RAMP / 255, atol=1e-3)


def test_masks_and_sixteen_bits_are_read(folder: Path, data: Artifact) -> None:
    (folder / "a.png").unlink()
    save(folder / "a.npy", RAMP > 99)
    assert np.array_equal(DetectedMaps.of(folder, data, data.ids)["a"], RAMP > 99)
    (folder / "a.npy").unlink()
    cv2.imwrite(str(folder / "a.png"), RAMP.astype(np.uint16) * 257)
    assert np.allclose(DetectedMaps.of(folder, data, data.ids)["a"], RAMP / 255, atol=1e-6)


def test_all_that_cannot_be_used_is_named(folder: Path, data: Artifact) -> None:
    (folder / "a.png").write_bytes(b"")
    (folder / "sub" / "b.npy").unlink()
    assert refusal(folder, data) == (
        f"{folder}: found 2 maps that cannot be used: a.png: an empty file; sub/b: no map; expected for each image one of its size, "
        "called ID.png (grey) or ID.npy (from 0 to 1); add or replace them"
    )


@pytest.mark.parametrize(
    ("values", "told"),
    [
        (RAMP[:5], "a.npy: 5 x 8 pixels, unlike the image's 6 x 8"),
        (RAMP[..., None].repeat(3, axis=2), "a.npy: 6 x 8 x 3 pixels, unlike the image's 6 x 8"),
        (RAMP / 254.0 * 1.2, "a.npy: values of float64 that are not all from 0 to 1"),
        (RAMP / -255.0, "a.npy: values of float64 that are not all from 0 to 1"),
        (np.full(SIZE, np.nan), "a.npy: values of float64 that are not all from 0 to 1"),
        (RAMP.astype(np.int64), "a.npy: values of int64 that are not all from 0 to 1"),
        (np.full(SIZE, "a"), "a.npy: values of <U1 that are not all from 0 to 1"),
        (np.full(SIZE, None, object), "a.npy: an npy file that cannot be read: Object arrays cannot be loaded when allow_pickle=False"),
    ],
)
def test_arrays_that_are_no_maps_are_refused(folder: Path, data: Artifact, values: np.ndarray[Any, Any], told: str) -> None:
    (folder / "a.png").unlink()
    save(folder / "a.npy", values)
    assert f"found 1 maps that cannot be used: {told}; expected" in refusal(folder, data)


def test_pictures_that_are_no_maps_are_refused(folder: Path, data: Artifact) -> None:
    cv2.imwrite(str(folder / "a.png"), RAMP[..., None].repeat(3, axis=2))
    assert "a.png: pixels of the kind RGB; expected" in refusal(folder, data)
    cv2.imwrite(str(folder / "a.png"), RAMP)
    content = (folder / "a.png").read_bytes()
    (folder / "a.png").write_bytes(content[:-20])
    assert "a.png: a PNG file that is cut short; expected" in refusal(folder, data)
    (folder / "a.png").write_bytes(b"something else")
    assert "a.png: no PNG file; expected" in refusal(folder, data)
    (folder / "a.png").write_bytes(content)
    save(folder / "a.npy", RAMP)
    assert "a: a.png and a.npy; expected" in refusal(folder, data)
    (folder / "a.npy").write_bytes(b"something else")
    (folder / "a.png").unlink()
    assert "a.npy: an npy file that cannot be read: " in refusal(folder, data)


def test_only_the_maps_that_are_asked_for_are_looked_at(folder: Path, data: Artifact) -> None:
    (folder / "a.png").write_bytes(b"something else")
    maps = DetectedMaps.of(folder, data, data.ids)
    maps.check(["sub/b"])
    with pytest.raises(DataError, match=r"a\.png: found no PNG file"):
        maps["a"]
    part = maps.only(["sub/b"])
    assert list(part.digests) == ["sub/b"] and np.array_equal(part["sub/b"], maps["sub/b"])


def test_a_map_is_known_by_its_content_and_by_the_size_that_it_gets(folder: Path, data: Artifact) -> None:
    maps = DetectedMaps.of(folder, data, data.ids)
    before = maps.key("a")
    assert before == DetectedMaps.of(folder, data, data.ids).key("a") != maps.key("sub/b") and maps.key("sub/b").endswith("3 x 4")
    cv2.imwrite(str(folder / "a.png"), 255 - RAMP)
    assert DetectedMaps.of(folder, data, data.ids).key("a") != before
    with pytest.raises(
        DataError, match=r"a\.png: found a file that is changing; expected a file that stays as it is; run `dvc repro` again"
    ):
        maps["a"]
