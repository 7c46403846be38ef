"""Verification: whatever was damaged, computed wrongly or made from something else is named, all of it, and nothing else is."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from typer.testing import CliRunner

from seedbed import cli
from seedbed.errors import ArtifactError
from seedbed.reads import read_entry
from seedbed.run.shards import row_digest, write_images
from seedbed.store import schemas
from seedbed.store.artifact import Artifact, MadeBy, open_artifact
from seedbed.store.entries import Computation
from seedbed.store.schemas import FIXED, SCHEMAS
from seedbed.store.store import Store
from seedbed.tools import verify as verification
from seedbed.tools.examined import Examined, Row
from seedbed.tools.image_checks import content_digest
from seedbed.tools.verify import verify
from tests.stages.miniature import STAGES, Project, new_project
from tests.support.blank_charts import blank_charts
from tests.support.publishing import published, published_network

NETWORKS = ("classifier.zarr", "segmenter.zarr", ".work")  # most of the files


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, original: dict[str, Any]) -> Project:
    """A project in which every stage was run, with shards of four images; no test changes it."""
    project = new_project(tmp_path_factory.mktemp("finished") / "project", original)
    with pytest.MonkeyPatch.context() as patch, blank_charts():
        patch.setattr(schemas, "SHARD_IMAGES", 4)
        project.run(*STAGES)
    return project


@pytest.fixture
def project(finished: Project, tmp_path: Path) -> Project:
    """A copy without networks and store, to do harm to."""
    return finished.copy_to(tmp_path / "project", without=NETWORKS)


def flip(file: Path) -> None:
    """Change one bit."""
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def findings(folder: Path, name: str) -> list[str]:
    """What is wrong with an artifact."""
    return [str(one) for one in verify(name, folder=folder).findings]


def seedbed(project: Project, *arguments: str) -> tuple[int, str]:
    """A command as a user types it, in this process: exit status and everything that was printed."""
    with contextlib.chdir(project.root):
        done = CliRunner().invoke(cli.app, list(arguments))
    assert done.exception is None or isinstance(done.exception, SystemExit)
    return done.exit_code, done.output


# --- What is sound ---


def test_a_finished_project_is_sound(finished: Project) -> None:
    status, printed = seedbed(finished, "verify", "--raw", "--store")
    lines = [line for line in printed.splitlines() if not line.startswith("verify ")]  # those are of the progress
    expected = {
        "dataset": r"9 images, [\d.]+ kB",
        "refinement": r"9 images, 3 shards, [\d.]+ kB",
        "predictions": r"3 images, 1 shard, [\d.]+ kB",
        "classifier": r"91 weights, [\d.]+ MB",
        "raw images": "9 files",
        "store of refinement": "3 entries",
        "store of classifier": "1 entry",
    }
    assert status == 0, printed
    for name, content in expected.items():
        assert [line for line in lines if re.fullmatch(f"{name}: sound: {content}", line)], printed
    assert [line.partition(":")[0] for line in lines] == [*STAGES, "raw images", *(f"store of {name}" for name in STAGES)]


def test_the_digest_of_every_image_is_that_of_its_content(finished: Project) -> None:
    for name in STAGES:
        artifact = open_artifact(name, folder=finished.data)
        if "digest" in SCHEMAS[name].arrays:
            examined = Examined(artifact, zarr.open_group(artifact.path, mode="r"))
            rows = [Row(examined, image, number, None) for number, image in enumerate(artifact.ids)]
            assert [content_digest(row) for row in rows] == artifact.array("digest").tolist()


def test_only_what_is_named_is_looked_at(finished: Project) -> None:
    status, printed = seedbed(finished, "verify", "seeds", "features", "seeds")
    assert status == 0
    assert re.findall(r"^(\w+): sound", printed, re.MULTILINE) == ["features", "seeds"]


def test_what_is_not_there_is_not_looked_at(project: Project) -> None:
    status, printed = seedbed(project, "verify")
    assert status == 0
    assert "refinement: sound" in printed and "classifier" not in printed


def test_what_dvc_tells_of_and_is_not_there(project: Project) -> None:
    (project.root / "dvc.lock").write_text("stages:\n  seeds: {cmd: x}\n  classifier: {cmd: x}\n", encoding="utf-8")
    status, printed = seedbed(project, "verify")
    assert status == 2
    assert [line for line in printed.splitlines() if "classifier" in line] == [
        "classifier: data/classifier.zarr: missing, although dvc.lock lists it",
        "classifier: run `dvc repro classifier`, which restores it from DVC's cache or recomputes it",
    ]
    assert "seeds: sound" in printed and "1 finding\n" in printed


def test_all_is_held_against_the_parameters(project: Project) -> None:
    content = project.params()
    content["cams"]["multiscale"]["flip"] = not content["cams"]["multiscale"]["flip"]
    project.write_params(content)
    status, printed = seedbed(project, "verify")
    assert status == 2
    assert [line for line in printed.splitlines() if line.startswith(("cams", "seeds"))] == [
        "cams: params.yaml: made with flip true; params.yaml now says false",
        re.search("seeds: sound.*", printed)[0],  # type: ignore[index]
        "cams: run `dvc repro --force --single-item cams`, then `dvc repro`",
    ]


# --- What was asked for ---


def test_an_unknown_name(project: Project) -> None:
    status, printed = seedbed(project, "verify", "refinment")
    assert status == 2
    assert printed.startswith("error: seedbed verify: found 'refinment'; expected one of: dataset, ")
    assert printed.endswith("(nearest: refinement); correct the name\n")


def test_a_named_artifact_that_is_not_there(project: Project) -> None:
    status, printed = seedbed(project, "verify", "classifier")
    assert status == 2
    assert printed.endswith("found nothing; expected the artifact of stage classifier; run `dvc repro classifier`\n")


def test_nothing_at_all(tmp_path: Path) -> None:
    assert seedbed(Project(tmp_path), "verify") == (2, "error: data: found no artifacts; expected at least one; run `dvc repro`\n")


# --- Files ---

FIRST_FOUR, SECOND_FOUR = "train_0000, train_0001, train_0002, train_0003", "train_0004, train_0005, val_0000, val_0001"
FILES = {  # without an array's own metadata nobody knows which images are in a shard of it
    "features": {"patches/c/2/0/0/0": "patches/c/2/0/0/0 (shard 2: val_0002)", "patch_grid/c/0/0": "patch_grid/c/0/0"},
    "superpixels": {"regions/c/0/0/0": "regions/c/0/0/0 (shard 0)", "regions/zarr.json": "regions/zarr.json"},
    "cams": {"maps/c/1/0/0/0": f"maps/c/1/0/0/0 (shard 1: {SECOND_FOUR})", "scores/c/0/0": "scores/c/0/0"},
    "refinement": {"labels/c/1/0/0": f"labels/c/1/0/0 (shard 1: {SECOND_FOUR})", "digest/c/0": "digest/c/0"},
    "predictions": {"probabilities/c/0/0/0/0": "probabilities/c/0/0/0/0 (shard 0: val_0000, val_0001, val_0002)"},
    "evaluation": {"confusion/c/2/0/0/0": "confusion/c/2/0/0/0 (shard 2: val_0002)", "kinds/c/0": "kinds/c/0"},
}


@pytest.mark.parametrize("name", list(FILES))
def test_flipped_bits_are_named_with_shard_and_images_and_nothing_else_is(project: Project, name: str) -> None:
    for file in FILES[name]:
        flip(project.data / f"{name}.zarr" / file)
    found = findings(project.data, name)
    assert sorted(found) == sorted(f"{name}: {one}: content differs from what was published" for one in FILES[name].values())


@pytest.mark.parametrize("name", ["classifier", "segmenter"])
def test_flipped_bits_of_networks_are_named(finished: Project, tmp_path: Path, name: str) -> None:
    project = finished.copy_to(tmp_path / "project", without=[".work", "raw"])
    path = project.data / f"{name}.zarr"
    weight = sorted(path.glob("weights/*.conv1.weight/c/0/0/0/0"))[0].relative_to(path).as_posix()
    for file in (weight, "log/c/0/0", "weights/zarr.json"):
        flip(path / file)
    assert findings(project.data, name) == [
        f"{name}: {one}: content differs from what was published" for one in ("log/c/0/0", weight, "weights/zarr.json")
    ]


def test_a_flipped_bit_of_the_data_set_is_named_and_nothing_is_held_against_it(project: Project) -> None:
    flip(project.data / "dataset.zarr/labels/c/0/0")
    status, printed = seedbed(project, "verify", "dataset", "seeds")
    assert status == 2
    assert "dataset: labels/c/0/0: content differs from what was published\n" in printed
    assert "seeds: images: not compared with data/dataset.zarr, which is damaged\n" in printed
    assert "2 findings\n" in printed


def test_without_a_data_set_the_rest_is_looked_at(project: Project) -> None:
    shutil.rmtree(project.data / "dataset.zarr")
    status, printed = seedbed(project, "verify", "seeds")
    assert status == 0
    assert "kB, not compared with data/dataset.zarr, which is missing\n" in printed


def test_everything_that_is_wrong_with_files_is_named_at_once(project: Project) -> None:
    path = project.data / "refinement.zarr"
    length = (path / "labels/c/0/0/0").stat().st_size
    (path / "labels/c/0/0/0").write_bytes((path / "labels/c/0/0/0").read_bytes()[:-3])
    (path / "labels/c/1/0/0").unlink()
    flip(path / "labels/c/2/0/0")
    (path / "size/zarr.json").unlink()
    (path / "labels/c/9").mkdir()
    (path / "labels/c/9/notes").write_text("mine")
    (path / "copy of ids").write_text("mine")
    status, printed = seedbed(project, "verify", "refinement")
    assert status == 2
    assert [line for line in printed.splitlines() if not line.startswith("verify ")] == [
        f"refinement: labels/c/0/0/0 (shard 0: {FIRST_FOUR}): {length - 3} bytes instead of {length}",
        f"refinement: labels/c/1/0/0 (shard 1: {SECOND_FOUR}): missing",
        "refinement: labels/c/2/0/0 (shard 2: val_0002): content differs from what was published",
        "refinement: size/zarr.json: missing",
        "refinement: copy of ids: unexpected file",
        "refinement: labels/c/9/notes (shard 9): unexpected file",
        "6 findings",
        "refinement: run `dvc repro --force --single-item refinement`: only what is damaged is recomputed",
    ]


def test_without_ids_there_is_still_the_shard(project: Project) -> None:
    flip(project.data / "seeds.zarr/ids/c/0")
    (project.data / "seeds.zarr/labels/c/1/0/0").unlink()
    assert findings(project.data, "seeds") == [
        "seeds: ids/c/0: content differs from what was published",
        "seeds: labels/c/1/0/0 (shard 1): missing",
    ]


def test_many_images_of_a_shard_are_named_by_the_first_and_the_last(tmp_path: Path) -> None:
    rows = [{"ids": f"image {number}", "size": (1, 2), "labels": np.zeros((1, 2), np.uint8)} for number in range(7)]
    published("seeds", tmp_path, rows, extents={"y": 2, "x": 3})
    flip(tmp_path / "seeds.zarr/labels/c/0/0/0")
    assert findings(tmp_path, "seeds") == [
        "seeds: labels/c/0/0/0 (shard 0: image 0 to image 6, 7 images): content differs from what was published"
    ]


def test_a_damaged_file_that_dvc_would_put_in_place_again(project: Project) -> None:
    subprocess.run([sys.executable, "-m", "dvc", "init", "--no-scm", "-q"], cwd=project.root, check=True)
    shard, cached = project.data / "seeds.zarr/labels/c/0/0/0", project.root / ".dvc/cache/files/md5/12/34"
    cached.parent.mkdir(parents=True)
    cached.hardlink_to(shard)
    flip(shard)
    flip(project.data / "seeds.zarr/size/c/0/0")
    again = "`dvc repro --force --single-item seeds`: only what is damaged is recomputed"
    assert {one.where.partition(" ")[0]: one.do for one in verify("seeds", folder=project.data).findings} == {
        "labels/c/0/0/0": f"run `rm -f .dvc/cache/files/md5/12/34`, the same damaged file in DVC's cache, then {again}",
        "size/c/0/0": f"run {again}",
    }


# --- The record ---


def edit(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change metadata of a group or an array."""
    content = json.loads(path.read_text(encoding="utf-8"))
    change(content)
    path.write_text(json.dumps(content), encoding="utf-8")


