"""One shard: every image of it is there, in order and as it was computed, however little memory there is."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from seedbed.errors import ArtifactError, DataError, MachineError
from seedbed.run import executor
from seedbed.run.fingerprint import running
from seedbed.run.shards import BATCH, Shard, Work, row_digest
from seedbed.store.entries import Computation, Entry, shard_name
from seedbed.store.schemas import Columns
from seedbed.store.store import Store
from tests.support.publishing import columns_of, published

EXTENTS = {"height_width": 2, "y": 5, "x": 7}
FEATURE_EXTENTS = {**EXTENTS, "patch_y": 3, "patch_x": 4, "channel": 2}
TWENTY = tuple(f"image_{number:02d}" for number in range(20))
SIZES = {image: (2 + number % 3, 4 + number % 3) for number, image in enumerate(TWENTY)}
OUT_OF_MEMORY = torch.OutOfMemoryError("no room")


def regions(image: str, value: int | None = None) -> Columns:
    """Columns of an image: a map whose value is its number."""
    value = int(image[-2:]) if value is None else value
    return {"regions": np.full(SIZES[image], value, np.int32), "region_count": value}


@dataclass
class Computing:
    """A computation that remembers what it was asked for, and has room for so many images."""

    asked: list[tuple[str, ...]]
    room: int = BATCH
    before: int = 0  # images that it hands out before it finds that there is no room

    def __call__(self, images: Sequence[str]) -> Iterator[Columns]:
        self.asked.append(tuple(images))
        for place, image in enumerate(images):
            if len(images) > self.room and place >= self.before:
                raise OUT_OF_MEMORY
            yield regions(image)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """That of a stage that makes region maps."""
    return Store("superpixels", folder=tmp_path / "data")


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A number for every step that is counted."""
    counted: list[int] = []
    monkeypatch.setattr(executor, "step", lambda: counted.append(1))
    return counted


def work(store: Store, compute: Callable[..., Any], *, opened: tuple[Any, ...] = (), extents: dict[str, int] = EXTENTS) -> Work:
    """What is done with every shard."""
    return Work(store, Computation(store.stage, "toy", [], ""), compute, extents, opened, running(()))


def shard(*images: str, reads: tuple[Any, ...] = (), extents: dict[str, int] = EXTENTS) -> Shard:
    """A run of images."""
    keys = tuple(f"key of {image}" for image in images)
    return Shard(shard_name(keys, extents), images, tuple(SIZES[image] for image in images), keys, reads=reads)


def made(store: Store, of: Shard | None = None) -> Entry:
    """The entry that was made of a shard; without one, the only entry that there is."""
    [entry] = [entry for entry in store.entries() if of is None or entry.path.name == of.name]
    return entry


def values(store: Store, count: int, of: Shard | None = None) -> list[int]:
    """The value of every map of an entry, once it is found to be that of the image."""
    entry, found = made(store, of), []
    for place in range(count):
        columns = columns_of(entry, place)
        assert columns is not None and columns["digest"] == row_digest(columns)
        assert columns["regions"].shape == tuple(columns["size"]) == SIZES[TWENTY[columns["region_count"]]]
        assert np.unique(columns["regions"]).tolist() == [columns["region_count"]]
        found.append(int(columns["region_count"]))
    return found


# --- Memory ---


@pytest.mark.parametrize("before", [0, 1, 2])
def test_batches_are_halved_until_they_fit_and_every_image_is_there(store: Store, steps: list[int], before: int) -> None:
    computing = Computing([], room=2, before=before)
    assert work(store, computing)(shard(*TWENTY)) == 20
    asked = [len(one) for one in computing.asked]
    assert asked[0] == 8 and set(asked[2:]) <= {2, 1} and asked[1] == 4
    assert sum(asked) == 20 + (8 - before) + (4 - before)  # what was there before memory ran out is not computed again
    assert values(store, 20) == list(range(20))
    assert made(store).keys == tuple(f"key of {image}" for image in TWENTY)
    assert len(steps) == 20


def test_odd_batches_are_halved_too(store: Store) -> None:
    computing = Computing([], room=1)
    assert work(store, computing)(shard(*TWENTY[:3])) == 3
    assert [len(asked) for asked in computing.asked] == [3, 1, 1, 1]
    assert values(store, 3) == [0, 1, 2]


def test_where_there_is_room_batches_are_full_and_images_of_one_size_stand_together(store: Store) -> None:
    computing = Computing([])
    work(store, computing)(shard(*TWENTY))
    ordered = (*TWENTY[::3], *TWENTY[1::3], *TWENTY[2::3])  # of three sizes, each in the order of the shard
    assert computing.asked == [ordered[:8], ordered[8:16], ordered[16:]]
    assert values(store, 20) == list(range(20))


def test_one_image_that_is_too_large_is_named(store: Store) -> None:
    with pytest.raises(MachineError) as raised:
        work(store, Computing([], room=0))(shard(*TWENTY[3:9]))
    assert str(raised.value) == (
        "superpixels, image image_03: found a GPU without enough memory for this image alone; expected memory for one image; "
        "use a larger GPU, smaller scales, or --device cpu"
    )
    assert list(store.entries()) == []


