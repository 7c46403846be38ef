"""Whether what is on disk is what was published, and says what it can say.

Four questions are asked of every artifact: are all files there, byte by byte; were its inputs the present ones; is it what params.yaml
and the code would make of them now; and, image by image, is the content possible: no NaN, no class that the image does not contain, no
padding that was written over. What is damaged is named with its shard and images, and everything else is looked at all the same.

A check is a function from what it looks at to what is wrong with it, in words. One that comes upon something damaged stops
there without a word: the damage is a finding already.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import zarr
from rich import filesize

from seedbed import provenance, raw
from seedbed.artifacts import FOLDER, SCHEMAS, Array, Artifact, Recorded, cut, files_below, open_artifact, record_of, sha256
from seedbed.errors import ArtifactError, DataError, MethodError, ParamsError, listed, nearest
from seedbed.images import digest
from seedbed.judgement import REFINED
from seedbed.params import Params
from seedbed.progress import Progress
from seedbed.shards import row_digest
from seedbed.store import NEW, Store
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


@dataclass(frozen=True)
class Report:
    """What was found of one artifact."""

    artifact: str
    findings: tuple[Finding, ...]
    content: tuple[str, ...]  # how much of it there is

    @property
    def sound(self) -> bool:
        """Whether there is nothing wrong."""
        return not self.findings

    def __str__(self) -> str:
        if self.findings:
            return "\n".join(map(str, self.findings))
        return f"{self.artifact}: sound: {listed(self.content)}"


class _HiddenError(Exception):
    """What a check looks at is damaged or not there; that is said elsewhere."""


# What checks look at.


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
            return [str(one) for one in self.whole("ids")] if "ids" in self.arrays else []
        except _HiddenError:
            return []

    @cached_property
    def weights(self) -> list[str]:
        """Entries of its network's state."""
        parts = (file.split("/") for file in self.artifact.files)
        return sorted({part[1] for part in parts if part[0] == "weights" and len(part) > 2})

    def array(self, path: str) -> zarr.Array[Any]:
        """An array, of which there may be nothing to be read but what it is."""
        if f"{path}/{GROUP}" in self.damaged:
            raise _HiddenError
        if path not in self._opened:
            if path not in self.group:
                raise _HiddenError
            array = self.group[path]
            assert isinstance(array, zarr.Array)
            self._opened[path] = array
        return self._opened[path]

    def whole(self, path: str) -> npt.NDArray[Any]:
        """All of an array that is not large."""
        if any(file.startswith(f"{path}/") for file in self.damaged):
            raise _HiddenError
        return self.artifact.whole(path) if path in self.arrays else np.asarray(self.array(path)[...])

    def entry(self, name: str, row: int) -> npt.NDArray[Any]:
        """An image's entry of an array, with its padding."""
        if not self.arrays[name].large:
            return np.asarray(self.whole(name)[row])
        array, shard = self.array(name), f"{name}/c/{row // self.per_shard(name)}/"
        if any(file.startswith(shard) for file in self.damaged):
            raise _HiddenError
        return np.asarray(array[row])

    def per_shard(self, name: str) -> int:
        """Images in a shard of an array; 0 where nobody can say."""
        for one in (name, *(other for other, spec in self.arrays.items() if spec.large)):  # it is the same for all of them
            with suppress(_HiddenError):
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
        return np.asarray(entry[cut(spec, entry.ndim, self.padded(spec.extent))]) if spec.extent else entry

    @property
    def known(self) -> Artifact:
        """The data set, which knows the image."""
        if self.data is None or self.image not in self.data:
            raise _HiddenError
        return self.data

    @property
    def classes(self) -> npt.NDArray[np.bool_]:
        """Whether the data set says that the image contains a class."""
        return np.asarray(self.known.whole("labels")[self.known.row(self.image)])

    def named(self, classes: Iterable[Any]) -> str:
        """Classes by name."""
        return listed(self.known.class_names[int(one)] for one in classes)


