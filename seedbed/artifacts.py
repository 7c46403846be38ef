"""Artifacts: what a stage leaves for the next ones, as one zarr v3 group per stage.

`SCHEMAS` below is the only description of what is on disk; docs/artifacts.md is printed from it. Arrays along `image` hold one
chunk per image and one shard per run of images, so that a viewer reads one mask and a data set is few files. Images differ in
size, so pixel arrays are padded to the data set's `max_size`; `read` cuts them back to the true extent.

A writer holds a lock, fills a work folder, records size and checksum of every file that it wrote, and publishes the whole by
renaming it: a reader sees a complete artifact or none. Nothing in an artifact depends on time, host, path or number of workers.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt
import zarr
import zarr.codecs
import zarr.errors

from seedbed.errors import ArtifactError, listed
from seedbed.methods import Method, identity
from seedbed.types import BACKGROUND, ClassMaps, PatchFeatures, Probabilities, Size

Columns = Mapping[str, Any]  # one image's entries, by array
FOLDER = Path("data")
WORK_FOLDER = ".work"  # beside the artifacts, so that publishing is a rename within one file system
SHARD_BYTES = 256 * 2**20  # uncompressed
SHARD_IMAGES = 128
SMALL_ENTRIES = 65_536  # per chunk and file of an array without pixels
SPATIAL = ("y", "map_y", "patch_y")

DIMENSIONS = {
    "image": "images, in the data set's order",
    "pair": "pairs of an image and a class that it contains: by image, then by class",
    "class": "classes: 0 is background, 1..K are the data set's",
    "predicted": "classes, as predicted, and last `unlabelled`",
    "split": "splits of the data set",
    "y": "pixel rows, padded to dataset.max_size",
    "x": "pixel columns, padded to dataset.max_size",
    "map_y": "rows of a map of lower resolution, padded",
    "map_x": "columns of a map of lower resolution, padded",
    "patch_y": "rows of the patch grid, padded",
    "patch_x": "columns of the patch grid, padded",
    "channel": "entries of a feature vector",
    "height_width": "height, width",
    "rgb": "red, green, blue",
    "step": "steps of a training",
    "measurement": "an image and a kind of labels that was compared with its truth",
}


@dataclass(frozen=True)
class Array:
    """One array of an artifact."""

    dimensions: tuple[str, ...]
    dtype: str
    fill: int | float | bool | str  # value of padding
    meaning: str
    extent: str = ""  # the array that holds each image's true extent in the last two spatial dimensions


@dataclass(frozen=True)
class Schema:
    """What one stage's artifact holds. Raise the version when the arrays or their meaning change."""

    version: int
    meaning: str
    arrays: Mapping[str, Array]
    weights: bool = False  # also a group `weights`: one array per entry of a network's state


PER_IMAGE = {
    "ids": Array(("image",), "str", "", "the image's id"),
    "size": Array(("image", "height_width"), "int32", 0, "true size of the image in pixels"),
}
GROWING = (("image",), ("pair",), ("measurement",))
LOSS = Array(("step",), "float32", 0.0, "training loss of every step")