def test_an_edited_record_is_believed_in_nothing(project: Project) -> None:
    edit(project.data / "seeds.zarr/zarr.json", lambda content: content["attributes"]["seedbed"]["made_by"].update(method="other"))
    assert findings(project.data, "seeds") == ["seeds: zarr.json: not as it was published"]


def test_no_record_at_all(project: Project) -> None:
    (project.data / "seeds.zarr/zarr.json").unlink()
    assert findings(project.data, "seeds") == ["seeds: zarr.json: missing"]


def test_a_record_of_an_earlier_version(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SCHEMAS, "seeds", replace(SCHEMAS["seeds"], version=99))
    assert findings(project.data, "seeds") == ["seeds: zarr.json: schema 3 instead of schema 99, which this version reads"]


def test_a_group_of_another_format(project: Project) -> None:
    edit(project.data / "seeds.zarr/zarr.json", lambda content: content.update(node_type="array"))
    assert findings(project.data, "seeds")[0].startswith("seeds: zarr.json: not a zarr group: ")


def test_what_was_added_to_the_metadata(project: Project) -> None:
    edit(project.data / "seeds.zarr/zarr.json", lambda content: content["attributes"].update(note="mine"))
    assert findings(project.data, "seeds") == ["seeds: zarr.json: unexpected metadata: note"]
    with pytest.warns(Warning, match="Consolidated metadata"):
        zarr.consolidate_metadata(project.data / "cams.zarr")
    assert findings(project.data, "cams") == ["cams: zarr.json: unexpected metadata: consolidated_metadata"]


