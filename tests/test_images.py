"""The one decoder: whatever an image is stored as, it comes out upright, in RGB and 8 bits, or not at all."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image as PillowImage

from seedbed import images
from seedbed.errors import DataError
from seedbed.images import Images, Inspected

RANDOM = np.random.default_rng(0)
COLOURS = RANDOM.integers(0, 256, (5, 7, 3), dtype=np.uint8)
GREY = RANDOM.integers(0, 256, (5, 7), dtype=np.uint8)


def encoded(pixels: npt.NDArray[Any] | PillowImage.Image, kind: str = "PNG", **options: Any) -> bytes:
    """An image file's content."""
    image = pixels if isinstance(pixels, PillowImage.Image) else PillowImage.fromarray(pixels)
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def turned(orientation: int) -> PillowImage.Exif:
    """EXIF data of a camera that was held another way."""
    exif = PillowImage.Exif()
    exif[0x0112] = orientation
    return exif


# --- Kinds of images ---


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF"])
def test_colours_come_as_red_green_blue(kind: str) -> None:
    decoded = images.decode(encoded(COLOURS, kind), where="a.png")
    assert decoded.dtype == np.uint8 and decoded.flags.c_contiguous
    assert np.array_equal(decoded, COLOURS)


def test_grey_becomes_three_equal_channels() -> None:
    assert np.array_equal(images.decode(encoded(GREY), where="a.png"), np.dstack([GREY] * 3))


def test_transparency_is_dropped() -> None:
    assert np.array_equal(images.decode(encoded(np.dstack([COLOURS, GREY])), where="a.png"), COLOURS)


def test_sixteen_bits_become_eight() -> None:
    assert np.array_equal(images.decode(encoded(GREY.astype(np.uint16) * 257), where="a.png"), np.dstack([GREY] * 3))


def test_a_palette_is_looked_up() -> None:
    image = PillowImage.frombytes("P", (7, 5), (GREY % 3).tobytes())
    image.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255])
    assert np.array_equal(images.decode(encoded(image), where="a.png"), 255 * np.eye(3, dtype=np.uint8)[GREY % 3])


@pytest.mark.parametrize(("orientation", "turn"), [(1, lambda upright: upright), (3, lambda upright: np.rot90(upright, 2)), (6, np.rot90)])
def test_a_photograph_is_turned_as_its_camera_was(orientation: int, turn: Callable[[npt.NDArray[Any]], npt.NDArray[Any]]) -> None:
    upright = np.zeros((16, 32, 3), np.uint8)
    upright[:8, :16] = (255, 0, 0)
    upright[8:, 16:] = (0, 0, 255)
    content = encoded(np.ascontiguousarray(turn(upright)), "JPEG", exif=turned(orientation), quality=95, subsampling=0)
    decoded = images.decode(content, where="a.jpg")
    assert decoded.shape == (16, 32, 3)
    assert np.abs(decoded.astype(int) - upright).mean() < 4


# --- What is no image ---


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP", "TIFF", "WEBP"])
@pytest.mark.parametrize("share", [0.5, 0.95])
def test_half_an_image_is_no_image(kind: str, share: float) -> None:
    content = encoded(RANDOM.integers(0, 256, (48, 64, 3), dtype=np.uint8), kind)
    content = content[: int(len(content) * share)]
    with pytest.raises(DataError) as raised:
        images.decode(content, where="images/a.file")
    message = str(raised.value)
    assert message.startswith(f"images/a.file: found {len(content)} bytes that are not an image; expected a whole image file; ")


@pytest.mark.parametrize("content", [b"", b"image,labels,split\n"])
def test_other_content_is_no_image(content: bytes) -> None:
    with pytest.raises(DataError, match=f"found {len(content)} bytes that are not an image"):
        images.decode(content, where="images/a.png")


def test_a_broken_image_costs_one_line_and_not_the_decoder_s_own_too(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(DataError):
        images.decode(encoded(COLOURS)[:-20], where="images/a.png")
    assert capfd.readouterr().err == ""


# --- Looking at a data set ---


def test_an_index_records_size_and_digest(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(encoded(COLOURS))
    found = images.inspect(tmp_path / "a.png", max_size=(5, 7))
    assert found == Inspected((5, 7), images.digest(encoded(COLOURS)), "")


@pytest.mark.parametrize("max_size", [(4, 7), (5, 6)])
def test_a_larger_image_is_a_problem(tmp_path: Path, max_size: tuple[int, int]) -> None:
    (tmp_path / "a.png").write_bytes(encoded(COLOURS))
    found = images.inspect(tmp_path / "a.png", max_size=max_size)
    assert found.problem == f"{tmp_path}/a.png: 5 x 7 pixels, larger than dataset.max_size {max_size[0]} x {max_size[1]}"


def test_all_problems_are_reported_together(tmp_path: Path) -> None:
    contents = {
        "good.png": encoded(COLOURS),
        "large.png": encoded(np.zeros((9, 3, 3), np.uint8)),
        "broken.png": b"",
        "half.jpg": b"\xff\xd8",
    }
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    found = [images.inspect(tmp_path / name, max_size=(8, 8)) for name in contents]
    with pytest.raises(DataError) as raised:
        images.refuse(found, where="data/raw")
    message = str(raised.value)
    assert message.startswith("data/raw: found 3 images that cannot be used: ")
    assert "good.png" not in message
    assert "large.png: 9 x 3 pixels, larger than dataset.max_size 8 x 8" in message
    assert "broken.png: 0 bytes that are not an image" in message
    assert "half.jpg: 2 bytes that are not an image" in message
    assert message.endswith("replace or remove them, or raise dataset.max_size in params.yaml")


def test_very_many_problems_are_counted() -> None:
    with pytest.raises(DataError) as raised:
        images.refuse([Inspected((0, 0), "", f"image {number}") for number in range(25)], where="data/raw")
    message = str(raised.value)
    assert "found 25 images" in message and "image 19; and 5 more" in message and "image 20" not in message


def test_a_data_set_without_problems_is_not_refused() -> None:
    images.refuse([Inspected((5, 7), "digest", "")], where="data/raw")


# --- Reading an indexed image ---


@pytest.fixture
def indexed(tmp_path: Path) -> Images:
    """Two images as they were indexed."""
    (tmp_path / "images").mkdir()
    contents = [encoded(COLOURS), encoded(GREY)]
    for name, content in zip("ab", contents, strict=True):
        (tmp_path / "images" / f"{name}.png").write_bytes(content)
    return Images(tmp_path, ["images/a.png", "images/b.png"], [images.digest(content) for content in contents])


def test_images_are_read_by_row(indexed: Images) -> None:
    assert np.array_equal(indexed[0], COLOURS)
    assert np.array_equal(indexed[1][..., 0], GREY)


def test_a_file_that_was_exchanged_is_refused(indexed: Images) -> None:
    path = indexed.root / "images" / "a.png"
    path.write_bytes(encoded(COLOURS[::-1]))
    with pytest.raises(DataError) as raised:
        indexed[0]
    assert str(raised.value) == f"{path}: found another file than was indexed; expected the same content; run `dvc repro dataset`"


def test_a_file_that_is_gone_is_refused(indexed: Images) -> None:
    path = indexed.root / "images" / "a.png"
    path.unlink()
    with pytest.raises(DataError) as raised:
        indexed[0]
    expected = f"{path}: found no such file; expected the image that was indexed; restore it, or run `dvc repro dataset`"
    assert str(raised.value) == expected