SCHEMAS: dict[str, Schema] = {
    "dataset": Schema(
        1,
        "Index of a raw data set: what every later stage trusts. Holds no pixels and nothing of any pixel label.",
        {
            **PER_IMAGE,
            "file": Array(("image",), "str", "", "image file, relative to dataset.root"),
            "digest": Array(("image",), "str", "", "SHA-256 of the image file"),
            "labels": Array(("image", "class"), "bool", False, "whether the image contains the class; background is always true"),
            "splits": Array(("image", "split"), "bool", False, "whether the image belongs to the split"),
            "split_names": Array(("split",), "str", "", "name of the split"),
            "class_names": Array(("class",), "str", "", "name of the class; the first is background"),
            "palette": Array(("class", "rgb"), "uint8", 0, "colour of the class in pictures"),
            "max_size": Array(("height_width",), "int32", 0, "no image is larger: what pixel arrays are padded to"),
        },
    ),
    "features": Schema(
        1,
        "One vector per patch of every image.",
        {
            **PER_IMAGE,
            "patches": Array(("image", "patch_y", "patch_x", "channel"), "float16", 0.0, "feature of the patch", "patch_grid"),
            "patch_grid": Array(("image", "height_width"), "int32", 0, "patches that the image really has"),
            "patch_size": Array((), "int32", 0, "edge of a patch in pixels"),
        },
    ),
    "superpixels": Schema(
        1,
        "One region map per image.",
        {
            **PER_IMAGE,
            "regions": Array(("image", "y", "x"), "int32", -1, "region of the pixel, 0..n-1 within its image; -1 is padding", "size"),
            "region_count": Array(("image",), "int32", 0, "regions of the image"),
        },
    ),
    "classifier": Schema(1, "Weights of the image-level classifier.", {"loss": LOSS}, weights=True),
    "cams": Schema(
        1,
        "Class maps of the classes that each image contains, and the classifier's scores.",
        {
            **PER_IMAGE,
            "scores": Array(("image", "class"), "float32", 0.0, "probability of the class in the image; background is always 0"),
            "map_size": Array(("image", "height_width"), "int32", 0, "true extent of the image's maps"),
            "first_pair": Array(("image",), "int64", 0, "where the image's pairs begin"),
            "pair_image": Array(("pair",), "int32", -1, "index of the pair's image"),
            "pair_class": Array(("pair",), "uint8", 255, "class of the pair"),
            "maps": Array(("pair", "map_y", "map_x"), "float16", 0.0, "class map in [0, 1], at a lower resolution", "map_size"),
        },
    ),
    "seeds": Schema(
        1,
        "Partial labels: confident pixels only.",
        {**PER_IMAGE, "labels": Array(("image", "y", "x"), "uint8", 255, "class of the pixel; 255 is unlabelled or padding", "size")},
    ),
    "refinement": Schema(
        1,
        "Pseudo masks: a label for every pixel, or 255 where the method declines.",
        {**PER_IMAGE, "labels": Array(("image", "y", "x"), "uint8", 255, "class of the pixel; 255 is unlabelled or padding", "size")},
    ),
    "segmenter": Schema(1, "Weights of the segmentation network.", {"loss": LOSS}, weights=True),
    "predictions": Schema(
        1,
        "Class probabilities of the images that are evaluated, at a lower resolution.",
        {
            **PER_IMAGE,
            "map_size": Array(("image", "height_width"), "int32", 0, "true extent of the image's maps"),
            "probabilities": Array(
                ("image", "class", "map_y", "map_x"), "float16", 0.0, "probability of the class, background first", "map_size"
            ),
        },
    ),
    "evaluation": Schema(
        1,
        "One confusion matrix per image and kind of labels, for images whose truth is known.",
        {
            "ids": Array(("measurement",), "str", "", "the image's id"),
            "kind": Array(("measurement",), "str", "", "what was measured: class_maps, seeds, masks, predictions, predictions_crf"),
            "confusion": Array(
                ("measurement", "class", "predicted"),
                "int64",
                0,
                "pixels of a true class by predicted class; without a truth they are left out",
            ),
        },
    ),
}


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
    """A published artifact, open for reading."""

    def __init__(self, name: str, path: Path, group: zarr.Group, record: Mapping[str, Any]) -> None:
        self.name = name
        self.path = path
        self._group = group
        self._record = record
        self._arrays: dict[str, zarr.Array[Any]] = {}

    @property
    def digest(self) -> str:
        """Identity of the content."""
        return str(self._record["digest"])

    @property
    def made_by(self) -> MadeBy:
        """The method and inputs that made it."""
        return MadeBy(**self._record["made_by"])

    def __len__(self) -> int:
        return len(self.ids)

    @cached_property
    def ids(self) -> list[str]:
        """Ids of the images, in the order of every `image` axis."""
        return [str(one) for one in self.whole("ids")]

    @cached_property
    def extents(self) -> dict[str, int]:
        """Length of the dimensions that the data set fixes for every later artifact."""
        height, width = self.max_size
        return {"y": height, "x": width, "class": 1 + self.num_classes, "predicted": 2 + self.num_classes}

    @property
    def max_size(self) -> Size:
        """Height and width that no image of the data set exceeds."""
        height, width = self.whole("max_size")
        return int(height), int(width)

    @property
    def num_classes(self) -> int:
        """Classes of the data set, without background."""
        return len(self.whole("class_names")) - 1

    def identity(self, row: int) -> dict[str, Any]:
        """The columns that every artifact repeats for an image."""
        return {"ids": self.ids[row], "size": self.whole("size")[row]}

    def row(self, image_id: str) -> int:
        """Position of an image."""
        return self._rows[image_id]

    def split(self, name: str) -> list[int]:
        """Rows of the data set's images that belong to a split."""
        names = [str(one) for one in self.whole("split_names")]
        if name not in names:
            raise ArtifactError(
                str(self.path), found=f"no split {name!r}", expected=f"one of: {listed(names)}", do="correct the split in params.yaml"
            )
        return [int(row) for row in np.flatnonzero(self.whole("splits")[:, names.index(name)])]

    def classes(self, row: int) -> tuple[int, ...]:
        """Classes that an image of the data set contains, without background."""
        return tuple(int(one) for one in np.flatnonzero(self.whole("labels")[row]) if one != BACKGROUND)

    def __reduce__(self) -> tuple[object, ...]:
        # Opened again where it arrives, in another process: neither caches nor file handles travel.
        return (_reopened, (self.name, self.path.parent.absolute(), self.digest))

    @cached_property
    def _rows(self) -> dict[str, int]:
        return {one: row for row, one in enumerate(self.ids)}

    def size(self, row: int) -> Size:
        """Height and width of an image."""
        height, width = self.whole("size")[row]
        return int(height), int(width)

    def whole(self, name: str) -> npt.NDArray[Any]:
        """A whole array; kept in memory, so for small ones only."""
        cache: dict[str, npt.NDArray[Any]] = self.__dict__.setdefault("_whole", {})
        if name not in cache:
            cache[name] = np.asarray(self._array(name)[...])
        return cache[name]

    def read(self, name: str, index: int, *, row: int | None = None) -> npt.NDArray[Any]:
        """One entry of an array, cut to its true extent.

        row: the image that the entry belongs to, where that is not the index itself.
        """
        entry = np.asarray(self._array(name)[index])
        extent = SCHEMAS[self.name].arrays[name].extent
        if not extent:
            return entry
        height, width = self.whole(extent)[index if row is None else row]
        spatial = _spatial_axis(SCHEMAS[self.name].arrays[name].dimensions) - 1
        cut = (slice(None),) * spatial + (slice(0, height), slice(0, width))
        return entry[cut]

    def patches(self, row: int) -> PatchFeatures:
        """Features of an image."""
        values = self.read("patches", row).astype(np.float32)
        return PatchFeatures(values=values, patch_size=int(self.whole("patch_size")))

    def class_maps(self, row: int) -> ClassMaps:
        """Class maps of an image, at the resolution in which they are stored."""
        first = int(self.whole("first_pair")[row])
        end = int(np.searchsorted(self.whole("pair_image"), row, side="right"))
        maps = [self.read("maps", pair, row=row).astype(np.float32) for pair in range(first, end)]
        height, width = self.whole("map_size")[row]
        return ClassMaps(
            classes=tuple(int(one) for one in self.whole("pair_class")[first:end]),
            maps=np.stack(maps) if maps else np.zeros((0, height, width), np.float32),
        )

    def probabilities(self, row: int) -> Probabilities:
        """A segmenter's output for an image, at the resolution in which it is stored."""
        return Probabilities(maps=self.read("probabilities", row).astype(np.float32))

    def weights(self) -> dict[str, npt.NDArray[Any]]:
        """A network's state, by name of its entries."""
        group = self._group["weights"]
        assert isinstance(group, zarr.Group)
        return {name: np.asarray(array[...]) for name, array in group.arrays()}

    def _array(self, name: str) -> zarr.Array[Any]:
        if name not in self._arrays:
            array = self._group[name]
            assert isinstance(array, zarr.Array)
            self._arrays[name] = array
        return self._arrays[name]