def test_edited_attributes_of_an_array(project: Project) -> None:
    edit(project.data / "seeds.zarr/labels/zarr.json", lambda content: content["attributes"].update(meaning="another"))
    (found,) = findings(project.data, "seeds")
    assert re.fullmatch(r"seeds: labels/zarr\.json: \d+ bytes instead of \d+", found)


def test_an_artifact_that_is_replaced_meanwhile(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    def replaced(artifact: Artifact) -> Iterator[tuple[str, str]]:
        edit(artifact.path / "zarr.json", lambda content: content["attributes"]["seedbed"].update(digest="another"))
        yield from ()

    monkeypatch.setattr(verification, "check_lineage", replaced)
    with pytest.raises(ArtifactError, match=r"seeds.zarr: found an artifact that was replaced during the check; .*`seedbed verify` again"):
        verify("seeds", folder=project.data)


# --- Lineage ---


def test_an_artifact_that_was_made_from_another(finished: Project, tmp_path: Path) -> None:
    project = finished.copy_to(tmp_path / "project", without=["classifier.zarr", "segmenter.zarr"])
    content = project.params()
    content["superpixels"]["dino"]["threshold"] = 0.9
    project.write_params(content)
    project.run("superpixels")
    status, printed = seedbed(project, "verify")
    lines = [line for line in printed.splitlines() if line.startswith(("seeds", "evaluation"))]
    assert status == 2
    assert lines == [
        "seeds: lineage: made from a different data/superpixels.zarr",
        "evaluation: lineage: made from a different data/superpixels.zarr",
        "seeds: run `dvc repro seeds`",
        "evaluation: run `dvc repro evaluation`",
    ]
    assert "superpixels: sound" in printed and "cams: sound" in printed  # its classifier is not there, of which nothing is said


# --- Content: right checksums, wrong numbers ---

EXTENTS = {"y": 40, "x": 48, "class": 3, "map_y": 4, "map_x": 5, "patch_y": 3, "patch_x": 4, "channel": 2}
EXTENTS |= {"instance": 3, "predicted": 4, "kind": 2, "other_kind": 2, "threshold": 1, "thing_size": 2, "size_bound": 1}
SIZES = {"a": (5, 7), "b": (6, 4)}  # a: cat, b: dog
ROW = {"ids": "a", "size": SIZES["a"], "corrected": False}
ALIGNED = {"patch_size": 3, "alignment": "padded", "mirrored": False}
Small = Callable[..., list[str]]


@pytest.fixture(scope="module")
def two_images(tmp_path_factory: pytest.TempPathFactory, write_dataset: Callable[..., Artifact]) -> Path:
    """A folder with a small data set, which nobody changes."""
    folder = tmp_path_factory.mktemp("small")
    write_dataset(folder, sizes=SIZES, labels={"a": (1,), "b": (2,)}, digests=dict.fromkeys(SIZES, "0" * 64))
    return folder


@pytest.fixture
def small(tmp_path: Path, two_images: Path) -> Small:
    """Publish an artifact of two images of a small data set, of which one is as it should be, and say what is wrong with the other."""
    shutil.copytree(two_images, tmp_path, dirs_exist_ok=True)

    def build(name: str, good: dict[str, Any], bad: dict[str, Any], **options: Any) -> list[str]:
        rows = [{"ids": "a", "size": SIZES["a"], **good}, {"ids": "b", "size": SIZES["b"], **bad}]
        published(name, tmp_path, rows, extents=EXTENTS, **options)
        found = findings(tmp_path, name)
        assert all(one.startswith(f"{name}: b: ") for one in found)
        return [one.removeprefix(f"{name}: b: ") for one in found]

    return build


def labels(size: tuple[int, int], *values: int) -> dict[str, Any]:
    """A map of labels with some values in its last pixels."""
    made = np.zeros(size, np.uint8)
    made.flat[made.size - len(values) :] = values
    return {"labels": made}


@pytest.mark.parametrize("name", ["seeds", "refinement"])
@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ((2, 2, 255), []),
        ((1, 1, 2), ["labels: 2 pixels of cat, which the image does not contain"]),
        ((77,), ["labels: 1 pixels of 77, which is not a class"]),
        ((255,) * 24, ["labels: all pixels are 255"]),
    ],
)
def test_labels(small: Small, name: str, values: tuple[int, ...], expected: list[str]) -> None:
    rows = [labels(SIZES["a"], 1, 255), labels(SIZES["b"], *values)]
    if name == "refinement":
        rows = [row | {"confidence": np.where(row["labels"] == 255, 0, 200).astype(np.uint8)} for row in rows]
    assert small(name, *rows) == expected


