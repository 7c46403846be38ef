"""Runs that are kept somewhere are opened for reading, and nothing is put into the workspace for that."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import logging
import re
import subprocess
from pathlib import Path

import pytest

from seedbed.errors import ArtifactError, MachineError
from seedbed.store.artifact import MadeBy
from seedbed.store.revisions import Repository
from seedbed.store.runs import Folder, Revision, open_run
from seedbed.store.schemas import SCHEMAS
from tests.support.histories import History, cache, evaluate, write, write_yaml
from tests.support.publishing import published

GOOD, BAD = [[3, 0, 0, 0], [0, 3, 0, 0], [0, 0, 0, 0]], [[1, 2, 0, 0], [3, 0, 0, 0], [0, 0, 0, 0]]


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> History:
    """Two commits and an experiment, whose artifacts are in DVC's cache, and a workspace that has none. No test changes it."""
    made = History.begin(tmp_path_factory.mktemp("history") / "project")
    for tau, counted in enumerate((GOOD, BAD)):
        _run(made, tau, counted)
        made.commit(f"tau {tau}")
    _run(made, 5, GOOD)
    made.experiment("shy-vole")
    made.git("branch", "feature/tau", "HEAD~1")
    return made


def _run(history: History, tau: int, counted: list[list[int]]) -> None:
    evaluate(history.root / "data", {"a": {"masks": counted}}, made_by=MadeBy("evaluation", "standard", {"tau": tau}))
    recorded = {"schema": "2.0", "stages": {"evaluation": {"cmd": "x", "outs": [cache(history.root, "evaluation")]}}}
    history.write(params={"evaluation": {"tau": tau}}, recorded=recorded)
    for file in sorted((history.root / "data").glob("evaluation.zarr/**/*"), reverse=True):
        file.rmdir() if file.is_dir() else file.unlink()
    (history.root / "data/evaluation.zarr").rmdir()


def everything(root: Path) -> dict[str, bytes]:
    """All files of a project but those of git, DVC and the store."""
    kept = (".git", ".dvc", "data/.work")
    files = {file.relative_to(root).as_posix(): file for file in root.rglob("*") if file.is_file()}
    return {name: file.read_bytes() for name, file in files.items() if not name.startswith(kept)}


@pytest.mark.parametrize(
    ("name", "tau"), [("HEAD", 1), ("HEAD~1", 0), ("main", 1), ("feature/tau", 0), ("shy-vole", 5), ("workspace", 1), (".", 1), ("", 1)]
)
def test_what_a_run_was_run_with(history: History, name: str, tau: int) -> None:
    with open_run(name, root=history.root) as run:
        assert run.params == {"evaluation": {"tau": tau}}
        assert run.figures["masks"]["miou"] == (0.0833 if tau == 1 else 1)
        assert list(run.lock) == ["evaluation"]
        assert run.name == (name if name not in (".", "") else "workspace")


@pytest.mark.parametrize(("name", "tau"), [("HEAD~1", 0), ("shy-vole", 5)])
def test_artifacts_are_read_from_the_cache_and_nothing_is_checked_out(history: History, name: str, tau: int) -> None:
    before, status = everything(history.root), history.git("status", "--porcelain")
    assert "data/evaluation.zarr/zarr.json" not in before
    with open_run(name, root=history.root) as run:
        assert run.artifacts() == ["evaluation"]
        artifact = run.artifact("evaluation")
        assert artifact.made_by.parameters == {"tau": tau} and run.record("evaluation")["digest"] == artifact.digest
        assert artifact.entry("confusion", 0).tolist() == [GOOD]
        assert run.artifact("evaluation").path == artifact.path
        assert history.root not in artifact.path.parents and artifact.path.is_dir()
        assert (everything(history.root), history.git("status", "--porcelain")) == (before, status)
    assert not artifact.path.exists(), "links are gone when the run is closed"
    assert everything(history.root) == before


