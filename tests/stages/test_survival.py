"""Nothing is computed twice and nothing wrong is believed: runs that are killed, data that changes, files that rot, two at once."""

from __future__ import annotations

import os
import re
import resource
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import pytest
import safetensors

from seedbed.errors import ArtifactError, DataError
from seedbed.run.executor import Workers
from seedbed.store.artifact import open_artifact
from seedbed.store.store import Store
from tests.stages.miniature import CHECKOUT, Project, tree
from tests.stages.miniature import STAGES as ALL_STAGES
from tests.stages.surviving import (
    Counts,
    Photo,
    Program,
    Trace,
    alive,
    built,
    change_params,
    children,
    counts,
    delete,
    flip,
    heard,
    images_in,
    new_album,
    photos,
    raw,
    replace,
    show,
    started,
    traces,
    truncate,
    until,
)

SHARDS = 3
CROWD = 180  # images, in so many shards
STAGES = [stage for stage in ALL_STAGES if stage != "pretraining"]  # that one learns nothing here, and `heard` runs it before features
UNTRAINED = dict.fromkeys(("classifier", "affinity", "segmenter"), "reused,")
IDLE = dict.fromkeys(("edges", "instances", "saliency"), Counts(0, 0))  # they do nothing here
PER_IMAGE = ("dataset", "features", "superpixels")  # the first three of these, which need no network


def told(said: str) -> list[str]:
    """What a program said but for how far it was, which it says when a machine is slow."""
    return [line for line in said.splitlines() if not re.match(r"\w+: \d+/\d+ ", line)]


@dataclass(frozen=True)
class Undisturbed:
    """What a run left that nobody disturbed."""

    project: Project
    bytes: dict[str, bytes]
    seconds: float


def remove(project: Project, stage: str) -> None:
    """What DVC does before it runs a stage."""
    shutil.rmtree(project.data / f"{stage}.zarr", ignore_errors=True)


def forget(project: Project, stage: str) -> None:
    """Remove all that was ever computed for a stage."""
    remove(project, stage)
    shutil.rmtree(project.data / ".work" / stage, ignore_errors=True)


def published(project: Project, stage: str) -> dict[str, bytes]:
    """Every file of an artifact; none where there is no artifact."""
    return tree(project.data / f"{stage}.zarr")


@pytest.fixture(scope="module")
def crowd(tmp_path_factory: pytest.TempPathFactory, original: dict[str, Any]) -> Project:
    """A project whose superpixels take seconds; no test changes it."""
    project = new_album(tmp_path_factory.mktemp("crowd"), original, photos(*range(CROWD)), iterations=10)
    project.run("dataset", "pretraining", "features")
    return project