def test_nobody_is_sure_of_no_label(small: Small) -> None:
    good = labels(SIZES["a"], 1, 1) | {"confidence": np.full(SIZES["a"], 9, np.uint8)}
    bad = labels(SIZES["b"], 2, 255) | {"confidence": np.full(SIZES["b"], 9, np.uint8)}
    assert small("refinement", good, bad) == ["confidence: 1 unlabelled pixels with a confidence above 0"]


def counted(size: tuple[int, int], **other: Any) -> dict[str, Any]:
    """What was counted of an image with a truth and labels of one kind out of two."""
    confusion = np.zeros((2, 3, 4), np.int64)
    confusion[0, 0, 0] = size[0] * size[1]
    return {
        "judged": [True, False],
        "with_truth": True,
        "with_labels": True,
        "corrected": False,
        "coverage": [1, 0],
        "violations": [0, 0],
        "confusion": confusion,
        "boundary_overlap": np.ones((2, 3, 2)),
        "miou": [1, -1],
        "boundary_miou": [1, -1],
        "smallest": [0, 0],
        "disagreement": np.zeros((2, 2)),
        "by_size": np.ones((2, 2, 2)),
        "sweep": np.ones((1, 3, 2)),
        "region_count": 1,
        "region_overlap": [1, 0, 1],
        "region_boundary": [1, 2, 3, 4],
        "saliency_judged": True,
        "objects": [[10, 4, 0], [1, 8, 1]],
        "instances_judged": True,
        "instances_with_truth": True,
        "instance_class": [1, 2, 0],
        "instance_score": [0.9, 0.5, 0],
        "instance_found": np.tile([[True], [True], [False]], 10),
        "instance_uncounted": np.zeros((3, 10)),
        "true_instances": [0, 1, 1],
        "refined": np.full(size, 255),
    } | other


