"""Artifacts: what was written is what is read, whole or not at all, and the same bytes from the same input."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import zarr

from seedbed.errors import ArtifactError
from seedbed.networks.weights import InitialWeights
from seedbed.reads import Labels, read_class_maps, read_entry, read_patches, read_probabilities
from seedbed.store import artifact, schemas
from seedbed.store.artifact import Artifact, MadeBy, open_artifact
from seedbed.store.records import record_of
from seedbed.store.schemas import DIMENSIONS, SCHEMAS
from seedbed.store.store import Store
from seedbed.superpixels.dino import Dino
from seedbed.types import Alignment
from tests.support.publishing import published, published_network

MADE_BY = MadeBy("seeds", "superpixel_background", {"threshold": 0.5}, {"cams": "digest of cams"})
EXTENTS = {"y": 7, "x": 9, "class": 3, "predicted": 4, "map_y": 4, "map_x": 5, "patch_y": 2, "patch_x": 3, "channel": 2}
SIZES = [(5, 9), (7, 3), (1, 1), (6, 8), (7, 9)]
IDS = [f"image {number}" for number in range(5)]


def label_rows(sizes: Sequence[tuple[int, int]] = SIZES) -> list[dict[str, Any]]:
    """Columns of the artifact `seeds` for images of several sizes."""
    random = np.random.default_rng(0)
    return [
        {"ids": f"image {number}", "size": size, "labels": random.integers(0, 3, size).astype(np.uint8)}
        for number, size in enumerate(sizes)
    ]


def write_labels(folder: Path, sizes: Sequence[tuple[int, int]] = SIZES, *, made_by: MadeBy = MADE_BY) -> Artifact:
    """Publish an artifact `seeds`."""
    return published("seeds", folder, label_rows(sizes), extents=EXTENTS, made_by=made_by)


CLASSES: list[tuple[int, ...]] = [(1, 2), (), (2,), (), (1,)]
MAP_SIZES = [(3, 5), (4, 2), (1, 1), (3, 4), (4, 5)]


def map_rows() -> list[dict[str, Any]]:
    """Columns of the artifact `cams`, some of them of images with no class."""
    random = np.random.default_rng(1)
    rows = []
    for number, (classes, map_size) in enumerate(zip(CLASSES, MAP_SIZES, strict=True)):
        maps = np.zeros((3, *map_size), np.float32)
        maps[list(classes)] = random.integers(1, 9, (len(classes), *map_size)) / np.float32(8)
        present = np.isin(np.arange(3), classes)
        rows.append({"ids": IDS[number], "size": SIZES[number], "scores": random.random(3, np.float32), "present": present, "maps": maps})
    return rows


def write_maps(folder: Path) -> Artifact:
    """Publish an artifact `cams`."""
    return published("cams", folder, map_rows(), extents=EXTENTS)


def tree(folder: Path) -> dict[str, bytes]:
    """Every file below a folder."""
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file()}


def refusal(folder: Path, name: str = "seeds") -> str:
    """The message with which an artifact is not opened."""
    with pytest.raises(ArtifactError) as raised:
        open_artifact(name, folder=folder)
    return str(raised.value)


# --- The schema ---


@pytest.mark.parametrize("name", list(SCHEMAS))
def test_dimensions_come_from_the_one_vocabulary(name: str) -> None:
    for array in SCHEMAS[name].arrays.values():
        assert set(array.dimensions) <= set(DIMENSIONS)
        assert not array.extent or array.extent in SCHEMAS[name].arrays
        assert array.meaning


def test_all_arrays_of_an_artifact_have_the_same_images_in_a_shard() -> None:
    schema = SCHEMAS["features"]
    vector = 2 * 100 * 100  # bytes of an entry of one channel
    assert schema.images_per_shard({"patch_y": 100, "patch_x": 100, "channel": 1}) == schemas.SHARD_IMAGES
    assert schema.images_per_shard({"patch_y": 100, "patch_x": 100, "channel": schemas.SHARD_BYTES // vector // 10}) == 10
    assert schema.images_per_shard({"patch_y": 100, "patch_x": 100, "channel": schemas.SHARD_BYTES}) == 1


# --- There and back ---


@pytest.mark.parametrize("shard_images", [64, 2, 1])
def test_what_was_written_is_read_at_its_true_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shard_images: int) -> None:
    monkeypatch.setattr(schemas, "SHARD_IMAGES", shard_images)
    seeds = write_labels(tmp_path / "data")
    assert len(seeds) == len(SIZES)
    assert seeds.ids == IDS
    for number, columns in enumerate(label_rows()):
        image = columns["ids"]
        assert image in seeds and seeds.row(image) == number
        assert seeds.size(image) == columns["size"]
        read = read_entry(seeds, "labels", image)
        assert read.dtype == np.uint8
        assert np.array_equal(read, columns["labels"])
    assert "image 5" not in seeds


@pytest.mark.parametrize("shard_images", [64, 2])
def test_padding_is_what_the_schema_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shard_images: int) -> None:
    monkeypatch.setattr(schemas, "SHARD_IMAGES", shard_images)
    whole = write_labels(tmp_path / "data").array("labels")
    assert whole.shape == (5, 7, 9)
    for number, (height, width) in enumerate(SIZES):
        assert (whole[number, height:] == 255).all() and (whole[number, :, width:] == 255).all()


@pytest.mark.parametrize("shard_images", [64, 2, 1])
def test_small_arrays_are_joined_over_all_shards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shard_images: int) -> None:
    monkeypatch.setattr(schemas, "SHARD_IMAGES", shard_images)
    cams = write_maps(tmp_path / "data")
    assert cams.array("size").tolist() == [list(size) for size in SIZES]
    assert cams.array("map_size").tolist() == [list(size) for size in MAP_SIZES]
    assert np.array_equal(cams.array("scores"), [columns["scores"] for columns in map_rows()])
    assert np.array_equal(cams.array("present"), [columns["present"] for columns in map_rows()])
    assert len({str(one) for one in cams.array("digest")}) == 5


@pytest.mark.parametrize("shard_images", [64, 2, 1])
def test_maps_belong_to_their_image_though_some_images_have_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shard_images: int
) -> None:
    monkeypatch.setattr(schemas, "SHARD_IMAGES", shard_images)
    cams = write_maps(tmp_path / "data")
    for number, columns in enumerate(map_rows()):
        maps = read_class_maps(cams, columns["ids"])
        assert maps.classes == CLASSES[number]
        assert maps.maps.dtype == np.float32
        assert maps.maps.shape == (len(CLASSES[number]), *MAP_SIZES[number])
        assert np.array_equal(maps.maps, columns["maps"][list(maps.classes)])


def test_maps_of_absent_classes_are_zeros(tmp_path: Path) -> None:
    cams = write_maps(tmp_path / "data")
    for columns in map_rows():
        read = read_entry(cams, "maps", columns["ids"])
        assert read.dtype == np.float16
        assert np.array_equal(read, columns["maps"])
    assert not read_entry(cams, "maps", "image 1").any()


def test_maps_of_absent_classes_take_no_room(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    extents = {**EXTENTS, "class": 21, "map_y": 40, "map_x": 60}
    one_map = 2 * 40 * 60  # bytes, which noise needs most of

    def shard_size(name: str, classes: Sequence[int]) -> int:
        maps = np.zeros((21, 40, 60), np.float32)
        maps[list(classes)] = random.random((len(classes), 40, 60))
        row = {"ids": "a", "size": (7, 9), "scores": np.zeros(21), "present": np.isin(np.arange(21), classes), "maps": maps}
        cams = published("cams", tmp_path / name, [row], extents=extents)
        assert np.array_equal(read_class_maps(cams, "a").maps, maps[list(classes)].astype(np.float16))
        return sum(size for file, (size, _) in cams.files.items() if file.startswith("maps/c/"))

    nothing, single, many = shard_size("nothing", []), shard_size("single", [7]), shard_size("many", range(1, 21))
    assert nothing == 0
    assert 0.5 * one_map < single < 1.2 * one_map + 16 * 64 * 21  # a shard's index has 16 bytes for every chunk that may be
    assert many > 10 * one_map


@pytest.mark.parametrize("alignment", list(Alignment))
def test_patches_know_their_grid_and_how_it_lies_on_the_image(tmp_path: Path, alignment: Alignment) -> None:
    values = np.arange(2 * 1 * 2, dtype=np.float32).reshape(2, 1, 2)
    rows = [{"ids": "tall", "size": (7, 3), "patches": values}, {"ids": "wide", "size": (3, 9), "patches": np.ones((1, 3, 2))}]
    whole = {"patch_size": 4, "alignment": alignment, "mirrored": False}
    features = published("features", tmp_path / "data", rows, whole=whole, extents=EXTENTS)
    assert read_patches(features, "tall").patch_size == 4 and read_patches(features, "tall").alignment is alignment
    assert np.array_equal(read_patches(features, "tall").values, values)
    assert read_patches(features, "wide").values.shape == (1, 3, 2)
    assert features.array("patch_grid").tolist() == [[2, 1], [1, 3]]


def test_probabilities_are_cut_along_their_last_two_axes(tmp_path: Path) -> None:
    parts = np.random.default_rng(0).integers(0, 256, (3, 2, 5), np.uint8)
    predictions = published("predictions", tmp_path / "data", [{"ids": "wide", "size": (3, 9), "probabilities": parts}], extents=EXTENTS)
    assert np.array_equal(read_probabilities(predictions, "wide").maps, parts / np.float32(255))


def test_an_artifact_of_no_image_at_all(tmp_path: Path) -> None:
    seeds = published("seeds", tmp_path / "data", extents=EXTENTS)
    assert len(seeds) == 0 and seeds.ids == []
    assert seeds.array("labels").shape == (0, 7, 9) and seeds.array("size").shape == (0, 2)


def test_a_network_s_state_keeps_names_shapes_and_types(tmp_path: Path) -> None:
    state: dict[str, npt.NDArray[Any]] = {
        "backbone.conv.weight": np.random.default_rng(0).random((2, 3, 1, 1), np.float32),
        "backbone.norm.num_batches_tracked": np.array(7, np.int64),
    }
    classifier = published_network("classifier", tmp_path / "data", state, loss=[0.5, 0.25])
    weights = classifier.weights()
    assert weights.keys() == state.keys()
    assert all(weights[name].dtype == value.dtype and np.array_equal(weights[name], value) for name, value in state.items())
    assert classifier.array("log").tolist() == [[0.5], [0.25]]


def test_a_network_is_known_by_its_state_alone(tmp_path: Path) -> None:
    state = {"weight": np.ones((2, 3), np.float32)}
    one = published_network("classifier", tmp_path / "one", state, loss=[0.5])
    same = published_network("classifier", tmp_path / "same", state, loss=[0.25], made_by=MadeBy("classifier", "other", {}))
    other = published_network("classifier", tmp_path / "other", {"weight": np.zeros((2, 3), np.float32)})
    renamed = published_network("classifier", tmp_path / "renamed", {"bias": np.ones((2, 3), np.float32)})
    assert one.weights_digest == same.weights_digest and one.digest != same.digest
    assert len({one.weights_digest, other.weights_digest, renamed.weights_digest}) == 3


# --- The data set ---


def test_the_data_set_answers_questions(tmp_path: Path, write_dataset: Callable[..., Artifact]) -> None:
    sizes = {"a": (20, 30), "b": (40, 48), "c": (16, 17)}
    data = write_dataset(tmp_path / "data", sizes=sizes, labels={"a": (2, 1), "b": (), "c": (2,)})
    assert data.max_size == (40, 48)
    assert data.num_classes == 2 and data.class_names == ["background", "cat", "dog"]
    assert data.extents == {"y": 40, "x": 48, "class": 3, "predicted": 4}
    assert data.split("train") == ["a", "c"] and data.split("val") == ["b"]
    assert {image: data.size(image) for image in data.ids} == sizes


def test_labels_are_the_classes_of_an_image(tmp_path: Path, write_dataset: Callable[..., Artifact]) -> None:
    sizes = {"a": (20, 30), "b": (40, 48), "c": (16, 17), "d": (20, 30)}
    labels = Labels(write_dataset(tmp_path / "data", sizes=sizes, labels={"a": (2, 1), "b": (), "c": (2,), "d": (1, 2)}))
    assert [labels[image] for image in sizes] == [(1, 2), (), (2,), (1, 2)]
    assert labels.key("a") == labels.key("d")  # the same classes, whatever the image
    assert len({labels.key(image) for image in "abc"}) == 3


def test_images_with_a_problem_are_left_out(tmp_path: Path, write_dataset: Callable[..., Artifact]) -> None:
    sizes = {"a": (20, 30), "b": (0, 0), "c": (0, 0), "d": (16, 17)}
    data = write_dataset(tmp_path / "data", sizes=sizes, problems={"b": "0 bytes", "c": "half an image"})
    assert data.ids == ["a", "b", "c", "d"]
    assert data.usable == ["a", "d"]
    assert data.split("train") == ["a"] and data.split("val") == ["d"]


def test_an_unknown_split_is_answered_with_those_that_there_are(tmp_path: Path, write_dataset: Callable[..., Artifact]) -> None:
    data = write_dataset(tmp_path / "data", sizes={"a": (20, 30), "b": (20, 30)})
    with pytest.raises(ArtifactError) as raised:
        data.split("test")
    assert str(raised.value) == (
        f"{tmp_path}/data/dataset.zarr: found no split 'test'; expected one of: train, val; correct the split in params.yaml"
    )


# --- On disk ---


def test_anyone_can_open_it_with_zarr_alone(tmp_path: Path) -> None:
    write_labels(tmp_path / "data")
    group: Any = zarr.open(tmp_path / "data" / "seeds.zarr", mode="r")
    assert group["labels"].shape == (5, 7, 9)
    assert group["labels"].metadata.dimension_names == ("image", "y", "x")
    assert group["labels"].chunks == (1, 7, 9)
    assert "255" in group["labels"].attrs["meaning"]
    assert list(group["ids"][:2]) == ["image 0", "image 1"]
    assert np.array_equal(group["labels"][0, :5], label_rows()[0]["labels"])


def test_few_files_hold_many_images(tmp_path: Path) -> None:
    write_labels(tmp_path / "data", [(5, 7)] * 150)
    shards = [path for path in (tmp_path / "data" / "seeds.zarr" / "labels" / "c").rglob("*") if path.is_file()]
    assert len(shards) == 3  # of at most 64 images each


def test_an_artifact_shares_its_shards_with_the_store(tmp_path: Path) -> None:
    shard = write_labels(tmp_path / "data").path / "labels" / "c" / "0" / "0" / "0"
    assert shard.stat().st_nlink == 2  # no disk is filled twice


# --- A pure function of its input ---


@pytest.mark.parametrize("write", [write_labels, write_maps])
def test_the_same_input_gives_the_same_bytes(tmp_path: Path, write: Callable[[Path], Artifact]) -> None:
    first, second = write(tmp_path / "one" / "data"), write(tmp_path / "two" / "data")
    assert first.digest == second.digest
    assert tree(tmp_path / "one") == tree(tmp_path / "two")


def test_the_digest_follows_content_and_origin(tmp_path: Path) -> None:
    digests = {
        write_labels(tmp_path / "data").digest,
        write_labels(tmp_path / "data", SIZES[:-1]).digest,
        write_labels(tmp_path / "data", made_by=MadeBy("seeds", "superpixel_background", {"threshold": 0.6})).digest,
    }
    assert len(digests) == 3


def test_an_image_is_known_by_what_the_artifact_holds_of_it(tmp_path: Path) -> None:
    rows = label_rows()
    changed = [{**row, "labels": row["labels"] + (row["ids"] == "image 3")} for row in rows]
    before = published("seeds", tmp_path / "one", rows, extents=EXTENTS)
    after = published("seeds", tmp_path / "two", list(reversed(changed)), extents=EXTENTS, made_by=MadeBy("seeds", "other", {}))
    assert [image for image in IDS if before.key(image) != after.key(image)] == ["image 3"]
    assert len({before.key(image) for image in IDS}) == 5
    assert before.key("image 5") == ""  # it holds nothing of it


def test_an_artifact_explains_where_it_comes_from_without_any_path(tmp_path: Path, small_method: Callable[[str, str], Any]) -> None:
    cams = write_maps(tmp_path / "data")
    dino = small_method("superpixels", "dino")
    assert isinstance(dino, Dino)
    made_by = MadeBy.of("superpixels", dino, {"cams": cams})
    assert made_by.method == "dino" and made_by.inputs == {"cams": cams.digest}
    assert made_by.parameters["crf"]["iterations"] == dino.crf.iterations
    seeds = write_labels(tmp_path / "data", made_by=made_by)
    assert seeds.made_by == made_by
    assert not any(str(tmp_path).encode() in content for content in tree(tmp_path / "data").values())


def test_where_initial_weights_lie_is_not_part_of_an_artifact(small_method: Callable[[str, str], Any]) -> None:
    cam = small_method("classifier", "cam")
    here, there = (
        dataclasses.replace(
            cam, backbone=dataclasses.replace(cam.backbone, initial_weights=InitialWeights(source="file", file=file, sha256="0" * 64))
        )
        for file in ("/home/me/resnet.safetensors", "/data/resnet.safetensors")
    )
    assert MadeBy.of("classifier", here, {}) == MadeBy.of("classifier", there, {})


# --- Whole or not at all ---


def test_an_error_leaves_the_earlier_artifact_and_no_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_labels(tmp_path / "data")
    before = tree(tmp_path / "data" / "seeds.zarr")

    def fail(*_: object) -> None:
        raise RuntimeError("half way")

    monkeypatch.setattr("seedbed.store.store.sign", fail)
    with pytest.raises(RuntimeError, match="half way"):
        write_labels(tmp_path / "data", SIZES[:2])
    assert tree(tmp_path / "data" / "seeds.zarr") == before
    assert not list((tmp_path / "data" / ".work" / "seeds").glob("new-*"))


def test_an_array_that_a_stage_forgot_stops_it(tmp_path: Path) -> None:
    write_maps(tmp_path / "data")
    before = tree(tmp_path / "data" / "cams.zarr")
    row = {"ids": "tall", "size": (7, 3), "patches": np.ones((2, 1, 2))}
    with pytest.raises(ValueError, match="stage features left out patch_size"):
        published("features", tmp_path / "data", [row], extents=EXTENTS)
    assert not (tmp_path / "data" / "features.zarr").exists()
    assert tree(tmp_path / "data" / "cams.zarr") == before


@pytest.mark.parametrize(("name", "forgotten"), [("cams", "present"), ("seeds", "labels")])
def test_a_column_that_a_stage_forgot_stops_it(tmp_path: Path, name: str, forgotten: str) -> None:
    rows = [
        {column: value for column, value in row.items() if column != forgotten} for row in (map_rows() if name == "cams" else label_rows())
    ]
    with pytest.raises(ValueError, match=f"stage {name} left out {forgotten}"):
        published(name, tmp_path / "data", rows, extents=EXTENTS)
    assert not (tmp_path / "data" / f"{name}.zarr").exists()


def test_a_turned_map_is_a_mistake_of_the_stage(tmp_path: Path) -> None:
    row = label_rows()[0]
    with pytest.raises(ValueError, match=r"stage seeds: labels of \(9, 5\) where size is \[5 9\]"):
        published("seeds", tmp_path / "data", [{**row, "labels": row["labels"].T}], extents=EXTENTS)
    assert not (tmp_path / "data" / "seeds.zarr").exists()


def test_a_second_writer_is_refused_while_the_first_is_at_work(tmp_path: Path) -> None:
    first, second = Store("seeds", folder=tmp_path / "data"), Store("seeds", folder=tmp_path / "data")
    with first.locked():
        with pytest.raises(ArtifactError) as raised, second.locked(wait=False):
            raise AssertionError("two writers")
        with Store("cams", folder=tmp_path / "data").locked(wait=False):
            pass  # another stage is another matter
    message = str(raised.value)
    assert message.startswith(f"{tmp_path}/data/.work/seeds: found process ")
    assert message.endswith(", which is writing; expected no other writer; wait for it, or stop it")
    with second.locked(wait=False):  # the lock is gone with its holder
        assert len(write_labels(tmp_path / "data")) == len(SIZES)


def test_what_a_killed_writer_left_disturbs_nobody_and_is_swept_up(tmp_path: Path) -> None:
    left = tmp_path / "data" / ".work" / "seeds" / "new-half"
    left.mkdir(parents=True)
    (left / "zarr.json").write_text("{")
    assert refusal(tmp_path / "data").endswith("run `dvc repro seeds`")
    with Store("seeds", folder=tmp_path / "data").locked():
        assert len(write_labels(tmp_path / "data")) == len(SIZES)
    assert not left.exists()


def test_a_new_artifact_replaces_the_earlier_one(tmp_path: Path) -> None:
    write_labels(tmp_path / "data")
    write_labels(tmp_path / "data", SIZES[:2])
    assert len(open_artifact("seeds", folder=tmp_path / "data")) == 2


# --- What cannot be opened ---


def test_a_missing_artifact_says_which_stage_makes_it(tmp_path: Path) -> None:
    assert refusal(tmp_path) == f"{tmp_path}/seeds.zarr: found nothing; expected the artifact of stage seeds; run `dvc repro seeds`"


AGAIN = "run `dvc repro --force --single-item seeds`"
AS_PUBLISHED = f"expected all files as they were published; {AGAIN}"


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    path = write_labels(tmp_path).path
    (path / "labels" / "c" / "0" / "0" / "0").unlink()
    assert refusal(tmp_path) == f"{path}: found no labels/c/0/0/0; {AS_PUBLISHED}"


def test_a_truncated_file_is_named_with_both_lengths(tmp_path: Path) -> None:
    path = write_labels(tmp_path).path
    shard = path / "labels" / "c" / "0" / "0" / "0"
    content = shard.read_bytes()
    shard.write_bytes(content[:-3])
    assert refusal(tmp_path) == (f"{path}: found labels/c/0/0/0 with {len(content) - 3} bytes instead of {len(content)}; {AS_PUBLISHED}")


@pytest.mark.parametrize("victim", ["labels/zarr.json", "size/c/0/0", "ids/zarr.json"])
def test_any_missing_file_is_found(tmp_path: Path, victim: str) -> None:
    (write_labels(tmp_path).path / victim).unlink()
    assert f"found no {victim}; {AS_PUBLISHED}" in refusal(tmp_path)


@pytest.mark.parametrize("foreign", ["labels/c/1/0/0", "notes.txt", "other/zarr.json"])
def test_a_file_of_somebody_else_is_named(tmp_path: Path, foreign: str) -> None:
    path = write_labels(tmp_path).path
    (path / foreign).parent.mkdir(parents=True, exist_ok=True)
    (path / foreign).write_bytes(b"something")
    assert refusal(tmp_path) == f"{path}: found {foreign}, which does not belong to it; {AS_PUBLISHED}"


def test_an_older_schema_says_both_versions_and_what_to_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_labels(tmp_path).path
    newer = SCHEMAS["seeds"].version + 1
    monkeypatch.setitem(SCHEMAS, "seeds", schemas.Schema(newer, "labels", SCHEMAS["seeds"].arrays))
    assert refusal(tmp_path) == f"{path}: found schema {newer - 1}; expected schema {newer}, which this version reads; {AGAIN}"


def break_metadata(path: Path) -> None:
    (path / "zarr.json").write_text("{")


def remove_metadata(path: Path) -> None:
    (path / "zarr.json").unlink()


def put_a_list_there(path: Path) -> None:
    (path / "zarr.json").write_text("[1, 2]")


def put_a_file_there(path: Path) -> None:
    path.rename(path.with_name("elsewhere.zarr"))
    path.write_text("not a folder")


def put_version_2_there(path: Path) -> None:
    path.rename(path.with_name("elsewhere.zarr"))
    zarr.open_group(path, mode="w", zarr_format=2)


def put_a_group_of_somebody_else_there(path: Path) -> None:
    path.rename(path.with_name("elsewhere.zarr"))
    zarr.open_group(path, mode="w", attributes={"seedbed": "a tray of seedlings"})


@pytest.mark.parametrize(
    "harm",
    [
        *(break_metadata, remove_metadata, put_a_list_there, put_a_file_there, put_version_2_there),
        put_a_group_of_somebody_else_there,
    ],
)
def test_what_is_no_group_of_ours_is_refused(tmp_path: Path, harm: Callable[[Path], None]) -> None:
    path = write_labels(tmp_path).path
    harm(path)
    assert refusal(tmp_path) == f"{path}: found something that Seedbed did not write; expected the artifact of stage seeds; {AGAIN}"


def edited(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change the record that an artifact keeps of itself."""
    metadata: dict[str, Any] = json.loads((path / "zarr.json").read_text())
    change(metadata["attributes"]["seedbed"])
    (path / "zarr.json").write_text(json.dumps(metadata))


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda record: record.update(schema=1), id="schema"),
        pytest.param(lambda record: record["made_by"].update(method="other"), id="method"),
        pytest.param(lambda record: record["made_by"]["inputs"].update(cams="another digest"), id="inputs"),
        pytest.param(lambda record: record["files"].pop("labels/c/0/0/0"), id="files"),
        pytest.param(lambda record: record.update(digest="0" * 64), id="digest"),
        pytest.param(lambda record: record.pop("digest"), id="no digest"),
        pytest.param(lambda record: record.update(note="a word more"), id="more"),
    ],
)
def test_an_edited_record_is_refused(tmp_path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    path = write_labels(tmp_path).path
    edited(path, lambda record: None)
    assert len(open_artifact("seeds", folder=tmp_path)) == 5  # layout alone is nothing
    edited(path, change)
    assert f"found something that Seedbed did not write; expected the artifact of stage seeds; {AGAIN}" in refusal(tmp_path)


# --- What changes after it was opened ---


@pytest.mark.parametrize(("array", "victim"), [("labels", "labels/c/0/0/0"), ("size", "size/c/0/0"), ("labels", "labels/zarr.json")])
def test_a_file_that_vanishes_is_an_error_and_not_padding(tmp_path: Path, array: str, victim: str) -> None:
    path = write_labels(tmp_path).path
    seeds = open_artifact("seeds", folder=tmp_path)
    (path / victim).unlink()
    with pytest.raises(ArtifactError) as raised:
        seeds.array(array)
    assert str(raised.value) == f"{path}: found no {victim}, which was there before; expected an unchanged artifact; run `dvc repro` again"


def test_no_flipped_bit_of_a_shard_makes_it_something_else(tmp_path: Path) -> None:
    shard = write_labels(tmp_path, SIZES[:2]).path / "labels" / "c" / "0" / "0" / "0"
    content = shard.read_bytes()
    chunks = len(content) - 16 * schemas.SHARD_IMAGES - 4  # what follows is the index and its checksum
    assert 0 < chunks < 200
    expected, harmless = open_artifact("seeds", folder=tmp_path).array("labels"), 0
    places = [*range(chunks), *range(chunks, chunks + 32), *range(len(content) - 4, len(content))]
    for place in places:
        changed = bytearray(content)
        changed[place] ^= 1 << place % 8
        shard.write_bytes(changed)
        try:
            assert np.array_equal(open_artifact("seeds", folder=tmp_path).array("labels"), expected)
            harmless += 1  # zstd leaves a bit or two of a chunk's header without a meaning
        except (ArtifactError, RuntimeError, ValueError):
            pass
    assert harmless < len(places) // 20


@pytest.mark.parametrize("name", ["size", "ids", "digest"])
def test_a_flipped_byte_of_a_small_array_is_an_error(tmp_path: Path, name: str) -> None:
    seeds = write_labels(tmp_path)
    [file] = [seeds.path / one for one in seeds.files if one.startswith(f"{name}/c/")]
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 0x10
    file.write_bytes(content)
    again = open_artifact("seeds", folder=tmp_path)
    with pytest.raises((ArtifactError, RuntimeError, ValueError)):
        again.array(name)


def test_an_artifact_that_was_replaced_meanwhile_is_noticed(tmp_path: Path) -> None:
    seeds = write_labels(tmp_path)
    seeds.check_unchanged()
    write_labels(tmp_path)
    seeds.check_unchanged()  # the same once more
    write_labels(tmp_path, SIZES[:2])
    with pytest.raises(ArtifactError) as raised:
        seeds.check_unchanged()
    expected = "found that it was replaced since the stage began; expected the same; run `dvc repro` again"
    assert str(raised.value) == f"{tmp_path}/seeds.zarr: {expected}"


def test_images_are_read_ahead_only_in_order_and_are_the_same_in_any(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = [SIZES[number % len(SIZES)] for number in range(40)]
    written = label_rows(sizes)
    seeds = write_labels(tmp_path, sizes)
    read: list[Any] = []
    plain = zarr.Array.__getitem__

    def note(array: zarr.Array[Any], where: Any) -> Any:
        read.append(where)
        return plain(array, where)

    monkeypatch.setattr(zarr.Array, "__getitem__", note)

    def reads_of(order: Sequence[int]) -> int:
        again = open_artifact("seeds", folder=tmp_path)
        for name in ("ids", "size"):
            again.array(name)
        read.clear()
        for number in order:
            labels = read_entry(again, "labels", f"image {number}")
            assert np.array_equal(labels, written[number]["labels"])
            labels[...] = 255  # what its reader does to it concerns nobody else
        return len(read)

    assert len(seeds) == 40
    assert reads_of(range(40)) == 1 + 5, "the first alone, then eight at once"
    assert reads_of(range(0, 40, 3)) < 14, "in order, and not all of them"
    assert reads_of(range(39, -1, -1)) == 40
    assert reads_of([0, 20, 1, 21, 2, 22]) == 6, "no order that is seen"
    assert reads_of([5, 5, 6, 5]) == 3, "the one before was dropped, and is read again"
    monkeypatch.setattr(artifact, "AHEAD_BYTES", 2 * 7 * 9)
    assert reads_of(range(40)) == 1 + 20, "two at once, because more would take too much memory"


def test_a_record_is_read_again_only_if_its_file_has_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seeds = write_labels(tmp_path)
    record = tmp_path / "seeds.zarr" / "zarr.json"
    read: list[Path] = []

    def note(path: Path) -> dict[str, Any]:
        read.append(path)
        return record_of(path)

    monkeypatch.setattr(artifact, "record_of", note)
    for _ in range(3):
        seeds.check_unchanged()
    assert read == [seeds.path], "the record grows with the images, and each of their shards asks"
    os.utime(record, ns=(0, 0))
    seeds.check_unchanged()
    assert read == [seeds.path] * 2
    times, content = record.stat(), record.read_text(encoding="utf-8")
    record.write_text(content.replace(seeds.digest, seeds.digest[::-1]), encoding="utf-8")
    os.utime(record, ns=(times.st_atime_ns, times.st_mtime_ns))
    for _ in range(2):
        with pytest.raises(ArtifactError, match="found that it was replaced since the stage began"):
            seeds.check_unchanged()
    record.unlink()
    with pytest.raises(ArtifactError, match="found that it was replaced since the stage began"):
        seeds.check_unchanged()


# --- In other processes ---


def labels_in_another_process(seeds: Artifact, images: Sequence[str]) -> list[npt.NDArray[Any]]:
    """What a worker reads."""
    return [read_entry(seeds, "labels", image) for image in images]


def test_an_artifact_is_opened_again_in_the_process_that_it_is_sent_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    seeds = write_labels(Path("data"))
    seeds.array("labels")
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        pool.submit(print).result()  # it has begun where this process was
        monkeypatch.chdir("/")
        read = pool.submit(labels_in_another_process, seeds, IDS).result()
    assert all(np.array_equal(one, columns["labels"]) for one, columns in zip(read, label_rows(), strict=True))


def test_classes_of_an_image_may_be_unknown(tmp_path: Path, write_dataset: Callable[..., Artifact]) -> None:
    labels = Labels(write_dataset(tmp_path, sizes={"a": (2, 3), "b": (3, 2)}, labels={"a": (2,), "b": ()}))
    assert labels.get("a") == (2,) and labels.get("b") == ()
    labels.data.array("labelled")[1] = False
    assert labels.get("b") is None and labels.key("b") == "unknown"