@pytest.fixture(scope="module")
def undisturbed(crowd: Project, tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    """The same project with its superpixels; no test changes it."""
    project, begun = crowd.copy_to(tmp_path_factory.mktemp("undisturbed")), time.monotonic()
    with started(project, "superpixels") as program:
        assert program.status() == 0, program.said
    seconds = time.monotonic() - begun
    assert Counts.of(program.said) == Counts(CROWD, 0)
    assert len(traces(project, "superpixels")) == SHARDS
    return Undisturbed(project, published(project, "superpixels"), seconds)


# --- Killed in the midst of it ---


@pytest.mark.parametrize(
    ("workers", "times"), [("1", 2), pytest.param("1", 9, marks=pytest.mark.slow), pytest.param("2", 5, marks=pytest.mark.slow)]
)
def test_a_stage_that_is_killed_goes_on_where_it_was(
    crowd: Project, undisturbed: Undisturbed, tmp_path: Path, workers: str, times: int
) -> None:
    project, random = crowd.copy_to(tmp_path), Random(0)
    kept: dict[str, Trace] = {}
    orphans: set[int] = set()
    kills = 0
    while kills < times:
        with started(project, "superpixels", "--workers", workers) as program:
            if kills % 2:  # any moment, also of starting and publishing
                time.sleep(random.uniform(0, undisturbed.seconds))
            else:  # within a shard that is not the first
                until(lambda: program.ended or len(traces(project, "superpixels")) > len(kept))  # noqa: B023 (it ends in this turn)
                time.sleep(random.uniform(0, 0.2))
            orphans |= children(program.process.pid)
            program.kill()
        found = traces(project, "superpixels")
        assert kept.items() <= found.items(), "an entry was written again"
        assert published(project, "superpixels") in ({}, undisturbed.bytes)
        kept, kills = found, kills + 1
        if kills == 1 and len(kept) == SHARDS:  # it was too fast to be killed in the midst of its work: once more
            forget(project, "superpixels")
            kept, kills = {}, 0
    with started(project, "superpixels", "--workers", workers) as program:
        assert program.status() == 0, program.said
    assert Counts.of(program.said) == Counts(CROWD - images_in(kept), images_in(kept))
    assert kept.items() <= traces(project, "superpixels").items()
    assert published(project, "superpixels") == undisturbed.bytes
    until(lambda: not any(map(alive, orphans)))
    assert not built(project, "superpixels")


@pytest.mark.parametrize("times", [2, pytest.param(8, marks=pytest.mark.slow)])
def test_a_publication_that_is_killed_leaves_a_whole_artifact_or_none(undisturbed: Undisturbed, tmp_path: Path, times: int) -> None:
    project, random = undisturbed.project.copy_to(tmp_path), Random(0)
    kept = traces(project, "superpixels")
    for number in range(times):
        if number % 2:
            remove(project, "superpixels")
        left = built(project, "superpixels")
        with started(project, "superpixels") as program:
            until(lambda: program.ended or built(project, "superpixels") - left)  # noqa: B023 (it ends in this turn)
            time.sleep(random.uniform(0, 0.06))
            program.kill()
        assert published(project, "superpixels") in ({}, undisturbed.bytes)
        assert traces(project, "superpixels") == kept
    assert counts(project, "superpixels") == [Counts(0, CROWD)]
    assert published(project, "superpixels") == undisturbed.bytes
    assert not built(project, "superpixels")


def steps_kept(project: Project) -> int:
    """Steps that the checkpoint of a training has; 0 where there is none."""
    for file in (project.data / ".work" / "classifier").glob("checkpoint-*.safetensors"):
        with safetensors.safe_open(file, framework="np") as content:
            return len(content.get_tensor("log.loss"))
    return 0


@pytest.mark.parametrize("times", [1, pytest.param(3, marks=pytest.mark.slow)])
def test_a_training_that_is_killed_ends_with_the_same_weights(tmp_path: Path, original: dict[str, Any], times: int) -> None:
    project, random = new_album(tmp_path / "killed", original, photos(*range(10))), Random(0)
    content = project.params()
    content["classifier"]["cam"]["training"]["epochs"] = 8  # of 10 images in batches of 2: 40 steps
    project.write_params(content)
    project.run("dataset")
    other = project.copy_to(tmp_path / "undisturbed")
    other.run("classifier")
    for _ in range(times):
        before = steps_kept(project)
        with started(project, "classifier", "--checkpoint-seconds", "0") as program:
            until(lambda: program.ended or steps_kept(project) != before)  # noqa: B023 (it ends in this turn)
            assert steps_kept(project) > before, "it began anew"
            time.sleep(random.uniform(0, 0.3))
            assert program.kill(), "it ended too early"
        assert not published(project, "classifier")
    assert times <= steps_kept(project) < 40
    said = heard(project, "classifier")
    assert said.startswith("classifier: 40 steps in ") and "anew" not in said
    assert published(project, "classifier") == published(other, "classifier")
    speeds, undisturbed = (Store("classifier", folder=one.data).speeds() for one in (project, other))
    assert speeds == [] and [speed["computed"] for speed in undisturbed] == [40]  # nobody knows what all steps of the first took
    assert not list((project.data / ".work" / "classifier").glob("checkpoint-*"))
    remove(project, "classifier")
    assert heard(project, "classifier") == "classifier: reused, because nothing that it learns from has changed\n"
    assert published(project, "classifier") == published(other, "classifier")


# --- Data that changes ---


@pytest.fixture(scope="module")
def hundred(tmp_path_factory: pytest.TempPathFactory, original: dict[str, Any]) -> Project:
    """A hundred images with features and superpixels; no test changes it."""
    project = new_album(tmp_path_factory.mktemp("hundred"), original, photos(*range(100)))
    assert counts(project, *PER_IMAGE) == [Counts(100, 0)] * 3
    return project


@pytest.fixture
def own_hundred(hundred: Project, tmp_path: Path) -> Project:
    """The same, to do harm to."""
    return hundred.copy_to(tmp_path / "own")


def assert_as_from_nothing(project: Project, nowhere: Path, *stages: str) -> None:
    """What stages published is what they publish where nothing is known yet.

    nowhere: a folder that is not there yet.
    """
    anew = project.copy_to(nowhere, without=[".work", *(f"{stage}.zarr" for stage in ALL_STAGES)])
    for stage in stages:
        heard(anew, stage)
    for stage in stages:
        assert published(anew, stage) == published(project, stage) != {}, stage


def test_new_images_alone_are_computed(own_hundred: Project, tmp_path: Path) -> None:
    show(own_hundred, photos(*range(105)))
    assert counts(own_hundred, *PER_IMAGE) == [Counts(5, 100)] * 3
    assert_as_from_nothing(own_hundred, tmp_path / "anew", *PER_IMAGE)


@pytest.mark.slow
def test_images_that_are_gone_or_others_now(own_hundred: Project, tmp_path: Path) -> None:
    album = photos(*range(100))
    for gone in ("image_0000", "image_0050", "image_0099"):
        del album[gone]
    for changed in ("image_0001", "image_0070"):
        album[changed] = Photo(200 + int(changed[-4:]), "cat")
    show(own_hundred, album)
    assert counts(own_hundred, *PER_IMAGE) == [Counts(2, 95, 3)] * 3
    assert_as_from_nothing(own_hundred, tmp_path / "anew", *PER_IMAGE)


@pytest.mark.slow
def test_new_images_before_all_others(own_hundred: Project, tmp_path: Path) -> None:
    show(own_hundred, photos(*range(100, 105), *range(100)))
    assert counts(own_hundred, *PER_IMAGE) == [Counts(5, 100)] * 3
    assert_as_from_nothing(own_hundred, tmp_path / "anew", *PER_IMAGE)


@pytest.mark.slow
def test_an_image_with_another_name_is_the_same_image(own_hundred: Project, tmp_path: Path) -> None:
    album = {("renamed" if image == "image_0003" else image): photo for image, photo in photos(*range(100)).items()}
    show(own_hundred, album)
    assert counts(own_hundred, *PER_IMAGE) == [Counts(0, 100, 1)] * 3
    assert "renamed" in open_artifact("superpixels", folder=own_hundred.data)
    assert_as_from_nothing(own_hundred, tmp_path / "anew", *PER_IMAGE)


def test_a_parameter_that_is_switched_back_computes_nothing(own_hundred: Project) -> None:
    before = published(own_hundred, "superpixels")
    first = own_hundred.params()["superpixels"]["dino"]
    change_params(own_hundred, "superpixels", dino=first | {"threshold": 0.9})
    assert counts(own_hundred, "superpixels") == [Counts(100, 0)]
    assert published(own_hundred, "superpixels") != before
    change_params(own_hundred, "superpixels", dino=first)
    assert counts(own_hundred, "superpixels") == [Counts(0, 100)]
    assert published(own_hundred, "superpixels") == before


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory, original: dict[str, Any]) -> Project:
    """A project in which every stage was run, on 8 images to learn from and 4 others; no test changes it."""
    project = new_album(tmp_path_factory.mktemp("chain"), original, photos(*range(8)) | photos(*range(8, 12), splits="val"))
    project.run(*ALL_STAGES)
    return project


