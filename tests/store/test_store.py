"""The store: an entry is there whole or not at all, its name says what it holds, and an artifact is its entries in a row."""

from __future__ import annotations

import contextlib
import json
import math
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

import seedbed.store
from seedbed.errors import ArtifactError
from seedbed.reads import read_entry
from seedbed.store.artifact import Artifact, MadeBy
from seedbed.store.entries import Computation, Entry, put, put_weights, shard_name, sign
from seedbed.store.records import files_below
from seedbed.store.schemas import SCHEMAS
from seedbed.store.store import Store
from tests.support.publishing import columns_of, published

EXTENTS = {"height_width": 2, "y": 3, "x": 4}
RECIPE = Computation("seeds", "toy", [], "code")
MADE_BY = MadeBy("seeds", "toy", {})
SIZE = SCHEMAS["seeds"].arrays["size"]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """That of a stage that makes labels."""
    return Store("seeds", folder=tmp_path / "data")


def rows(*images: str) -> list[dict[str, Any]]:
    """Labels of some images, 3 x 4 pixels each."""
    return [
        {"ids": image, "size": (3, 4), "digest": f"of {image}", "labels": np.full((3, 4), place % 8, np.uint8)}
        for place, image in enumerate(images)
    ]


def named(key: str) -> str:
    """The name of an entry with one result."""
    return shard_name([key], {})


def built(store: Store, key: str, *, value: int = 3) -> Entry:
    """An entry with one array."""
    with store.building(RECIPE, [key], {}) as group:
        put(group, "size", SIZE, [[value, 4]])
    entry = store.entry(named(key))
    assert entry is not None
    return entry


def files(store: Store) -> set[str]:
    """Whatever lies in a store."""
    return {path.name for path in store.folder.iterdir()}


def shard_file(entry: Entry) -> Path:
    """The file with an entry's only array."""
    return entry.path / "size" / "c" / "0" / "0"


# --- Names ---


def test_a_key_depends_on_everything_that_a_result_depends_on(monkeypatch: pytest.MonkeyPatch) -> None:
    recipes = [
        Computation("seeds", "toy", [["a.module", {"threshold": 0.3}]], "code"),
        Computation("refinement", "toy", [["a.module", {"threshold": 0.3}]], "code"),
        Computation("seeds", "toy", [["a.module", {"threshold": 0.4}]], "code"),
        Computation("seeds", "toy", [["another.module", {"threshold": 0.3}]], "code"),
        Computation("seeds", "toy", [["a.module", {"threshold": 0.3}], ["another.module", {}]], "code"),
        Computation("seeds", "toy", [["a.module", {"threshold": 0.3}]], "other code"),
        Computation("seeds", "toy", [["a.module", {"threshold": 0.3}]], "code", {"torch": "2.12.0"}),
        Computation("seeds", "toy", [["a.module", {"threshold": 0.3}]], "code", {"torch": "2.13.0"}),
    ]
    parts = [[], ["image"], ["other image"], ["image", "map"], ["map", "image"], ["imagemap"]]
    keys = [recipe.key(read) for recipe in recipes for read in parts]
    schema = SCHEMAS["seeds"]
    for changed in (
        type(schema)(schema.version + 1, schema.meaning, schema.arrays),
        type(schema)(schema.version, schema.meaning, {"size": SIZE}),
    ):
        monkeypatch.setitem(SCHEMAS, "seeds", changed)
        keys.append(Computation("seeds", "toy", [["a.module", {"threshold": 0.3}]], "code").key([]))
    assert len(set(keys)) == len(keys) == 50