# --- Mistakes ---


@pytest.mark.parametrize(("count", "found"), [(2, "2 results for 3 images"), (4, "more results than 3 images")])
def test_another_number_of_results_than_images(store: Store, count: int, found: str) -> None:
    def compute(images: Sequence[str]) -> list[Columns]:
        return [regions(image) for image in TWENTY[:count]]

    with pytest.raises(ValueError, match=re.escape(f"stage superpixels: {found}")):
        work(store, compute)(shard(*TWENTY[:3]))
    assert list(store.entries()) == []


@pytest.mark.parametrize("place", [0, 1, 2])
def test_an_unexpected_error_says_at_which_image(store: Store, place: int) -> None:
    def compute(images: Sequence[str]) -> Iterator[Columns]:
        for image in images:
            if image == TWENTY[place]:
                raise ZeroDivisionError("by nothing")
            yield regions(image)

    with pytest.raises(ZeroDivisionError, match="by nothing") as raised:
        work(store, compute)(shard(*TWENTY[:3]))
    assert raised.value.__notes__ == [f"stage superpixels, at image {TWENTY[place]}"]


def test_a_worker_with_other_packages_is_refused(store: Store) -> None:
    begun = replace(work(store, Computing([])), code=running(())._replace(packages=(("torch", "2.12.0"),)))
    with pytest.raises(MachineError, match=r"^process \d+ on .*: found torch missing instead of 2\.12\.0; expected the same everywhere"):
        begun(shard(*TWENTY[:3]))
    assert list(store.entries()) == []


def test_a_worker_that_runs_other_code_is_refused(store: Store) -> None:
    begun = replace(work(store, Computing([])), code=running(())._replace(digest="of other code"))
    found = "found another version of Seedbed than the one that began this run; expected the same everywhere"
    with pytest.raises(MachineError, match=rf"^process \d+ on .*: {found}; restart the dask workers, if you use any, and run it again$"):
        begun(shard(*TWENTY[:3]))
    assert list(store.entries()) == []


def test_an_error_of_the_user_stays_as_it_is(store: Store) -> None:
    def compute(images: Sequence[str]) -> Iterator[Columns]:
        raise DataError(images[0], found="nothing", expected="an image", do="look for it")
        yield regions(images[0])

    with pytest.raises(DataError, match="image_00: found nothing") as raised:
        work(store, compute)(shard(*TWENTY[:3]))
    assert not hasattr(raised.value, "__notes__")


def test_a_map_of_another_size_than_its_image(store: Store) -> None:
    def compute(images: Sequence[str]) -> Iterator[Columns]:
        return ({"regions": np.zeros((4, 2), np.int32), "region_count": 1} for _ in images)

    with pytest.raises(ValueError, match=re.escape("stage superpixels: regions of (4, 2) where size is [2 4]")):
        work(store, compute)(shard(TWENTY[0]))


def test_nothing_is_kept_of_input_that_was_replaced_meanwhile(store: Store, tmp_path: Path) -> None:
    row = {"ids": "a", "size": (2, 4), "digest": "of a", "labels": np.zeros((2, 4), np.uint8)}
    opened = published("seeds", tmp_path, [row], extents=EXTENTS)

    def compute(images: Sequence[str]) -> Iterator[Columns]:
        published("seeds", tmp_path, [{**row, "ids": "b"}], extents=EXTENTS)
        return (regions(image) for image in images)

    with pytest.raises(ArtifactError, match=r"seeds\.zarr: found that it was replaced since the stage began; .*run `dvc repro` again"):
        work(store, compute, opened=(opened,))(shard(*TWENTY[:3]))
    assert list(store.entries()) == []


# --- What is stored ---


def test_maps_are_padded_to_the_largest_image(store: Store) -> None:
    work(store, Computing([]))(shard(*TWENTY[:3]))
    stored = np.asarray(made(store).group["regions"])
    assert stored.shape == (3, 5, 7) and stored.dtype == np.int32
    assert stored[0].tolist() == [[0] * 4 + [-1] * 3] * 2 + [[-1] * 7] * 3
    assert np.asarray(made(store).group["size"]).tolist() == [[2, 4], [3, 5], [4, 6]]


def test_true_extents_are_those_of_the_maps(tmp_path: Path) -> None:
    store = Store("features", folder=tmp_path)

    def compute(images: Sequence[str]) -> Iterator[Columns]:
        return ({"patches": np.full((1 + number, 4 - number, 2), number)} for number, _ in enumerate(images))

    work(store, compute, extents=FEATURE_EXTENTS)(shard(*TWENTY[:3]))
    entry = made(store)
    assert np.asarray(entry.group["patches"]).shape == (3, 3, 4, 2)
    assert np.asarray(entry.group["patches"]).dtype == np.float16
    assert np.asarray(entry.group["patch_grid"]).tolist() == [[1, 4], [2, 3], [3, 2]]
    assert [columns["patches"].shape for place in range(3) if (columns := columns_of(entry, place))] == [(1, 4, 2), (2, 3, 2), (3, 2, 2)]