def after(project: Project) -> dict[str, Counts | str]:
    """What every stage says in the end, those that train with the word that tells whether they did."""
    said = {stage: heard(project, stage) for stage in STAGES}
    return {stage: line.split()[1] if stage in UNTRAINED else Counts.of(line) for stage, line in said.items()}


@pytest.mark.slow
def test_new_images_to_predict_train_nothing(chain: Project, tmp_path: Path) -> None:
    own = chain.copy_to(tmp_path / "own")
    show(own, photos(*range(8)) | photos(*range(8, 15), splits="val"))
    new = {stage: Counts(3, 12) for stage in STAGES}
    assert after(own) == new | UNTRAINED | IDLE | {"predictions": Counts(3, 4)}
    assert_as_from_nothing(own, tmp_path / "anew", *STAGES)


@pytest.mark.slow
def test_another_label_of_an_image_that_nobody_learns_from(chain: Project, tmp_path: Path) -> None:
    own = chain.copy_to(tmp_path / "own")
    show(own, photos(*range(8)) | photos(*range(8, 12), splits="val") | {"image_0010": Photo(10, "cat dog", "val")})
    nothing, one = Counts(0, 12), Counts(1, 11)
    expected: dict[str, Counts | str] = dict.fromkeys(("dataset", "features", "superpixels"), nothing)
    expected |= dict.fromkeys(("cams", "seeds", "refinement", "evaluation"), one)
    assert after(own) == expected | UNTRAINED | IDLE | {"predictions": Counts(0, 4)}
    assert_as_from_nothing(own, tmp_path / "anew", *STAGES)