def test_what_a_stage_read_of_another_pipeline_is_that_of_the_revision(tmp_path: Path) -> None:
    history = History.begin(tmp_path / "project")
    for counted in (GOOD, BAD):
        evaluate(history.root / "main" / "data", {"a": {"masks": counted}})
        evaluate(history.root / "data", {"b": {"masks": BAD}})
        read, left = cache(history.root, "evaluation", within="main/data"), cache(history.root, "evaluation")
        stage = {"cmd": "x", "deps": [read], "outs": [left]}
        behind = {"cmd": "x", "deps": [{**left, "md5": "0" * 32}]}  # it has not run since the other has
        history.write(recorded={"schema": "2.0", "stages": {"evaluation": stage, "seeds": behind}})
        history.commit()
    for name, counted in (("HEAD~1", GOOD), ("HEAD", BAD), (".", BAD)):
        with contextlib.chdir(history.root), open_run(name) as run:
            assert run.artifacts() == ["evaluation"] and run.artifact("evaluation").ids == ["b"]
            other = run.artifact_at("main/data/evaluation.zarr")
            assert other.ids == ["a"] and other.entry("confusion", 0).tolist() == [counted]
            with pytest.raises(ArtifactError, match=r"main/data/seeds\.zarr"):
                run.artifact_at("main/data/seeds.zarr")


def test_what_dvc_put_into_its_cache_is_found(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """By DVC itself, whose cache is elsewhere; other tests write one as it does."""
    from dvc.repo import Repo

    caplog.set_level(logging.ERROR, logger="dvc")  # it would print to where the test that imported it first has captured
    history = History.begin(tmp_path / "project")
    evaluate(history.root / "data", {"a": {"masks": GOOD}})
    write(history.root / ".dvc/config", "[core]\n    analytics = false\n[cache]\n    dir = ../../elsewhere\n")
    out = {"metrics": [{"data/metrics/evaluation.json": {"cache": False}}], "outs": ["data/evaluation.zarr"]}
    write_yaml(history.root / "dvc.yaml", {"stages": {"evaluation": {"cmd": "exit 1", **out}}})
    with contextlib.chdir(history.root), Repo() as repo:
        repo.commit(force=True)
    history.commit()
    (history.root / "data").rename(tmp_path / "away")
    assert not (history.root / ".dvc/cache").exists()
    with open_run("HEAD", root=history.root) as run:
        assert run.artifact("evaluation").entry("confusion", 0).tolist() == [GOOD]
        assert run.figures["masks"]["miou"] == 1


def test_a_folder_needs_neither_git_nor_dvc(tmp_path: Path) -> None:
    evaluate(tmp_path / "old/data", {"a": {"masks": BAD}})
    write(tmp_path / "old/params.yaml", "seeds: {method: threshold}\n")
    for name in ("old", "./old", "old/data", str(tmp_path / "old")):
        run = open_run(name, root=tmp_path)
        assert isinstance(run, Folder)
        assert run.artifacts() == ["evaluation"] and run.artifact("evaluation").ids == ["a"]
        assert run.params == {"seeds": {"method": "threshold"}} and run.figures["masks"]["miou"] == 0.0833
        assert run.lock == {}


def test_a_folder_of_artifacts_that_is_called_otherwise_has_no_params_beside_it(tmp_path: Path) -> None:
    evaluate(tmp_path / "copied", {"a": {"masks": BAD}})
    write(tmp_path / "params.yaml", "seeds: {method: threshold}\n")
    run = open_run("copied", root=tmp_path)
    assert run.params == {} and run.figures["masks"]["miou"] == 0.0833 and run.artifact("evaluation").ids == ["a"]


def test_stages_are_in_their_order(tmp_path: Path) -> None:
    for name in ("evaluation", "none", "zebra", "dataset"):  # none is part of every project
        (tmp_path / f"data/{name}.zarr").mkdir(parents=True)
    assert open_run(".", root=tmp_path).artifacts() == ["dataset", "evaluation", "zebra"]


@pytest.fixture
def small(tmp_path: Path) -> History:
    """A commit and an experiment of the same name as a branch and a folder."""
    history = History.begin(tmp_path)
    history.write(params={"is": "commit"})
    history.commit()
    history.write(params={"is": "experiment"})
    history.experiment("owl")
    write(tmp_path / "owl/params.yaml", "is: folder\n")
    (tmp_path / "owl/data").mkdir()
    return history


def test_a_name_that_several_have(small: History) -> None:
    """Revisions go before experiments, as for DVC, and both before folders, unless these are written as paths."""
    assert open_run("owl", root=small.root).params == {"is": "experiment"}
    assert open_run("./owl", root=small.root).params == {"is": "folder"}
    small.git("branch", "owl")
    assert open_run("owl", root=small.root).params == {"is": "commit"}


def test_experiments_of_one_name(small: History) -> None:
    """That of the present commit is meant; where there is none, nobody knows which."""
    first = Repository(small.root).resolve("owl")
    small.commit("another")
    small.write(params={"is": "later"})
    second = small.experiment("owl")
    assert open_run("owl", root=small.root).params == {"is": "later"}
    small.commit("a third")
    known = f"{second[:7]}, {str(first)[:7]}"
    with pytest.raises(MachineError, match=f"owl: found experiments of that name: {known}; expected one; name a commit"):
        open_run("owl", root=small.root)


def test_an_unknown_name_is_told_with_the_nearest(small: History) -> None:
    small.git("branch", "shrike")
    expected = "expected a folder, an experiment of DVC or a revision of git"
    for name, near in {"owls": "owl", "shriek": "shrike"}.items():
        with pytest.raises(MachineError) as caught:
            open_run(name, root=small.root)
        assert str(caught.value) == f"{name}: found nothing of that name; {expected} (nearest: {near}); `seedbed runs` lists some"
    with pytest.raises(MachineError, match="--output=x: found nothing of that name"):
        open_run("--output=x", root=small.root)
    assert not (small.root / "x").exists()


def test_without_git_there_are_no_revisions(tmp_path: Path) -> None:
    with pytest.raises(MachineError) as caught:
        open_run("HEAD", root=tmp_path)
    assert str(caught.value) == f"{tmp_path}: found no git repository; expected one that keeps runs; name folders instead"


def test_a_machine_without_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MachineError, match="git: found no such program; expected it to read revisions with; install it"):
        open_run("HEAD", root=tmp_path)


