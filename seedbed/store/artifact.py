"""Artifacts: what a stage leaves for the next ones, as one zarr v3 group per stage.

`SCHEMAS` below is the only description of what is on disk; docs/artifacts.md is printed from it. Arrays along `image` hold one
chunk per image and one shard per run of images, so that a viewer reads one mask and a data set is few files. Images differ in
size, so pixel arrays are padded to the data set's `max_size`; `seedbed.reads` cuts them back to the true extent.

An artifact lists every file of its arrays with size and checksum. Nothing in it depends on time, host, path or number of workers.
How artifacts come to be is in `seedbed/store/store.py`.
"""

from __future__ import annotations

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
from seedbed.store.schemas import NONE, SCHEMAS, Schema
from seedbed.types import Size

RESTORE = "restore it from git"


@dataclass(frozen=True)
class MadeBy:
    """Where an artifact comes from, without any path: enough to explain a copy of it."""

    stage: str
    method: str
    parameters: Mapping[str, Any]
    inputs: Mapping[str, str] = field(default_factory=dict)  # name of an input artifact -> its digest

    @classmethod
    def of(cls, stage: str, method: Method, *inputs: Artifact) -> MadeBy:
        """The record of a method run on some artifacts."""
        return cls(stage=stage, method=method.name, parameters=identity(method), inputs={one.name: one.digest for one in inputs})


class Artifact:
    """A published artifact, open for reading. Images are asked for by id."""

    def __init__(self, name: str, path: Path, group: zarr.Group, record: Mapping[str, Any]) -> None:
        """name: where it lies, `<name>.zarr`; what it holds, `record` says."""
        self.name = name
        self.path = path
        self._group = group
        self._record = record
        self._arrays: dict[str, zarr.Array[Any]] = {}
        self._in_memory: dict[str, npt.NDArray[Any]] = {}

    def __reduce__(self) -> tuple[object, ...]:
        # Opened again where it arrives, in another process: neither caches nor file handles travel.
        return (_reopened, (self.name, self.path.parent.absolute(), self.digest))

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def schema(self) -> Schema:
        """What it holds."""
        return SCHEMAS[self.kind]

    @property
    def kind(self) -> str:
        """Of which kind it is: the key of its schema, wherever it lies."""
        return str(self._record["kind"])

    @property
    def digest(self) -> str:
        """Identity of the content and where it comes from."""
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
        """Identity of a network's state, wherever it comes from."""
        return digest({name: sha for name, (_, sha) in self.files.items() if name.startswith("weights/")})

    def key(self, image: str) -> str:
        """Identity of what it holds of an image; empty where that is nothing."""
        return f"{self._common} {self.array('digest')[self._rows[image]]}" if image in self._rows else ""

    @cached_property
    def _common(self) -> str:
        """Identity of what it holds of all images alike, such as the size of a patch."""
        names = [name for name, spec in self.schema.arrays.items() if not spec.per_image]
        return digest({name: self.array(name).tolist() for name in names})[:16]

    def check_unchanged(self) -> None:
        """Refuse to go on where the artifact is no longer the one that was opened."""
        if record_of(self.path).get("digest") != self.digest:
            raise ArtifactError(
                str(self.path), found="another artifact than when the stage began", expected="the same", do="run `dvc repro` again"
            )

    # Images.

    @cached_property
    def ids(self) -> list[str]:
        """Ids of the images, in the order of every `image` axis."""
        return [str(one) for one in self.array("ids")]

    @cached_property
    def _rows(self) -> dict[str, int]:
        return {one: row for row, one in enumerate(self.ids)}

    def __contains__(self, image: str) -> bool:
        return image in self._rows

    def row(self, image: str) -> int:
        """Position of an image along every `image` axis."""
        return self._rows[image]

    def size(self, image: str) -> Size:
        """Height and width of an image."""
        height, width = self.array("size")[self.row(image)]
        return int(height), int(width)

    def original_size(self, image: str) -> Size:
        """Height and width of an image of the data set in its file."""
        height, width = self.array("original_size")[self.row(image)]
        return int(height), int(width)

    def array(self, name: str) -> npt.NDArray[Any]:
        """A whole array; kept in memory, so for small ones only."""
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
        """Length of the dimensions that the data set fixes for every later artifact."""
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
        """Classes of the data set, without background."""
        return len(self.array("class_names")) - 1

    def split(self, name: str) -> list[str]:
        """Images that belong to a split of the data set."""
        names = [str(one) for one in self.array("split_names")]
        if name not in names:
            raise ArtifactError(
                str(self.path), found=f"no split {name!r}", expected=f"one of: {join_names(names)}", do="correct the split in params.yaml"
            )
        member = self.array("splits")[:, names.index(name)]
        return [image for image in self.usable if member[self.row(image)]]

    @property
    def splits_labelled(self) -> dict[str, bool]:
        """Of every split that usable images belong to, whether it is known of some of these what they show."""
        usable = self.array("problem") == ""
        counts = {str(name): member & usable for name, member in zip(self.array("split_names"), self.array("splits").T, strict=True)}
        return {name: bool((member & self.array("labelled")).any()) for name, member in counts.items() if member.any()}

    @cached_property
    def usable(self) -> list[str]:
        """Images of the data set but those whose file cannot be used."""
        return [image for image, problem in zip(self.ids, self.array("problem"), strict=True) if not problem]

    @cached_property
    def labelled(self) -> list[str]:
        """Usable images of which it is known what they contain."""
        return [image for image in self.usable if self.array("labelled")[self.row(image)]]

    def learnable(self, split: str) -> list[str]:
        """Labelled images that belong to a split of the data set."""
        known = set(self.labelled)
        images = [image for image in self.split(split) if image in known]
        if not images:
            raise ArtifactError(
                str(self.path),
                found=f"no image of split {split!r} that has labels",
                expected="some to learn from",
                do="label images, or correct the split in params.yaml",
            )
        return images

    # A network.

    def weights(self) -> dict[str, npt.NDArray[Any]]:
        """A network's state, by name of its entries."""
        group = self._group["weights"]
        assert isinstance(group, zarr.Group)
        return {name: self.entry(f"weights/{name}", ...) for name, _ in group.arrays()}

    def entry(self, name: str, where: Any) -> npt.NDArray[Any]:
        """A part of an array, as it is stored: `seedbed.reads` says what it means."""
        try:
            if name not in self._arrays:
                array = self._group[name]
                assert isinstance(array, zarr.Array)
                self._arrays[name] = array
            return np.asarray(self._arrays[name][where])
        except (RuntimeError, ValueError, KeyError) as error:  # zarr and its codecs have no error of their own for damage
            self.check_unchanged()  # what was replaced while it was read is not damaged
            raise ArtifactError(
                str(self.path), found=f"a damaged chunk of {name}: {error}", expected="what was published", do="run `seedbed verify`"
            ) from error