# Checks of images.


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
            with suppress(_HiddenError):
                yield from _infinities(name, row.padded(name))


def _padding(row: Row) -> Iterator[str]:
    for name, spec in row.examined.arrays.items():
        if spec.extent:
            with suppress(_HiddenError):
                outside = row.padded(name) != spec.fill
                outside[cut(spec, outside.ndim, row.padded(spec.extent))] = False
                if outside.any():
                    yield f"{name}: {int(outside.sum())} values of the padding are not {spec.fill}"


def _index(row: Row) -> Iterator[str]:
    """What the data set says of an image."""
    size, most = row["size"], row.examined.whole("max_size")
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
    edge = int(row.examined.whole("patch_size"))
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
    for kind, counted, judged in zip(row.examined.whole("kinds"), row["confusion"].sum(axis=(1, 2)), row["judged"], strict=True):
        if counted > pixels * (judged and row["with_truth"]):
            yield f"confusion: {counted} pixels of {kind} in an image of {_by(row['size'])}, {_judged(judged, row['with_truth'])}"
    if not row["with_truth"] and any(row[name].any() for name in ("boundary_overlap", "sweep", "region_overlap", "region_boundary")):
        yield "counts of what needs a truth, without one"


def _refined(row: Row) -> Iterator[str]:
    """Labels after the CRF: of every pixel of what is predicted, and of nothing else."""
    labels, classes = row["refined"], row["confusion"].shape[1]
    predicted = bool(dict(zip(row.examined.whole("kinds").tolist(), row["judged"], strict=True)).get(REFINED, False))
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
    for check in (*OF_ANY_IMAGE, *OF_AN_IMAGE.get(row.examined.name, ())):
        try:
            for problem in check(row):
                found.append(problem)
        except _HiddenError:
            pass
        except (RuntimeError, ValueError, OSError) as error:  # zarr and its codecs have no error of their own
            found.append(f"cannot be read: {error}")
    return list(dict.fromkeys(found))


# Checks of an artifact as a whole: where, and what is wrong.


def _layout(examined: Examined) -> Iterator[tuple[str, str]]:
    """Arrays that are not as the schema says; they are taken as damaged."""
    wrong: dict[str, str] = {}
    for name, spec in examined.arrays.items():
        if f"{name}/{GROUP}" not in examined.damaged and name not in examined.group:
            wrong[name] = "no such array"
        with suppress(_HiddenError):
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
        with suppress(_HiddenError):
            if _is_float(examined.array(path).dtype):
                yield from ((path, problem) for problem in _infinities("", examined.whole(path)))


def _alignment(examined: Examined) -> Iterator[tuple[str, str]]:
    """Where patches lie on their image."""
    if examined.name == "features":
        with suppress(_HiddenError):
            edge = int(examined.whole("patch_size"))
            if edge < 1:
                yield "patch_size", f"{edge} pixels"
        with suppress(_HiddenError):
            alignment = str(examined.whole("alignment"))
            if alignment not in [*Alignment]:
                yield "alignment", f"{alignment!r}, and not one of: {listed(Alignment)}"


ArtifactCheck = Callable[[Examined], Iterator[tuple[str, str]]]
OF_AN_ARTIFACT: tuple[ArtifactCheck, ...] = (_layout, _unique_ids, _numbers, _alignment)


def lineage(artifact: Artifact) -> Iterator[tuple[str, str]]:
    """Inputs that are no longer those it was made from."""
    for source, expected in artifact.made_by.inputs.items():
        present = record_of(artifact.path.with_name(f"{source}.zarr")).get("digest", expected)  # of what is not there, nothing is said
        if present != expected:
            yield "lineage", f"made from another data/{source}.zarr"


