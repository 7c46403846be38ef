"""Whether what is on disk is what was published, and says what it can say.

Four questions are asked of every artifact: are all files there, byte by byte; were its inputs the present ones; is it what params.yaml
and the code would make of them now; and, image by image, is the content possible: no NaN, no class that the image does not contain, no
padding that was written over. What is damaged is named with its shard and images, and everything else is looked at all the same.

A check is a function from what it looks at to what is wrong with it, in words. One that comes upon something damaged stops
there without a word: the damage is a finding already.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import zarr
from rich import filesize

from seedbed.errors import ArtifactError, DataError, MethodError, ParamsError, join_names, nearest
from seedbed.images import digest
from seedbed.params import Params
from seedbed.run.progress import Progress
from seedbed.store import raw
from seedbed.store.artifact import Artifact, find_other_schema, open_artifact
from seedbed.store.layout import Recorded
from seedbed.store.records import FOLDER, files_below, record_of, sha256
from seedbed.store.schemas import NONE, SCHEMAS
from seedbed.store.store import NEW, Store
from seedbed.tools import provenance
from seedbed.tools.checks import DAMAGED, GROUP, OF_AN_ARTIFACT, Examined, Finding, Row, count, of_image


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
        return f"{self.artifact}: sound: {join_names(self.content)}"


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
        yield f"more than was published: {join_names(sorted(more))}"


def _cures(name: str, path: Path, files: Sequence[str]) -> dict[str, str]:
    """What to do about damaged files."""
    again, cached = f"`dvc repro --force --single-item {name}`: what is damaged is computed again", _is_cached(path, files)
    first = {file: f"`rm -f {there}`, from where DVC would take the damaged file again, and then " for file, there in cached.items()}
    return {file: f"run {first.get(file, '')}{again}" for file in files}


def _is_cached(path: Path, files: Iterable[str]) -> dict[str, Path]:
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


def names_of(wanted: Sequence[str], *, folder: Path = FOLDER) -> list[str]:
    """Artifacts to be looked at: those that are named, or all that there are and that dvc.lock tells of."""
    lying = {path.stem: record_of(path) for path in sorted(folder.glob("*.zarr"))}
    lost = provenance.read_recorded(folder) if lying else frozenset()
    known = [
        *(name for name in SCHEMAS if name != NONE),
        *(name for name, record in lying.items() if name not in SCHEMAS and ("kind" in record or name in lost)),
    ]
    for name in wanted:
        if name not in known:
            raise ArtifactError(
                "seedbed verify", found=repr(name), expected=f"one of: {join_names(known)}{nearest(name, known)}", do="correct the name"
            )
    there = [name for name in known if name in lying]
    for name in wanted:
        if name not in there:
            open_artifact(name, folder=folder)  # says which stage makes it
    if not there:
        raise ArtifactError(str(folder), found="no artifact", expected="what some stage left", do="run `dvc repro`")
    return [name for name in known if (name in wanted if wanted else name in there or name in lost)]


def verify_all(
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
        yield count(len(found), "finding")
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
    if problem := find_other_schema(record):
        found, expected = problem
        return refused(f"{found} instead of {expected}, which this version reads")
    try:
        group = zarr.open_group(Recorded(path, record["files"]), mode="r", zarr_format=3)
    except (RuntimeError, ValueError, OSError) as error:
        return refused(f"no zarr group: {error}")
    artifact = Artifact(name, path, group, record)
    report = _examine(Examined(artifact, group), reference(folder), list(_find_outdated(artifact, params, folder)))
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


def _find_outdated(artifact: Artifact, params: Params | None, folder: Path) -> Iterator[Finding]:
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
        yield count(len(examined.ids), "image")
    if large:
        yield count(sum(file.startswith(f"{large[0]}/c/") for file in files), "shard")
    if examined.artifact.schema.weights:
        yield count(len(examined.weights), "weight")
    yield filesize.decimal(sum(size for size, _ in files.values()))
    if data is None and "ids" in examined.arrays:
        yield "not held against data/dataset.zarr, which is missing"


def verify_raw(root: Path, *, folder: Path = FOLDER) -> Report:
    """Hold every image file of the data set against what was indexed."""
    data = open_artifact("dataset", folder=folder)
    files = {str(file): str(digest) for file, digest in zip(data.array("file"), data.array("image_digest"), strict=True)}
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
    return Report("raw images", tuple(findings), (count(len(readable), "file"),))


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
    return Report(f"store of {stage}", tuple(findings), (count(len(paths), "entry", "entries"),))