@pytest.mark.slow
@pytest.mark.parametrize("anew", [PER_IMAGE, pytest.param(STAGES, marks=pytest.mark.slow)])
def test_room_for_larger_images_computes_nothing(chain: Project, tmp_path: Path, anew: Sequence[str]) -> None:
    """Nor does anything differ from what is computed anew, by these stages."""
    own = chain.copy_to(tmp_path / "own")
    change_params(own, "dataset", max_size=[64, 56])
    nothing = {stage: Counts(0, 12) for stage in STAGES}
    assert after(own) == nothing | UNTRAINED | IDLE | {"predictions": Counts(0, 4)}
    assert open_artifact("superpixels", folder=own.data).array("regions").shape == (12, 64, 56)
    assert_as_from_nothing(own, tmp_path / "anew", *anew)


# --- Files that rot ---

REGIONS = "regions/c/0/0/0"


@pytest.mark.parametrize(
    ("harm", "file", "complaint"),
    [
        (truncate, REGIONS, f"{REGIONS} is not as it was written"),
        (delete, REGIONS, f"no {REGIONS}"),
        (flip, REGIONS, f"{REGIONS} is not as it was written"),
        (flip, "regions/zarr.json", "regions/zarr.json is not as it was written"),
        (truncate, "zarr.json", "its record cannot be read"),
        (delete, "zarr.json", "its record cannot be read"),
        (flip, "zarr.json", "its record cannot be read"),
    ],
)
def test_damage_in_the_store_is_told_and_computed_again(
    own_hundred: Project, hundred: Project, harm: Callable[[Path], None], file: str, complaint: str
) -> None:
    [name] = [name for name, trace in traces(own_hundred, "superpixels").items() if trace.images == 64]
    harm(own_hundred.data / ".work" / "superpixels" / name / file)
    remove(own_hundred, "superpixels")
    said = heard(own_hundred, "superpixels")
    assert said.startswith(f"superpixels: recomputing a damaged entry: {name}: {complaint}\n")
    assert Counts.of(said) == Counts(64, 36)
    assert published(own_hundred, "superpixels") == published(hundred, "superpixels")