def damaged_files(path: Path, record: Mapping[str, Any], done: Callable[[], None] = lambda: None) -> Iterator[tuple[str, str]]:
    """Files of an artifact that are not as they were published, and what is wrong with them.

    done: called when a file was looked at.
    """
    with ThreadPoolExecutor() as threads:  # checksums are computed outside Python's lock
        checked = threads.map(lambda item: (item[0], _damage(path / item[0], *item[1])), record["files"].items())
        for file, problem in checked:
            done()
            if problem:
                yield file, problem
    for file, _ in files_below(path):
        if file not in record["files"]:
            yield file, "does not belong there"


def _damage(file: Path, size: int, expected: str) -> str:
    try:
        if not file.is_file():
            return "missing"
        if file.stat().st_size != size:
            return f"{file.stat().st_size} bytes instead of {size}"
        return "" if sha256(file) == expected else "another content than was published"
    except OSError as error:
        return f"cannot be read: {error.strerror}"


def _metadata(path: Path) -> Iterator[str]:
    """What a group says beside its record; zarr would believe it."""
    content = json.loads((path / GROUP).read_text(encoding="utf-8"))
    more = [*(content.keys() - {"attributes", "zarr_format", "node_type"}), *(content["attributes"].keys() - {"seedbed"})]
    if more:
        yield f"more than was published: {listed(sorted(more))}"


def _cures(name: str, path: Path, files: Sequence[str]) -> dict[str, str]:
    """What to do about damaged files."""
    again, cached = f"`dvc repro --force --single-item {name}`: what is damaged is computed again", _cached(path, files)
    first = {file: f"`rm -f {there}`, from where DVC would take the damaged file again, and then " for file, there in cached.items()}
    return {file: f"run {first.get(file, '')}{again}" for file in files}


def _cached(path: Path, files: Iterable[str]) -> dict[str, Path]:
    """Where DVC's cache holds files of an artifact by hard link, so that whatever happened to them happened to both."""
    linked: dict[tuple[int, int], str] = {}
    for file in files:
        with suppress(OSError):
            about = (path / file).stat()
            if about.st_nlink > 1:
                linked[about.st_dev, about.st_ino] = file
    if not linked:
        return {}
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    project = path.absolute().parents[1]
    try:
        cache = Path(Repo(str(project)).cache.local.path)
    except DvcException:
        return {}
    shown = cache.relative_to(project) if cache.is_relative_to(project) else cache
    found = ((linked.get((about.st_dev, about.st_ino)), one) for one in cache.rglob("*") for about in [one.stat()])
    return {file: shown / one.relative_to(cache) for file, one in found if file}


# All together.


def names_of(wanted: Sequence[str], *, folder: Path = FOLDER) -> list[str]:
    """Artifacts to be looked at: those that are named, or all that there are and that dvc.lock tells of."""
    for name in wanted:
        if name not in SCHEMAS:
            raise ArtifactError(
                "seedbed verify", found=repr(name), expected=f"one of: {listed(SCHEMAS)}{nearest(name, SCHEMAS)}", do="correct the name"
            )
    there = [name for name in SCHEMAS if (folder / f"{name}.zarr").exists()]
    lost = provenance.recorded(folder) if there else frozenset()
    for name in wanted:
        if name not in there:
            open_artifact(name, folder=folder)  # says which stage makes it
    if not there:
        raise ArtifactError(str(folder), found="no artifact", expected="what some stage left", do="run `dvc repro`")
    return [name for name in SCHEMAS if (name in wanted if wanted else name in there or name in lost)]


def reports(
    names: Sequence[str], *, params: Params | None = None, root: Path | None = None, store: bool = False, folder: Path = FOLDER
) -> Iterator[Report]:
    """Look at artifacts and whatever else is wanted.

    params: what artifacts are held against, if there are any.
    root: of the raw data, if its files shall be looked at.
    store: whether to look at what is kept of these stages, too.
    """
    for name in names:
        yield verify(name, params=params, folder=folder)
    if root is not None:
        yield verify_raw(root, folder=folder)
    for name in names if store else ():
        yield verify_store(name, folder=folder)


