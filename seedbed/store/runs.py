"""A run that is kept somewhere, opened for reading: parameters, figures and artifacts of the workspace, a folder, or a revision.

Nothing is checked out. Artifacts of a revision are read where DVC's cache has them, by way of a temporary folder of links.
"""

from __future__ import annotations

import hashlib
import json
import re
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from threading import Lock
from typing import Any, Self

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from seedbed.errors import ArtifactError, MachineError
from seedbed.store.artifact import Artifact, open_artifact
from seedbed.store.records import FOLDER, record_of
from seedbed.store.revisions import Repository
from seedbed.store.schemas import NONE, SCHEMAS, find_kind

WORKSPACE = "workspace"
PARAMS, LOCK, FIGURES = "params.yaml", "dvc.lock", "data/metrics/evaluation.json"
MD5 = re.compile(r"[0-9a-f]{32}")


class Snapshot(ABC):
    """What a run left. Close it, or use it in `with`: links to its artifacts are gone then."""

    name: str  # as it is shown
    project = Path()  # folder of the project that it is a run of

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:  # noqa: B027 - only revisions have something to remove
        """Remove what was put on disk to read it."""

    @cached_property
    def params(self) -> Mapping[str, Any]:
        """What params.yaml said; empty where there was none."""
        return self._parse(PARAMS, YAML(typ="safe").load)

    @cached_property
    def lock(self) -> Mapping[str, Any]:
        """What dvc.lock said of every stage that ran; empty where there was none."""
        stages = self._parse(LOCK, YAML(typ="safe").load).get("stages", {})
        return {name: one for name, one in stages.items() if isinstance(one, Mapping)} if isinstance(stages, Mapping) else {}

    @cached_property
    def figures(self) -> Mapping[str, Any]:
        """Figures of its evaluation; empty where there were none."""
        return self._parse(FIGURES, json.loads)

    def artifacts(self) -> list[str]:
        """Names of artifacts that it left, in the order of the stages, whether or not they can be had."""
        known = list(SCHEMAS)
        kinds = {name: find_kind(name) for name in self._artifacts() - {NONE}}
        return sorted(kinds, key=lambda name: (known.index(kinds[name]) if kinds[name] else len(known), name))

    def artifact(self, name: str) -> Artifact:
        """An artifact that it left."""
        return open_artifact(name, folder=self._place(name))

    @abstractmethod
    def artifact_at(self, path: str) -> Artifact:
        """An artifact that a setting names by its path from the project's folder, be it of this pipeline or of another."""

    def record(self, name: str) -> Mapping[str, Any]:
        """What an artifact says of itself, be its schema the present one or not; empty where that is nothing."""
        return record_of(self._place(name) / f"{name}.zarr")

    @abstractmethod
    def read(self, file: str) -> str | None:
        """A file that it left, relative to the project's folder; None where there is none."""

    @abstractmethod
    def _artifacts(self) -> set[str]:
        """Names of artifacts that it left."""

    @abstractmethod
    def _place(self, name: str) -> Path:
        """The folder that an artifact lies in."""

    def _parse(self, file: str, parse: Callable[[str], Any]) -> Mapping[str, Any]:
        text = self.read(file)
        try:
            content = {} if text is None else parse(text)
        except (YAMLError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
            found = f"what cannot be read: {str(error).partition(chr(10))[0]}"
            raise MachineError(f"{file} of {self.name}", found=found, expected="what was once written", do="restore it") from error
        return content if isinstance(content, Mapping) else {}


class Folder(Snapshot):
    """A run that lies in a folder: that of a project, or its `data`. Needs neither git nor DVC."""

    def __init__(self, folder: Path, *, name: str) -> None:
        self.name = name
        is_project = name == WORKSPACE or (folder / FOLDER).is_dir() or (folder / PARAMS).is_file()
        self._data = folder / FOLDER if is_project else folder
        # Of a folder of artifacts that is called otherwise nobody knows whether what lies beside it belongs to it.
        self._root = self._data.absolute().parent if self._data.absolute().name == FOLDER.name else None
        self.project = Path() if name == WORKSPACE else self._root or Path()

    def artifact_at(self, path: str) -> Artifact:
        return open_artifact(Path(path).stem, folder=self.project / Path(path).parent)

    def read(self, file: str) -> str | None:
        below = file.removeprefix(f"{FOLDER}/")
        path = self._data / below if below != file else None if self._root is None else self._root / file
        try:
            return path.read_text(encoding="utf-8") if path is not None and path.is_file() else None
        except ValueError as error:
            raise MachineError(str(path), found=f"bytes that are not UTF-8: {error}", expected="text", do="restore it") from error

    def _artifacts(self) -> set[str]:
        return {path.stem for path in self._data.glob("*.zarr") if path.is_dir()}

    def _place(self, name: str) -> Path:
        return self._data


class Revision(Snapshot):
    """A run that a commit tells of, of a branch or of an experiment. Its artifacts are read from DVC's cache."""

    def __init__(self, repository: Repository, sha: str, *, name: str) -> None:
        self.name = name
        self.sha = sha
        self._repository = repository
        self._links: tempfile.TemporaryDirectory[str] | None = None
        self._linking = Lock()

    def close(self) -> None:
        if self._links is not None:
            self._links.cleanup()
            self._links = None

    def artifact(self, name: str) -> Artifact:
        """An artifact that it left."""
        return self.artifact_at(f"{FOLDER}/{name}.zarr")

    def artifact_at(self, path: str) -> Artifact:
        """An artifact as a stage left or read it."""
        folder = self._place_at(path)
        try:
            return open_artifact(Path(path).stem, folder=folder)
        except ArtifactError as error:  # which tells of a link, and what to do about the workspace
            raise self._missing(path, error.found, expected=error.expected) from error

    def read(self, file: str) -> str | None:
        return self._repository.read(self.sha, file)

    def _artifacts(self) -> set[str]:
        left = (Path(out["path"]) for stage in self.lock.values() for out in stage.get("outs", ()))
        return {path.stem for path in left if path.parent == FOLDER and path.suffix == ".zarr"}

    @cached_property
    def _digests(self) -> dict[Path, str]:
        """What DVC calls the content of everything that stages read or left; what was left is the latest."""
        files = (one for part in ("deps", "outs") for stage in self.lock.values() for one in stage.get(part, ()))
        return {Path(one["path"]): str(one.get("md5", "")) for one in files}

    @cached_property
    def _cache(self) -> Path:
        """Where DVC keeps files by their digest."""
        from dvc.exceptions import DvcException
        from dvc.repo import Repo

        try:
            with Repo(str(self._repository.root)) as repo:
                return Path(repo.cache.local.path)
        except DvcException as error:
            raise MachineError("dvc", found=str(error), expected="a project that DVC can read", do="see `dvc status`") from error

    def _place(self, name: str) -> Path:
        return self._place_at(f"{FOLDER}/{name}.zarr")

    def _place_at(self, path: str) -> Path:
        """The folder that an artifact lies in, with those from beside it."""
        with self._linking:
            if self._links is None:
                self._links = tempfile.TemporaryDirectory(prefix="seedbed-")
            beside = hashlib.sha256(str(Path(path).parent).encode()).hexdigest()
            folder = Path(self._links.name, beside)
            if not (folder / Path(path).name).exists():
                folder.mkdir(exist_ok=True)
                self._link(path, folder)
            return folder

    def _link(self, path: str, folder: Path) -> None:
        """Lay links to the files of an artifact into a folder."""
        files = self._files(path)
        absent = [relative for relative, cached in files.items() if not cached.is_file()]
        if absent:
            raise self._missing(path, f"{len(absent)} of its {len(files)} files are not in DVC's cache")
        made = Path(tempfile.mkdtemp(dir=folder))
        for relative, cached in files.items():
            link = made / relative
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(cached)
        made.rename(folder / Path(path).name)  # as a whole, or not at all

    def _files(self, path: str) -> dict[str, Path]:
        """Where DVC's cache has, or would have, each file of an artifact."""
        if Path(path) not in self._digests:
            raise self._missing(path, "no such artifact in dvc.lock" if self.lock else "no dvc.lock")
        listing = self._cached(self._digests[Path(path)].removesuffix(".dir"), path, suffix=".dir")
        if not listing.is_file():
            raise self._missing(path, "nothing in DVC's cache")
        try:
            listed = [(Path(one["relpath"]), str(one["md5"])) for one in json.loads(listing.read_text(encoding="utf-8"))]
        except (ValueError, KeyError, TypeError) as error:
            raise self._missing(path, f"a damaged list of its files in DVC's cache, {listing}") from error
        if any(relative.is_absolute() or ".." in relative.parts for relative, _ in listed):
            raise self._missing(path, f"files outside of it in the list that DVC's cache has, {listing}")
        return {str(relative): self._cached(md5, path) for relative, md5 in listed}

    def _cached(self, md5: str, path: str, *, suffix: str = "") -> Path:
        if not MD5.fullmatch(md5):
            raise self._missing(path, f"the digest {md5!r}")
        return self._cache / md5[:2] / f"{md5[2:]}{suffix}"

    def _missing(self, path: str, found: str, *, expected: str = "what the run left") -> ArtifactError:
        return ArtifactError(
            f"{path} of {self.name}",
            found=found,
            expected=expected,
            do="`dvc fetch --all-commits` or `dvc exp pull` brings it if a remote has it; else check it out elsewhere and run `dvc repro`",
        )


def open_run(name: str, *, root: Path = Path()) -> Snapshot:
    """Open a run for reading.

    name: nothing, `.` or `workspace` for what lies here; a path that begins with `/`, `./`, `../` or `~`, of a project's folder or
        its `data`; a revision of git; the name of an experiment of DVC; or any other path. Of things with the same name the first in
        this order is meant, so that revisions and experiments mean what they mean to DVC, and `./main` is a folder in any case.
    root: the project that revisions are looked up in.
    """
    if name in ("", ".", WORKSPACE):
        return Folder(root, name=WORKSPACE)
    folder = root / Path(name).expanduser()
    if name.startswith(("/", "./", "../", "~")) or name == "..":
        return _open_folder(folder, name)
    try:
        repository = Repository(root)
    except MachineError:
        if not folder.is_dir():
            raise
        return _open_folder(folder, name)
    sha = repository.resolve(name)
    if sha is None and folder.is_dir():
        return _open_folder(folder, name)
    return Revision(repository, sha or repository.require(name), name=name)


def _open_folder(folder: Path, name: str) -> Folder:
    opened = Folder(folder, name=name)
    if not opened.artifacts() and opened.read(FIGURES) is None and opened.read(PARAMS) is None:
        found = "no artifact, figures or parameters" if folder.is_dir() else "no such folder"
        raise ArtifactError(name, found=found, expected="the folder of a project, or its `data`", do="correct the path")
    return opened
