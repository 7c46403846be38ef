"""`seedbed verify`: checks that what is on disk is what was published, and that its content is possible.

Every artifact is checked for four things: all files are there, byte for byte; its inputs are still the ones it was made from; params.yaml
and the code would still make the same; and every image has possible content: no NaN, no class that the image does not contain, nothing
in the padding. Damage is reported with its shard and images, and everything else is still checked.

A check is a function that takes what it examines and yields descriptions of problems. If it comes upon damage, it ends without
another finding.
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
from seedbed.report.wording import format_count
from seedbed.run.progress import Progress
from seedbed.store import raw
from seedbed.store.artifact import Artifact, find_other_schema, open_artifact
from seedbed.store.layout import Recorded
from seedbed.store.records import FOLDER, files_below, record_of, sha256
from seedbed.store.schemas import NONE, SCHEMAS
from seedbed.store.store import NEW, Store
from seedbed.tools import provenance
from seedbed.tools.artifact_checks import check_artifact
from seedbed.tools.examined import DAMAGED, GROUP, Examined, Finding, Row
from seedbed.tools.image_checks import check_image


@dataclass(frozen=True)
class Report:
    """The result for one artifact."""

    artifact: str
    findings: tuple[Finding, ...]
    content: tuple[str, ...]  # how much it holds: images, shards, bytes

    @property
    def sound(self) -> bool:
        """Whether nothing is wrong."""
        return not self.findings

    def __str__(self) -> str:
        if self.findings:
            return "\n".join(map(str, self.findings))
        return f"{self.artifact}: sound: {join_names(self.content)}"


def check_lineage(artifact: Artifact) -> Iterator[tuple[str, str]]:
    """Find inputs that have changed since the artifact was made from them."""
    for source, expected in artifact.made_by.inputs.items():
        present = record_of(artifact.path.with_name(f"{source}.zarr")).get("digest", expected)  # a missing input is no problem here
        if present != expected:
            yield "lineage", f"made from a different data/{source}.zarr"


def find_damaged_files(path: Path, record: Mapping[str, Any], done: Callable[[], None] = lambda: None) -> Iterator[tuple[str, str]]:
    """Files of an artifact that are not as they were published, and what is wrong with them.

    done: called after each file.
    """
    with ThreadPoolExecutor() as threads:  # checksums are computed outside Python's lock
        checked = threads.map(lambda item: (item[0], _describe_damage(path / item[0], *item[1])), record["files"].items())
        for file, problem in checked:
            done()
            if problem:
                yield file, problem
    for file, _ in files_below(path):
        if file not in record["files"]:
            yield file, "unexpected file"


def _describe_damage(file: Path, size: int, expected: str) -> str:
    try:
        if not file.is_file():
            return "missing"
        if file.stat().st_size != size:
            return f"{file.stat().st_size} bytes instead of {size}"
        return "" if sha256(file) == expected else "content differs from what was published"
    except OSError as error:
        return f"cannot be read: {error.strerror}"


def _check_metadata(path: Path) -> Iterator[str]:
    """Find metadata of the group that its record does not cover, and that zarr would obey."""
    content = json.loads((path / GROUP).read_text(encoding="utf-8"))
    more = [*(content.keys() - {"attributes", "zarr_format", "node_type"}), *(content["attributes"].keys() - {"seedbed"})]
    if more:
        yield f"unexpected metadata: {join_names(sorted(more))}"


def _find_remedies(name: str, path: Path, files: Sequence[str]) -> dict[str, str]:
    """What to do about each damaged file."""
    again, cached = f"`dvc repro --force --single-item {name}`: only what is damaged is recomputed", _find_in_cache(path, files)
    first = {file: f"`rm -f {there}`, the same damaged file in DVC's cache, then " for file, there in cached.items()}
    return {file: f"run {first.get(file, '')}{again}" for file in files}


def _find_in_cache(path: Path, files: Iterable[str]) -> dict[str, Path]:
    """Where DVC's cache holds files of an artifact by hard link, so that damage to one is damage to both."""
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


