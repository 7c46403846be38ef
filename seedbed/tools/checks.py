"""What must hold of every image of an artifact, and of an artifact as a whole."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import zarr

from seedbed.errors import ArtifactError, join_names
from seedbed.reads import cut
from seedbed.run.shards import row_digest
from seedbed.scoring.judgement import REFINED
from seedbed.store.artifact import Artifact
from seedbed.store.schemas import Array
from seedbed.types import BACKGROUND, IGNORE, PARTS, Alignment, cells

FEW = 6  # so many images are listed; of more, the first and the last
GROUP = "zarr.json"  # the group's own metadata
DAMAGED = (ArtifactError, RuntimeError, ValueError, OSError)  # zarr and its codecs have no error of their own
SHA256 = re.compile("[0-9a-f]{64}")


@dataclass(frozen=True)
class Finding:
    """Something that is not as it should be."""

    artifact: str
    where: str  # a file with its shard and images, an image, or a part of the record
    problem: str
    do: str  # what puts it right

    def __str__(self) -> str:
        return " ".join(f"{self.artifact}: {self.where}: {self.problem}".split())


class HiddenError(Exception):
    """What a check looks at is damaged or not there; that is said elsewhere."""


@dataclass(frozen=True)
class Examined:
    """An artifact as it lies there, of which some files are damaged."""

    artifact: Artifact
    group: zarr.Group
    damaged: set[str] = field(default_factory=set)  # files by name; checks of the layout add to it
    _opened: dict[str, zarr.Array[Any]] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Whose artifact it is."""
        return self.artifact.name

    @property
    def arrays(self) -> Mapping[str, Array]:
        """What it should hold."""
        return self.artifact.schema.arrays

    @cached_property
    def ids(self) -> list[str]:
        """Its images; none where that cannot be read."""
        try:
            return [str(one) for one in self.values("ids")] if "ids" in self.arrays else []
        except HiddenError:
            return []

    @cached_property
    def weights(self) -> list[str]:
        """Entries of its network's state."""
        parts = (file.split("/") for file in self.artifact.files)
        return sorted({part[1] for part in parts if part[0] == "weights" and len(part) > 2})

    def array(self, path: str) -> zarr.Array[Any]:
        """An array, of which there may be nothing to be read but what it is."""
        if f"{path}/{GROUP}" in self.damaged:
            raise HiddenError
        if path not in self._opened:
            if path not in self.group:
                raise HiddenError
            array = self.group[path]
            assert isinstance(array, zarr.Array)
            self._opened[path] = array
        return self._opened[path]

    def values(self, path: str) -> npt.NDArray[Any]:
        """All of an array that is not large."""
        if any(file.startswith(f"{path}/") for file in self.damaged):
            raise HiddenError
        return self.artifact.array(path) if path in self.arrays else np.asarray(self.array(path)[...])

    def entry(self, name: str, row: int) -> npt.NDArray[Any]:
        """An image's entry of an array, with its padding."""
        if not self.arrays[name].large:
            return np.asarray(self.values(name)[row])
        array, shard = self.array(name), f"{name}/c/{row // self.per_shard(name)}/"
        if any(file.startswith(shard) for file in self.damaged):
            raise HiddenError
        return np.asarray(array[row])

    def per_shard(self, name: str) -> int:
        """Images in a shard of an array; 0 where nobody can say."""
        for one in (name, *(other for other, spec in self.arrays.items() if spec.large)):  # it is the same for all of them
            with suppress(HiddenError):
                return int((self.array(one).shards or (0,))[0])
        return 0

    def where(self, file: str) -> str:
        """A file of it, with the images that are in there."""
        name, *rest = file.split("/")
        if name not in self.arrays or not self.arrays[name].large or rest[:1] != ["c"] or not rest[1:2] or not rest[1].isdecimal():
            return file
        shard, length = int(rest[1]), self.per_shard(name)
        images = self.ids[shard * length : (shard + 1) * length]
        return f"{file} (shard {shard}: {_span(images)})" if images else f"{file} (shard {shard})"


