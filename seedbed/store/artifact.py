"""Artifacts: what a stage leaves for later ones, as one zarr v3 group per stage.

`seedbed/store/schemas.py` describes their arrays, `seedbed/store/store.py` makes them, and `seedbed/reads.py` cuts entries back to their
true extent. An artifact's record lists every file with size and checksum. Nothing in it depends on time, host, path or number of workers.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import zarr
import zarr.codecs
import zarr.errors

from seedbed.errors import ArtifactError, join_names
from seedbed.methods import Method, identity
from seedbed.store.layout import Recorded
from seedbed.store.records import FOLDER, digest, misfits, record_of
from seedbed.store.schemas import NONE, SCHEMAS, Schema, find_kind
from seedbed.types import Size

RESTORE = "restore it from git"
AHEAD, AHEAD_BYTES = 8, 2**24  # entries that are read at once where somebody reads one after another, and what they may take


@dataclass(frozen=True)
class MadeBy:
    """Where an artifact comes from: enough to explain a copy of it, and without any path."""

    stage: str
    method: str
    parameters: Mapping[str, Any]
    inputs: Mapping[str, str] = field(default_factory=dict)  # an input artifact, by name or by the setting that says its path -> its digest

    @classmethod
    def of(cls, stage: str, method: Method, inputs: Mapping[str, Artifact]) -> MadeBy:
        """The record of a method run on some artifacts."""
        digests = {name: one.digest for name, one in inputs.items()}
        return cls(stage=stage, method=method.name, parameters=identity(method), inputs=digests)


class Artifact:
    """A published artifact, open for reading. Images are asked for by id."""

    def __init__(self, name: str, path: Path, group: zarr.Group, record: Mapping[str, Any]) -> None:
        """name: of its file, `<name>.zarr`; record: its own description of what it holds."""
        self.name = name
        self.path = path
        self._group = group
        self._record = record
        self._arrays: dict[str, zarr.Array[Any]] = {}
        self._in_memory: dict[str, npt.NDArray[Any]] = {}
        self._ahead: dict[str, tuple[int, npt.NDArray[Any]]] = {}  # of each array, the first of the entries that were read last, and they
        self._last_checked: tuple[int, ...] = ()  # the file of its record, when that was last found unchanged

    def __reduce__(self) -> tuple[object, ...]:
        # Another process opens it again: neither caches nor file handles are pickled.
        return (_reopen, (self.name, self.path.parent.absolute(), self.digest))

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def schema(self) -> Schema:
        """The arrays that it holds."""
        return SCHEMAS[self.kind]

    @property
    def kind(self) -> str:
        """The key of its schema."""
        return find_kind(self.name)

    @property
    def digest(self) -> str:
        """Identity of its content and of where it comes from."""
        return str(self._record["digest"])

    @property
    def made_by(self) -> MadeBy:
        """The method and inputs that made it."""
        return MadeBy(**self._record["made_by"])

    @property
    def files(self) -> dict[str, tuple[int, str]]:
        """Size and SHA-256 of every file, by its name within the artifact."""
        return {name: (int(size), str(sha)) for name, (size, sha) in self._record["files"].items()}

    @cached_property
    def weights_digest(self) -> str:
        """Identity of a network's state, however it was made."""
        return digest({name: sha for name, (_, sha) in self.files.items() if name.startswith("weights/")})

    def key(self, image_id: str) -> str:
        """Identity of what it holds of an image; empty if that is nothing."""
        return f"{self._common} {self.array('digest')[self._rows[image_id]]}" if image_id in self._rows else ""

    @cached_property
    def _common(self) -> str:
        """Identity of what holds for all images, such as the size of a patch."""
        names = [name for name, spec in self.schema.arrays.items() if not spec.per_image]
        return digest({name: self.array(name).tolist() for name in names})[:16]

    def check_unchanged(self) -> None:
        """Raise an error if the artifact is no longer the one that was opened.

        Every shard of a run asks, and the record is as long as the artifact has files. So it is read again only where the file has changed.
        """
        if (now := _identify(self.path / "zarr.json")) and now == self._last_checked:
            return
        if record_of(self.path).get("digest") != self.digest:
            raise ArtifactError(
                str(self.path), found="that it was replaced since the stage began", expected="the same", do="run `dvc repro` again"
            )
        self._last_checked = now

    # Images.

    @cached_property
    def ids(self) -> list[str]:
        """Ids of the images, in the order of every `image` axis."""
        return [str(one) for one in self.array("ids")]

    @cached_property
    def _rows(self) -> dict[str, int]:
        return {image_id: row for row, image_id in enumerate(self.ids)}

    def __contains__(self, image_id: str) -> bool:
        return image_id in self._rows

    def row(self, image_id: str) -> int:
        """Position of an image along every `image` axis."""
        return self._rows[image_id]

    def size(self, image_id: str) -> Size:
        """Height and width of an image."""
        height, width = self.array("size")[self.row(image_id)]
        return int(height), int(width)

    def original_size(self, image_id: str) -> Size:
        """Height and width of an image in its file, before it was shrunk to fit the data set."""
        height, width = self.array("original_size")[self.row(image_id)]
        return int(height), int(width)

    def array(self, name: str) -> npt.NDArray[Any]:
        """A whole array. It stays in memory, so this is for small arrays only."""
        if name not in self._in_memory:
            self._in_memory[name] = self.entry(name, ...)
        return self._in_memory[name]

    # The data set.

    @cached_property
    def lengths(self) -> dict[str, int]:
        """Length of every dimension of its arrays."""
        shapes = [(spec.dimensions, self._group[name].shape) for name, spec in self.schema.arrays.items()]  # type: ignore[union-attr]
        return {one: length for dimensions, shape in shapes for one, length in zip(dimensions, shape, strict=True)}

    @cached_property
    def extents(self) -> dict[str, int]:
        """Lengths of the dimensions that the data set fixes for every later artifact."""
        height, width = self.max_size
        return {"y": height, "x": width, "class": 1 + self.num_classes, "predicted": 2 + self.num_classes}

    @property
    def max_size(self) -> Size:
        """Height and width that no image of the data set exceeds."""
        height, width = self.array("max_size")
        return int(height), int(width)

    @property
    def class_names(self) -> list[str]:
        """Names of all classes, background first."""
        return [str(one) for one in self.array("class_names")]

    @property
    def num_classes(self) -> int:
        """Number of classes of the data set, without background."""
        return len(self.array("class_names")) - 1

    def split(self, name: str) -> list[str]:
        """Ids of usable images that belong to a split of the data set."""
        names = [str(one) for one in self.array("split_names")]
        if name not in names:
            raise ArtifactError(
                str(self.path), found=f"no split {name!r}", expected=f"one of: {join_names(names)}", do="correct the split in params.yaml"
            )
        member = self.array("splits")[:, names.index(name)]
        return [image_id for image_id in self.usable if member[self.row(image_id)]]

    @property
    def splits_labelled(self) -> dict[str, bool]:
        """For every split with usable images, whether some of these have labels."""
        usable = self.array("problem") == ""
        counts = {str(name): member & usable for name, member in zip(self.array("split_names"), self.array("splits").T, strict=True)}
        return {name: bool((member & self.array("labelled")).any()) for name, member in counts.items() if member.any()}

    @cached_property
    def usable(self) -> list[str]:
        """Ids of the images whose file can be used."""
        return [image_id for image_id, problem in zip(self.ids, self.array("problem"), strict=True) if not problem]

    @cached_property
    def labelled(self) -> list[str]:
        """Ids of usable images that have labels: it is known which classes they contain."""
        return [image_id for image_id in self.usable if self.array("labelled")[self.row(image_id)]]

    def learnable(self, split: str) -> list[str]:
        """Ids of labelled images that belong to a split of the data set."""
        known = set(self.labelled)
        image_ids = [image_id for image_id in self.split(split) if image_id in known]
        if not image_ids:
            raise ArtifactError(
                str(self.path),
                found=f"no image of split {split!r} that has labels",
                expected="some to learn from",
                do="label images, or correct the split in params.yaml",
            )
        return image_ids

    # A network.

    def weights(self) -> dict[str, npt.NDArray[Any]]:
        """A network's state, by name of its entries."""
        group = self._group["weights"]
        assert isinstance(group, zarr.Group)
        return {name: self.entry(f"weights/{name}", ...) for name, _ in group.arrays()}

    def entry(self, name: str, where: Any) -> npt.NDArray[Any]:
        """A part of an array as it is stored; `seedbed.reads` decodes it."""
        try:
            if name not in self._arrays:
                array = self._group[name]
                assert isinstance(array, zarr.Array)
                self._arrays[name] = array
            return self._read_image(name, where) if isinstance(where, int) else np.asarray(self._arrays[name][where])
        except (RuntimeError, ValueError, KeyError) as error:  # zarr and its codecs have no error type of their own for damage
            self.check_unchanged()  # an artifact that was replaced while it was read is not damaged
            raise ArtifactError(
                str(self.path), found=f"a damaged chunk of {name}: {error}", expected="what was published", do="run `seedbed verify`"
            ) from error

    def _read_image(self, name: str, row: int) -> npt.NDArray[Any]:
        """An image's entry.

        Where images are asked for in order, a few are read at once, for a third of the time. Those in between may be left out.
        """
        first, known = self._ahead.get(name, (-AHEAD, np.empty(0)))  # may be of several threads at once
        if not first <= row < first + len(known):
            array, follows = self._arrays[name], 0 <= row - (first + len(known)) < AHEAD
            fitting = AHEAD_BYTES // max(1, array.dtype.itemsize * math.prod(array.shape[1:]))
            first, known = row, np.asarray(array[row : row + (max(1, min(AHEAD, fitting)) if follows else 1)])
            self._ahead[name] = first, known
        return np.array(known[row - first])