def select_artifacts(wanted: Sequence[str], *, folder: Path = FOLDER) -> list[str]:
    """Names of the artifacts to verify: those that are wanted, or all that exist or that dvc.lock lists."""
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
            open_artifact(name, folder=folder)  # raises an error that says which stage makes it
    if not there:
        raise ArtifactError(str(folder), found="no artifacts", expected="at least one", do="run `dvc repro`")
    return [name for name in known if (name in wanted if wanted else name in there or name in lost)]


def verify_all(
    names: Sequence[str], *, params: Params | None = None, root: Path | None = None, store: bool = False, folder: Path = FOLDER
) -> Iterator[Report]:
    """Verify artifacts, and raw data and the store on request.

    params: compared with what artifacts were made with, unless None.
    root: of the raw data; None leaves its files out.
    store: whether to verify the stored entries of these stages, too.
    """
    for name in names:
        yield verify(name, params=params, folder=folder)
    if root is not None:
        yield verify_raw(root, folder=folder)
    for name in names if store else ():
        yield verify_store(name, folder=folder)


def give_advice(reports: Iterable[Report]) -> Iterator[str]:
    """How many findings there are and what to do about them, each remedy once."""
    found = [one for report in reports for one in report.findings]
    if found:
        yield format_count(len(found), "finding")
    yield from dict.fromkeys(f"{one.artifact}: {one.do}" for one in found)


def verify(name: str, *, params: Params | None = None, folder: Path = FOLDER) -> Report:
    """Verify one artifact.

    params: compared with what it was made with, unless None.
    """
    path = folder / f"{name}.zarr"
    if not path.exists():
        do = f"run `dvc repro {name}`, which restores it from DVC's cache or recomputes it"
        return Report(name, (Finding(name, str(path), "missing, although dvc.lock lists it", do),), ())

    def refuse(problem: str) -> Report:
        return Report(name, (Finding(name, GROUP, problem, _find_remedies(name, path, [GROUP])[GROUP]),), ())

    record = record_of(path)
    if "schema" not in record:
        return refuse("not as it was published" if (path / GROUP).is_file() else "missing")
    if problem := find_other_schema(name, record):
        found, expected = problem
        return refuse(f"{found} instead of {expected}")
    try:
        group = zarr.open_group(Recorded(path, record["files"]), mode="r", zarr_format=3)
    except (RuntimeError, ValueError, OSError) as error:
        return refuse(f"not a zarr group: {error}")
    artifact = Artifact(name, path, group, record)
    report = _examine(Examined(artifact, group), open_sound_data_set(folder), list(_find_outdated(artifact, params, folder)))
    if record_of(path).get("digest") != record["digest"]:
        raise ArtifactError(
            str(path), found="an artifact that was replaced during the check", expected="no running stage", do="run `seedbed verify` again"
        )
    return report


def open_sound_data_set(folder: Path = FOLDER) -> Artifact | None:
    """The data set to compare artifacts with; None if it is missing or damaged."""
    try:
        data = open_artifact("dataset", folder=folder)
    except ArtifactError:
        return None
    return None if any(find_damaged_files(data.path, {"files": data.files})) else data


def _find_outdated(artifact: Artifact, params: Params | None, folder: Path) -> Iterator[Finding]:
    """How an artifact differs from what would be made now. A comparison ends at damage, which is a finding of its own."""
    name, again = artifact.name, f"run {provenance.describe_remedy([artifact.name])}"
    with suppress(*DAMAGED):
        try:
            problems = provenance.compare_params(artifact, params, folder=folder) if params is not None else ()
            yield from (Finding(name, "params.yaml", problem, again) for problem in problems)
        except (ParamsError, MethodError) as error:
            yield Finding(name, "params.yaml", f"not compared with it: {error}", "run `seedbed plan`")
    with suppress(*DAMAGED):
        yield from (Finding(name, "code", problem, again) for problem in provenance.compare_code(artifact, folder=folder))