@dataclass(frozen=True)
class Row:
    """An image of an artifact."""

    examined: Examined
    image: str
    number: int
    data: Artifact | None  # the data set, if it is there and sound
    read: dict[str, npt.NDArray[Any]] = field(default_factory=dict)  # what was read already

    def padded(self, name: str) -> npt.NDArray[Any]:
        """Its entry of an array, as it is stored."""
        if name not in self.read:
            self.read[name] = self.examined.entry(name, self.number)
        return self.read[name]

    def __getitem__(self, name: str) -> npt.NDArray[Any]:
        """Its entry of an array, cut to its true extent."""
        spec, entry = self.examined.arrays[name], self.padded(name)
        return cut(spec, entry, self.padded(spec.extent)) if spec.extent else entry

    @property
    def known(self) -> Artifact:
        """The data set, which knows the image."""
        if self.data is None or self.image not in self.data:
            raise HiddenError
        return self.data

    @property
    def classes(self) -> npt.NDArray[np.bool_]:
        """Whether the data set says that the image contains a class."""
        return np.asarray(self.known.array("labels")[self.known.row(self.image)])

    def named(self, classes: Iterable[Any]) -> str:
        """Classes by name."""
        return join_names(self.known.class_names[int(one)] for one in classes)


def content_digest(row: Row) -> str:
    """`digest` of an image, computed from everything else that the artifact holds of it; see `shards.Work`."""
    names = [name for name, spec in row.examined.arrays.items() if spec.per_image and name not in ("ids", "digest")]
    return row_digest({name: row[name] for name in names})


def _known(row: Row) -> Iterator[str]:
    if row.data is not None and row.image not in row.data:
        yield "no image of data/dataset.zarr"


def _size(row: Row) -> Iterator[str]:
    expected, found = row.known.size(row.image), tuple(int(one) for one in row["size"])
    if found != expected:
        yield f"size {_by(found)}, but {_by(expected)} in data/dataset.zarr"


def _digest(row: Row) -> Iterator[str]:
    if "digest" in row.examined.arrays and str(row["digest"]) != content_digest(row):
        yield "digest is not that of the content"


def _finite(row: Row) -> Iterator[str]:
    for name, spec in row.examined.arrays.items():
        if spec.per_image and _is_float(spec.dtype):
            with suppress(HiddenError):
                yield from _infinities(name, row.padded(name))


def _padding(row: Row) -> Iterator[str]:
    for name, spec in row.examined.arrays.items():
        if spec.extent:
            with suppress(HiddenError):
                outside = row.padded(name) != spec.fill
                cut(spec, outside, row.padded(spec.extent))[...] = False
                if outside.any():
                    yield f"{name}: {int(outside.sum())} values of the padding are not {spec.fill}"


def _index(row: Row) -> Iterator[str]:
    """What the data set says of an image."""
    size, most = row["size"], row.examined.values("max_size")
    if (size > most).any():
        yield f"{_by(size)} pixels, but max_size is {_by(most)}"
    if not row["labels"][BACKGROUND]:
        yield "without background"
    if not str(row["file"]):
        yield "without a file"
    if not str(row["problem"]) and not SHA256.fullmatch(str(row["image_digest"])):
        yield f"image_digest is {str(row['image_digest'])!r}, and no SHA-256"
    if not str(row["problem"]) and (size < 1).any():
        yield f"{_by(size)} pixels"


def _patch_grid(row: Row) -> Iterator[str]:
    edge = int(row.examined.values("patch_size"))
    if edge > 0:
        expected, found = cells((int(row["size"][0]), int(row["size"][1])), edge), tuple(int(one) for one in row["patch_grid"])
        if found != expected:
            yield f"patch_grid: {_by(found)}, but it takes {_by(expected)} patches of {edge} pixels to cover {_by(row['size'])}"


def _regions(row: Row) -> Iterator[str]:
    regions, count = row["regions"].ravel(), max(0, int(row["region_count"]))
    if (regions < 0).any():
        yield "regions: some pixels are in no region"
    used = np.zeros(count, bool)
    used[regions[(regions >= 0) & (regions < count)]] = True
    if not used.all():
        yield f"regions: nothing is in {_some(np.flatnonzero(~used))} of the {count} that region_count says there are"
    if (regions >= count).any():
        yield f"regions: numbered to {regions.max()}, but region_count is {count}"