def test_entries_that_were_exchanged_are_told_and_computed_again(own_hundred: Project, hundred: Project) -> None:
    first, second = (own_hundred.data / ".work" / "superpixels" / name for name in traces(own_hundred, "superpixels"))
    first.rename(aside := first.with_name("aside"))
    second.rename(first)
    aside.rename(second)
    remove(own_hundred, "superpixels")
    said = heard(own_hundred, "superpixels")
    assert f"superpixels: recomputing a damaged entry: {first.name}: its name is not that of its content\n" in said
    assert Counts.of(said) == Counts(100, 0)
    assert published(own_hundred, "superpixels") == published(hundred, "superpixels")


@pytest.mark.slow
def test_damage_in_an_entry_from_which_images_are_copied(own_hundred: Project, tmp_path: Path) -> None:
    [name] = [name for name, trace in traces(own_hundred, "superpixels").items() if trace.images == 64]
    flip(own_hundred.data / ".work" / "superpixels" / name / REGIONS)
    show(own_hundred, photos(*range(100, 105), *range(100)))
    own_hundred.run("dataset", "pretraining", "features")
    [found] = counts(own_hundred, "superpixels")
    assert found.computed > 5, "what is damaged was copied"
    assert_as_from_nothing(own_hundred, tmp_path / "anew", "dataset", "features", "superpixels")


def add(file: Path) -> None:
    """Put another file beside one."""
    (file.parent / "9").write_bytes(b"")


PATCHES = "patches/c/0/0/0/0"


@pytest.mark.parametrize(
    ("harm", "file", "found"),
    [
        (truncate, PATCHES, rf"{PATCHES} with \d+ bytes instead of \d+;"),
        (delete, PATCHES, f"no {PATCHES};"),
        (add, PATCHES, "patches/c/0/0/0/9, which does not belong to it;"),
        (flip, PATCHES, "a damaged chunk of patches: "),
        (flip, "digest/c/0", "a damaged chunk of digest: "),
        (flip, "patches/zarr.json", "patches/zarr.json with content other than what was published;"),
        (flip, "zarr.json", "something that Seedbed did not write;"),
    ],
)
def test_damage_in_an_artifact_is_refused_where_it_is_read(
    own_hundred: Project, harm: Callable[[Path], None], file: str, found: str
) -> None:
    harm(own_hundred.data / "features.zarr" / file)
    forget(own_hundred, "superpixels")
    with pytest.raises(
        ArtifactError, match=rf"^data/features\.zarr: found {found}.*; run `(dvc repro --force .* features|seedbed verify)`$"
    ):
        own_hundred.run("superpixels")
    assert not traces(own_hundred, "superpixels")


@pytest.mark.parametrize("workers", ["1", pytest.param("2", marks=pytest.mark.slow)])
def test_a_flipped_bit_is_one_line_for_the_user(own_hundred: Project, workers: str) -> None:
    flip(own_hundred.data / "features.zarr" / PATCHES)
    forget(own_hundred, "superpixels")
    with started(own_hundred, "superpixels", "--workers", workers) as program:
        assert program.status() == 2, program.said
    [line] = told(program.said)
    assert line.startswith("error: ") and "data/features.zarr: found a damaged chunk of patches: " in line


@pytest.mark.parametrize("workers", ["1", pytest.param("2", marks=pytest.mark.slow)])
def test_a_full_disk_is_one_line_for_the_user(own_hundred: Project, hundred: Project, workers: str) -> None:
    forget(own_hundred, "features")
    full = partial(resource.setrlimit, resource.RLIMIT_FSIZE, (2_000, resource.RLIM_INFINITY))
    done = own_hundred.program("features", "--workers", workers, prepare=full)
    assert done.returncode == 2, done.stderr
    [line] = told(done.stderr)
    assert line.startswith("error: data/: found a full disk: File too large; expected free space; free some")
    assert not built(own_hundred, "features")
    assert counts(own_hundred, "features")[0] in (Counts(100, 0), Counts(64, 36)), "whatever the other worker had room for stays"
    assert published(own_hundred, "features") == published(hundred, "features")


# --- Two at once ---


def holder(program: Program) -> str:
    """What those who wait call a program."""
    return f"superpixels: waiting for process {program.process.pid} on {socket.gethostname()}, since "


