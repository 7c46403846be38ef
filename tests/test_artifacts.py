"""Artifacts: what was written is what is read, whole or not at all, and the same bytes from the same input."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import zarr

from seedbed import artifacts, executor
from seedbed.artifacts import DIMENSIONS, SCHEMAS, Artifact, MadeBy, Writer, open_artifact
from seedbed.errors import ArtifactError
from seedbed.superpixels.dino import Dino
from seedbed.weights import InitialWeights

MADE_BY = MadeBy("seeds", "superpixel_background", {"threshold": 0.5}, {"cams": "digest of cams"})
EXTENTS = {"y": 7, "x": 9, "class": 3, "predicted": 4, "map_y": 4, "map_x": 5, "patch_y": 2, "patch_x": 3, "channel": 2}
SIZES = [(5, 9), (7, 3), (1, 1), (6, 8), (7, 9)]


def label_rows(sizes: list[tuple[int, int]] = SIZES) -> Iterator[dict[str, Any]]:
    """Columns of the artifact `seeds` for images of several sizes."""
    random = np.random.default_rng(0)
    for number, size in enumerate(sizes):
        yield {"ids": f"image {number}", "size": size, "labels": random.integers(0, 3, size).astype(np.uint8)}


def write_labels(folder: Path, sizes: list[tuple[int, int]] = SIZES, *, made_by: MadeBy = MADE_BY) -> Artifact:
    """Publish an artifact `seeds`."""
    with Writer("seeds", made_by, extents=EXTENTS, folder=folder) as out:
        for columns in label_rows(sizes):
            out.append(columns)
    return open_artifact("seeds", folder=folder)


PAIRS: list[tuple[int, ...]] = [(1, 2), (), (2,), (), (1,)]
MAP_SIZES = [(3, 5), (4, 2), (1, 1), (3, 4), (4, 5)]


def map_rows() -> list[dict[str, Any]]:
    """Columns of the artifact `cams`, some of them of images with no class."""
    random = np.random.default_rng(1)
    return [
        {
            "ids": f"image {number}",
            "size": SIZES[number],
            "scores": random.random(3, np.float32),
            "pair_class": classes,
            "maps": random.integers(0, 9, (len(classes), *map_size)) / np.float32(8),
        }
        for number, (classes, map_size) in enumerate(zip(PAIRS, MAP_SIZES, strict=True))
    ]


def write_maps(folder: Path) -> Artifact:
    """Publish an artifact `cams`."""
    with Writer("cams", MadeBy("cams", "multiscale", {}), extents=EXTENTS, folder=folder) as out:
        for columns in map_rows():
            out.append(columns)
    return open_artifact("cams", folder=folder)


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


# --- There and back ---


@pytest.mark.parametrize("shard_images", [128, 2, 1])
def test_what_was_written_is_read_at_its_true_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shard_images: int) -> None:
    monkeypatch.setattr(artifacts, "SHARD_IMAGES", shard_images)
    seeds = write_labels(tmp_path / "data")
    assert len(seeds) == len(SIZES)
    assert seeds.ids == [f"image {number}" for number in range(5)]
    for number, columns in enumerate(label_rows()):
        assert seeds.row(columns["ids"]) == number
        assert seeds.size(number) == columns["size"]
        read = seeds.read("labels", number)
        assert read.dtype == np.uint8
        assert np.array_equal(read, columns["labels"])


@pytest.mark.parametrize("shard_images", [128, 2])
def test_padding_is_what_the_schema_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shard_images: int) -> None:
    monkeypatch.setattr(artifacts, "SHARD_IMAGES", shard_images)
    whole = write_labels(tmp_path / "data").whole("labels")
    assert whole.shape == (5, 7, 9)
    for number, (height, width) in enumerate(SIZES):
        assert (whole[number, height:] == 255).all() and (whole[number, :, width:] == 255).all()


@pytest.mark.parametrize("shard_images", [128, 2, 1])
def test_maps_belong_to_their_image_though_some_images_have_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shard_images: int
) -> None:
    monkeypatch.setattr(artifacts, "SHARD_IMAGES", shard_images)
    cams = write_maps(tmp_path / "data")
    for number, columns in enumerate(map_rows()):
        maps = cams.class_maps(number)
        assert maps.classes == columns["pair_class"]
        assert maps.maps.dtype == np.float32
        assert maps.maps.shape == (len(PAIRS[number]), *MAP_SIZES[number])
        assert np.array_equal(maps.maps, columns["maps"])
    assert cams.whole("pair_image").tolist() == [0, 0, 2, 4]
    assert cams.whole("first_pair").tolist() == [0, 2, 2, 3, 3]


def test_no_image_has_a_class(tmp_path: Path) -> None:
    with Writer("cams", MadeBy("cams", "multiscale", {}), extents=EXTENTS, folder=tmp_path / "data") as out:
        out.append(map_rows()[1])
    cams = open_artifact("cams", folder=tmp_path / "data")
    assert cams.class_maps(0).maps.shape == (0, 4, 2)
    assert cams.whole("maps").shape == (0, 4, 5)


def test_patches_know_their_grid(tmp_path: Path) -> None:
    values = np.arange(2 * 1 * 2, dtype=np.float32).reshape(2, 1, 2)
    with Writer("features", MadeBy("features", "texture", {}), extents=EXTENTS, folder=tmp_path / "data") as out:
        out.put("patch_size", 4)
        out.append({"ids": "tall", "size": (7, 3), "patches": values})
        out.append({"ids": "wide", "size": (3, 9), "patches": np.ones((1, 3, 2))})
    features = open_artifact("features", folder=tmp_path / "data")
    assert features.patches(0).patch_size == 4
    assert np.array_equal(features.patches(0).values, values)
    assert features.patches(1).values.shape == (1, 3, 2)
    assert features.whole("patch_grid").tolist() == [[2, 1], [1, 3]]


def test_probabilities_are_cut_along_their_last_two_axes(tmp_path: Path) -> None:
    maps = np.random.default_rng(0).integers(0, 9, (3, 2, 5)) / np.float32(8)
    with Writer("predictions", MadeBy("predictions", "multiscale", {}), extents=EXTENTS, folder=tmp_path / "data") as out:
        out.append({"ids": "wide", "size": (3, 9), "probabilities": maps})
    assert np.array_equal(open_artifact("predictions", folder=tmp_path / "data").probabilities(0).maps, maps)


def test_a_network_s_state_keeps_names_shapes_and_types(tmp_path: Path) -> None:
    state: dict[str, npt.NDArray[Any]] = {
        "backbone.conv.weight": np.random.default_rng(0).random((2, 3, 1, 1), np.float32),
        "backbone.norm.num_batches_tracked": np.array(7, np.int64),
    }
    with Writer("classifier", MadeBy("classifier", "cam", {}), folder=tmp_path / "data") as out:
        out.put("loss", [0.5, 0.25])
        out.put_weights(state.items())
    classifier = open_artifact("classifier", folder=tmp_path / "data")
    weights = classifier.weights()
    assert weights.keys() == state.keys()
    assert all(weights[name].dtype == value.dtype and np.array_equal(weights[name], value) for name, value in state.items())
    assert classifier.whole("loss").tolist() == [0.5, 0.25]


def test_the_data_set_answers_questions(tmp_path: Path, write_dataset: Callable[..., Artifact]) -> None:
    sizes = {"a": (20, 30), "b": (40, 48), "c": (16, 17)}
    data = write_dataset(tmp_path / "data", sizes=sizes, labels={"a": (2, 1), "b": (), "c": (2,)})
    assert data.max_size == (40, 48)
    assert data.num_classes == 2
    assert data.extents == {"y": 40, "x": 48, "class": 3, "predicted": 4}
    assert [data.classes(row) for row in range(3)] == [(1, 2), (), (2,)]
    assert data.split("train") == [0, 2] and data.split("val") == [1]
    assert data.identity(1)["ids"] == "b" and tuple(data.identity(1)["size"]) == (40, 48)


def test_an_unknown_split_is_answered_with_those_that_there_are(tmp_path: Path, write_dataset: Callable[..., Artifact]) -> None:
    data = write_dataset(tmp_path / "data", sizes={"a": (20, 30), "b": (20, 30)})
    with pytest.raises(ArtifactError) as raised:
        data.split("test")
    assert str(raised.value) == (
        f"{tmp_path}/data/dataset.zarr: found no split 'test'; expected one of: train, val; correct the split in params.yaml"
    )


def test_anyone_can_open_it_with_zarr_alone(tmp_path: Path) -> None:
    write_labels(tmp_path / "data")
    group: Any = zarr.open(tmp_path / "data" / "seeds.zarr", mode="r")
    assert group["labels"].shape == (5, 7, 9)
    assert group["labels"].metadata.dimension_names == ("image", "y", "x")
    assert group["labels"].chunks == (1, 7, 9)
    assert "255" in group["labels"].attrs["meaning"]
    assert list(group["ids"][:2]) == ["image 0", "image 1"]


def test_few_files_hold_many_images(tmp_path: Path) -> None:
    write_labels(tmp_path / "data", [(5, 7)] * 300)
    shards = [path for path in (tmp_path / "data" / "seeds.zarr" / "labels" / "c").rglob("*") if path.is_file()]
    assert len(shards) == 3  # of at most 128 images each


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


def test_an_artifact_explains_where_it_comes_from_without_any_path(tmp_path: Path, small_method: Callable[[str, str], Any]) -> None:
    cams = write_maps(tmp_path / "data")
    dino = small_method("superpixels", "dino")
    assert isinstance(dino, Dino)
    made_by = MadeBy.of("superpixels", dino, cams)
    assert made_by.method == "dino" and made_by.inputs == {"cams": cams.digest}
    assert made_by.parameters["crf"]["iterations"] == dino.crf.iterations
    seeds = write_labels(tmp_path / "data", made_by=made_by)
    assert seeds.made_by == made_by
    assert not any(str(tmp_path).encode() in content for content in tree(tmp_path / "data").values())


def test_where_initial_weights_lie_is_not_part_of_an_artifact(small_method: Callable[[str, str], Any]) -> None:
    cam = small_method("classifier", "cam")
    here, there = (
        dataclasses.replace(cam, initial_weights=InitialWeights(source="file", file=file, sha256="0" * 64))
        for file in ("/home/me/resnet.safetensors", "/data/resnet.safetensors")
    )
    assert MadeBy.of("classifier", here) == MadeBy.of("classifier", there)


# --- Whole or not at all ---


def test_an_error_leaves_the_earlier_artifact_and_no_work(tmp_path: Path) -> None:
    write_labels(tmp_path / "data")
    before = tree(tmp_path / "data")

    def write_half() -> None:
        with Writer("seeds", MADE_BY, extents=EXTENTS, folder=tmp_path / "data") as out:
            out.append(next(label_rows()))
            raise RuntimeError("half way")

    with pytest.raises(RuntimeError, match="half way"):
        write_half()
    assert tree(tmp_path / "data") == before
    assert not [path for path in (tmp_path / "data" / ".work").rglob("*") if path.name == "seeds.zarr"]


def test_an_array_that_a_stage_forgot_stops_it(tmp_path: Path, write_dataset: Callable[..., Artifact]) -> None:
    write_dataset(tmp_path / "data", sizes={"a": (20, 30)})
    before = tree(tmp_path / "data")

    def write_without_names() -> None:
        extents = {"class": 3, "split": 1}
        with Writer("dataset", MadeBy("dataset", "folder", {}), extents=extents, folder=tmp_path / "data") as out:
            out.put("max_size", (7, 9))
            out.put("palette", np.zeros((3, 3)))
            out.put("split_names", ["train"])

    with pytest.raises(ValueError, match="stage dataset left out class_names"):
        write_without_names()
    assert tree(tmp_path / "data") == before


def test_what_a_killed_writer_left_disturbs_nobody(tmp_path: Path) -> None:
    Writer("seeds", MADE_BY, extents=EXTENTS, folder=tmp_path / "data").__enter__().append(next(label_rows()))
    assert refusal(tmp_path / "data").endswith("run `dvc repro seeds`")
    assert len(write_labels(tmp_path / "data")) == len(SIZES)


def test_a_new_artifact_replaces_the_earlier_one(tmp_path: Path) -> None:
    write_labels(tmp_path / "data")
    write_labels(tmp_path / "data", SIZES[:2])
    assert len(open_artifact("seeds", folder=tmp_path / "data")) == 2


# --- What cannot be opened ---


def test_a_missing_artifact_says_which_stage_makes_it(tmp_path: Path) -> None:
    assert refusal(tmp_path) == f"{tmp_path}/seeds.zarr: found nothing; expected the artifact of stage seeds; run `dvc repro seeds`"


AGAIN = "run `dvc repro --force --single-item seeds`"


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    path = write_labels(tmp_path).path
    (path / "labels" / "c" / "0" / "0" / "0").unlink()
    message = refusal(tmp_path)
    assert message.startswith(f"{path}: found no labels/c/0/0/0; expected ")
    assert message.endswith(AGAIN)


def test_a_truncated_file_is_named_with_both_lengths(tmp_path: Path) -> None:
    path = write_labels(tmp_path).path
    shard = path / "labels" / "c" / "0" / "0" / "0"
    content = shard.read_bytes()
    shard.write_bytes(content[:-3])
    message = refusal(tmp_path)
    assert f"found labels/c/0/0/0 with {len(content) - 3} bytes; expected {len(content)} bytes, as when it was published" in message


@pytest.mark.parametrize("victim", ["labels/zarr.json", "size/c/0/0", "ids/zarr.json"])
def test_any_missing_file_is_found(tmp_path: Path, victim: str) -> None:
    (write_labels(tmp_path).path / victim).unlink()
    assert f"found no {victim}" in refusal(tmp_path)


def test_an_older_schema_says_both_versions_and_what_to_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_labels(tmp_path).path
    newer = SCHEMAS["seeds"].version + 1
    monkeypatch.setitem(SCHEMAS, "seeds", artifacts.Schema(newer, "labels", SCHEMAS["seeds"].arrays))
    assert refusal(tmp_path) == f"{path}: found schema {newer - 1}; expected schema {newer}, which this version reads; {AGAIN}"


def test_a_zarr_group_of_somebody_else_is_refused(tmp_path: Path) -> None:
    zarr.open_group(tmp_path / "seeds.zarr", mode="w")
    assert "found a zarr group that Seedbed did not write; expected the artifact of stage seeds" in refusal(tmp_path)


def break_metadata(path: Path) -> None:
    (path / "zarr.json").write_text("{")


def remove_metadata(path: Path) -> None:
    (path / "zarr.json").unlink()


def put_a_file_there(path: Path) -> None:
    path.rename(path.with_name("elsewhere.zarr"))
    path.write_text("not a folder")


def put_version_2_there(path: Path) -> None:
    path.rename(path.with_name("elsewhere.zarr"))
    zarr.open_group(path, mode="w", zarr_format=2)


@pytest.mark.parametrize("harm", [break_metadata, remove_metadata, put_a_file_there, put_version_2_there])
def test_what_is_no_zarr_group_is_refused(tmp_path: Path, harm: Callable[[Path], None]) -> None:
    harm(write_labels(tmp_path).path)
    message = refusal(tmp_path)
    assert "found no readable zarr group; expected a zarr v3 group" in message
    assert message.endswith(AGAIN)


def test_a_record_without_its_files_is_refused(tmp_path: Path) -> None:
    path = write_labels(tmp_path).path
    metadata: Mapping[str, Any] = json.loads((path / "zarr.json").read_text())
    metadata["attributes"]["seedbed"]["schema"] = "1"
    (path / "zarr.json").write_text(json.dumps(metadata))
    assert "expected schema" in refusal(tmp_path)


# --- In other processes ---


def test_an_artifact_is_opened_again_in_the_process_that_it_is_sent_to(tmp_path: Path) -> None:
    seeds = write_labels(tmp_path / "data")
    seeds.whole("labels")
    sizes = list(executor.mapped(partial(map, seeds.size), range(5), workers=2, scheduler=""))
    assert sizes == SIZES


def test_a_second_writer_is_refused_while_the_first_is_at_work(tmp_path: Path) -> None:
    rows = label_rows()
    with Writer("seeds", MADE_BY, extents=EXTENTS, folder=tmp_path / "data") as first:
        first.append(next(rows))
        with (
            pytest.raises(ArtifactError, match=r"seeds\.zarr: found another run that is writing it; expected one writer at a time"),
            Writer("seeds", MADE_BY, extents=EXTENTS, folder=tmp_path / "data"),
        ):
            raise AssertionError("two writers")
        for row in rows:
            first.append(row)
    write_labels(tmp_path / "data")  # the lock is gone with its holder
    assert len(open_artifact("seeds", folder=tmp_path / "data")) > 1


def test_a_forgotten_column_and_a_turned_map_are_mistakes_of_the_stage(tmp_path: Path) -> None:
    row = dict(next(label_rows()))
    turned = {**row, "labels": np.asarray(row["labels"]).T}
    forgotten = {name: value for name, value in row.items() if name != "labels"}
    for wrong, message in ((forgotten, "columns missing or unknown: labels"), (turned, "for an image of")):
        with pytest.raises(ValueError, match=message), Writer("seeds", MADE_BY, extents=EXTENTS, folder=tmp_path / "data") as out:
            out.append(wrong)
    assert not (tmp_path / "data" / "seeds.zarr").exists()