def _class_maps(row: Row) -> Iterator[str]:
    maps, present = row["maps"], row["present"]
    if ((maps < 0) | (maps > 1)).any():
        yield f"maps: values from {np.nanmin(maps):g} to {np.nanmax(maps):g}, not within [0, 1]"
    filled = np.flatnonzero([one.any() for one in maps])
    if not present[filled].all():
        yield f"maps: not zero for {_some(filled[~present[filled]])}, which is not present"
    expected = row.classes & (np.arange(len(present)) != BACKGROUND)
    if (present & ~expected).any():
        yield f"present: {row.named(np.flatnonzero(present & ~expected))}, which the image does not contain"
    if (expected & ~present).any():
        yield f"present: lacks {row.named(np.flatnonzero(expected & ~present))}, which the image contains"


def _ignored(row: Row) -> Iterator[str]:
    if (row["labels"] == IGNORE).all():
        yield f"labels: all pixels are {IGNORE}"


def _labels(row: Row) -> Iterator[str]:
    counts = np.bincount(row["labels"].ravel())
    for value in np.flatnonzero(counts[:IGNORE]).tolist():
        count = counts[value]
        if value >= len(row.classes):
            yield f"labels: {count} pixels of {value}, which is no class"
        elif not row.classes[value]:
            yield f"labels: {count} pixels of {row.named([value])}, which the image does not contain"


def _unsure(row: Row) -> Iterator[str]:
    count = np.count_nonzero(row["confidence"][row["labels"] == IGNORE])
    if count:
        yield f"confidence: {count} pixels that are sure of no label"


def _probabilities(row: Row) -> Iterator[str]:
    total = row["probabilities"].sum(axis=0, dtype=np.int64)
    rounding = len(row["probabilities"]) / 2
    if (abs(total - PARTS) > rounding).any():
        yield f"probabilities: sums over the classes from {total.min()} to {total.max()}, not {PARTS} but for at most {rounding:g}"


def _counts(row: Row) -> Iterator[str]:
    """What was counted of an image."""
    pixels = int(np.prod(row["size"], dtype=np.int64))
    for name, spec in row.examined.arrays.items():
        if spec.per_image and np.issubdtype(spec.dtype, np.integer) and (row[name] < 0).any():
            yield f"{name}: counts below 0"
    for name in ("boundary_overlap", "sweep"):
        if (row[name][..., 0] > row[name][..., 1]).any():
            yield f"{name}: an intersection larger than the union"
    if (row["region_boundary"][::2] > row["region_boundary"][1::2]).any():
        yield "region_boundary: more pixels of a boundary meet another than there are"
    for kind, counted, judged in zip(row.examined.values("kinds"), row["confusion"].sum(axis=(1, 2)), row["judged"], strict=True):
        if counted > pixels * (judged and row["with_truth"]):
            yield f"confusion: {counted} pixels of {kind} in an image of {_by(row['size'])}, {_judged(judged, row['with_truth'])}"
    if not row["with_truth"] and any(row[name].any() for name in ("boundary_overlap", "sweep", "region_overlap", "region_boundary")):
        yield "counts of what needs a truth, without one"


def _refined(row: Row) -> Iterator[str]:
    """Labels after the CRF: of every pixel of what is predicted, and of nothing else."""
    labels, classes = row["refined"], row["confusion"].shape[1]
    predicted = bool(dict(zip(row.examined.values("kinds").tolist(), row["judged"], strict=True)).get(REFINED, False))
    if count := np.count_nonzero((labels >= classes) & (labels != IGNORE)):
        yield f"refined: {count} pixels of no class"
    if predicted and (labels == IGNORE).any():
        yield f"refined: {np.count_nonzero(labels == IGNORE)} pixels without a label"
    if not predicted and (labels != IGNORE).any():
        yield "refined: labels of an image that is not predicted"


def _judged(judged: Any, with_truth: Any) -> str:
    return "which has no labels of that kind" if not judged else "with a truth" if with_truth else "without a truth"


ImageCheck = Callable[[Row], Iterator[str]]
OF_ANY_IMAGE: tuple[ImageCheck, ...] = (_known, _size, _digest, _finite, _padding)
OF_AN_IMAGE: Mapping[str, tuple[ImageCheck, ...]] = {
    "dataset": (_index,),
    "features": (_patch_grid,),
    "superpixels": (_regions,),
    "cams": (_class_maps,),
    "seeds": (_ignored, _labels),
    "refinement": (_ignored, _labels, _unsure),
    "predictions": (_probabilities,),
    "evaluation": (_counts, _refined),
}