def advice(made: Iterable[Report]) -> Iterator[str]:
    """What to do about findings, each thing once."""
    found = [one for report in made for one in report.findings]
    if found:
        yield _count(len(found), "finding")
    yield from dict.fromkeys(f"{one.artifact}: {one.do}" for one in found)


def verify(name: str, *, params: Params | None = None, folder: Path = FOLDER) -> Report:
    """Look at an artifact.

    params: what it is held against, if there are any.
    """
    path = folder / f"{name}.zarr"
    if not path.exists():
        do = f"run `dvc repro {name}`, which takes it from DVC's cache or makes it"
        return Report(name, (Finding(name, str(path), "missing, though dvc.lock tells of it", do),), ())

    def refused(problem: str) -> Report:
        return Report(name, (Finding(name, GROUP, problem, _cures(name, path, [GROUP])[GROUP]),), ())

    record = record_of(path)
    if "schema" not in record:
        return refused("not what was written when it was published" if (path / GROUP).is_file() else "missing")
    if record["schema"] != SCHEMAS[name].version:
        return refused(f"schema {record['schema']} instead of {SCHEMAS[name].version}, which this version reads")
    try:
        group = zarr.open_group(Recorded(path, record["files"]), mode="r", zarr_format=3)
    except (RuntimeError, ValueError, OSError) as error:
        return refused(f"no zarr group: {error}")
    artifact = Artifact(name, path, group, record)
    report = _examine(Examined(artifact, group), reference(folder), list(_outdated(artifact, params, folder)))
    if record_of(path).get("digest") != record["digest"]:
        raise ArtifactError(str(path), found="that it was replaced meanwhile", expected="no stage at work", do="run `seedbed verify` again")
    return report


def reference(folder: Path = FOLDER) -> Artifact | None:
    """The data set, or None where it is not there or not sound, and nothing can be held against it."""
    try:
        data = open_artifact("dataset", folder=folder)
    except ArtifactError:
        return None
    return None if any(damaged_files(data.path, {"files": data.files})) else data


def _outdated(artifact: Artifact, params: Params | None, folder: Path) -> Iterator[Finding]:
    """How an artifact differs from what would be made now, as far as that can be seen of one that may be damaged."""
    name, again = artifact.name, f"run {provenance.remedy([artifact.name])}"
    try:
        problems = provenance.of_params(artifact, params, folder=folder) if params is not None else ()
        yield from (Finding(name, "params.yaml", problem, again) for problem in problems)
    except (ParamsError, MethodError) as error:
        yield Finding(name, "params.yaml", f"not held against it: {error}", "run `seedbed plan`")
    except DAMAGED:
        pass  # which is said elsewhere
    with suppress(*DAMAGED):
        yield from (Finding(name, "code", problem, again) for problem in provenance.of_code(artifact, folder=folder))


def _examine(examined: Examined, data: Artifact | None, outdated: Sequence[Finding]) -> Report:
    """All checks.

    outdated: how it differs from what would be made now.
    """
    name, artifact = examined.name, examined.artifact
    wrong = (
        "it was computed like this and is not damaged, so another run would take it from the store: find out why, and "
        f"run `seedbed gc --all --delete --stage {name}` before `dvc repro --force --single-item {name}`"
    )
    findings: list[Finding] = []
    if data is None and name != "dataset" and artifact.path.with_name("dataset.zarr").exists():
        findings.append(Finding(name, "images", "not held against data/dataset.zarr, which is damaged", "run `seedbed verify dataset`"))
    with Progress(f"verify {name}", total=len(artifact.files) + _length(examined), unit="files and images") as progress:
        damage = list(damaged_files(artifact.path, {"files": artifact.files}, progress.advance))
        examined.damaged.update(file for file, _ in damage)
        damage += ((GROUP, problem) for problem in _metadata(artifact.path))
        cures = _cures(name, artifact.path, [file for file, _ in damage])
        findings += [Finding(name, examined.where(file), problem, cures[file]) for file, problem in damage]
        findings += [Finding(name, where, problem, f"run `dvc repro {name}`") for where, problem in lineage(artifact)]
        findings += outdated
        findings += [Finding(name, where, problem, wrong) for check in OF_AN_ARTIFACT for where, problem in check(examined)]
        for number, image in enumerate(examined.ids):
            findings += [Finding(name, image, problem, wrong) for problem in of_image(Row(examined, image, number, data))]
            progress.advance()
    return Report(name, tuple(findings), tuple(_content(examined, data)))