@pytest.mark.parametrize(("name", "found"), [("./none", "no such folder"), ("../empty", "no artifact, figures or parameters")])
def test_a_folder_that_is_none(tmp_path: Path, name: str, found: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "project").mkdir()
    with pytest.raises(ArtifactError) as caught:
        open_run(name, root=tmp_path / "project")
    assert str(caught.value) == f"{name}: found {found}; expected the folder of a project, or its `data`; correct the path"


def test_what_the_cache_lacks_is_told(history: History, tmp_path: Path) -> None:
    copied = tmp_path / "copied"
    subprocess.run(["cp", "-r", history.root, copied], check=True)
    files = sorted((copied / ".dvc/cache").rglob("*"))
    for file in files:
        if file.is_file() and file.suffix != ".dir":
            file.unlink()
    with open_run("HEAD", root=copied) as run, pytest.raises(ArtifactError) as caught:
        run.artifact("evaluation")
    said = str(caught.value)
    count = len(json.loads(next(file for file in files if file.suffix == ".dir").read_text(encoding="utf-8")))
    assert said.startswith(f"data/evaluation.zarr of HEAD: found {count} of its {count} files are not in DVC's cache; ")
    assert said.endswith(
        "`dvc fetch --all-commits` or `dvc exp pull` brings it if a remote has it; else check it out elsewhere and run `dvc repro`"
    )
    for listing in (file for file in files if file.suffix == ".dir"):
        listing.unlink()
    with open_run("HEAD", root=copied) as run:
        with pytest.raises(ArtifactError, match=r"data/evaluation\.zarr of HEAD: found nothing in DVC's cache"):
            run.artifact("evaluation")
        with pytest.raises(ArtifactError, match=r"data/seeds\.zarr of HEAD: found no such artifact in dvc\.lock"):
            run.artifact("seeds")