def of_image(row: Row) -> list[str]:
    """What is wrong with an image."""
    found: list[str] = []
    for check in (*OF_ANY_IMAGE, *OF_AN_IMAGE.get(row.examined.artifact.kind, ())):
        try:
            for problem in check(row):
                found.append(problem)
        except HiddenError:
            pass
        except (RuntimeError, ValueError, OSError) as error:  # zarr and its codecs have no error of their own
            found.append(f"cannot be read: {error}")
    return list(dict.fromkeys(found))


def _layout(examined: Examined) -> Iterator[tuple[str, str]]:
    """Arrays that are not as the schema says; they are taken as damaged."""
    wrong: dict[str, str] = {}
    for name, spec in examined.arrays.items():
        if f"{name}/{GROUP}" not in examined.damaged and name not in examined.group:
            wrong[name] = "no such array"
        with suppress(HiddenError):
            array = examined.array(name)
            if spec.dtype != "str" and array.dtype != np.dtype(spec.dtype):
                wrong[name] = f"{array.dtype} instead of {spec.dtype}"
            elif array.ndim != len(spec.dimensions):
                wrong[name] = f"{array.ndim} dimensions instead of {len(spec.dimensions)}"
            elif spec.per_image and examined.ids and array.shape[0] != len(examined.ids):
                wrong[name] = f"{array.shape[0]} images instead of {len(examined.ids)}"
    examined.damaged.update(f"{name}/{GROUP}" for name in wrong)
    yield from wrong.items()


def _unique_ids(examined: Examined) -> Iterator[tuple[str, str]]:
    for image, count in Counter(examined.ids).items():
        if count > 1:
            yield image, f"{count} times in the list of images"


def _numbers(examined: Examined) -> Iterator[tuple[str, str]]:
    """Losses, weights, and whatever else is no image's."""
    names = [name for name, spec in examined.arrays.items() if not spec.per_image and _is_float(spec.dtype)]
    for path in (*names, *(f"weights/{one}" for one in examined.weights)):
        with suppress(HiddenError):
            if _is_float(examined.array(path).dtype):
                yield from ((path, problem) for problem in _infinities("", examined.values(path)))


def _alignment(examined: Examined) -> Iterator[tuple[str, str]]:
    """Where patches lie on their image."""
    if examined.artifact.kind == "features":
        with suppress(HiddenError):
            edge = int(examined.values("patch_size"))
            if edge < 1:
                yield "patch_size", f"{edge} pixels"
        with suppress(HiddenError):
            alignment = str(examined.values("alignment"))
            if alignment not in [*Alignment]:
                yield "alignment", f"{alignment!r}, and not one of: {join_names(Alignment)}"


ArtifactCheck = Callable[[Examined], Iterator[tuple[str, str]]]
OF_AN_ARTIFACT: tuple[ArtifactCheck, ...] = (_layout, _unique_ids, _numbers, _alignment)


def _span(images: Sequence[str]) -> str:
    return join_names(images) if len(images) <= FEW else f"{images[0]} to {images[-1]}, {len(images)} images"


def _some(numbers: npt.NDArray[Any]) -> str:
    return join_names(str(one) for one in numbers[:FEW]) + (f" and {len(numbers) - FEW} more" if len(numbers) > FEW else "")


def count(number: int, one: str, many: str = "") -> str:
    return f"{number} {one if number == 1 else many or f'{one}s'}"


def _by(size: Iterable[Any]) -> str:
    return " x ".join(str(int(one)) for one in size)


def _infinities(name: str, values: npt.NDArray[Any]) -> Iterator[str]:
    """Whether there are numbers that are none.

    name: of the array, if it must be said.
    """
    count = values.size - int(np.isfinite(values).sum())
    if count:
        yield f"{name}{': ' if name else ''}{count} of {values.size} values are NaN or infinite"


def _is_float(dtype: Any) -> bool:
    return dtype != "str" and bool(np.issubdtype(dtype, np.floating))