@pytest.mark.parametrize(
    ("bad", "expected"),
    [
        ({}, []),
        ({"violations": [-1, 0]}, ["violations: negative counts"]),
        ({"sweep": np.tile([2, 1], (1, 3, 1))}, ["sweep: an intersection larger than the union"]),
        ({"region_boundary": [1, 2, 5, 4]}, ["region_boundary: more boundary pixels are matched than exist"]),
        ({"confusion": np.ones((2, 3, 4))}, ["confusion: 12 pixels of masks in an image of 6 x 4, which has no labels of that kind"]),
        ({"confusion": np.full((2, 3, 4), [[[3]], [[0]]])}, ["confusion: 36 pixels of seeds in an image of 6 x 4, with a truth"]),
        (
            {"with_truth": False},
            [
                "confusion: 24 pixels of seeds in an image of 6 x 4, without a truth",
                "objects: 24 pixels of saliency that is not there, or of more than the image",
                "counts that need a truth, but the image has none",
            ],
        ),
        ({"miou": [1.5, -1]}, ["miou: a figure that is neither a share nor -1"]),
        ({"boundary_miou": [1, -0.5]}, ["boundary_miou: a figure that is neither a share nor -1"]),
        ({"disagreement": np.full((2, 2), 2)}, ["disagreement: a figure that is no share"]),
        ({"by_size": np.full((2, 2, 2), [1, 3])}, ["by_size: a sum of IoU that so many things cannot have"]),
        ({"objects": np.full((2, 3), 5)}, ["objects: 30 pixels of saliency that is not there, or of more than the image"]),
        ({"saliency_judged": False}, ["objects: 24 pixels of saliency that is not there, or of more than the image"]),
        ({"instance_class": [1, 0, 0]}, ["instance_class: 0 of a thing that has a score or was matched"]),
        ({"coverage": [np.nan, 0]}, ["coverage: 1 of 2 values are NaN or infinite"]),
    ],
)
def test_counts(small: Small, bad: dict[str, Any], expected: list[str]) -> None:
    whole = {"kinds": ["seeds", "masks"], "thresholds": [0.3], "threshold": 0.3, "size_bounds": [0.1]}
    assert small("evaluation", counted(SIZES["a"]), counted(SIZES["b"], **bad), whole=whole) == expected


@pytest.mark.parametrize(
    ("kind", "labels", "expected"),
    [
        ("predictions_crf", [0, 2], []),
        ("predictions_crf", [0, 255], ["refined: 24 pixels without a label"]),
        ("predictions_crf", [0, 3], ["refined: 24 pixels with a value that is not a class"]),
        ("seeds", [255, 255], []),
        ("seeds", [255, 1], ["refined: labels, but the image is not predicted"]),
    ],
)
def test_labels_after_the_crf(small: Small, kind: str, labels: list[int], expected: list[str]) -> None:
    whole = {"kinds": [kind, "masks"], "thresholds": [0.3], "threshold": 0.3, "size_bounds": [0.1]}
    good, bad = (np.full(SIZES[image], value, np.uint8) for image, value in (("a", labels[0]), ("b", labels[1])))
    rows = [counted(SIZES["a"], refined=good), counted(SIZES["b"], refined=bad)]
    assert small("evaluation", *rows, whole=whole) == expected


def test_features_that_are_no_numbers(small: Small) -> None:
    good, bad = np.ones((2, 3, 2)), np.ones((2, 2, 2))
    bad[1, 0, 1], bad[0, 0, 0] = np.nan, np.inf
    expected = ["patches: 2 of 24 values are NaN or infinite"]  # with padding
    assert small("features", {"patches": good}, {"patches": bad}, whole=ALIGNED) == expected


def test_patches_that_do_not_cover_the_image(small: Small) -> None:
    good, bad = np.ones((2, 3, 2)), np.ones((3, 1, 2))
    expected = ["patch_grid: 3 x 1, but it takes 2 x 2 patches of 3 pixels to cover 6 x 4"]
    assert small("features", {"patches": good}, {"patches": bad}, whole=ALIGNED) == expected


@pytest.mark.parametrize(
    ("wrong", "expected"),
    [
        ({"alignment": "centred"}, "features: alignment: 'centred' is not one of: resized, padded"),
        ({"patch_size": 0}, "features: patch_size: 0 pixels"),
    ],
)
def test_patches_of_which_nobody_knows_where_they_lie(tmp_path: Path, wrong: dict[str, Any], expected: str) -> None:
    published("features", tmp_path, whole=ALIGNED | wrong, extents=EXTENTS)
    assert findings(tmp_path, "features") == [expected]


def regions(size: tuple[int, int], *values: int, count: int) -> dict[str, Any]:
    return {"regions": np.resize(np.array(values, np.int32), size), "region_count": count}


@pytest.mark.parametrize(
    ("values", "count", "expected"),
    [
        ((0, 1, 2), 3, []),
        ((0, 2), 3, ["regions: no pixel is in 1 of the 3 that region_count declares"]),
        ((0, 1, 2), 2, ["regions: numbers go up to 2, but region_count is 2"]),
        ((0, -1, 1), 2, ["regions: some pixels belong to no region"]),
        ((9,), 9, ["regions: no pixel is in 0, 1, 2, 3, 4, 5 and 3 more of the 9 that region_count declares",
                   "regions: numbers go up to 9, but region_count is 9"]),
    ],
)  # fmt: skip
def test_regions(small: Small, values: tuple[int, ...], count: int, expected: list[str]) -> None:
    assert small("superpixels", regions(SIZES["a"], 0, count=1), regions(SIZES["b"], *values, count=count)) == expected


