"""Artifacts: what a stage leaves for the next ones, as one zarr v3 group per stage.

`SCHEMAS` below is the only description of what is on disk; docs/artifacts.md is printed from it. Arrays along `image` hold one
chunk per image and one shard per run of images, so that a viewer reads one mask and a data set is few files. Images differ in
size, so pixel arrays are padded to the data set's `max_size`; `read` cuts them back to the true extent.

An artifact lists every file of its arrays with size and checksum. Nothing in it depends on time, host, path or number of workers.
How artifacts come to be is in `seedbed/store.py`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import zarr
import zarr.codecs
import zarr.errors
from zarr.abc.store import ByteRequest
from zarr.core.buffer import Buffer, BufferPrototype
from zarr.storage import LocalStore

from seedbed.errors import ArtifactError, listed
from seedbed.methods import Method, identity
from seedbed.types import BACKGROUND, Alignment, ClassMaps, PatchFeatures, Probabilities, Size

Columns = Mapping[str, Any]  # one image's entries, by array
FOLDER = Path("data")
SHARD_BYTES = 256 * 2**20  # uncompressed
SHARD_IMAGES = 64  # also what a worker does at a time, and what a killed run loses
SMALL_ENTRIES = 65_536  # per chunk and file of an array that is not large
LARGE = ("y", "map_y", "patch_y", "predicted", "intersection_union")  # an array with one of these dimensions has a chunk per image
SPATIAL = ("y", "map_y", "patch_y")

DIMENSIONS = {
    "image": "images, in the data set's order",
    "class": "classes: 0 is background, 1..K are the data set's",
    "predicted": "classes, as predicted, and last `unlabelled`",
    "split": "splits of the data set",
    "value": "values that a byte can have",
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
    "figure": "what is known of every step",
    "kind": "kinds of labels that are held against the truth",
    "threshold": "thresholds of class maps that are swept, ascending",
    "intersection_union": "pixels in the intersection of labels and truth, pixels in their union",
    "overlap": "pixels that agree with the main class of their region, pixels that leak out of it, pixels in all",
    "boundary": "true boundary pixels that a region boundary meets, all of them; region boundary pixels that meet a true one, all of them",
}
FIXED = {"height_width": 2, "rgb": 3, "intersection_union": 2, "overlap": 3, "boundary": 4}  # lengths that follow from the meaning


@dataclass(frozen=True)
class Array:
    """One array of an artifact."""

    dimensions: tuple[str, ...]
    dtype: str
    fill: int | float | bool | str  # value of padding
    meaning: str
    extent: str = ""  # the array that holds each image's true extent in the last two spatial dimensions
    apart: bool = False  # every entry of the second dimension has a chunk of its own, so that one of zeros takes no room

    @property
    def large(self) -> bool:
        """Whether there is a chunk per image, in shards."""
        return bool(set(LARGE) & set(self.dimensions))

    @property
    def per_image(self) -> bool:
        """Whether there is an entry for every image."""
        return self.dimensions[:1] == ("image",)

    def cells(self, extents: Mapping[str, int]) -> tuple[int, ...]:
        """Lengths of all dimensions but the first."""
        return tuple(extents[one] for one in self.dimensions[1:])

    def bytes(self, extents: Mapping[str, int]) -> int:
        """Bytes of one entry of the first dimension, before compression."""
        return 0 if self.dtype == "str" else np.dtype(self.dtype).itemsize * int(np.prod(self.cells(extents)))


@dataclass(frozen=True)
class Schema:
    """What one stage's artifact holds. Raise the version when the arrays or their meaning change."""

    version: int
    meaning: str
    arrays: Mapping[str, Array]
    weights: bool = False  # also a group `weights`: one array per entry of a network's state

    def images_per_shard(self, extents: Mapping[str, int]) -> int:
        """Images in a shard, the same for every array, so that a run of images is a file in each."""
        largest = max((one.bytes(extents) for one in self.arrays.values() if one.large), default=1)
        return max(1, min(SHARD_IMAGES, SHARD_BYTES // largest))

    def bytes_per_image(self, extents: Mapping[str, int]) -> int:
        """Bytes of one image in all arrays, before compression."""
        return sum(one.bytes(extents) for one in self.arrays.values() if one.per_image)


IDS = Array(("image",), "str", "", "the image's id")
SIZE = Array(("image", "height_width"), "int32", 0, "true size of the image in pixels")
PER_IMAGE = {"ids": IDS, "size": SIZE, "digest": Array(("image",), "str", "", "SHA-256 of all that the stage computed of the image")}
LOG = {
    "log": Array(("step", "figure"), "float32", 0.0, "what is known of every step of the training; the first is its loss"),
    "figures": Array(("figure",), "str", "", "name of the figure"),
}
MAP_SIZE = Array(("image", "height_width"), "int32", 0, "true extent of the image's maps")
LABELS = Array(("image", "y", "x"), "uint8", 255, "class of the pixel; 255 is unlabelled or padding", "size")

SCHEMAS: dict[str, Schema] = {
    "dataset": Schema(
        3,
        "Index of a raw data set: what every later stage trusts. Holds no pixels and nothing of any pixel label.",
        {
            "ids": IDS,
            "size": Array(("image", "height_width"), "int32", 0, "size of the image in pixels, as it is used"),
            "original_size": Array(("image", "height_width"), "int32", 0, "size in its file, which is larger where it is shrunk"),
            "file": Array(("image",), "str", "", "image file, relative to dataset.root"),
            "image_digest": Array(("image",), "str", "", "SHA-256 of the image file"),
            "labels": Array(("image", "class"), "bool", False, "whether the image contains the class; background is always true"),
            "labelled": Array(("image",), "bool", False, "whether it is known which classes the image contains"),
            "splits": Array(("image", "split"), "bool", False, "whether the image belongs to the split"),
            "split_names": Array(("split",), "str", "", "name of the split"),
            "class_names": Array(("class",), "str", "", "name of the class; the first is background"),
            "palette": Array(("class", "rgb"), "uint8", 0, "colour of the class in pictures"),
            "mask_meaning": Array(("value",), "int16", -1, "class of every value in true masks; 255 counts nowhere, -1 must not occur"),
            "max_size": Array(("height_width",), "int32", 0, "no image is larger: what pixel arrays are padded to"),
            "problem": Array(("image",), "str", "", "why the file cannot be used, else empty; later stages leave such an image out"),
            "mask_problem": Array(("image",), "str", "", "always empty: a data set with a wrong mask is refused"),
        },
    ),
    "pretraining": Schema(1, "Weights of a transformer that learned from the images alone, or none.", LOG, weights=True),
    "features": Schema(
        3,
        "One vector per patch of every image.",
        {
            **PER_IMAGE,
            "patches": Array(("image", "patch_y", "patch_x", "channel"), "float16", 0.0, "feature of the patch", "patch_grid"),
            "patch_grid": Array(("image", "height_width"), "int32", 0, "patches that the image really has"),
            "patch_size": Array((), "int32", 0, "edge of a patch in pixels"),
            "alignment": Array(
                (), "str", "", "resized: patches cover equal parts of the image; padded: the last row and column reach beyond its border"
            ),
        },
    ),
    "superpixels": Schema(
        2,
        "One region map per image.",
        {
            **PER_IMAGE,
            "regions": Array(("image", "y", "x"), "int32", -1, "region of the pixel, 0..n-1 within its image; -1 is padding", "size"),
            "region_count": Array(("image",), "int32", 0, "regions of the image"),
        },
    ),
    "classifier": Schema(2, "Weights of the image-level classifier.", LOG, weights=True),
    "cams": Schema(
        2,
        "Class maps of the classes that each image contains, and the classifier's scores.",
        {
            **PER_IMAGE,
            "scores": Array(("image", "class"), "float32", 0.0, "probability of the class in the image; background is always 0"),
            "present": Array(("image", "class"), "bool", False, "whether there is a map of the class"),
            "map_size": MAP_SIZE,
            "maps": Array(
                ("image", "class", "map_y", "map_x"),
                "float16",
                0.0,
                "class map in [0, 1], at a lower resolution; classes that are not present take no room",
                "map_size",
                apart=True,
            ),
        },
    ),
    "seeds": Schema(2, "Partial labels: confident pixels only.", {**PER_IMAGE, "labels": LABELS}),
    "refinement": Schema(
        3,
        "Pseudo masks: a label for every pixel, or 255 where the method declines.",
        {
            **PER_IMAGE,
            "labels": LABELS,
            "confidence": Array(
                ("image", "y", "x"), "uint8", 0, "probability of the pixel's label: 255 is 1; 0 where there is none", "size"
            ),
        },
    ),
    "segmenter": Schema(2, "Weights of the segmentation network.", LOG, weights=True),
    "predictions": Schema(
        3,
        "Class probabilities of the images that are evaluated, at a lower resolution.",
        {
            **PER_IMAGE,
            "map_size": MAP_SIZE,
            "probabilities": Array(
                ("image", "class", "map_y", "map_x"), "uint8", 0, "probability of the class in 255ths, background first", "map_size"
            ),
        },
    ),
    "evaluation": Schema(
        5,
        "What was counted on every image that is evaluated, and labels after the CRF. Without a truth, what needs one is 0.",
        {
            **PER_IMAGE,
            "kinds": Array(("kind",), "str", "", "name of the kind of labels"),
            "thresholds": Array(("threshold",), "float64", 0.0, "threshold of class maps in the sweep"),
            "threshold": Array((), "float64", 0.0, "threshold of class maps that was declared beforehand"),
            "judged": Array(("image", "kind"), "bool", False, "whether the image has labels of the kind"),
            "with_truth": Array(("image",), "bool", False, "whether the image has a truth"),
            "with_labels": Array(("image",), "bool", False, "whether it is known which classes the image contains"),
            "coverage": Array(("image", "kind"), "float64", 0.0, "share of labelled pixels"),
            "violations": Array(("image", "kind"), "int64", 0, "pixels labelled with a class that the image is known not to contain"),
            "confusion": Array(("image", "kind", "class", "predicted"), "int64", 0, "pixels of a true class by predicted class"),
            "boundary_overlap": Array(
                ("image", "kind", "class", "intersection_union"), "int64", 0, "how labels fit the true class along its contours"
            ),
            "sweep": Array(
                ("image", "threshold", "class", "intersection_union"), "int64", 0, "how class maps fit the true class at each threshold"
            ),
            "region_count": Array(("image",), "int32", 0, "superpixels of the image; 0 where they are not judged"),
            "region_overlap": Array(("image", "overlap"), "int64", 0, "how superpixels fit the true classes"),
            "region_boundary": Array(("image", "boundary"), "int64", 0, "how boundaries of superpixels meet those of the true classes"),
            "refined": Array(
                ("image", "y", "x"), "uint8", 255, "class of the pixel as predicted, after the CRF; 255 is padding or not predicted", "size"
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
    """A published artifact, open for reading. Images are asked for by id."""

    def __init__(self, name: str, path: Path, group: zarr.Group, record: Mapping[str, Any]) -> None:
        self.name = name
        self.path = path
        self._group = group
        self._record = record
        self._arrays: dict[str, zarr.Array[Any]] = {}
        self._whole: dict[str, npt.NDArray[Any]] = {}

    def __reduce__(self) -> tuple[object, ...]:
        # Opened again where it arrives, in another process: neither caches nor file handles travel.
        return (_reopened, (self.name, self.path.parent.absolute(), self.digest))

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def schema(self) -> Schema:
        """What it holds."""
        return SCHEMAS[self.name]

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
        return f"{self._common} {self.whole('digest')[self._rows[image]]}" if image in self._rows else ""

    @cached_property
    def _common(self) -> str:
        """Identity of what it holds of all images alike, such as the size of a patch."""
        names = [name for name, spec in self.schema.arrays.items() if not spec.per_image]
        return digest({name: self.whole(name).tolist() for name in names})[:16]

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
        return [str(one) for one in self.whole("ids")]

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
        height, width = self.whole("size")[self.row(image)]
        return int(height), int(width)

    def original_size(self, image: str) -> Size:
        """Height and width of an image of the data set in its file."""
        height, width = self.whole("original_size")[self.row(image)]
        return int(height), int(width)

    def whole(self, name: str) -> npt.NDArray[Any]:
        """A whole array; kept in memory, so for small ones only."""
        if name not in self._whole:
            self._whole[name] = self._get(name, ...)
        return self._whole[name]

    def read(self, name: str, image: str) -> npt.NDArray[Any]:
        """An image's entry of an array, cut to its true extent."""
        return self._cut(name, image, self._get(name, self.row(image)))

    def total(self, name: str) -> npt.NDArray[np.int64]:
        """Sum of an array of counts over all images, of which a shard at most is in memory."""
        total = np.zeros(self._get(name, slice(0, 0)).shape[1:], np.int64)
        for part in self.parts(name):
            total += part.sum(axis=0)
        return total

    def parts(self, name: str) -> Iterator[npt.NDArray[Any]]:
        """An array of which there is an entry per image, a shard at a time."""
        for start in range(0, len(self), SHARD_IMAGES):
            yield self._get(name, slice(start, start + SHARD_IMAGES))

    def patches(self, image: str) -> PatchFeatures:
        """Features of an image."""
        values = self.read("patches", image).astype(np.float32)
        return PatchFeatures(values, int(self.whole("patch_size")), Alignment(str(self.whole("alignment"))))

    def class_maps(self, image: str) -> ClassMaps:
        """Class maps of an image, at the resolution in which they are stored."""
        row = self.row(image)
        classes = tuple(int(one) for one in np.flatnonzero(self.whole("present")[row]))
        height, width = self.whole("map_size")[row]
        maps = np.zeros((len(classes), height, width), np.float32)
        for index, one in enumerate(classes):
            maps[index] = self._cut("maps", image, self._get("maps", (row, one)))
        return ClassMaps(classes=classes, maps=maps)

    def probabilities(self, image: str) -> Probabilities:
        """A segmenter's output for an image, at the resolution in which it is stored."""
        return Probabilities.of_parts(self.read("probabilities", image))

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
        height, width = self.whole("max_size")
        return int(height), int(width)

    @property
    def class_names(self) -> list[str]:
        """Names of all classes, background first."""
        return [str(one) for one in self.whole("class_names")]

    @property
    def num_classes(self) -> int:
        """Classes of the data set, without background."""
        return len(self.whole("class_names")) - 1

    def split(self, name: str) -> list[str]:
        """Images that belong to a split of the data set."""
        names = [str(one) for one in self.whole("split_names")]
        if name not in names:
            raise ArtifactError(
                str(self.path), found=f"no split {name!r}", expected=f"one of: {listed(names)}", do="correct the split in params.yaml"
            )
        member = self.whole("splits")[:, names.index(name)]
        return [image for image in self.usable if member[self.row(image)]]

    @property
    def splits_labelled(self) -> dict[str, bool]:
        """Of every split that usable images belong to, whether it is known of some of these what they show."""
        usable = self.whole("problem") == ""
        counts = {str(name): member & usable for name, member in zip(self.whole("split_names"), self.whole("splits").T, strict=True)}
        return {name: bool((member & self.whole("labelled")).any()) for name, member in counts.items() if member.any()}

    @cached_property
    def usable(self) -> list[str]:
        """Images of the data set but those whose file cannot be used."""
        return [image for image, problem in zip(self.ids, self.whole("problem"), strict=True) if not problem]

    @cached_property
    def labelled(self) -> list[str]:
        """Usable images of which it is known what they contain."""
        return [image for image in self.usable if self.whole("labelled")[self.row(image)]]

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
        return {name: self._get(f"weights/{name}", ...) for name, _ in group.arrays()}

    def _cut(self, name: str, image: str, entry: npt.NDArray[Any]) -> npt.NDArray[Any]:
        spec = self.schema.arrays[name]
        if not spec.extent:
            return entry
        return np.asarray(entry[cut(spec, entry.ndim, self.whole(spec.extent)[self.row(image)])])

    def _get(self, name: str, where: Any) -> npt.NDArray[Any]:
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


@dataclass(frozen=True)
class Labels:
    """Image-level labels of a data set."""

    data: Artifact

    def key(self, image: str) -> str:
        """Identity of what is known of an image."""
        row = self.data.row(image)
        return "".join("01"[int(one)] for one in self.data.whole("labels")[row]) if self.data.whole("labelled")[row] else "unknown"

    def get(self, image: str) -> tuple[int, ...] | None:
        """Classes that an image contains, without background; None where nobody knows them."""
        return self[image] if self.data.whole("labelled")[self.data.row(image)] else None

    def __getitem__(self, image: str) -> tuple[int, ...]:
        """Classes that an image contains, without background."""
        return tuple(int(one) for one in np.flatnonzero(self.data.whole("labels")[self.data.row(image)]) if one != BACKGROUND)


def open_artifact(name: str, *, folder: Path = FOLDER) -> Artifact:
    """Open what a stage published.

    Checks that it is of the present schema, that no file of it is missing or of another length, and what its arrays say of
    themselves. What is read later is checked too: a file that vanishes meanwhile, or a chunk with a wrong checksum, is an error,
    never padding.
    """
    path = folder / f"{name}.zarr"
    if not path.exists():
        raise ArtifactError(str(path), found="nothing", expected=f"the artifact of stage {name}", do=f"run `dvc repro {name}`")
    again = f"run `dvc repro --force --single-item {name}`"
    record = record_of(path)
    if "schema" not in record:
        raise ArtifactError(str(path), found="no zarr group that Seedbed wrote", expected=f"the artifact of stage {name}", do=again)
    if record["schema"] != SCHEMAS[name].version:
        raise ArtifactError(
            str(path), found=f"schema {record['schema']}", expected=f"schema {SCHEMAS[name].version}, which this version reads", do=again
        )
    for wrong in misfits(path, record):
        raise ArtifactError(str(path), found=wrong, expected="all files as they were published", do=again)
    return Artifact(name, path, zarr.open_group(Recorded(path, record["files"]), mode="r", zarr_format=3), record)


def misfits(path: Path, record: Mapping[str, Any]) -> Iterator[str]:
    """Files of an artifact that are missing, of another length, or not its own."""
    present = {relative: file.stat().st_size for relative, file in files_below(path)}
    for relative, (size, sha) in record["files"].items():
        if relative not in present:
            yield f"no {relative}"
        elif present[relative] != size:
            yield f"{relative} with {present[relative]} bytes instead of {size}"
        elif relative.endswith("zarr.json") and sha256(path / relative) != sha:
            yield f"{relative} with another content than was published"
    for relative in sorted(present.keys() - record["files"].keys()):
        yield f"{relative}, which does not belong there"


def record_of(path: Path) -> dict[str, Any]:
    """What a group says of itself; empty where that is nothing, or not what was once written."""
    try:
        record: dict[str, Any] = json.loads((path / "zarr.json").read_text(encoding="utf-8"))["attributes"]["seedbed"]
        content = {name: value for name, value in record.items() if name != "digest"}
        return record if record["digest"] == digest(content) else {}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


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


class Recorded(LocalStore):
    """Files of a group, of which a missing one is an error where it is on record: zarr would read it as padding."""

    def __init__(self, root: Path, files: Mapping[str, Any], *, read_only: bool = True) -> None:
        super().__init__(root, read_only=read_only)
        self._files = files

    def with_read_only(self, read_only: bool = False) -> Recorded:
        """The same files."""
        return Recorded(self.root, self._files, read_only=read_only)

    async def get(self, key: str, prototype: BufferPrototype | None = None, byte_range: ByteRequest | None = None) -> Buffer | None:
        """A file's content, or a part of it."""
        found = await super().get(key, prototype, byte_range)
        if found is None and key in self._files:
            raise ArtifactError(
                str(self.root), found=f"no {key}, which was there before", expected="nobody to change it", do="run `dvc repro` again"
            )
        return found


# The layout, for whoever writes.


def cut(spec: Array, dimensions: int, extent: npt.ArrayLike) -> tuple[Any, ...]:
    """Where the true extent lies in an entry.

    dimensions: of the entry; leading ones that it lacks were chosen already.
    """
    height, width = (int(length) for length in np.asarray(extent))
    spatial = next(index for index, name in enumerate(spec.dimensions) if name in SPATIAL) - (len(spec.dimensions) - dimensions)
    return (slice(None),) * spatial + (slice(0, height), slice(0, width))


def create_array(
    group: zarr.Group, name: str, spec: Array, *, shape: Sequence[int], per_shard: int, extents: Mapping[str, int]
) -> zarr.Array[Any]:
    """An empty array.

    per_shard: images in a shard, where the array is large.
    """
    chunks = [*shape]
    shards = None
    if spec.large:
        inner = spec.cells(extents)
        chunks, shards = [1, *((1, *inner[1:]) if spec.apart else inner)], (per_shard, *inner)
    elif chunks:
        chunks[0] = min(SMALL_ENTRIES, chunks[0])
    return group.create_array(
        name,
        shape=tuple(shape),
        dtype=str if spec.dtype == "str" else spec.dtype,
        chunks=tuple(max(1, n) for n in chunks),
        shards=shards,
        fill_value=spec.fill,
        dimension_names=spec.dimensions,
        compressors=compressor(),
        attributes={"meaning": spec.meaning},
    )


def compressor() -> zarr.codecs.ZstdCodec:
    """What every chunk is packed with; the checksum makes a flipped bit an error when it is read."""
    return zarr.codecs.ZstdCodec(level=5, checksum=True)


def files_below(path: Path) -> Iterator[tuple[str, Path]]:
    """Every file below a group but its own metadata, by relative name, in order."""
    for file in sorted(path.rglob("*")):
        relative = file.relative_to(path).as_posix()
        if file.is_file() and relative != "zarr.json":
            yield relative, file


def digest(content: Any) -> str:
    """Identity of plain data."""
    return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def sha256(file: Path) -> str:
    """Identity of a file's content."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