def test_a_key_is_the_same_in_every_process(project: Path) -> None:
    made = "Computation('seeds', 'toy', [['a', {'b': 0.1, 'c': [1]}]], 'code')"
    program = f"from seedbed.store.entries import Computation; print({made}.key(['x']))"
    variables = os.environ | {"PYTHONHASHSEED": "1"}
    done = subprocess.run([sys.executable, "-c", program], cwd=project, env=variables, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == Computation("seeds", "toy", [["a", {"c": [1], "b": 0.1}]], "code").key(["x"])


def test_a_shard_is_named_after_its_images_their_order_and_its_layout() -> None:
    names = {
        shard_name(["a", "b"], {"y": 3, "x": 4}),
        shard_name(["b", "a"], {"y": 3, "x": 4}),
        shard_name(["a"], {"y": 3, "x": 4}),
        shard_name(["ab"], {"y": 3, "x": 4}),
        shard_name(["a", "b"], {"y": 4, "x": 3}),
        shard_name(["a", "b"], {}),
    }
    assert len(names) == 6
    assert shard_name(["a", "b"], {"x": 4, "y": 3}) in names
    assert all(len(name) == 40 for name in names)


# --- Entries ---


def test_an_entry_knows_its_recipe_its_keys_and_its_files(store: Store) -> None:
    recipe = Computation("seeds", "toy", [], "code", {"numpy": "2.4.6"}, ("stages.seeds",))
    with store.building(recipe, ["key"], {}) as group:
        put(group, "size", SIZE, [[3, 4]])
    entry = store.entry(named("key"))
    assert entry is not None and entry.stage == "seeds"
    parts = {"parameters": [], "code": "code", "packages": {"numpy": "2.4.6"}, "modules": ["stages.seeds"]}
    assert entry.recipe == {"kind": "seeds", "method": "toy", "schema": SCHEMAS["seeds"].version, **parts}
    assert entry.keys == ("key",)
    assert set(entry.files) == {"size/zarr.json", "size/c/0/0"}
    assert not entry.damage()
    assert list(store.entries()) == [entry]


def test_what_is_not_there_is_no_entry(store: Store) -> None:
    assert store.entry(named("key")) is None
    assert list(store.entries()) == []
    assert store.sound([named("key")]) == {}


@pytest.mark.parametrize(("old", "new"), [('"key"', '"kex"'), ('"toy"', '"toys"'), ('"size/c/0/0"', '"size/c/0/1"')])
def test_an_entry_with_an_edited_record_is_none(store: Store, old: str, new: str) -> None:
    record = built(store, "key").path / "zarr.json"
    assert old in record.read_text()
    record.write_text(record.read_text().replace(old, new))
    assert store.entry(named("key")) is None
    assert list(store.entries()) == []


@pytest.mark.parametrize(
    "content", [{}, {"keys": ["key"], "extents": {}, "recipe": {}, "files": []}, {"keys": 5, "extents": {}, "files": {}}]
)
def test_an_entry_of_something_else_is_none(store: Store, content: dict[str, Any]) -> None:
    group = zarr.create_group(store.folder / named("key"), zarr_format=3)
    if content:
        sign(group, content)
    assert store.entry(named("key")) is None


def test_entries_that_were_exchanged_are_told_and_thrown_away(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    first, second = built(store, "first", value=5), built(store, "second", value=6)
    first.path.rename(aside := store.folder / "aside")
    second.path.rename(first.path)
    aside.rename(second.path)
    assert list(store.entries()) == []
    assert store.sound([named("first"), named("second")]) == {}
    assert capsys.readouterr().err.splitlines() == [
        f"seeds: recomputing a damaged entry: {named(key)}: its name is not that of its content" for key in ("first", "second")
    ]
    assert files(store) == set()


def test_an_entry_of_another_layout_is_another(store: Store) -> None:
    entry = built(store, "key")
    entry.path.rename(store.folder / shard_name(["key"], {"y": 3}))
    assert store.entry(shard_name(["key"], {"y": 3})) is None


def test_what_fails_while_it_is_built_leaves_nothing(store: Store) -> None:
    with pytest.raises(KeyError, match="nothing of this name"), store.building(RECIPE, ["key"], {}) as group:
        put(group, "nothing of this name", SCHEMAS["seeds"].arrays["nothing of this name"], [[3, 4]])
    assert list(store.folder.iterdir()) == []


def test_what_is_built_twice_is_kept_once(store: Store) -> None:
    with store.building(RECIPE, ["key"], {}) as group:
        first = built(store, "key").path.stat().st_ino
        put(group, "size", SIZE, [[3, 4]])
    assert store.folder.joinpath(named("key")).stat().st_ino == first
    assert files(store) == {named("key")}


def test_what_is_no_entry_gives_way_to_one(store: Store) -> None:
    (store.folder / named("key")).mkdir(parents=True)
    (store.folder / named("key") / "half an entry").touch()
    (store.folder / named("other")).write_bytes(b"a file of this name")
    for key in ("key", "other"):
        assert built(store, key).path.is_dir()
    assert files(store) == {named("key"), named("other")}


@pytest.mark.parametrize("moment", ["put", "sha256", "sign"])
def test_who_builds_while_another_sweeps_leaves_all_or_nothing(store: Store, monkeypatch: pytest.MonkeyPatch, moment: str) -> None:
    """A worker may outlive its program by some moments, in which the next one begins."""
    undisturbed = getattr(seedbed.store.store, moment)

    def disturbed(*arguments: object) -> object:
        monkeypatch.setattr(seedbed.store.store, moment, undisturbed)
        with store.locked():
            return undisturbed(*arguments)

    with contextlib.suppress(OSError, ArtifactError), store.building(RECIPE, ["key"], {}) as group:
        put(group, "size", SIZE, [[3, 4]])
        monkeypatch.setattr(seedbed.store.store, moment, disturbed)
        seedbed.store.entries.put(group, "digest", SCHEMAS["seeds"].arrays["digest"], ["of a"])
    entry = store.entry(named("key"))
    assert entry is None or (set(entry.group) == {"size", "digest"} and not entry.damage())


def test_damage_is_told_and_thrown_away(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    whole, truncated, flipped, gone = (built(store, name, value=5) for name in ("whole", "truncated", "flipped", "gone"))
    shard_file(truncated).write_bytes(b"")
    shard_file(flipped).write_bytes(shard_file(flipped).read_bytes()[:-1] + b"x")
    shard_file(gone).unlink()
    assert store.sound(map(named, ["whole", "truncated", "flipped", "gone", "never", "whole"])) == {named("whole"): whole}
    assert capsys.readouterr().err.splitlines() == [
        f"seeds: recomputing a damaged entry: {named('truncated')}: size/c/0/0 is not as it was written",
        f"seeds: recomputing a damaged entry: {named('flipped')}: size/c/0/0 is not as it was written",
        f"seeds: recomputing a damaged entry: {named('gone')}: no size/c/0/0",
    ]
    assert files(store) == {named("whole")}


@pytest.mark.parametrize("content", ["{", "", None])
def test_a_record_that_cannot_be_read_is_damage(store: Store, capsys: pytest.CaptureFixture[str], content: str | None) -> None:
    record = built(store, "key").path / "zarr.json"
    record.unlink()
    if content is not None:
        record.write_text(content)
    assert store.sound([named("key")]) == {}
    assert capsys.readouterr().err.startswith(f"seeds: recomputing a damaged entry: {named('key')}: ")
    assert np.array_equal(np.asarray(built(store, "key").group["size"]), [[3, 4]])


def test_columns_of_an_image_are_cut_to_their_extent(tmp_path: Path) -> None:
    small = {"ids": "b", "size": (2, 3), "digest": "of b", "labels": np.full((2, 3), 7, np.uint8)}
    published("seeds", tmp_path, [*rows("a"), small], extents=EXTENTS)
    [entry] = Store("seeds", folder=tmp_path).entries()
    columns = columns_of(entry, 1)
    assert columns is not None
    assert np.array_equal(columns["labels"], np.full((2, 3), 7))
    assert columns["size"].tolist() == [2, 3]


@pytest.mark.parametrize("name", ["labels/c/0/0/0", "size/c/0/0", "digest/c/0"])
def test_columns_that_are_damaged_are_none(tmp_path: Path, name: str) -> None:
    published("seeds", tmp_path, rows("a"), extents=EXTENTS)
    [entry] = Store("seeds", folder=tmp_path).entries()
    content = (entry.path / name).read_bytes()
    (entry.path / name).write_bytes(content[:-3] + bytes([content[-3] ^ 1]) + content[-2:])
    assert columns_of(entry, 0) is None
    (entry.path / name).unlink()
    assert columns_of(entry, 0) is None


# --- Publishing ---


def label_files(artifact: Artifact) -> list[Path]:
    """The shards of an artifact's labels."""
    return sorted(artifact.path.glob("labels/c/*/0/0"))


def test_shards_are_published_by_hard_link(tmp_path: Path) -> None:
    artifact = published("seeds", tmp_path, rows(*(f"image {number}" for number in range(70))), extents=EXTENTS)
    assert [file.stat().st_nlink for file in label_files(artifact)] == [2, 2]
    assert read_entry(artifact, "labels", "image 69").tolist() == [[69 % 8] * 4] * 3


def test_shards_are_copied_where_there_are_no_hard_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    linked = published("seeds", tmp_path / "linked", rows("a", "b"), extents=EXTENTS)

    link = os.link

    def refuse(source: Path, target: Path) -> None:
        if source.suffix != ".partial":  # else it is zarr's own
            raise OSError("no links here")
        link(source, target)

    monkeypatch.setattr(os, "link", refuse)
    copied = published("seeds", tmp_path / "copied", rows("a", "b"), extents=EXTENTS)
    assert copied.digest == linked.digest
    assert [file.stat().st_nlink for file in label_files(copied)] == [1]


def test_a_network_is_published_whole(tmp_path: Path) -> None:
    store, state = Store("classifier", folder=tmp_path), {"conv.weight": np.ones((2, 3), np.float32), "steps": np.array(7)}
    with store.building(Computation("classifier", "toy", [], ""), ["key"], {}) as group:
        put(group, "log", SCHEMAS["classifier"].arrays["log"], [[2.0], [1.0]])
        put(group, "figures", SCHEMAS["classifier"].arrays["figures"], ["loss"])
        put_weights(group, state.items())
    artifact = store.publish(list(store.entries()), {}, images=0, made_by=MadeBy("classifier", "toy", {}), extents={})
    assert artifact.array("log").tolist() == [[2], [1]]
    assert {name: value.tolist() for name, value in artifact.weights().items()} == {"conv.weight": [[1] * 3] * 2, "steps": 7}


def test_an_artifact_is_replaced_at_once(tmp_path: Path) -> None:
    first = published("seeds", tmp_path, rows("a", "b"), extents=EXTENTS)
    second = published("seeds", tmp_path, rows("b", "c"), extents=EXTENTS)
    assert (first.path, second.ids) == (second.path, ["b", "c"])
    assert sorted(path.name for path in tmp_path.iterdir()) == [".work", "seeds.zarr"]
    assert not list(tmp_path.glob(".work/seeds/new-*"))
    with pytest.raises(ArtifactError, match="found that it was replaced since the stage began"):
        first.check_unchanged()


def published_again(tmp_path: Path) -> tuple[Store, list[Entry], Artifact]:
    """A store whose artifact is about to be published once more."""
    artifact = published("seeds", tmp_path, rows("a", "b"), extents=EXTENTS)
    store = Store("seeds", folder=tmp_path)
    return store, list(store.entries()), artifact


def test_an_entry_that_was_cut_short_is_not_published(tmp_path: Path) -> None:
    store, entries, artifact = published_again(tmp_path)
    before = artifact.digest
    file = entries[0].path / "labels" / "c" / "0" / "0" / "0"
    content = file.read_bytes()
    file.unlink()
    file.write_bytes(content[:-1])
    with pytest.raises(ArtifactError, match=r"found labels/c/0/0/0 of another length; expected as it was written; run it again"):
        store.publish(entries, {"ids": ["a", "b"]}, images=2, made_by=MADE_BY, extents=EXTENTS)
    artifact.check_unchanged()
    assert artifact.digest == before
    assert not list(store.folder.glob("new-*"))


def test_an_array_that_no_entry_has_is_missed(tmp_path: Path) -> None:
    store, entries, _ = published_again(tmp_path)
    with pytest.raises(ValueError, match="stage seeds left out ids"):
        store.publish(entries, {}, images=2, made_by=MADE_BY, extents=EXTENTS)


def test_no_image_at_all(store: Store) -> None:
    artifact = store.publish([], {"ids": []}, images=0, made_by=MADE_BY, extents=EXTENTS)
    assert artifact.ids == []
    assert artifact.array("labels").shape == (0, 3, 4)
    assert artifact.array("size").shape == (0, 2)
    assert store.join([]) == {}


def test_small_arrays_are_joined_from_all_entries(tmp_path: Path) -> None:
    published("seeds", tmp_path, rows(*(f"image {number}" for number in range(70))), extents=EXTENTS)
    store = Store("seeds", folder=tmp_path)
    joined = store.join(list(store.entries()))
    assert set(joined) == {"size", "digest", "corrected"} and joined["size"].shape == (70, 2)


def test_many_images_are_few_files(tmp_path: Path) -> None:
    artifact = published("seeds", tmp_path, rows(*map(str, range(1000))), extents=EXTENTS)
    shards = label_files(artifact)
    other_files = len(list(files_below(artifact.path))) + 1 - len(shards)  # and the group's own
    assert len(shards) == 16
    for size in ((160, 160), (512, 512), (2000, 2000)):
        per_shard = SCHEMAS["seeds"].images_per_shard({**EXTENTS, "y": size[0], "x": size[1]})
        assert math.ceil(10_000 / per_shard) + other_files < 200


# --- The lock ---

HOLDER = """
import sys
from pathlib import Path
from seedbed.store.store import Store
with Store("seeds", folder=Path(sys.argv[1])).locked():
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def other(store: Store, project: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the store's lock."""
    command = [sys.executable, "-c", HOLDER, str(store.data)]
    with subprocess.Popen(command, cwd=project, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout and process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_who_does_not_wait_is_told_who_writes(store: Store, other: subprocess.Popen[str]) -> None:
    with pytest.raises(ArtifactError) as raised, store.locked(wait=False):
        pass
    assert str(raised.value).startswith(f"{store.folder}: found process {other.pid} on ")
    assert str(raised.value).endswith(", which is writing; expected no other writer; wait for it, or stop it")


@pytest.mark.parametrize("end", ["kill", "leave"])
def test_the_lock_goes_with_its_process(store: Store, other: subprocess.Popen[str], capsys: pytest.CaptureFixture[str], end: str) -> None:
    entered = threading.Event()

    def wait() -> None:
        with store.locked():
            entered.set()

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    assert not entered.wait(0.5)
    if end == "kill":
        other.kill()
    else:
        assert other.stdin
        other.stdin.close()
    assert entered.wait(60)
    thread.join()
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith(f"seeds: waiting for process {other.pid} on ")
    assert line.endswith(", which is writing data/seeds.zarr")


def test_two_stages_do_not_wait_for_each_other(store: Store) -> None:
    with store.locked(), Store("refinement", folder=store.data).locked(wait=False):
        assert (store.folder / "lock").read_text().startswith(f"process {os.getpid()} on ")


def test_what_killed_runs_left_is_swept(store: Store) -> None:
    built(store, "key")
    (store.folder / "new-old" / "labels").mkdir(parents=True)
    (store.folder / "new-old" / "labels" / "zarr.json").write_text("{}")
    (store.folder / "new-older").mkdir()
    with store.locked():
        assert files(store) == {"lock", named("key")}


# --- What is remembered ---


def test_nothing_is_remembered_at_first(store: Store) -> None:
    assert store.last() == {"entries": [], "images": []}
    assert store.speeds() == []


RUN = {"computed": 2, "seconds": 1.5, "workers": 1}


def test_what_was_published_last_and_how_fast(store: Store) -> None:
    entry = built(store, "key")
    os.utime(entry.path, (0, 0))
    store.remember([entry], ["a", "b"], RUN)
    store.remember([entry], ["b"], {})
    store.remember([entry], ["b", "c"], RUN | {"computed": 1})
    assert store.last() == {"entries": [named("key")], "images": ["b", "c"]}
    assert store.speeds() == [RUN, RUN | {"computed": 1}]
    assert entry.path.stat().st_mtime > 0, "that it was of use is not noted"


def test_what_is_remembered_is_plain_text_beside_the_entries(store: Store) -> None:
    store.remember([built(store, "key")], ["a"], {"computed": 1})
    assert json.loads((store.folder / "last.json").read_text()) == {"entries": [named("key")], "images": ["a"]}
    assert (store.folder / "runs.jsonl").read_text() == '{"computed": 1}\n'
    assert files(store) == {"last.json", named("key"), "runs.jsonl"}


NO_LAST = [
    "",
    '{"entries": ["na',
    "5",
    "[]",
    "null",
    '{"entries": "na", "images": []}',
    '{"entries": [], "images": [5]}',
    "\xff",
    10_000 * "[",
]


@pytest.mark.parametrize("content", NO_LAST, ids=range(len(NO_LAST)))
def test_what_cannot_be_read_is_not_remembered(store: Store, content: str) -> None:
    """A machine that loses power may keep a name without its content, and anybody may write anything."""
    store.remember([built(store, "key")], ["a"], RUN)
    (store.folder / "last.json").write_text(content, encoding="latin-1")
    assert store.last() == {"entries": [], "images": []}
    store.remember([built(store, "key")], ["b"], {})
    assert store.last() == {"entries": [named("key")], "images": ["b"]}


def test_speeds_that_cannot_be_reckoned_with_are_left_out(store: Store) -> None:
    store.remember([built(store, "key")], ["a"], RUN)
    with (store.folder / "runs.jsonl").open("a", encoding="latin-1") as runs:
        runs.write('{"computed": 2\n\n5\n[1]\nnull\n"\xff"\n{"computed": 2}\n{"seconds": 2}\n{"computed": 0, "seconds": 1}\n')
        runs.write('{"computed": "2", "seconds": 1}\n{"computed": true, "seconds": 1}\n{"computed": 2, "seconds": Infinity}\n')
    store.remember([built(store, "key")], ["b"], RUN | {"computed": 3})
    assert [speed["computed"] for speed in store.speeds()] == [2, 3]


@pytest.mark.parametrize("name", ["lock", "last.json", "runs.jsonl"])
def test_a_folder_in_the_place_of_a_book_is_told(store: Store, name: str) -> None:
    (store.folder / name).mkdir(parents=True)
    with pytest.raises(ArtifactError) as raised, store.locked():
        pass
    found = "found a folder; expected a file that the store writes; remove it"
    assert str(raised.value) == f"{store.folder / name}: {found}"
    assert store.last() == {"entries": [], "images": []} and store.speeds() == []


def test_a_book_that_would_never_be_read_to_its_end_is_told(store: Store) -> None:
    store.folder.mkdir(parents=True)
    os.mkfifo(store.folder / "last.json")
    with pytest.raises(ArtifactError, match=r"last\.json: found something that is not a file; expected a file"), store.locked():
        pass
    assert store.last() == {"entries": [], "images": []}


@pytest.mark.parametrize("place", ["data", "data/.work", "data/.work/seeds"])
def test_a_file_in_the_place_of_a_folder_is_told(store: Store, place: str) -> None:
    file = store.data.parent / place
    file.parent.mkdir(parents=True, exist_ok=True)
    file.touch()
    with pytest.raises(ArtifactError) as raised, store.locked():
        pass
    assert str(raised.value) == f"{file}: found no folder; expected a folder for results; remove or rename it"
    assert store.speeds() == [] and list(store.entries()) == []


def test_a_lock_with_anything_in_it_is_a_lock(store: Store, other: subprocess.Popen[str]) -> None:
    (store.folder / "lock").write_bytes(b"\xff\xfe")
    with pytest.raises(ArtifactError, match="which is writing; expected no other writer"), store.locked(wait=False):
        pass


def test_a_training_keeps_its_state_beside_its_entry(store: Store) -> None:
    assert store.checkpoint("name") == store.folder / "checkpoint-name.safetensors"
    store.folder.mkdir(parents=True)
    store.checkpoint("name").touch()
    store.checkpoint("name").with_name("checkpoint-name.safetensors.unfinished").touch()  # by who was killed
    store.checkpoint("other").touch()
    store.forget_checkpoint("name")
    store.forget_checkpoint("name")
    assert [path.name for path in store.folder.iterdir()] == ["checkpoint-other.safetensors"]


def test_the_store_is_not_the_artifact(tmp_path: Path) -> None:
    artifact = published("seeds", tmp_path, rows("a"), extents=EXTENTS)
    shutil.rmtree(tmp_path / ".work")
    assert read_entry(artifact, "labels", "a").tolist() == [[0] * 4] * 3