def things(
    size: tuple[int, int], *values: int, classes: tuple[int, ...] = (), scores: tuple[float, ...] = (), count: int | None = None
) -> dict[str, Any]:
    """Things with their numbers in the first pixels."""
    made = np.zeros(size, np.uint8)
    made.flat[: len(values)] = values
    told = {"classes": np.resize(np.append(classes, np.zeros(3)), 3), "scores": np.resize(np.append(scores, np.zeros(3)), 3)}
    return {"things": made, "thing_count": len(classes) if count is None else count, **told}


@pytest.mark.parametrize(
    ("bad", "expected"),
    [
        (things(SIZES["b"]), []),
        (things(SIZES["b"], 2, 1, 1, classes=(2, 2), scores=(1, 0.5)), []),
        (things(SIZES["b"], 2, classes=(2, 2, 2), scores=(1, 1, 0)),
         ["things: no pixel is of 1, 3 of the 3 that thing_count declares"]),
        (things(SIZES["b"], 1, 2, classes=(2,), scores=(1,)), ["things: numbers go up to 2, but thing_count is 1"]),
        (things(SIZES["b"], 1, classes=(2, 2), scores=(1, 0.5), count=1),
         ["classes and scores: of more things than the 1 that thing_count declares"]),
        (things(SIZES["b"], count=4), ["thing_count is 4, but an image has at most 3"]),
        (things(SIZES["b"], count=-2), ["thing_count is -2, but an image has at most 3"]),
        (things(SIZES["b"], 1, 2, classes=(1, 2), scores=(1, 1)), ["classes: cat, which the image does not contain"]),
        (things(SIZES["b"], 1, 2, 3, classes=(2, 0, 9), scores=(1, 1, 1)), ["classes: 0, 9, which no thing can be of"]),
        (things(SIZES["b"], 1, 2, classes=(2, 2), scores=(1.5, -1)), ["scores: values from -1 to 1.5, not within [0, 1]"]),
        (things(SIZES["b"], 1, 2, classes=(2, 2), scores=(0.5, 0.75)), ["scores: not descending"]),
        (things(SIZES["b"], 1, classes=(2,), scores=(np.nan,)), ["scores: 1 of 3 values are NaN or infinite"]),
    ],
)  # fmt: skip
def test_things(small: Small, bad: dict[str, Any], expected: list[str]) -> None:
    good = things(SIZES["a"], 1, classes=(1,), scores=(0.5,))
    assert small("instances", good, bad) == expected


def test_objects(small: Small) -> None:
    good, soft = np.full(SIZES["a"], 255), {"saliency": np.zeros(SIZES["b"])}
    bad = np.full(SIZES["b"], 2)
    rows = [{"saliency": np.zeros(SIZES["a"]), "objects": good}, {**soft, "objects": bad}]
    assert small("saliency", *rows) == ["objects: 2, which is neither 0, 1 nor 255"]
    assert small("saliency", rows[0], {**soft, "objects": np.eye(*SIZES["b"])}) == []


def maps(size: tuple[int, int], *present: int, **values: float) -> dict[str, Any]:
    """Class maps.

    values: of a class by its name, everywhere.
    """
    made = np.zeros((3, *size), np.float32)
    for name, value in values.items():
        made[["background", "cat", "dog"].index(name)] = value
    return {"maps": made, "present": np.isin(np.arange(3), present), "scores": np.zeros(3)}


@pytest.mark.parametrize(
    ("bad", "expected"),
    [
        (maps((3, 2), 2, dog=1), []),
        (maps((3, 2), 2, dog=1.5), ["maps: values from 0 to 1.5, not within [0, 1]"]),
        (maps((3, 2), 2, dog=-0.5), ["maps: values from -0.5 to 0, not within [0, 1]"]),
        (maps((3, 2), 2, cat=1), ["maps: not zero for 1, which is not present"]),
        (maps((3, 2), 1, cat=1), ["present: cat, which the image does not contain", "present: lacks dog, which the image contains"]),
        (maps((3, 2), 0, 2), ["present: background, which the image does not contain"]),
        (maps((3, 2), 2, dog=np.nan), ["maps: 6 of 60 values are NaN or infinite"]),
        (maps((3, 2), 2) | {"scores": [0, np.nan, 0]}, ["scores: 1 of 3 values are NaN or infinite"]),
    ],
)
def test_class_maps(small: Small, bad: dict[str, Any], expected: list[str]) -> None:
    assert small("cams", maps((2, 4), 1, cat=0.5), bad) == expected


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ((50, 100, 106), []),  # as three that are rounded up can
        ((50, 100, 107), ["probabilities: sums over the classes range from 257 to 257; expected 255 within 1.5"]),
        ((50, 100, 103), ["probabilities: sums over the classes range from 253 to 253; expected 255 within 1.5"]),
    ],
)
def test_probabilities(small: Small, values: tuple[int, ...], expected: list[str]) -> None:
    good, bad = (np.full((*size, 3), one).transpose(2, 0, 1) for size, one in (((2, 4), (0, 127, 128)), ((1, 2), values)))
    assert small("predictions", {"probabilities": good}, {"probabilities": bad}) == expected


