"""The one decoder: whatever an image is stored as, it comes out upright, in RGB and 8 bits, or not at all."""

from __future__ import annotations

import io
import os
import struct
import zlib
from collections.abc import Callable
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image as PillowImage

from seedbed import images
from seedbed.errors import DataError
from seedbed.images import Images, RawFiles
from seedbed.store.artifact import Artifact

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


def test_inks_of_a_printer_become_colours() -> None:
    inks = PillowImage.new("CMYK", (9, 6), (255, 0, 0, 0))  # cyan alone
    red, green, blue = images.decode(encoded(inks, "JPEG", quality=100), where="a.jpg").mean(axis=(0, 1))
    assert red < 40 and green > 150 and blue > 150


@pytest.mark.parametrize("size", [(1, 1), (1, 500), (20_001, 3), (11_000, 11_000)])
def test_an_image_without_a_sensible_size_is_refused_before_it_is_unpacked(size: tuple[int, int]) -> None:
    content = announcing(*size) if max(size) > 500 else encoded(np.zeros((*size, 3), np.uint8))
    with pytest.raises(DataError, match=rf"a\.png: found {size[0]} x {size[1]} pixels; expected sides of 2 to 20,000 pixels"):
        images.decode(content, where="a.png")


def announcing(height: int, width: int) -> bytes:
    """The head of a PNG file with as many pixels as that, and nearly nothing behind it."""
    chunks = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0), b"IDAT" + zlib.compress(b"")
    packed = (struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk)) for chunk in chunks)
    return b"\x89PNG\r\n\x1a\n" + b"".join(packed)


def test_a_bomb_is_refused() -> None:
    with pytest.raises(DataError, match=r"a\.png: found .* pixels; expected sides of 2 to 20,000"):
        images.decode(announcing(60_000, 60_000), where="a.png")


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
    found = f"a {kind} file that is cut short" if kind in ("PNG", "JPEG") else f"{len(content)} bytes that are not an image"
    assert str(raised.value) == f"images/a.file: found {found}; expected a whole image file; replace the file"


@pytest.mark.parametrize("content", [b"", b"image,labels,split\n"])
def test_other_content_is_no_image(content: bytes) -> None:
    with pytest.raises(DataError, match=f"found {len(content)} bytes that are not an image"):
        images.decode(content, where="images/a.png")


