"""The store: results are kept beside the artifacts, so that nothing is computed twice.

An entry is a small zarr group below `data/.work/<stage>/`: the results for a run of images, which is one shard of the artifact, or of one
training. Its name is the digest of everything that its content depends on (`Computation`, `shard_name`). It is built in a temporary folder,
checked, and renamed into place, so it is complete or absent, and it never changes.

An artifact consists of entries in a row: their shards by hard link, their small arrays joined. So a killed run resumes with the entries
that it left, a parameter that is switched back finds its old entries, and an image with new neighbours is copied from the entry that has
it. DVC deletes outs before it runs a stage; it does not know of the store.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import zarr

from seedbed.errors import ArtifactError
from seedbed.store.artifact import Artifact, MadeBy, open_artifact
from seedbed.store.entries import Computation, Entry, link, put, shard_name, sign
from seedbed.store.layout import create_array
from seedbed.store.lock import hold_lock, put_in_place
from seedbed.store.records import FOLDER, WORK, files_below, sha256
from seedbed.store.schemas import SCHEMAS, Array, find_kind

LAST, OF_LAST = "last.json", ("entries", "images")  # what the published artifact was made of
RUNS = "runs.jsonl"  # how long runs took
LOCK = "lock"
NEW = "new-"  # what is being built


class Store:
    """The entries of one stage."""

    def __init__(self, stage: str, *, folder: Path = FOLDER) -> None:
        self.stage = stage
        self.kind = find_kind(stage)
        self.data = folder.absolute()
        self.folder = self.data / WORK / stage

    @contextmanager
    def locked(self, *, wait: bool = True) -> Iterator[None]:
        """Hold the lock for writing this stage's artifact. It ends with the process, however that ends.

        wait: for another process that holds it; else raise an error.
        """
        self._check_books()
        with hold_lock(self.folder / LOCK, stage=self.stage, wait=wait):
            for left in sorted(self.folder.glob(f"{NEW}*")):  # by a killed run: a running one would hold the lock
                self.discard(left)
            yield

    def _check_books(self) -> None:
        """Refuse a store whose own files are something else, such as folders. Files with wrong content are simply rewritten."""
        self._make_folder()
        for name in (LOCK, LAST, RUNS):
            file = self.folder / name
            if file.exists() and not file.is_file():
                found = "a folder" if file.is_dir() else "something that is not a file"
                raise ArtifactError(str(file), found=found, expected="a file that the store writes", do="remove it")

    def _make_folder(self) -> None:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError) as error:
            path = (*reversed(self.folder.parents), self.folder)
            wrong = next((one for one in path if os.path.lexists(one) and not one.is_dir()), self.folder)
            raise ArtifactError(str(wrong), found="no folder", expected="a folder for results", do="remove or rename it") from error

    # Entries.

    def entry(self, name: str) -> Entry | None:
        """An entry, or None."""
        return Entry.read(self.folder / name)

    def entries(self) -> Iterator[Entry]:
        """All of them."""
        for path in sorted(self.folder.iterdir() if self.folder.is_dir() else ()):
            entry = None if path.name.startswith(NEW) else Entry.read(path)
            if entry:
                yield entry

    def sound(self, names: Iterable[str]) -> dict[str, Entry]:
        """Those of these entries that exist and are undamaged. Damaged ones are reported and deleted."""
        names = [name for name in dict.fromkeys(names) if (self.folder / name).exists()]
        with ThreadPoolExecutor() as threads:  # checksums are computed outside Python's lock
            found = dict(zip(names, threads.map(Entry.examined, map(self.folder.joinpath, names)), strict=True))
        for name, (_, damage) in found.items():
            if damage:
                print(f"{self.stage}: recomputing a damaged entry: {name}: {damage}", file=sys.stderr, flush=True)
                self.discard(self.folder / name)
        return {name: entry for name, (entry, damage) in found.items() if entry is not None and not damage}

    @contextmanager
    def building(self, recipe: Computation, keys: Sequence[str], extents: Mapping[str, int]) -> Iterator[zarr.Group]:
        """A group to fill. It becomes the entry with these keys and this layout when the block ends without an error."""
        name = shard_name(keys, extents)
        with self._aside() as work:
            group = zarr.open_group(work, mode="a", zarr_format=3)
            unfinished = work / f"{NEW}{name}"
            unfinished.touch()
            yield group
            written = (one for one in files_below(work) if one[1] != unfinished)
            files = {relative: [file.stat().st_size, sha256(file)] for relative, file in written}
            described = {**asdict(recipe), "schema": SCHEMAS[self.kind].version}
            sign(group, {"recipe": described, "keys": list(keys), "extents": dict(extents), "files": files})
            try:
                unfinished.unlink()
            except FileNotFoundError as error:  # zarr would have recreated deleted folders without an error
                raise ArtifactError(
                    str(self.folder), found="that another run deleted it", expected="to be the only one", do="run it again"
                ) from error
            target = self.folder / name
            if target.exists() and self.entry(name) is None:
                self.discard(target)  # its record is damaged
            try:
                work.rename(target)
            except OSError:
                if self.entry(name) is None:  # else another process has computed the same meanwhile
                    raise

    def discard(self, path: Path) -> None:
        """Remove an entry. It is renamed first, so that no reader or writer ever sees half of it."""
        gone = Path(tempfile.mkdtemp(prefix=NEW, dir=self.folder))
        with suppress(FileNotFoundError):  # a worker that outlived its program has just renamed it
            path.rename(gone / path.name)
        shutil.rmtree(gone)

    def checkpoint(self, name: str) -> Path:
        """Where a training that will become an entry keeps its state."""
        return self.folder / f"checkpoint-{name}.safetensors"

    def forget_checkpoint(self, name: str) -> None:
        """Remove the state of a training that is finished."""
        for file in self.folder.glob(f"{self.checkpoint(name).name}*"):  # also what a kill left half-written
            file.unlink(missing_ok=True)

    # The artifact.

    def publish(
        self, entries: Sequence[Entry], whole: Mapping[str, Any], *, images: int, made_by: MadeBy, extents: Mapping[str, int]
    ) -> Artifact:
        """Make the artifact from entries, in this order.

        whole: arrays that are not in any entry.
        """
        schema = SCHEMAS[self.kind]
        files: dict[str, tuple[int, str]] = {}
        with self._aside() as work:
            group = zarr.open_group(work, mode="a", zarr_format=3)
            for name, spec in schema.arrays.items():
                if name in whole:
                    put(group, name, spec, whole[name])
                elif spec.large:
                    self._check(name, entries)
                    shape, per_shard = (images, *spec.cells(extents)), schema.images_per_shard(extents)
                    create_array(group, name, spec, shape=shape, per_shard=per_shard, extents=extents)
                    for place, entry in enumerate(entries):
                        files |= link(entry, f"{name}/c/0/", work, f"{name}/c/{place}/")
                else:
                    put(group, name, spec, self._join(name, spec, entries, extents))
            if schema.weights:
                files |= link(entries[0], "weights/", work, "weights/")
            files |= {name: (file.stat().st_size, sha256(file)) for name, file in files_below(work) if name not in files}
            listing = {name: list(files[name]) for name in sorted(files)}
            sign(group, {"kind": self.kind, "schema": schema.version, "made_by": asdict(made_by), "files": listing})
            target = self.data / f"{self.stage}.zarr"
            put_in_place(work, target)
        return open_artifact(self.stage, folder=self.data)

    def join(self, entries: Sequence[Entry]) -> dict[str, npt.NDArray[Any]]:
        """Small arrays of entries."""
        arrays = SCHEMAS[self.kind].arrays
        names = [name for name in (entries[0].group if entries else ()) if name in arrays and not arrays[name].large]
        return {name: self._join(name, arrays[name], entries, {}) for name in names}

    def _join(self, name: str, spec: Array, entries: Sequence[Entry], extents: Mapping[str, int]) -> npt.NDArray[Any]:
        """A small array, from all entries."""
        self._check(name, entries if spec.per_image else entries or [None])
        if not entries:
            return np.zeros((0, *spec.cells(extents)), object if spec.dtype == "str" else spec.dtype)
        return np.concatenate([np.asarray(entry.group[name][...]) for entry in entries])  # type: ignore[index]

    def _check(self, name: str, entries: Sequence[Entry | None]) -> None:
        """Raise an error if a stage left an array out, which would read as padding. It is a mistake of the stage, not of the user."""
        if any(entry is None or f"{name}/zarr.json" not in entry.files for entry in entries):
            raise ValueError(f"stage {self.stage} left out {name}")

    @contextmanager
    def _aside(self) -> Iterator[Path]:
        """A temporary folder to build in. It is removed afterwards, unless it was renamed."""
        self._make_folder()
        work = Path(tempfile.mkdtemp(prefix=NEW, dir=self.folder))
        work.chmod(0o755)  # temporary folders are private, but artifacts are not
        try:
            yield work
        finally:
            shutil.rmtree(work, ignore_errors=True)

    # Notes about runs on this machine, which are never part of an artifact.

    def last(self) -> dict[str, list[str]]:
        """The names of the entries, and the ids of the images, of the artifact that was published last."""
        noted = _parse(_read_text(self.folder / LAST))
        if all(isinstance(noted.get(what), list) and all(isinstance(one, str) for one in noted[what]) for what in OF_LAST):
            return {what: noted[what] for what in OF_LAST}
        return {what: [] for what in OF_LAST}

    def remember(self, entries: Sequence[Entry], images: Sequence[str], speed: Mapping[str, Any]) -> None:
        """Note what was published.

        speed: how long it took; empty if nothing was computed.
        """
        for entry in entries:
            os.utime(entry.path)  # the time of its last use, for `seedbed gc`
        written = self.folder / f"{NEW}{LAST}"
        written.write_text(json.dumps({"entries": [entry.path.name for entry in entries], "images": list(images)}), encoding="utf-8")
        written.replace(self.folder / LAST)
        if speed:
            with (self.folder / RUNS).open("a", encoding="utf-8") as runs:
                runs.write(json.dumps(speed) + "\n")

    def speeds(self) -> list[dict[str, Any]]:
        """How long runs took, in order."""
        runs = map(_parse, _read_text(self.folder / RUNS).splitlines())
        return [run for run in runs if _is_amount(run.get("computed")) and _is_amount(run.get("seconds"))]


def _read_text(file: Path) -> str:
    return file.read_text(encoding="utf-8", errors="replace") if file.is_file() else ""


def _parse(text: str) -> dict[str, Any]:
    """A note; empty if it is incomplete after a power failure, or if something else wrote it."""
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def _is_amount(value: Any) -> bool:
    """Whether a value is a positive, finite number."""
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < float("inf")