@pytest.mark.parametrize(
    ("listing", "found"),
    [
        ('[{"relpath": "../../params.yaml", "md5": "0"}]', "files outside of it in the list"),
        ('[{"relpath": "/etc/hosts", "md5": "0"}]', "files outside of it in the list"),
        ('[{"relpath": "a", "md5": "../../../../params.yaml"}]', r"the digest '\.\./\.\./\.\./\.\./params.yaml'"),
        ("[{", "a damaged list of its files"),
        ('{"a": 1}', "a damaged list of its files"),
    ],
)
def test_a_cache_that_is_not_what_dvc_wrote(tmp_path: Path, listing: str, found: str) -> None:
    history = History.begin(tmp_path)
    md5 = "0123456789abcdef0123456789abcdef"
    write(tmp_path / f".dvc/cache/files/md5/01/{md5[2:]}.dir", listing)
    outs = [{"path": "data/seeds.zarr", "md5": f"{md5}.dir"}]
    history.write(recorded={"schema": "2.0", "stages": {"seeds": {"cmd": "x", "outs": outs}}})
    sha = history.commit()
    with Revision(Repository(tmp_path), sha, name="x") as run, pytest.raises(ArtifactError, match=f"data/seeds.zarr of x: found {found}"):
        run.artifact("seeds")


def test_an_artifact_of_another_schema_is_told_of_as_the_revision_s(history: History, monkeypatch: pytest.MonkeyPatch) -> None:
    newer = dataclasses.replace(SCHEMAS["evaluation"], version=99)
    monkeypatch.setitem(SCHEMAS, "evaluation", newer)
    with open_run("HEAD", root=history.root) as run, pytest.raises(ArtifactError) as caught:
        run.artifact("evaluation")
    found, expected = r"found schema \d+; expected schema 99, which this version reads; ", "else check it out elsewhere and run `dvc repro`"
    assert re.match(rf"data/evaluation\.zarr of HEAD: {found}", str(caught.value)) and str(caught.value).endswith(expected)


def test_without_a_lock_a_revision_has_no_artifacts(small: History) -> None:
    run = open_run("HEAD", root=small.root)
    assert run.artifacts() == [] and run.lock == {} and run.figures == {}
    with pytest.raises(ArtifactError, match=r"data/seeds\.zarr of HEAD: found no dvc\.lock"):
        run.artifact("seeds")


@pytest.mark.parametrize(
    ("file", "text", "attribute"),
    [("params.yaml", "a: [", "params"), ("dvc.lock", "a: {", "lock"), ("data/metrics/evaluation.json", "{", "figures")],
)
def test_what_cannot_be_read_is_told(tmp_path: Path, file: str, text: str, attribute: str) -> None:
    write(tmp_path / file, text)
    with pytest.raises(MachineError, match=f"{file} of workspace: found what cannot be read: "):
        getattr(open_run(".", root=tmp_path), attribute)
    (tmp_path / file).write_bytes(b"\xff\xfe\xff")
    with pytest.raises(MachineError, match="found bytes that are not UTF-8"):
        getattr(open_run(".", root=tmp_path), attribute)


def test_a_project_below_the_repository(tmp_path: Path) -> None:
    outer = History.begin(tmp_path)
    write(tmp_path / "params.yaml", "is: outer\n")
    write(tmp_path / "below/params.yaml", "is: inner\n")
    outer.commit()
    assert open_run("HEAD", root=tmp_path / "below").params == {"is": "inner"}


def test_an_artifact_of_another_schema_still_tells_of_itself(tmp_path: Path) -> None:
    made = published("seeds", tmp_path / "data", [], extents={"y": 2, "x": 3}, made_by=MadeBy("seeds", "threshold", {"tau": 1}))
    run = open_run(".", root=tmp_path)
    assert run.record("seeds")["made_by"]["parameters"] == {"tau": 1} and run.record("seeds")["digest"] == made.digest
    assert run.record("cams") == {}