def _examine(examined: Examined, data: Artifact | None, outdated: Sequence[Finding]) -> Report:
    """Run all checks.

    outdated: findings about how it differs from what would be made now.
    """
    name, artifact = examined.name, examined.artifact
    wrong = (
        "the files are intact, so the stage computed this, and another run would reuse it: find the cause, then run "
        f"`seedbed gc --all --delete --stage {name}` and `dvc repro --force --single-item {name}`"
    )
    findings: list[Finding] = []
    if data is None and name != "dataset" and artifact.path.with_name("dataset.zarr").exists():
        findings.append(Finding(name, "images", "not compared with data/dataset.zarr, which is damaged", "run `seedbed verify dataset`"))
    with Progress(f"verify {name}", total=len(artifact.files) + _count_images(examined), unit="files and images") as progress:
        damage = list(find_damaged_files(artifact.path, {"files": artifact.files}, progress.advance))
        examined.damaged.update(file for file, _ in damage)
        damage += ((GROUP, problem) for problem in _check_metadata(artifact.path))
        remedies = _find_remedies(name, artifact.path, [file for file, _ in damage])
        findings += [Finding(name, examined.locate(file), problem, remedies[file]) for file, problem in damage]
        findings += [Finding(name, where, problem, f"run `dvc repro {name}`") for where, problem in check_lineage(artifact)]
        findings += outdated
        findings += [Finding(name, where, problem, wrong) for where, problem in check_artifact(examined)]
        for number, image_id in enumerate(examined.ids):
            findings += [Finding(name, image_id, problem, wrong) for problem in check_image(Row(examined, image_id, number, data))]
            progress.advance()
    return Report(name, tuple(findings), tuple(_describe_content(examined, data)))


def _count_images(examined: Examined) -> int:
    """How many images there are, from the metadata of `ids`, whose values may be damaged."""
    try:
        return int(json.loads((examined.artifact.path / "ids" / GROUP).read_text(encoding="utf-8"))["shape"][0])
    except (OSError, ValueError, KeyError):
        return 0


def _describe_content(examined: Examined, data: Artifact | None) -> Iterator[str]:
    files, large = examined.artifact.files, [name for name, spec in examined.arrays.items() if spec.large]
    if "ids" in examined.arrays:
        yield format_count(len(examined.ids), "image")
    if large:
        yield format_count(sum(file.startswith(f"{large[0]}/c/") for file in files), "shard")
    if examined.artifact.schema.weights:
        yield format_count(len(examined.weights), "weight")
    yield filesize.decimal(sum(size for size, _ in files.values()))
    if data is None and "ids" in examined.arrays:
        yield "not compared with data/dataset.zarr, which is missing"


def verify_raw(root: Path, *, folder: Path = FOLDER) -> Report:
    """Compare every image file with the digest that the data set has of it."""
    data = open_artifact("dataset", folder=folder)
    files = {str(file): str(digest) for file, digest in zip(data.array("file"), data.array("image_digest"), strict=True)}
    readable = {file: digest for file, digest in files.items() if digest}  # broken files were indexed without a digest
    findings = []

    def find_problem(file: str) -> str:
        try:
            return "" if digest(raw.read(root / file)) == readable[file] else "differs from the file that was indexed"
        except DataError as error:
            return error.found

    with Progress("verify raw images", total=len(readable), unit="files") as progress, ThreadPoolExecutor() as threads:
        for file, found in zip(readable, threads.map(find_problem, readable), strict=True):
            progress.advance()
            if found:
                findings.append(Finding("raw image", str(root / file), found, "restore the image files, or run `dvc repro dataset`"))
    return Report("raw images", tuple(findings), (format_count(len(readable), "file"),))


def verify_store(stage: str, *, folder: Path = FOLDER) -> Report:
    """Verify the entries that the store keeps of a stage."""
    store, findings = Store(stage, folder=folder), []
    paths = [one for one in sorted(store.folder.glob("*/")) if not one.name.startswith(NEW)]
    with Progress(f"verify store of {stage}", total=len(paths), unit="entries") as progress:
        for path in paths:
            entry = store.entry(path.name)
            if entry is None:
                again = f"run `seedbed gc --delete --stage {stage}`, which removes it"
                findings.append(Finding(stage, f"store entry {path.name}", "damaged record", again))
            elif damage := entry.damage():
                findings.append(Finding(stage, f"store entry {path.name}", damage, "nothing to do: it is recomputed when it is needed"))
            progress.advance()
    return Report(f"store of {stage}", tuple(findings), (format_count(len(paths), "entry", "entries"),))