@pytest.mark.slow
def test_who_comes_second_waits_and_finds_everything_done(crowd: Project, undisturbed: Undisturbed, tmp_path: Path) -> None:
    project = crowd.copy_to(tmp_path)
    with started(project, "superpixels") as first:
        until(lambda: traces(project, "superpixels"))
        first.stop()
        with started(project, "superpixels") as second:
            until(lambda: "waiting" in second.said or second.ended)
            first.go_on()
            assert first.status() == second.status() == 0, first.said + second.said
    waiting, last = told(second.said)
    assert waiting.startswith(holder(first)) and waiting.endswith(", which is writing data/superpixels.zarr")
    assert Counts.of(first.said) == Counts(CROWD, 0)
    assert Counts.of(last) == Counts(0, CROWD)
    assert published(project, "superpixels") == undisturbed.bytes


@pytest.mark.slow
@pytest.mark.parametrize("workers", ["1", "2"])
def test_who_waits_takes_over_when_the_first_is_killed(crowd: Project, undisturbed: Undisturbed, tmp_path: Path, workers: str) -> None:
    project = crowd.copy_to(tmp_path)
    with started(project, "superpixels", "--workers", workers) as first:
        until(lambda: traces(project, "superpixels"))
        first.stop()  # but not its workers
        with started(project, "superpixels") as second:
            until(lambda: "waiting" in second.said or second.ended)
            kept = traces(project, "superpixels")
            assert first.kill(), "it was done too soon"
            assert second.status() == 0, second.said
    assert second.said.startswith(holder(first))
    most = CROWD - 1 if workers == "1" else CROWD  # workers of their own may have done the rest
    assert 0 < images_in(kept) <= Counts.of(second.said).reused <= most
    assert kept.items() <= traces(project, "superpixels").items()
    assert published(project, "superpixels") == undisturbed.bytes


@pytest.fixture(scope="module")
def others(crowd: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The crowd with other features, and the superpixels that these make; no test changes it."""
    project = crowd.copy_to(tmp_path_factory.mktemp("others"))
    change_params(project, "features", texture=project.params()["features"]["texture"] | {"texture_weight": 3.0})
    project.run("pretraining", "features", "superpixels")
    return project


def exchange(project: Project, other: Project, stage: str) -> None:
    """Give a project another project's artifact, at once as a stage does."""
    aside = project.root / "aside"
    shutil.copytree(other.data / f"{stage}.zarr", aside / "new")
    (project.data / f"{stage}.zarr").rename(aside / "old")
    (aside / "new").rename(project.data / f"{stage}.zarr")
    shutil.rmtree(aside)


REPLACED = "data/features.zarr: found that it was replaced since the stage began; expected the same; run `dvc repro` again"


@pytest.mark.slow
@pytest.mark.parametrize("workers", ["1", "2"])
def test_input_that_is_replaced_at_work(crowd: Project, undisturbed: Undisturbed, others: Project, tmp_path: Path, workers: str) -> None:
    project = crowd.copy_to(tmp_path)
    with started(project, "superpixels", "--workers", workers) as program:
        until(lambda: traces(project, "superpixels"))
        program.stop()
        exchange(project, others, "features")
        program.go_on()
        assert program.status() == 2, program.said
    [line] = told(program.said)
    assert line.startswith("error: ") and "data/features.zarr: found " in line and line.endswith("; run `dvc repro` again")
    assert not published(project, "superpixels")
    kept = images_in(traces(project, "superpixels"))
    assert counts(project, "superpixels") == [Counts(CROWD, 0)]  # nothing was kept under the names of the others
    assert published(project, "superpixels") == published(others, "superpixels")
    exchange(project, crowd, "features")
    assert counts(project, "superpixels") == [Counts(CROWD - kept, kept)]
    assert published(project, "superpixels") == undisturbed.bytes


def test_input_that_is_replaced_while_a_run_waits(undisturbed: Undisturbed, others: Project, tmp_path: Path) -> None:
    project = undisturbed.project.copy_to(tmp_path)
    shutil.copytree(others.data / ".work" / "superpixels", project.data / ".work" / "superpixels", dirs_exist_ok=True)
    with ExitStack() as another:
        another.enter_context(Store("superpixels", folder=project.data).locked())
        with started(project, "superpixels") as program:
            until(lambda: "waiting" in program.said or program.ended)
            exchange(project, others, "features")
            another.close()
            assert program.status() == 2, program.said
    assert told(program.said)[1:] == [f"error: {REPLACED}"]
    assert published(project, "superpixels") == undisturbed.bytes


# --- Wherever it runs ---


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    """The address of a dask cluster of two processes."""
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=":0") as begun:
        yield begun.scheduler_address