def open_artifact(name: str, *, folder: Path = FOLDER) -> Artifact:
    """Open what a stage published.

    Checks that it is of the present schema and that no file of it is missing or of another length.
    """
    path = folder / f"{name}.zarr"
    rerun = f"run `dvc repro {name}`"
    if not path.exists():
        raise ArtifactError(str(path), found="nothing", expected=f"the artifact of stage {name}", do=rerun)
    again = f"run `dvc repro --force --single-item {name}`"
    try:
        group = zarr.open_group(path, mode="r", zarr_format=3)
        record: Any = group.attrs.get("seedbed")
    except (zarr.errors.NodeNotFoundError, FileNotFoundError, ValueError, KeyError) as error:
        raise ArtifactError(str(path), found="no readable zarr group", expected="a zarr v3 group", do=again) from error
    if not isinstance(record, dict) or "schema" not in record:
        raise ArtifactError(str(path), found="a zarr group that Seedbed did not write", expected=f"the artifact of stage {name}", do=again)
    if record["schema"] != SCHEMAS[name].version:
        raise ArtifactError(
            str(path), found=f"schema {record['schema']}", expected=f"schema {SCHEMAS[name].version}, which this version reads", do=again
        )
    present = {relative: file.stat().st_size for relative, file in _files(path)}
    for relative, (size, _) in record["files"].items():
        if present.get(relative) != size:
            found = f"{relative} with {present[relative]} bytes" if relative in present else f"no {relative}"
            raise ArtifactError(str(path), found=found, expected=f"{size} bytes, as when it was published", do=again)
    return Artifact(name, path, group, record)