def _length(examined: Examined) -> int:
    """Images, by an array that may be damaged."""
    try:
        return int(json.loads((examined.artifact.path / "ids" / GROUP).read_text(encoding="utf-8"))["shape"][0])
    except (OSError, ValueError, KeyError):
        return 0


def _content(examined: Examined, data: Artifact | None) -> Iterator[str]:
    files, large = examined.artifact.files, [name for name, spec in examined.arrays.items() if spec.large]
    if "ids" in examined.arrays:
        yield _count(len(examined.ids), "image")
    if large:
        yield _count(sum(file.startswith(f"{large[0]}/c/") for file in files), "shard")
    if examined.artifact.schema.weights:
        yield _count(len(examined.weights), "weight")
    yield filesize.decimal(sum(size for size, _ in files.values()))
    if data is None and "ids" in examined.arrays:
        yield "not held against data/dataset.zarr, which is missing"


def verify_raw(root: Path, *, folder: Path = FOLDER) -> Report:
    """Hold every image file of the data set against what was indexed."""
    data = open_artifact("dataset", folder=folder)
    files = {str(file): str(digest) for file, digest in zip(data.whole("file"), data.whole("image_digest"), strict=True)}
    readable = {file: digest for file, digest in files.items() if digest}  # of others, nothing was known from the beginning
    findings = []

    def problem(file: str) -> str:
        try:
            return "" if digest(raw.read(root / file)) == readable[file] else "another file than was indexed"
        except DataError as error:
            return error.found

    with Progress("verify raw images", total=len(readable), unit="files") as progress, ThreadPoolExecutor() as threads:
        for file, found in zip(readable, threads.map(problem, readable), strict=True):
            progress.advance()
            if found:
                findings.append(Finding("raw image", str(root / file), found, "restore the image files, or run `dvc repro dataset`"))
    return Report("raw images", tuple(findings), (_count(len(readable), "file"),))


def verify_store(stage: str, *, folder: Path = FOLDER) -> Report:
    """Look at what the store keeps of a stage."""
    store, findings = Store(stage, folder=folder), []
    paths = [one for one in sorted(store.folder.glob("*/")) if not one.name.startswith(NEW)]
    with Progress(f"verify store of {stage}", total=len(paths), unit="entries") as progress:
        for path in paths:
            entry = store.entry(path.name)
            if entry is None:
                again = f"run `seedbed gc --delete --stage {stage}`, which removes it"
                findings.append(Finding(stage, f"store entry {path.name}", "its record is not what was written", again))
            elif damage := entry.damage():
                findings.append(Finding(stage, f"store entry {path.name}", damage, "nothing: it is computed again when it is needed"))
            progress.advance()
    return Report(f"store of {stage}", tuple(findings), (_count(len(paths), "entry", "entries"),))


# Words.


def _span(images: Sequence[str]) -> str:
    return listed(images) if len(images) <= FEW else f"{images[0]} to {images[-1]}, {len(images)} images"


def _some(numbers: npt.NDArray[Any]) -> str:
    return listed(str(one) for one in numbers[:FEW]) + (f" and {len(numbers) - FEW} more" if len(numbers) > FEW else "")


def _count(number: int, one: str, many: str = "") -> str:
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