@pytest.mark.slow
def test_superpixels_are_the_same_on_a_cluster(crowd: Project, undisturbed: Undisturbed, tmp_path: Path, cluster: str) -> None:
    project = crowd.copy_to(tmp_path)
    with started(project, "superpixels", "--scheduler", cluster) as program:
        assert program.status() == 0, program.said
    assert Counts.of(program.said) == Counts(CROWD, 0)
    assert published(project, "superpixels") == undisturbed.bytes


@pytest.mark.slow
def test_who_is_killed_leaves_a_cluster_that_disturbs_nobody(
    crowd: Project, undisturbed: Undisturbed, tmp_path: Path, cluster: str
) -> None:
    project = crowd.copy_to(tmp_path)
    with started(project, "superpixels", "--scheduler", cluster) as program:
        until(lambda: program.ended or traces(project, "superpixels"))
        program.kill()
        kept = traces(project, "superpixels")
    with started(project, "superpixels", "--scheduler", cluster) as program:  # while workers may still end what was begun
        assert program.status() == 0, program.said
    assert Counts.of(program.said).reused >= images_in(kept)
    assert kept.items() <= traces(project, "superpixels").items()
    assert published(project, "superpixels") == undisturbed.bytes


CLUSTER = """
from distributed import LocalCluster

if __name__ == "__main__":
    with LocalCluster(n_workers=1, threads_per_worker=1, processes=True, dashboard_address=None) as begun:
        print(begun.scheduler_address, flush=True)
        input()
"""