def test_a_size_that_is_not_the_image_s(small: Small) -> None:
    expected = ["size 4 x 6, but 6 x 4 in data/dataset.zarr"]
    assert small("seeds", labels(SIZES["a"], 1), {**labels((4, 6), 2), "size": (4, 6)}) == expected


def seeds_of(tmp_path: Path, *ids: str) -> list[str]:
    """What is wrong with seeds of two sound images, under other names."""
    rows = [{"ids": one, "size": SIZES[one], **labels(SIZES[one], 255)} for one in SIZES]
    published("seeds", tmp_path, rows, extents=EXTENTS, whole={"ids": ids})
    return findings(tmp_path, "seeds")


def test_an_image_that_nobody_knows(tmp_path: Path, small: Small) -> None:
    assert seeds_of(tmp_path, "a", "c") == ["seeds: c: not an image of data/dataset.zarr"]


def test_an_image_that_is_there_twice(tmp_path: Path) -> None:
    assert seeds_of(tmp_path, "a", "a") == ["seeds: a: listed 2 times in ids"]


def test_images_without_content(tmp_path: Path) -> None:
    wrong = [f"seeds: {name}: 2 images instead of 3" for name in ("size", "digest", "labels", "corrected")]
    assert seeds_of(tmp_path, "a", "b", "c") == wrong


def test_arrays_that_are_not_those_of_the_schema(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arrays = dict(SCHEMAS["seeds"].arrays)
    arrays["labels"] = replace(arrays["labels"], dtype="int16")
    arrays["size"] = replace(arrays["size"], dimensions=("image", "height_width", "rgb"))
    del arrays["digest"]
    with monkeypatch.context() as patch:
        patch.setitem(SCHEMAS, "seeds", replace(SCHEMAS["seeds"], arrays=arrays))
        rows = [{"ids": "a", "size": np.ones((2, 3)), "labels": np.zeros((40, 48)), "corrected": False}]
        by_hand("seeds", tmp_path, rows)
    assert findings(tmp_path, "seeds") == [
        "seeds: size: 3 dimensions instead of 2",
        "seeds: digest: no such array",
        "seeds: labels: int16 instead of uint8",
    ]


def by_hand(name: str, folder: Path, rows: list[dict[str, Any]], harm: Callable[[Path], None] = lambda path: None) -> None:
    """Publish columns exactly as they are given.

    harm: done to the entry before its checksums are taken.
    """
    arrays, extents = SCHEMAS[name].arrays, {**FIXED, **EXTENTS}
    store, ids = Store(name, folder=folder), [row["ids"] for row in rows]
    columns = [
        {key: np.asarray(value, object if arrays[key].dtype == "str" else arrays[key].dtype) for key, value in row.items() if key != "ids"}
        for row in rows
    ]
    with store.building(Computation(name, "test", [], ""), ids, extents) as group:
        write_images(group, SCHEMAS[name], columns, extents=extents)
        harm(store.folder)
    store.publish(list(store.entries()), {"ids": ids}, images=len(ids), made_by=MadeBy(name, "test", {}), extents=extents)


def test_a_digest_of_something_else(tmp_path: Path) -> None:
    row = {**ROW, **labels(SIZES["a"], 1), "digest": "of something else"}
    by_hand("seeds", tmp_path, [row])
    assert findings(tmp_path, "seeds") == ["seeds: a: digest does not match the content"]


def test_padding_that_was_written_over(tmp_path: Path) -> None:
    inside, everywhere = labels(SIZES["a"], 1)["labels"], np.full((40, 48), 255, np.uint8)
    everywhere[:5, :7] = inside
    everywhere[20, 30:33] = 1
    digest = row_digest({"size": np.array(SIZES["a"], np.int32), "labels": inside, "corrected": np.array(False)})
    by_hand("seeds", tmp_path, [{**ROW, "labels": everywhere, "digest": digest}])
    assert findings(tmp_path, "seeds") == ["seeds: a: labels: 3 padding values are not 255"]


def test_chunks_that_were_broken_before_their_checksum_was_taken(tmp_path: Path) -> None:
    row = {**ROW, **labels(SIZES["a"], 1), "digest": ""}
    by_hand("seeds", tmp_path, [row], lambda folder: flip(next(folder.glob("new-*/labels/c/0/0/0"))))
    (found,) = findings(tmp_path, "seeds")
    assert found.startswith("seeds: a: cannot be read: ")


def test_what_is_wrong_with_the_content_is_told_beside_what_is_damaged(project: Project) -> None:
    seeds = open_artifact("seeds", folder=project.data)
    rows: list[dict[str, Any]] = [
        {"ids": one, "size": seeds.size(one), "labels": read_entry(seeds, "labels", one).copy()} for one in seeds.ids
    ]
    rows[1]["labels"][:] = 255
    rows[8]["labels"][:2, :3] = 9
    extents = open_artifact("dataset", folder=project.data).extents
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(schemas, "SHARD_IMAGES", 4)
        published(
            "seeds", project.data, rows, extents=extents, made_by=replace(seeds.made_by, inputs={**seeds.made_by.inputs, "cams": "another"})
        )
    flip(project.data / "seeds.zarr/labels/c/1/0/0")
    status, printed = seedbed(project, "verify", "seeds")
    assert status == 2
    assert [line for line in printed.splitlines() if not line.startswith("verify ")] == [
        f"seeds: labels/c/1/0/0 (shard 1: {SECOND_FOUR}): content differs from what was published",
        "seeds: lineage: made from a different data/cams.zarr",
        "seeds: train_0001: labels: all pixels are 255",
        "seeds: val_0002: labels: 6 pixels of 9, which is not a class",
        "4 findings",
        "seeds: run `dvc repro --force --single-item seeds`: only what is damaged is recomputed",
        "seeds: run `dvc repro seeds`",
        "seeds: the files are intact, so the stage computed this, and another run would reuse it: find the cause, then run "
        "`seedbed gc --all --delete --stage seeds` and `dvc repro --force --single-item seeds`",
    ]


def test_networks_with_values_that_are_no_numbers(tmp_path: Path) -> None:
    state = {"layer.weight": np.ones((2, 3), np.float32), "layer.bias": np.zeros(2, np.float32), "batches": np.array(3)}
    published_network("classifier", tmp_path, state)
    assert verify("classifier", folder=tmp_path).sound
    state["layer.weight"][1, 1] = np.nan
    state["layer.bias"][0] = -np.inf
    published_network("classifier", tmp_path, state, loss=[1, np.inf, np.nan])
    assert findings(tmp_path, "classifier") == [
        "classifier: log: 2 of 3 values are NaN or infinite",
        "classifier: weights/layer.bias: 1 of 2 values are NaN or infinite",
        "classifier: weights/layer.weight: 1 of 6 values are NaN or infinite",
    ]


# --- The data set ---


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"sizes": {"a": (41, 7)}}, "41 x 7 pixels, but max_size is 40 x 48"),
        ({"sizes": {"a": (0, 0)}}, "0 x 0 pixels"),
        ({"digests": {"a": "0" * 63}}, f"image_digest is '{'0' * 63}', not a SHA-256"),
        ({"sizes": {"a": (0, 0)}, "digests": {"a": ""}, "problems": {"a": "broken"}}, ""),
    ],
)
def test_what_the_index_says(tmp_path: Path, write_dataset: Callable[..., Artifact], options: dict[str, Any], expected: str) -> None:
    write_dataset(tmp_path, **{"sizes": {"a": (5, 7)}, "digests": {"a": "0" * 64}, **options})
    assert findings(tmp_path, "dataset") == ([f"dataset: a: {expected}"] if expected else [])