def open_artifact(name: str, *, folder: Path = FOLDER) -> Artifact:
    """Open what a stage published.

    Checks that it is of the present schema, that no file of it is missing or of another length, and what its arrays say of
    themselves. What is read later is checked too: a file that vanishes meanwhile, or a chunk with a wrong checksum, is an error,
    never padding.
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
        raise ArtifactError(str(path), found="no zarr group that Seedbed wrote", expected=expected, do=again)
    if problem := find_other_schema(record):
        found, readable = problem
        raise ArtifactError(str(path), found=found, expected=f"{readable}, which this version reads", do=again)
    for wrong in misfits(path, record):
        raise ArtifactError(str(path), found=wrong, expected="all files as they were published", do=again)
    return Artifact(name, path, zarr.open_group(Recorded(path, record["files"]), mode="r", zarr_format=3), record)


def find_other_schema(record: Mapping[str, Any]) -> tuple[str, str] | None:
    """What a record says of its schema, and what it should say; None where this version reads it."""
    kind = record.get("kind")
    if kind not in SCHEMAS:
        return (f"the kind {kind!r}" if kind else "no kind"), f"one of: {join_names(SCHEMAS)}"
    found, expected = record["schema"], SCHEMAS[kind].version
    return None if found == expected else (f"schema {found}", f"schema {expected}")


def find_kind(name: str, *, folder: Path = FOLDER) -> str:
    """Of which kind an artifact is; one that is not there yet, or is damaged, is taken for what it is called."""
    return str(record_of(folder / f"{name}.zarr").get("kind", name))


@lru_cache(maxsize=16)
def _reopened(name: str, folder: Path, digest: str) -> Artifact:
    """An artifact in another process, opened once for all the work that needs it.

    digest: tells it from an earlier one of the same name.
    """
    opened = open_artifact(name, folder=folder)
    if opened.digest != digest:
        opened.check_unchanged()
        raise ArtifactError(
            str(opened.path), found="another artifact than when the stage began", expected="the same", do="run `dvc repro` again"
        )
    return opened
