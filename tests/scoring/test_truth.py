"""Ground-truth masks: read exactly, or refused with what is wrong."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as PillowImage
from PIL import ImageFile

from seedbed.errors import DataError
from seedbed.images import Images
from seedbed.scoring import truth
from seedbed.scoring.truth import Pictures, Truth
from seedbed.store.artifact import Artifact
from seedbed.types import LabelMap
from tests.support import layouts

MASK = np.array([[0, 1, 2], [255, 2, 0]], np.uint8)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "masks").mkdir()
    return tmp_path


def of_a(root: Path) -> Truth:
    """The truth of one image that is not indexed yet."""
    return Truth.of("folder", root, {"a": "images/a.jpg"}, [0, 1, 2, *[-1] * 252, 255])


def refusal(root: Path, *, size: tuple[int, int] = (2, 3)) -> str:
    with pytest.raises(DataError) as raised:
        of_a(root).original("a", size)
    message = str(raised.value)
    assert message.startswith(f"{root}/masks/a.png: found ")
    return message


def test_a_mask_lies_beside_its_image_under_the_same_name(root: Path) -> None:
    file = root / "masks" / "cats" / "a.b.png"
    file.parent.mkdir()
    file.touch()
    pictures = truth.Pictures(root, "images", ("masks",))
    assert pictures.file("images/cats/a.b.jpg") == file
    assert pictures.file("cats/a.b.jpg") == file, "in a folder without images/"


def test_grey_values_are_classes(root: Path) -> None:
    PillowImage.fromarray(MASK).save(root / "masks" / "a.png")
    mask = of_a(root).original("a", (2, 3))
    assert mask is not None and mask.dtype == np.uint8
    assert np.array_equal(mask, MASK)


def test_a_palette_s_entries_are_classes_whatever_their_colours(root: Path) -> None:
    image = PillowImage.frombytes("P", (3, 2), MASK.tobytes())
    image.putpalette([7, 7, 7, 0, 255, 0, 0, 0, 255] + 253 * [9, 9, 9])
    image.save(root / "masks" / "a.png")
    mask = of_a(root).original("a", (2, 3))
    assert mask is not None and np.array_equal(mask, MASK)


def test_an_image_need_not_have_a_mask(root: Path) -> None:
    assert of_a(root).original("a", (2, 3)) is None


def test_a_mask_of_another_size(root: Path) -> None:
    PillowImage.fromarray(MASK.T.copy()).save(root / "masks" / "a.png")
    assert "found a mask of (3, 2); expected (2, 3), as its image" in refusal(root)


def test_a_mask_with_a_class_that_does_not_exist(root: Path) -> None:
    PillowImage.fromarray(MASK + np.uint8(1)).save(root / "masks" / "a.png")
    assert "found classes [3]; expected 0..2 or 255" in refusal(root)
    meaning = [0, -1, 2, -1, 4, 5, *[-1] * 249, 255]
    assert Truth.of("folder", root, {"a": "images/a.jpg"}, meaning).problem("a", (2, 3)) == (
        f"{root}/masks/a.png: classes [1, 3] instead of 0 or 2 or 4..5 or 255"
    )


@pytest.mark.parametrize("pixels", [np.zeros((2, 3, 3), np.uint8), np.zeros((2, 3), np.uint16)])
def test_a_mask_in_colour_or_of_16_bits(root: Path, pixels: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> None:
    PillowImage.fromarray(pixels).save(root / "masks" / "a.png")
    assert "expected one 8-bit class per pixel; save it as grey or palette" in refusal(root)


def test_a_file_that_is_no_image(root: Path) -> None:
    (root / "masks" / "a.png").write_bytes(b"not an image")
    assert "found no PNG file; expected a mask; replace the file" in refusal(root)


def test_half_a_mask(root: Path) -> None:
    PillowImage.fromarray(np.random.default_rng(0).integers(0, 3, (40, 60), dtype=np.uint8)).save(root / "masks" / "a.png")
    content = (root / "masks" / "a.png").read_bytes()
    (root / "masks" / "a.png").write_bytes(content[: len(content) // 2])
    assert "found a PNG file that is cut short; expected a mask; replace the file" in refusal(root, size=(40, 60))


def test_a_mask_that_is_no_png_file(root: Path) -> None:
    PillowImage.fromarray(MASK).save(root / "masks" / "a.png", "BMP")
    assert "found no PNG file; expected a mask; replace the file" in refusal(root)


@pytest.mark.parametrize("place", [0.3, 0.5, 0.7])
def test_wrong_bytes_within_a_mask(root: Path, place: float) -> None:
    """Not all of them are noticed by Pillow."""
    file = root / "masks" / "a.png"
    PillowImage.fromarray(np.random.default_rng(0).integers(0, 3, (40, 90), np.uint8)).save(file)
    content = bytearray(file.read_bytes())
    content[int(place * len(content))] ^= 4
    file.write_bytes(content)
    assert "found a PNG file with wrong bytes: the checksum of chunk 'IDAT' does not match; expected a mask" in refusal(root, size=(40, 90))


def test_a_mask_of_a_kind_that_png_does_not_have(root: Path) -> None:
    file = root / "masks" / "a.png"
    PillowImage.fromarray(MASK).save(file)
    content = bytearray(file.read_bytes())
    content[25] = 7  # between red, green and blue with opacity, 6, and nothing
    content[29:33] = zlib.crc32(content[12:29]).to_bytes(4, "big")
    file.write_bytes(content)
    assert "found a PNG file that cannot be read: " in refusal(root)


def test_a_mask_without_its_last_bytes(root: Path) -> None:
    file = root / "masks" / "a.png"
    PillowImage.fromarray(MASK).save(file)
    file.write_bytes(file.read_bytes()[:-12])
    assert "found a PNG file that is cut short" in refusal(root)


def test_a_mask_of_another_size_is_not_unpacked(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    PillowImage.new("L", (300, 50)).save(root / "masks" / "a.png")
    monkeypatch.setattr(ImageFile.ImageFile, "load", lambda picture: pytest.fail("it was unpacked"))
    assert "found a mask of (50, 300); expected (2, 3), as its image" in refusal(root)


@pytest.mark.parametrize(
    ("make", "found"),
    [
        (os.mkfifo, "a pipe"),
        (Path.mkdir, "a folder"),
        (lambda path: path.symlink_to("nowhere"), "a link to nothing"),
        (lambda path: path.symlink_to("/dev/zero"), "a device"),
    ],
)
def test_what_lies_in_the_place_of_a_mask_is_told_and_not_waited_for(root: Path, make: Callable[[Path], object], found: str) -> None:
    make(root / "masks" / "a.png")
    assert refusal(root).endswith(f"found {found}; expected a file; replace it, or check its permissions")
    truth = of_a(root)
    assert truth.key("a").startswith(f"unreadable: {found} ")
    assert truth.problem("a", (2, 3)) == f"{root}/masks/a.png: {found} instead of a file"


def test_masks_of_no_image_are_strays_where_every_mask_should_have_one(root: Path) -> None:
    files = ["a.png", "b.png", "more/c.png", ".hidden"]
    for name in files:
        (root / "masks" / name).parent.mkdir(exist_ok=True)
        (root / "masks" / name).touch()
    assert of_a(root).strays() == ["masks/b.png", "masks/more/c.png"]
    assert Pictures(root, "images", ("masks", "other")).strays(["images/a.jpg"]) == []


def test_official_masks_come_before_those_of_other_people(tmp_path: Path) -> None:
    layouts.voc(tmp_path)
    files = {name: f"JPEGImages/{name}.jpg" for name in layouts.SIZES}
    own, others = tmp_path / "SegmentationClass", tmp_path / "SegmentationClassAug"

    def truth() -> Truth:
        return Truth.of("voc", tmp_path, files, range(256))

    masks = truth().masks
    assert isinstance(masks, Pictures)
    expected = {"one": own / "one.png", "two": others / "two.png", "three": own / "three.png", "four": None}
    assert {name: masks.file(file) for name, file in files.items()} == expected
    before = truth().key("one")
    (others / "one.png").unlink()  # which is looked at no more
    assert truth().key("one") == before
    layouts.write_mask(others / "one.png", layouts.rectangle("one", 1))
    (own / "one.png").unlink()
    mask = truth().original("one", layouts.SIZES["one"])
    assert mask is not None and np.array_equal(mask, layouts.rectangle("one", 1)) and truth().key("one") != before


# --- The truth of a data set's images ---


@pytest.fixture
def pictures(root: Path, write_dataset: Callable[..., Artifact]) -> Images:
    """Three images, the last of which has no truth."""
    data = write_dataset(root / "data", sizes={"a": (2, 3), "b": (2, 3), "c": (2, 3)})
    for image, mask in (("a", MASK), ("b", MASK[:, ::-1])):
        PillowImage.fromarray(np.ascontiguousarray(mask)).save(root / "masks" / f"{image}.png")
    return Images(root, data)


@pytest.fixture
def known(pictures: Images) -> Truth:
    """Their truth."""
    return Truth.of_images(pictures)


def test_the_truth_is_asked_for_by_id(known: Truth) -> None:
    first, second = known["a"], known["b"]
    assert first is not None and np.array_equal(first, MASK)
    assert second is not None and np.array_equal(second, MASK[:, ::-1])
    assert known["c"] is None


def test_the_truth_of_some_images_alone(pictures: Images) -> None:
    known = Truth.of_images(pictures, ["b"])
    assert list(known.files) == ["b"] and known["b"] is not None
    both = Truth.of_images(pictures)
    some = both.only(["b"])["b"]
    assert some is not None and np.array_equal(some, MASK[:, ::-1]) and both.only(["b"]).key("b") == both.key("b")


def test_of_an_image_that_is_used_smaller_the_truth_is_too(pictures: Images) -> None:
    known = Truth.of_images(pictures)
    smaller = dataclasses.replace(known, sizes={**known.sizes, "a": ((2, 3), (2, 1)), "c": ((2, 3), (1, 2))})
    mask = smaller["a"]
    assert mask is not None and mask.tolist() == MASK[:, 1:2].tolist()
    assert smaller["c"] is None


def test_the_truth_of_an_image_is_held_against_the_data_set(pictures: Images, root: Path) -> None:
    PillowImage.fromarray(MASK.T.copy()).save(root / "masks" / "c.png")
    with pytest.raises(DataError, match=r"masks/c\.png: found a mask of \(3, 2\); expected \(2, 3\), as its image"):
        Truth.of_images(pictures)["c"]
    PillowImage.fromarray(MASK + np.uint8(1)).save(root / "masks" / "c.png")
    with pytest.raises(DataError, match=r"masks/c\.png: found classes \[3\]; expected 0\.\.2 or 255"):
        Truth.of_images(pictures)["c"]


def test_a_truth_is_known_by_its_file(known: Truth, pictures: Images, root: Path) -> None:
    file = root / "masks" / "a.png"
    before = {image: known.key(image) for image in "abc"}
    assert before["a"].startswith(hashlib.sha256(file.read_bytes()).hexdigest() + " ") and before["a"] != before["b"]
    assert before["c"] == ""
    PillowImage.fromarray(np.zeros((2, 3), np.uint8)).save(file)
    assert {image: known.key(image) for image in "abc"} == before  # as long as a run lasts
    with pytest.raises(
        DataError, match=r"masks/a\.png: found a mask that is changing; expected a file that stays as it is; run `dvc repro evaluation`"
    ):
        known["a"]
    assert dataclasses.replace(known, meaning=(0, 2, 1, *known.meaning[3:])).key("a") != before["a"], "by what its values mean"
    now = Truth.of_images(pictures)
    assert [image for image in "abc" if now.key(image) != before[image]] == ["a"]
    assert now["a"] is not None
    file.unlink()
    with pytest.raises(DataError, match=r"a\.(jpg|png): found a mask that is changing"):
        known["a"]
    assert Truth.of_images(pictures).only(["a"]).digests == {"a": ""}


# --- Things that are outlined ---

SIZE = (4, 6)


def drawn(*places: tuple[slice, slice]) -> LabelMap:
    """A mask that is 1 in some places."""
    mask = np.zeros(SIZE, np.uint8)
    for place in places:
        mask[place] = 1
    return mask


def outlined(root: Path, *things: dict[str, Any]) -> Truth:
    """The truth of one image of two in which things are annotated."""
    file = root / "annotations" / "instances_val2017.json"
    file.parent.mkdir()
    pictures = [{"id": number, "file_name": f"{name}.jpg", "height": SIZE[0], "width": SIZE[1]} for number, name in enumerate("ab")]
    file.write_text(json.dumps({"images": pictures, "annotations": [{"id": number, **thing} for number, thing in enumerate(things)]}))
    files = {"a": "images/val2017/a.jpg", "b": "val2017/b.jpg", "c": "val2017/c.jpg", "d": "test2017/d.jpg"}
    return Truth.of("coco", root, files, [0, *range(1, 91), *[-1] * 164, 255])


def thing(category: object, mask: LabelMap, *, crowd: int = 0, image: int = 0, area: object = None) -> dict[str, Any]:
    area = int(mask.sum()) if area is None else area
    return {"image_id": image, "category_id": category, "segmentation": layouts.runs(mask), "area": area, "iscrowd": crowd}


LARGE, SMALL, CROWD = np.s_[1:4, 0:4], np.s_[2:4, 1:2], np.s_[0:3, 3:6]


def test_smaller_things_lie_over_larger_ones_and_both_over_crowds(root: Path) -> None:
    expected = [[0, 0, 0, 255, 255, 255], [7, 7, 7, 7, 255, 255], [7, 2, 7, 7, 255, 255], [7, 2, 7, 7, 0, 0]]
    things = [thing(2, drawn(SMALL)), thing(3, drawn(CROWD), crowd=1), thing(7, drawn(LARGE)), thing(5, drawn(np.s_[:, :]), image=1)]
    truth = outlined(root, *things)
    mask, other = truth.original("a", SIZE), truth.original("b", SIZE)
    assert mask is not None and mask.tolist() == expected and mask.dtype == np.uint8
    assert other is not None and np.unique(other).tolist() == [5]
    assert truth.only(["b"]).masks.things.keys() == {"val2017/b.jpg"}  # type: ignore[union-attr]
    assert truth.key("a") != truth.key("b")


def test_annotations_are_the_same_in_whatever_order_json_has_what_they_say(root: Path) -> None:
    one, other = (thing(2, drawn(SMALL)) for _ in range(2))
    other["segmentation"] = dict(reversed(other["segmentation"].items()))
    (root / "other").mkdir()
    assert outlined(root, one).key("a") == outlined(root / "other", other).key("a")


def test_nothing_is_known_of_an_image_that_no_file_lists(root: Path) -> None:
    truth = outlined(root)
    empty = truth.original("a", SIZE)
    assert empty is not None and not empty.any(), "listed, and nothing annotated"
    assert [truth.original(image, SIZE) for image in "cd"] == [None, None]
    assert [truth.key(image) for image in "cd"] == ["", ""]
    assert truth.strays() == []


def test_a_thing_without_an_area_lies_on_top(root: Path) -> None:
    mask = outlined(root, thing(2, drawn(LARGE), area="large"), thing(3, drawn(SMALL))).original("a", SIZE)
    assert mask is not None and np.unique(mask).tolist() == [0, 2]


@pytest.mark.parametrize("category", [0, 255, -1, "cat", None])
def test_a_category_that_cannot_be(root: Path, category: object) -> None:
    truth = outlined(root, thing(1, drawn(SMALL)), thing(category, drawn(LARGE)))
    where = "annotations/instances_val2017.json, a.jpg: "
    assert truth.problem("a", SIZE) == f"{where}category {category!r}, of annotation 1 instead of 1 to 254"


@pytest.mark.parametrize("outline", [{"size": [4, 6]}, {"size": [6, 4], "counts": [24]}, {"size": [4, 6], "counts": [23]}, [[1, 2, 3]], 5])
def test_an_outline_that_cannot_be_drawn(root: Path, outline: object) -> None:
    truth = outlined(root, {**thing(1, drawn(SMALL)), "segmentation": outline})
    where = "annotations/instances_val2017.json, a.jpg: "
    assert truth.problem("a", SIZE).startswith(f"{where}an outline that cannot be drawn, of annotation 0: ")
    assert truth.problem("a", SIZE).endswith(" instead of polygons or run lengths")


def test_an_image_that_is_annotated_in_another_size(root: Path) -> None:
    truth = outlined(root, thing(1, drawn(SMALL)))
    assert truth.problem("a", (6, 4)) == "annotations/instances_val2017.json, a.jpg: an image of (4, 6) instead of (6, 4), as it is"


@pytest.mark.parametrize("content", ["", "[]", '{"annotations": []}', '{"annotations": [{}], "images": []}'])
def test_a_file_that_is_not_of_instances(root: Path, content: str) -> None:
    outlined(root)
    file = root / "annotations" / "instances_val2017.json"
    file.write_text(content)
    with pytest.raises(DataError, match=r"found what COCO does not call instances: .*; expected the file that was indexed; restore it, or"):
        Truth.of("coco", root, {"a": "images/val2017/a.jpg"}, range(256))