def test_a_broken_image_costs_one_line_and_not_the_decoder_s_own_too(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(DataError):
        images.decode(encoded(COLOURS)[:-20], where="images/a.png")
    assert capfd.readouterr().err == ""


# --- Wrong bytes within an image, of which decoders make pixels all the same ---

SMOOTH = np.asarray(PillowImage.fromarray(RANDOM.integers(0, 256, (12, 16, 3), dtype=np.uint8)).resize((160, 120)), np.uint8)
JPEGS: dict[str, dict[str, Any]] = {
    "baseline": {},
    "progressive": {"progressive": True},
    "with restarts": {"restart_marker_rows": 1},
    "finer colours": {"subsampling": 0},
    "turned": {"exif": turned(6)},
}


def broken(content: bytes, *, length: int = 64, start: float = 0.5) -> bytes:
    """The same with other bytes from somewhere on."""
    first = int(start * len(content))
    other = np.random.default_rng(1).integers(0, 255, length, np.uint8).tobytes()  # no 255, with which markers begin
    return content[:first] + other + content[first + length :]


@pytest.mark.parametrize("kind", JPEGS)
@pytest.mark.parametrize("start", [0.5, 0.8])
def test_wrong_bytes_in_the_middle_of_a_jpeg_file_are_named(kind: str, start: float, capfd: pytest.CaptureFixture[str]) -> None:
    content = encoded(SMOOTH, "JPEG", quality=90, **JPEGS[kind])
    assert images.find_damage(content) == ""
    with pytest.raises(DataError) as raised:
        images.decode(broken(content, start=start), where="a.jpg")
    message = str(raised.value)
    assert message.startswith("a.jpg: found a JPEG file with wrong bytes: Corrupt JPEG data: "), message
    assert message.endswith("; expected a whole image file; replace the file")
    assert capfd.readouterr().err == ""


def test_a_marker_in_the_middle_of_a_jpeg_file_is_named() -> None:
    """OpenCV makes the rest of the image grey."""
    content = encoded(SMOOTH, "JPEG", quality=90)
    half = len(content) // 2
    assert images.find_damage(content[:half] + b"\xff\x33" + content[half + 2 :]) == (
        "a JPEG file with wrong bytes: Unsupported marker type 0x33"
    )


@pytest.mark.parametrize("mode", ["L", "CMYK", "RGB"])
@pytest.mark.parametrize("size", [(2, 2), (7, 3), (33, 17)])
@pytest.mark.parametrize("options", JPEGS.values(), ids=JPEGS)
def test_there_is_no_false_alarm(mode: str, size: tuple[int, int], options: dict[str, Any]) -> None:
    image = PillowImage.fromarray(SMOOTH).resize(size).convert(mode)
    for quality in (5, 75, 100):
        assert images.find_damage(encoded(image, "JPEG", quality=quality, **options)) == ""


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
@pytest.mark.parametrize("rubbish", [b"\0" * 100, b"SEFT" * 50, b"\xff\xd8\xff", b"\x89PNG"])
def test_what_cameras_add_behind_an_image_is_no_damage(kind: str, rubbish: bytes) -> None:
    content = encoded(SMOOTH, kind)
    assert np.array_equal(images.decode(content + rubbish, where="a"), images.decode(content, where="a"))


def test_few_bytes_too_many_are_no_damage() -> None:
    """Some cameras fill up what they write."""
    content = encoded(SMOOTH, "JPEG", restart_marker_rows=1)
    marker = content.index(b"\xff\xd0")
    assert images.find_damage(content[:marker] + bytes(8) + content[marker:]) == ""
    assert "100 extraneous bytes before marker 0xd0" in images.find_damage(content[:marker] + bytes(100) + content[marker:])


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_an_image_without_its_last_bytes_is_cut_short(kind: str) -> None:
    content = encoded(SMOOTH, kind)
    for missing in (1, 2, 12, 20):
        assert images.find_damage(content[:-missing]) == f"a {kind} file that is cut short"


@pytest.mark.parametrize("place", [20, 0.3, 0.6, -18])
def test_wrong_bytes_in_a_png_file_are_named(place: float, capfd: pytest.CaptureFixture[str]) -> None:
    content = bytearray(encoded(SMOOTH))
    content[place if isinstance(place, int) else int(place * len(content))] ^= 16
    part = "IHDR" if place == 20 else "IDAT"
    assert images.find_damage(bytes(content)) == f"a PNG file with wrong bytes: the checksum of chunk '{part}' does not match"
    with pytest.raises(DataError):
        images.decode(bytes(content), where="a.png")
    assert capfd.readouterr().err == ""


def test_a_wrong_remark_in_a_png_file_is_no_damage() -> None:
    content = encoded(SMOOTH)
    remark = struct.pack(">I", 6) + b"tEXt" + b"a\0text" + b"\0\0\0\0"
    assert images.find_damage(content[:33] + remark + content[33:]) == ""
    assert np.array_equal(images.decode(content[:33] + remark + content[33:], where="a.png"), SMOOTH)


@pytest.mark.parametrize("kind", ["AVIF", "DDS", "SGI", "ICO", "JPEG2000", "PPM", "TIFF", "WEBP"])
def test_wrong_heads_of_formats_that_pillow_knows(kind: str) -> None:
    """Its readers raise errors of many kinds."""
    if kind == "AVIF":
        pytest.importorskip("PIL._avif")
    content = encoded(SMOOTH, kind)
    random = np.random.default_rng(0)
    for _ in range(60):
        changed = bytearray(content)
        for place in random.integers(0, min(100, len(content)), 4):
            changed[place] = int(random.integers(0, 256))
        try:
            images.decode(bytes(changed), where="a.file")
        except DataError as error:
            assert str(error).startswith("a.file: found ")  # noqa: PT017 (some are read all the same)
        images.read_announced_size(io.BytesIO(bytes(changed)), upright=True)


def test_no_photograph_of_voc_is_taken_for_a_broken_one() -> None:
    kit = os.environ.get("SEEDBED_KIT")
    if not kit:
        pytest.skip("SEEDBED_KIT names no folder with a part of VOC")
    files = sorted((Path(kit) / "VOCdevkit" / "VOC2012" / "JPEGImages").glob("*.jpg"))
    contents = [file.read_bytes() for file in files]
    assert len(files) == 660 and not any(map(images.find_damage, contents))
    assert np.mean([images.find_damage(broken(content)) != "" for content in contents]) > 0.9


# --- Files that are not indexed yet ---


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Image files of every kind: two whole ones, nothing, half of one, a folder."""
    contents = {"good.png": encoded(COLOURS), "grey.bmp": encoded(GREY, "BMP"), "empty.png": b"", "half.jpg": b"\xff\xd8"}
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "folder.png").mkdir()
    return tmp_path


def raw(folder: Path, *names: str) -> RawFiles:
    """Files under ids that differ from their names."""
    return RawFiles.of(folder, {f"the {name.partition('.')[0]} one": name for name in names})


def test_files_are_known_by_their_content(folder: Path) -> None:
    (folder / "copy.png").write_bytes((folder / "good.png").read_bytes())
    files = raw(folder, "good.png", "grey.bmp", "copy.png")
    assert files.key("the good one") == files.key("the copy one") == images.digest(encoded(COLOURS))
    assert files.key("the grey one") == images.digest(encoded(GREY, "BMP"))


def test_a_sound_file_has_a_size_and_no_problem(folder: Path) -> None:
    files = raw(folder, "good.png", "grey.bmp")
    assert files.inspect("the good one") == files.inspect("the grey one") == ((5, 7), "")


def test_what_is_wrong_with_a_file_is_told_and_not_raised(folder: Path) -> None:
    files = raw(folder, "empty.png", "half.jpg")
    assert files.inspect("the empty one") == ((0, 0), "0 bytes that are not an image")
    assert files.inspect("the half one") == ((0, 0), "2 bytes that are not an image")


def test_a_file_that_cannot_be_read_is_a_problem_like_others(folder: Path) -> None:
    files = raw(folder, "folder.png", "missing.png")
    assert files.key("the folder one") != files.key("the missing one")
    assert files.inspect("the folder one") == ((0, 0), "a folder")
    assert files.inspect("the missing one") == ((0, 0), "no such file")


def test_a_pipe_is_a_problem_like_others_and_not_waited_for(folder: Path) -> None:
    os.mkfifo(folder / "pipe.png")
    files = raw(folder, "pipe.png")
    assert files.inspect("the pipe one") == ((0, 0), "a pipe")
    before = files.key("the pipe one")
    (folder / "pipe.png").unlink()
    assert files.key("the pipe one") != before


@pytest.mark.parametrize("later", [COLOURS[::-1], COLOURS[:, :4]])
def test_a_file_that_changes_between_two_looks_is_refused(folder: Path, later: npt.NDArray[Any]) -> None:
    files = raw(folder, "good.png")
    (folder / "good.png").write_bytes(encoded(np.ascontiguousarray(later)))
    with pytest.raises(DataError) as raised:
        files.inspect("the good one")
    assert str(raised.value) == "good.png: found a file that is changing; expected a file that stays as it is; run it again"


def test_a_file_that_is_repaired_between_two_looks_is_refused_too(folder: Path) -> None:
    files = raw(folder, "empty.png", "missing.png")
    for name in ("empty", "missing"):
        (folder / f"{name}.png").write_bytes(encoded(COLOURS))
        with pytest.raises(DataError, match=rf"{name}\.png: found a file that is changing; expected a file that stays as it is"):
            files.inspect(f"the {name} one")


@pytest.mark.parametrize("harm", [lambda path: path.write_bytes(encoded(COLOURS)[:-20]), Path.unlink])
def test_a_file_that_breaks_between_two_looks_is_refused_too(folder: Path, harm: Callable[[Path], object]) -> None:
    files = raw(folder, "good.png")
    harm(folder / "good.png")  # the whole file, when it is back, must not be taken for this
    with pytest.raises(DataError, match=r"good\.png: found a file that is changing; expected a file that stays as it is"):
        files.inspect("the good one")


def test_some_of_many_files_know_only_these(folder: Path) -> None:
    some = raw(folder, "good.png", "empty.png", "half.jpg").only(["the half one", "the good one"])
    assert list(some.files) == list(some.digests) == ["the half one", "the good one"]
    assert some.inspect("the good one") == ((5, 7), "")
    assert some.key("the half one") == images.digest(b"\xff\xd8")


def test_files_are_found_from_any_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder.parent)
    files = raw(Path(folder.name), "good.png")
    monkeypatch.chdir("/")
    assert files.inspect("the good one") == ((5, 7), "")


# --- Looking at all of them ---

SIZES_AND_PROBLEMS = {
    "good.png": ((8, 8), ""),
    "tall.png": ((9, 3), ""),
    "wide.png": ((3, 9), ""),
    "empty.png": ((0, 0), "0 bytes that are not an image"),
    "half.jpg": ((0, 0), "2 bytes that are not an image"),
}


def reviewed(*names: str, allowed: int = 0) -> None:
    """Review some of them, with 8 x 8 pixels for the largest image."""
    computed = {
        "size": np.array([SIZES_AND_PROBLEMS[name][0] for name in names], np.int32),
        "problem": np.array([SIZES_AND_PROBLEMS[name][1] for name in names], object),
    }
    images.review("data/raw", names, (8, 8), allowed, (), computed)


def test_all_problems_are_reported_together() -> None:
    with pytest.raises(DataError) as raised:
        reviewed(*SIZES_AND_PROBLEMS)
    assert str(raised.value) == (
        "data/raw: found 4 images that cannot be used: tall.png: 9 x 3 pixels; wide.png: 3 x 9 pixels; "
        "empty.png: 0 bytes that are not an image; half.jpg: 2 bytes that are not an image; "
        "expected files that can be decoded, no larger than dataset.max_size, 8 x 8; correct, replace or remove them; "
        "or raise dataset.max_size, or let dataset.larger be shrink, or let dataset.allow_broken, now 0, leave broken images out"
    )


def test_wrong_entries_and_masks_are_reported_with_them() -> None:
    computed = {"size": np.array([(9, 9), (5, 5)]), "problem": np.array(["", ""], object)}
    computed["mask_problem"] = np.array(["", "masks/b.png: a mask of (5, 4) instead of (5, 5)"], object)
    with pytest.raises(DataError) as raised:
        images.review("data/raw", ["a.png", "b.png"], (8, 8), 9, ["labels.csv, line 7: no split"], computed)
    assert str(raised.value).startswith(
        "data/raw: found 1 entries that are wrong: labels.csv, line 7: no split; 1 images that cannot be used: a.png: 9 x 9 pixels; "
        "1 masks that cannot be used: masks/b.png: a mask of (5, 4) instead of (5, 5); "
        "expected existing images once each, with known classes; "
        "files that can be decoded, no larger than dataset.max_size, 8 x 8; masks of the size of their images, with known values; correct, "
    )


def test_very_many_problems_are_counted() -> None:
    names = [f"image {number}" for number in range(25)]
    computed = {"size": np.zeros((25, 2), np.int32), "problem": np.array(["broken"] * 25, object)}
    with pytest.raises(DataError) as raised:
        images.review("data/raw", names, (8, 8), 24, (), computed)
    message = str(raised.value)
    assert "found 25 images" in message and "image 19: broken; and 5 more; expected" in message and "image 20" not in message


def test_a_data_set_without_problems_is_not_refused(capsys: pytest.CaptureFixture[str]) -> None:
    reviewed("good.png")
    images.review("data/raw", [], (8, 8), 0, (), {})
    assert capsys.readouterr().err == ""


def test_as_many_broken_images_as_are_allowed_are_named_and_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    reviewed("good.png", "empty.png", "half.jpg", allowed=2)
    expected = "empty.png: 0 bytes that are not an image; half.jpg: 2 bytes that are not an image"
    assert capsys.readouterr().err == f"dataset: leaving out 2 broken images: {expected}\n"


def test_one_broken_image_more_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(DataError, match=r"found 2 images that cannot be used: empty\.png: .*; half\.jpg: .*allow_broken, now 1, "):
        reviewed("good.png", "empty.png", "half.jpg", allowed=1)
    assert capsys.readouterr().err == ""


def test_no_allowance_lets_an_image_be_too_large() -> None:
    with pytest.raises(DataError, match=r"found 1 images that cannot be used: tall\.png: 9 x 3 pixels; expected "):
        reviewed("good.png", "tall.png", "empty.png", allowed=9)


# --- Reading an indexed image ---


@pytest.fixture
def indexed(tmp_path: Path, write_dataset: Callable[..., Artifact]) -> Images:
    """Two images as they were indexed."""
    (tmp_path / "images").mkdir()
    contents = {"a": encoded(COLOURS), "b": encoded(GREY)}
    for name, content in contents.items():
        (tmp_path / "images" / f"{name}.png").write_bytes(content)
    digests = {name: images.digest(content) for name, content in contents.items()}
    return Images(tmp_path, write_dataset(tmp_path / "data", sizes={"a": (5, 7), "b": (5, 7)}, digests=digests))


def test_images_are_read_by_id(indexed: Images) -> None:
    assert np.array_equal(indexed["a"], COLOURS)
    assert np.array_equal(indexed["b"][..., 0], GREY)
    assert indexed.file("b") == "images/b.png"


def test_an_image_is_known_by_its_content(indexed: Images) -> None:
    assert [indexed.key(image) for image in "ab"] == [f"{images.digest(encoded(pixels))} 5 x 7" for pixels in (COLOURS, GREY)]


def test_an_image_that_is_shrunk_is_another_image(tmp_path: Path, write_dataset: Callable[..., Artifact]) -> None:
    content = encoded(np.full((20, 30, 3), 7, np.uint8))
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.png").write_bytes(content)
    data = write_dataset(tmp_path / "data", sizes={"a": (10, 15)}, digests={"a": images.digest(content)})
    pixels = Images(tmp_path, data)["a"]
    assert pixels.shape == (10, 15, 3) and (pixels == 7).all()
    assert Images(tmp_path, data).key("a") == f"{images.digest(content)} 10 x 15"


@pytest.mark.parametrize(
    ("size", "bound", "expected"),
    [((30, 40), (30, 40), (30, 40)), ((3, 4), (30, 40), (3, 4)), ((60, 40), (30, 40), (30, 20)), ((1000, 3), (100, 100), (100, 2))],
)
def test_proportions_stay_when_an_image_is_shrunk(size: tuple[int, int], bound: tuple[int, int], expected: tuple[int, int]) -> None:
    assert images.fit_size(size, bound) == expected


def test_images_are_found_from_any_folder(indexed: Images, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(indexed.root.parent)
    travelling = ForkingPickler.dumps(Images(Path(indexed.root.name), indexed.data))
    monkeypatch.chdir("/")
    assert np.array_equal(ForkingPickler.loads(travelling)["a"], COLOURS)


def test_a_file_that_was_exchanged_is_refused(indexed: Images) -> None:
    path = indexed.root / "images" / "a.png"
    path.write_bytes(encoded(COLOURS[::-1]))
    with pytest.raises(DataError) as raised:
        indexed["a"]
    assert str(raised.value) == f"{path}: found another file than the one indexed; expected the same content; run `dvc repro dataset`"


def test_a_file_that_is_gone_is_refused(indexed: Images) -> None:
    path = indexed.root / "images" / "a.png"
    path.unlink()
    with pytest.raises(DataError) as raised:
        indexed["a"]
    expected = f"{path}: found no such file; expected the image that was indexed; restore it, or run `dvc repro dataset`"
    assert str(raised.value) == expected


def test_a_pipe_in_the_place_of_an_indexed_image(indexed: Images) -> None:
    path = indexed.root / "images" / "a.png"
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(DataError) as raised:
        indexed["a"]
    assert str(raised.value) == f"{path}: found a pipe; expected the image that was indexed; restore it, or run `dvc repro dataset`"