def open_artifact(name: str, *, folder: Path = FOLDER) -> Artifact:
    """Open a published artifact.

    Checks its schema, that no file is missing or has another length, and the metadata of its arrays. Later reads are checked too: a file
    that vanishes, or a chunk with a wrong checksum, is an error, never padding.
    """
    path = folder / f"{name}.zarr"
    if name == NONE:
        expected, first, again = "the empty artifact", RESTORE, RESTORE
    else:
        expected, first, again = f"the artifact of stage {name}", f"run `dvc repro {name}`", f"run `dvc repro --force --single-item {name}`"
    if not path.exists():
        raise ArtifactError(str(path), found="nothing", expected=expected, do=first)
    record = record_of(path)
    if "schema" not in record:
        raise ArtifactError(str(path), found="something that Seedbed did not write", expected=expected, do=again)
    if problem := find_other_schema(name, record):
        found, readable = problem
        raise ArtifactError(str(path), found=found, expected=readable, do=again)
    for wrong in misfits(path, record):
        raise ArtifactError(str(path), found=wrong, expected="all files as they were published", do=again)
    return Artifact(name, path, zarr.open_group(Recorded(path, record["files"]), mode="r", zarr_format=3), record)


def find_other_schema(name: str, record: Mapping[str, Any]) -> tuple[str, str] | None:
    """What a record says of its kind and schema, and what belongs to its name and is read by this version; None if they are the same.

    name: of the artifact.
    """
    kind, expected = record.get("kind"), find_kind(name)
    found = f"the kind {kind!r}" if kind else "no kind"
    if not expected:
        return found, f"a name that begins with its kind, one of: {join_names(one for one in SCHEMAS if one != NONE)}"
    if kind != expected:
        return found, f"the kind {expected!r}, with which the name {name} begins"
    version, readable = record["schema"], SCHEMAS[kind].version
    return None if version == readable else (f"schema {version}", f"schema {readable}, which this version reads")


def _identify(file: Path) -> tuple[int, ...]:
    """What differs between a file and any that replaces it; empty if there is none."""
    try:
        with file.open("rb") as opened:  # on NFS, what is known of a file is only renewed when it is opened
            about = os.fstat(opened.fileno())
    except OSError:
        return ()
    return about.st_dev, about.st_ino, about.st_size, about.st_mtime_ns, about.st_ctime_ns


@lru_cache(maxsize=16)
def _reopen(name: str, folder: Path, digest: str) -> Artifact:
    """Open an artifact in another process, once for all tasks that need it.

    digest: of the artifact that was pickled; another one of that name is refused.
    """
    opened = open_artifact(name, folder=folder)
    if opened.digest != digest:
        opened.check_unchanged()
        raise ArtifactError(
            str(opened.path), found="that it was replaced since the stage began", expected="the same", do="run `dvc repro` again"
        )
    return opened