def test_a_stage_that_finds_sizes_out_itself(tmp_path: Path) -> None:
    store = Store("dataset", folder=tmp_path)

    def compute(images: Sequence[str]) -> Iterator[Columns]:
        return ({"size": (3, 4), "problem": "" if image == "image_00" else "broken"} for image in images)

    work(store, compute, extents={"height_width": 2})(replace(shard(*TWENTY[:2]), sizes=()))
    first, second = columns_of(made(store), 0), columns_of(made(store), 1)
    assert first and second
    assert (first["size"].tolist(), str(first["problem"]), str(second["problem"])) == ([3, 4], "", "broken")
    assert "digest" not in first


def test_reads_come_before_the_images(store: Store) -> None:
    def compute(first: int, second: str, images: Sequence[str]) -> Iterator[Columns]:
        assert second == "two"
        return (regions(image, first) for image in images)

    work(store, compute)(shard(*TWENTY[:3], reads=(7, "two")))
    assert np.unique(np.asarray(made(store).group["region_count"])).tolist() == [7]


# --- What is copied ---


def test_what_the_store_has_is_copied_and_the_rest_computed(store: Store, steps: list[int]) -> None:
    first = shard(*TWENTY[:9])
    work(store, Computing([]))(first)
    computing, wanted = Computing([]), shard(TWENTY[12], TWENTY[8], TWENTY[15], TWENTY[0])
    known = {f"key of {image}": (first.name, place) for place, image in enumerate(TWENTY[:9])}
    steps.clear()
    assert work(store, computing)(wanted.prepare((), known)) == 2
    assert computing.asked == [(TWENTY[12], TWENTY[15])]
    assert values(store, 4, wanted) == [12, 8, 15, 0]
    assert len(steps) == 4


def test_what_is_copied_is_laid_out_anew(store: Store) -> None:
    first, larger = shard(*TWENTY[:3]), {**EXTENTS, "y": 9, "x": 6}
    work(store, Computing([]))(first)
    known = {f"key of {image}": (first.name, place) for place, image in enumerate(TWENTY[:3])}
    wanted = shard(*TWENTY[:3], extents=larger)
    assert work(store, Computing([]), extents=larger)(wanted.prepare((), known)) == 0
    assert np.asarray(made(store, wanted).group["regions"]).shape == (3, 9, 6)
    assert values(store, 3, wanted) == [0, 1, 2]


@pytest.mark.parametrize("harm", ["flipped", "gone", "no entry"])
def test_what_cannot_be_copied_is_computed(store: Store, harm: str) -> None:
    first, wanted = shard(*TWENTY[:3]), shard(*TWENTY[2::-1])
    work(store, Computing([]))(first)
    file = made(store).path / "regions" / "c" / "0" / "0" / "0"
    content = file.read_bytes()
    file.unlink()
    if harm == "flipped":
        file.write_bytes(bytes([*content[:5], content[5] ^ 1, *content[6:]]))
    known = {f"key of {image}": ("never" if harm == "no entry" else first.name, place) for place, image in enumerate(TWENTY[:3])}
    assert work(store, Computing([]))(wanted.prepare((), known)) > 0
    assert values(store, 3, wanted) == [2, 1, 0]


@dataclass
class Listing:
    """Something long to read."""

    content: tuple[str, ...]

    def only(self, images: Sequence[str]) -> Listing:
        return Listing(tuple(images))


def test_a_shard_takes_along_only_what_concerns_it() -> None:
    known = {f"key of {image}": ("entry", place) for place, image in enumerate(TWENTY)}
    prepared = shard(*TWENTY[3:5]).prepare((Listing(TWENTY), 5), known)
    assert prepared.known == {"key of image_03": ("entry", 3), "key of image_04": ("entry", 4)}
    assert prepared.reads == (Listing(("image_03", "image_04")), 5)
    assert (len(prepared), str(prepared)) == (2, "images image_03 to image_04")


# --- Identity ---


def test_the_digest_of_a_row_changes_with_anything_in_it() -> None:
    row: dict[str, Any] = {"map": np.zeros((2, 3), np.uint8), "count": np.int32(5), "name": np.asarray("a b", object)}
    moved = np.zeros((2, 3), np.uint8)
    moved[1, 2] = 1
    others: list[dict[str, Any]] = [
        row | {"map": moved},
        row | {"map": moved[:, ::-1]},
        row | {"map": row["map"].reshape(3, 2)},
        row | {"map": row["map"].astype(np.int8)},
        row | {"count": np.int32(6)},
        row | {"name": np.asarray("a  b", object)},
        row | {"more": np.int32(0)},
        {"map": row["map"], "count": row["count"]},
        {"map": row["map"], "county": row["count"], "name": row["name"]},
    ]
    digests = [row_digest(one) for one in [row, *others]]
    assert len(set(digests)) == len(digests)


def test_the_digest_of_a_row_is_of_its_values_alone() -> None:
    row = {"map": np.arange(6, dtype=np.uint8).reshape(2, 3), "count": np.int32(5)}
    same = {"count": np.array(5, np.int32), "map": np.asfortranarray(row["map"]), "digest": "any"}
    assert row_digest(row) == row_digest(same)