@lru_cache(maxsize=16)
def _reopened(name: str, folder: Path, digest: str) -> Artifact:
    """An artifact in another process, opened once for all the work that needs it.

    digest: tells it from an earlier one of the same name.
    """
    opened = open_artifact(name, folder=folder)
    if opened.digest != digest:
        raise ArtifactError(str(opened.path), found="another artifact than when the stage began", expected="the same", do="run it again")
    return opened


class Writer:
    """Fills an artifact, image after image, and publishes it when all went well."""

    def __init__(self, name: str, made_by: MadeBy, *, extents: Mapping[str, int] | None = None, folder: Path = FOLDER) -> None:
        """extents: length of every dimension but those that grow."""
        self.name = name
        self.schema = SCHEMAS[name]
        self._made_by = made_by
        self._extents = {"height_width": 2, "rgb": 3, **(extents or {})}
        self._target = folder / f"{name}.zarr"
        self._work = folder / WORK_FOLDER / f"{name}.zarr"
        self._pending: dict[str, list[npt.NDArray[Any]]] = {}
        self._written: dict[str, int] = {}

    def __enter__(self) -> Writer:
        self._work.parent.mkdir(parents=True, exist_ok=True)
        self._lock = self._work.with_suffix(".lock").open("w")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # gone with its process, however that ends
        except BlockingIOError as error:
            self._lock.close()
            raise ArtifactError(
                str(self._target), found="another run that is writing it", expected="one writer at a time", do="wait for it, or end it"
            ) from error
        shutil.rmtree(self._work, ignore_errors=True)
        self._group = zarr.open_group(self._work, mode="w-", zarr_format=3)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        try:
            if error is None:
                for name in list(self._pending):
                    self._flush(name)
                self._publish()
        finally:
            shutil.rmtree(self._work, ignore_errors=True)
            self._lock.close()

    def put(self, name: str, value: npt.ArrayLike) -> None:
        """Write a whole array at once."""
        spec = self.schema.arrays[name]
        data = np.asarray(value, dtype=object if spec.dtype == "str" else spec.dtype)
        array = self._create(name, data.shape, data.shape)
        array[...] = data

    def append(self, columns: Columns) -> None:
        """Add one image: an entry for every `image` array, a stack of entries for every `pair` array.

        True extents (`size`, `patch_grid`, `map_size`) and `first_pair` are recorded by the writer itself.
        """
        pairs = len(columns["pair_class"]) if "pair_class" in columns else 0
        entries = dict(columns)
        if "first_pair" in self.schema.arrays:
            entries["first_pair"] = self._total("pair_class")
            entries["pair_image"] = np.full(pairs, self._total("ids"), np.int32)
        for name, spec in self.schema.arrays.items():
            if spec.extent and spec.extent != "size" and name in entries:
                axis = _spatial_axis(spec.dimensions) - (spec.dimensions[0] == "image")
                entries[spec.extent] = np.shape(entries[name])[axis : axis + 2]
        self._check(entries)
        for name, value in entries.items():
            spec = self.schema.arrays[name]
            growing = np.asarray(value, dtype=object if spec.dtype == "str" else spec.dtype)
            for entry in growing if spec.dimensions[0] == "pair" else (growing,):
                self._pending.setdefault(name, []).append(np.asarray(entry))
                if len(self._pending[name]) == self._per_shard(spec):
                    self._flush(name)

    def put_weights(self, entries: Iterable[tuple[str, npt.NDArray[Any]]]) -> None:
        """Write a network's state."""
        group = self._group.create_group("weights")
        for name, value in entries:
            group.create_array(name, data=value, chunks=value.shape if value.ndim else "auto", compressors=_compressor())

    def _check(self, entries: Columns) -> None:
        """A stage that forgets a column would shift every later row: its own mistake, so no error of the user's."""
        grown = {name for name, spec in self.schema.arrays.items() if spec.dimensions[:1] in GROWING}
        if set(entries) != grown:
            raise ValueError(f"stage {self.name}: columns missing or unknown: {listed(sorted(set(entries) ^ grown))}")
        for name, spec in self.schema.arrays.items():
            if spec.extent == "size" and tuple(np.shape(entries[name])) != tuple(entries["size"]):
                raise ValueError(f"stage {self.name}: {name} of {np.shape(entries[name])} for an image of {tuple(entries['size'])}")

    def _total(self, name: str) -> int:
        return self._written.get(name, 0) + len(self._pending.get(name, []))

    def _flush(self, name: str) -> None:
        entries = self._pending.pop(name, [])
        if not entries:
            return
        spec = self.schema.arrays[name]
        inner = tuple(self._extents[dimension] for dimension in spec.dimensions[1:])
        block = np.full((len(entries), *inner), spec.fill, dtype=object if spec.dtype == "str" else spec.dtype)
        for index, entry in enumerate(entries):
            corner: tuple[Any, ...] = (index, *(slice(0, length) for length in entry.shape))
            block[corner] = entry
        start = self._written.get(name, 0)
        if start == 0:
            per_shard = self._per_shard(spec)
            array = self._create(name, (len(entries), *inner), (per_shard, *inner), sharded=per_shard != SMALL_ENTRIES)
        else:
            array = self._group[name]  # type: ignore[assignment]
            array.resize((start + len(entries), *inner))
        array[start : start + len(entries)] = block
        self._written[name] = start + len(entries)

    def _per_shard(self, spec: Array) -> int:
        """Entries per shard of an array that grows."""
        inner = [self._extents[dimension] for dimension in spec.dimensions[1:]]
        if not set(SPATIAL) & set(spec.dimensions):
            return SMALL_ENTRIES
        itemsize = np.dtype(spec.dtype).itemsize
        return max(1, min(SHARD_IMAGES, SHARD_BYTES // (itemsize * int(np.prod(inner)))))

    def _create(self, name: str, shape: Sequence[int], shard: Sequence[int], *, sharded: bool = False) -> zarr.Array[Any]:
        spec = self.schema.arrays[name]
        return self._group.create_array(
            name,
            shape=tuple(shape),
            dtype=str if spec.dtype == "str" else spec.dtype,
            chunks=tuple(max(1, n) for n in ((1, *shard[1:]) if sharded else shard)),
            shards=tuple(shard) if sharded else None,
            fill_value=spec.fill,
            dimension_names=spec.dimensions,
            compressors=_compressor(),
            attributes={"meaning": spec.meaning},
        )

    def _publish(self) -> None:
        missing = [name for name in self.schema.arrays if name not in self._group]
        # No image at all, or no image with a class: an array of length 0. Everything else was checked row by row.
        empty = [name for name in missing if self.schema.arrays[name].dimensions[:1] in GROWING]
        for name in empty:
            spec = self.schema.arrays[name]
            inner = tuple(self._extents[dimension] for dimension in spec.dimensions[1:])
            self._create(name, (0, *inner), (1, *inner))
        if len(empty) < len(missing):
            raise ValueError(f"stage {self.name} left out {listed(sorted(set(missing) - set(empty)))}")
        files = {relative: [file.stat().st_size, _sha256(file)] for relative, file in _files(self._work)}
        record: dict[str, Any] = {"schema": self.schema.version, "made_by": asdict(self._made_by), "files": files}
        text = json.dumps(record, sort_keys=True, separators=(",", ":"))
        self._group.attrs["seedbed"] = {**record, "digest": hashlib.sha256(text.encode()).hexdigest()}
        self._target.parent.mkdir(parents=True, exist_ok=True)
        replaced = self._work.with_suffix(".replaced")
        shutil.rmtree(replaced, ignore_errors=True)
        if self._target.exists():
            self._target.rename(replaced)
        self._work.rename(self._target)
        shutil.rmtree(replaced, ignore_errors=True)


def _spatial_axis(dimensions: tuple[str, ...]) -> int:
    """Index of the first of the two spatial dimensions."""
    return next(index for index, dimension in enumerate(dimensions) if dimension in SPATIAL)


def _compressor() -> zarr.codecs.ZstdCodec:
    return zarr.codecs.ZstdCodec(level=5)


def _files(path: Path) -> Iterator[tuple[str, Path]]:
    """Every file below a group but its own metadata, by relative name, in order."""
    for file in sorted(path.rglob("*")):
        relative = file.relative_to(path).as_posix()
        if file.is_file() and relative != "zarr.json":
            yield relative, file


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