@contextmanager
def cluster_of(checkout: Path) -> Iterator[str]:
    """The address of a dask cluster of one worker that runs the code of a checkout."""
    program = checkout / "cluster.py"
    program.write_text(CLUSTER)
    environment = os.environ | {"PYTHONPATH": str(checkout)}
    with subprocess.Popen([sys.executable, program], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as begun:
        assert begun.stdout is not None
        yield begun.stdout.readline().strip()
        begun.communicate("\n", timeout=60)


@pytest.mark.slow
def test_workers_that_run_old_code_are_refused(own_hundred: Project, tmp_path: Path) -> None:
    pytest.importorskip("distributed")
    checkout = tmp_path / "checkout"
    for package in ("seedbed", "stages"):
        shutil.copytree(CHECKOUT / package, checkout / package, ignore=shutil.ignore_patterns("__pycache__"))
    with cluster_of(checkout) as address:
        forget(own_hundred, "features")
        assert Counts.of(said_by(own_hundred, "features", address, checkout)) == Counts(100, 0)
        before = published(own_hundred, "features")
        texture = checkout / "seedbed" / "features" / "texture.py"
        texture.write_text(texture.read_text() + '\n\n"""Nothing that computes."""\n')
        assert Counts.of(said_by(own_hundred, "features", address, checkout)) == Counts(0, 100)
        computing = "return np.asarray(standard, np.float32)"
        assert computing in texture.read_text()
        texture.write_text(texture.read_text().replace(computing, "return np.asarray(standard + 1, np.float32)"))
        kept = traces(own_hundred, "features")
        [line] = told(said_by(own_hundred, "features", address, checkout))
        assert line.startswith("error: process ") and line.endswith("; restart the dask workers, if you use any, and run it again")
        assert traces(own_hundred, "features") == kept
    with cluster_of(checkout) as address:
        assert Counts.of(said_by(own_hundred, "features", address, checkout)) == Counts(100, 0)
    after = published(own_hundred, "features")
    assert after.keys() == before.keys() and after != before


def said_by(project: Project, stage: str, scheduler: str, checkout: Path) -> str:
    """What a stage says that runs the code of a checkout on a cluster."""
    with started(project, stage, "--scheduler", scheduler, checkout=checkout) as program:
        program.status()
        return program.said


@pytest.mark.slow
@pytest.mark.parametrize("elsewhere", ["processes", pytest.param("cluster", marks=pytest.mark.slow)])
def test_class_maps_are_the_same_everywhere(own_hundred: Project, tmp_path: Path, request: pytest.FixtureRequest, elsewhere: str) -> None:
    own_hundred.run("classifier")
    other = Workers(workers=2) if elsewhere == "processes" else Workers(scheduler=request.getfixturevalue("cluster"))
    project = own_hundred.copy_to(tmp_path / "elsewhere")
    assert Counts.of(heard(own_hundred, "cams")) == Counts.of(heard(project, "cams", place=other)) == Counts(100, 0)
    assert len(traces(own_hundred, "features")) == 2, "there is nothing to share"
    assert published(own_hundred, "cams") == published(project, "cams") != {}


@pytest.mark.slow
def test_features_are_the_same_with_another_number_of_workers(own_hundred: Project, hundred: Project) -> None:
    forget(own_hundred, "features")
    done = own_hundred.program("features", environment={"SEEDBED_WORKERS": "2"})
    assert done.returncode == 0, done.stderr
    assert Counts.of(done.stderr) == Counts(100, 0)
    assert published(own_hundred, "features") == published(hundred, "features")


# --- Broken images ---


def broken(tmp_path: Path, original: dict[str, Any], *images: str, allowed: int) -> Project:
    """A project of six images, of which some are broken."""
    project = new_album(tmp_path / "broken", original, photos(*range(6)))
    change_params(project, "dataset", allow_broken=allowed)
    for image in images:
        replace(raw(project, image), b"no image")
    return project


@pytest.mark.parametrize(("images", "allowed"), [(["image_0002"], 0), (["image_0002", "image_0004"], 1)])
def test_too_many_broken_images(tmp_path: Path, original: dict[str, Any], images: list[str], allowed: int) -> None:
    project = broken(tmp_path, original, *images, allowed=allowed)
    with pytest.raises(DataError) as raised:
        project.run("dataset")
    problems = "; ".join(f"images/{image}.png: 8 bytes that are not an image" for image in images)
    assert f"data/raw/album: found {len(images)} images that cannot be used: {problems}; expected" in str(raised.value)
    assert f"or let dataset.allow_broken, now {allowed}, leave broken images out" in str(raised.value)
    assert not published(project, "dataset")


def test_a_broken_image_that_is_allowed_is_left_out(tmp_path: Path, original: dict[str, Any]) -> None:
    project = broken(tmp_path, original, "image_0002", allowed=1)
    said = heard(project, "dataset")
    assert "dataset: leaving out 1 broken images: images/image_0002.png: 8 bytes that are not an image\n" in said
    data = open_artifact("dataset", folder=project.data)
    usable = [image for image in photos(*range(6)) if image != "image_0002"]
    assert [problem for problem in data.array("problem") if problem] == ["8 bytes that are not an image"]
    assert data.array("problem")[data.row("image_0002")]
    assert data.usable == data.split("train") == usable
    project.run("pretraining", "features", "superpixels")
    assert open_artifact("superpixels", folder=project.data).ids == usable


@pytest.mark.slow
def test_a_broken_image_that_is_repaired_is_new(tmp_path: Path, original: dict[str, Any]) -> None:
    project = broken(tmp_path, original, "image_0002", allowed=1)
    assert counts(project, *PER_IMAGE) == [Counts(6, 0), Counts(5, 0), Counts(5, 0)]
    show(project, photos(*range(6)))
    assert counts(project, *PER_IMAGE) == [Counts(1, 5)] * 3