def test_an_image_without_background_or_file(tmp_path: Path) -> None:
    row: dict[str, Any] = {
        "ids": "a",
        "size": (5, 7),
        "original_size": (5, 7),
        "file": "",
        "image_digest": "0" * 64,
        "problem": "",
        "mask_problem": "",
    }
    row |= {"labels": [False, True], "labelled": True, "splits": [True]}
    whole: dict[str, Any] = {"max_size": (40, 48), "class_names": ["background", "cat"], "split_names": ["train"]}
    whole["mask_meaning"] = np.zeros(256)
    published("dataset", tmp_path, [row], whole=whole, extents={"class": 2, "split": 1})
    assert findings(tmp_path, "dataset") == ["dataset: a: labels: background is missing", "dataset: a: file: empty"]


# --- Raw images and the store ---


def test_raw_images(project: Project) -> None:
    flip(project.raw / "images/train_0002.png")
    (project.raw / "images/val_0001.png").unlink()
    (project.raw / "images/val_0002.png").unlink()
    os.mkfifo(project.raw / "images/val_0002.png")  # which is not waited for
    status, printed = seedbed(project, "verify", "dataset", "--raw")
    assert status == 2
    assert [line for line in printed.splitlines() if not line.startswith("verify ")][1:] == [
        "raw image: data/raw/shapes/images/train_0002.png: differs from the file that was indexed",
        "raw image: data/raw/shapes/images/val_0001.png: no such file",
        "raw image: data/raw/shapes/images/val_0002.png: a pipe",
        "3 findings",
        "raw image: restore the image files, or run `dvc repro dataset`",
    ]


def test_the_store(finished: Project, tmp_path: Path) -> None:
    project = finished.copy_to(tmp_path / "project", without=["classifier", "segmenter"])
    first, second, third = (entry.path for entry in Store("seeds", folder=project.data).entries())
    flip(first / "labels/c/0/0/0")
    (second / "size/zarr.json").unlink()
    (third / "zarr.json").unlink()
    (third.parent / "new-abc").mkdir()  # half an entry, which a stage is making
    status, printed = seedbed(project, "verify", "seeds", "--store")
    assert status == 2
    assert [line for line in printed.splitlines() if not line.startswith("verify ")][1:] == [
        f"seeds: store entry {first.name}: labels/c/0/0/0 is not as it was written",
        f"seeds: store entry {second.name}: no size/zarr.json",
        f"seeds: store entry {third.name}: damaged record",
        "3 findings",
        "seeds: nothing to do: it is recomputed when it is needed",
        "seeds: run `seedbed gc --delete --stage seeds`, which removes it",
    ]
