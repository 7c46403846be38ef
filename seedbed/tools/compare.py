"""What differs between two runs: parameters, stages and why, figures with intervals, images that gained and that lost."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from seedbed import methods
from seedbed.errors import ArtifactError, join_names
from seedbed.params import Params, flatten
from seedbed.scoring.metrics import figure
from seedbed.store.runs import FIGURES, Snapshot
from seedbed.store.schemas import find_kind
from seedbed.tools.bootstrap import Difference, Resampling, mean_iou
from seedbed.tools.pairing import Evaluated, Pairs, pair

EVALUATION, MIOU, IOU = "evaluation", "miou", "iou"
CODE = ("seedbed/", "stages/")  # where the code lies that stages depend on
LISTED = 10  # images that gained most, and that lost most
ABSENT = None  # no parameter is that
NAN = float("nan")


@dataclass(frozen=True)
class ParameterChange:
    """A parameter that differs."""

    address: str
    before: Any  # None where there is no such parameter
    after: Any
    read: bool  # whether a method reads it that one of the runs selects


@dataclass(frozen=True)
class StageChange:
    """A stage that read something else, or left something else."""

    stage: str
    only: str  # the run that alone has it; empty where both have
    same_result: bool
    parameters: tuple[str, ...]  # those of its own that differ
    code: tuple[str, ...]
    inputs: tuple[str, ...]
    other: tuple[str, ...]  # other reasons, in words


@dataclass(frozen=True)
class FigureChange:
    """A figure of evaluation.json that differs."""

    kind: str  # of labels, or what else is told of
    name: str
    before: float | None
    after: float | None

    @property
    def change(self) -> float | None:
        """What `after` exceeds `before` by."""
        return None if self.before is None or self.after is None else self.after - self.before


@dataclass(frozen=True)
class KindChange:
    """How labels of one kind differ: on images that are paired, where there are such, else by the figures of all."""

    kind: str
    pairs: Pairs | None  # None where images could not be paired; then there are no intervals
    miou: Difference
    classes: Mapping[str, Difference]


@dataclass(frozen=True)
class Comparison:
    """All that differs between two runs."""

    before: str
    after: str
    parameters: Sequence[ParameterChange]
    stages: Sequence[StageChange]
    figures: Sequence[FigureChange]
    kinds: Sequence[KindChange]
    shown: str  # the kind of labels whose images are listed; empty where none are
    remarks: Sequence[str]  # what one has to know to read the rest
    how: Resampling

    @property
    def gained(self) -> list[tuple[str, float, float]]:
        """Images with their mean IoU before and after, those that gained most first."""
        return [one for one in self._changes() if one[2] > one[1]][:LISTED]

    @property
    def lost(self) -> list[tuple[str, float, float]]:
        """Images with their mean IoU before and after, those that lost most first."""
        return [one for one in sorted(self._changes(), key=lambda one: one[2] - one[1]) if one[2] < one[1]][:LISTED]

    def _changes(self) -> list[tuple[str, float, float]]:
        return next((one.pairs.changes for one in self.kinds if one.kind == self.shown and one.pairs), [])


def compare(before: Snapshot, after: Snapshot, how: Resampling, *, kind: str = "") -> Comparison:
    """Find all that differs.

    kind: of labels whose images are listed; if empty, the last that differs.
    """
    remarks = [line for one in (before, after) for line in _find_unrun(one)]
    kinds, more = _compare_kinds(before, after, how)
    paired = [one.kind for one in kinds if one.pairs]
    if kind and kind not in paired:
        known = [one.kind for one in kinds]
        found = "labels that do not differ, or that one of the runs lacks" if paired else "no images that both runs have"
        raise ArtifactError(
            f"--kind {kind}",
            found=found,
            expected=f"labels that differ: {join_names(paired or known)}",
            do="; ".join(more) or "leave it out",
        )
    return Comparison(
        before.name,
        after.name,
        list(compare_parameters(before, after)),
        list(compare_stages(before, after)),
        list(_compare_figures(before.figures, after.figures)),
        kinds,
        kind or (paired[-1] if paired else ""),
        [*remarks, *more],
        how,
    )


# Parameters.


def compare_parameters(before: Snapshot, after: Snapshot) -> Iterator[ParameterChange]:
    """Parameters that differ: those of params.yaml, or where one run has none, those that artifacts were made with."""
    if before.params and after.params:
        earlier, later = dict(flatten(before.params)), dict(flatten(after.params))
        read = _list_read(before) | _list_read(after)
    else:
        earlier, later = _of_records(before), _of_records(after)
        read = earlier.keys() | later.keys()
    for address in {**earlier, **later}:
        was, is_now = earlier.get(address, ABSENT), later.get(address, ABSENT)
        if was != is_now:
            yield ParameterChange(address, was, is_now, address in read)


def _list_read(run: Snapshot) -> set[str]:
    """Addresses that the selected methods read; of sections that this version knows nothing of, all."""
    params, families = Params(run.params, source=f"params.yaml of {run.name}", checked=False), methods.list_families()
    read: set[str] = set()
    for family, section in run.params.items():
        known = find_kind(str(family)) in families and isinstance(section, Mapping) and isinstance(section.get("method"), str)
        read |= params.select(family).keys() if known else dict(flatten({family: section})).keys()
    return read


def _of_records(run: Snapshot) -> dict[str, Any]:
    """Parameters that artifacts say they were made with."""
    found: dict[str, Any] = {}
    for name, record in _list_records(run).items():
        method = record["method"]
        found |= {f"{name}.method": method, **dict(flatten(record["parameters"], f"{name}.{method}."))}
    return found


def _list_records(run: Snapshot) -> dict[str, Mapping[str, Any]]:
    """What artifacts say of what made them, with their own digest, by name; those that cannot be had are left out."""
    found: dict[str, Mapping[str, Any]] = {}
    for name in run.artifacts():
        try:
            record = run.record(name)
        except ArtifactError:
            continue
        if "made_by" in record:
            found[name] = {**record["made_by"], "digest": record["digest"]}
    return found


def _find_unrun(run: Snapshot) -> Iterator[str]:
    """Stages that ran with other parameters than the run's params.yaml says."""
    said, changed = dict(flatten(run.params)), []
    for stage, recorded in run.lock.items():
        ran = dict(flatten(recorded.get("params", {}).get("params.yaml", {})))
        if run.params and any(said.get(address, ABSENT) != value for address, value in ran.items()):
            changed.append(stage)
    if changed:
        yield f"{run.name}: {join_names(changed)} ran with other parameters than params.yaml has: figures are of what ran"


# Stages.


def compare_stages(before: Snapshot, after: Snapshot) -> Iterator[StageChange]:
    """Stages that differ: by dvc.lock, or where one run has none, by what artifacts say of what made them."""
    if before.lock and after.lock:
        earlier, later = dict(before.lock), dict(after.lock)
        compare_both = _compare_locked
    else:
        earlier, later = dict(_list_records(before)), dict(_list_records(after))
        compare_both = _compare_records
    order = [*after.artifacts(), *before.artifacts(), *earlier, *later]
    for stage in sorted({**earlier, **later}, key=order.index):
        if stage in earlier and stage in later:
            change = compare_both(stage, earlier[stage], later[stage])
            if not change.same_result or change.parameters or change.code or change.inputs or change.other:
                yield change
        else:
            yield StageChange(stage, before.name if stage in earlier else after.name, False, (), (), (), ())


def _compare_locked(stage: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> StageChange:
    read, left = ([_digests(one.get(part)) for one in (before, after)] for part in ("deps", "outs"))
    parameters = tuple(_differing(*(dict(flatten(one.get("params", {}).get("params.yaml", {}))) for one in (before, after))))
    # Which files are read at all follows from the method: where that is another, its file is no reason of its own.
    ours = [{file: md5 for file, md5 in one.items() if not parameters or all(file in run for run in read)} for one in read]
    return StageChange(
        stage,
        only="",
        same_result=not any(_differing(*left)),
        parameters=parameters,
        code=tuple(file for file in _differing(*ours) if file.startswith(CODE)),
        inputs=tuple(_name_input(file) for file in _differing(*read) if not file.startswith(CODE)),
        other=() if before.get("cmd") == after.get("cmd") else ("another command",),
    )


def _compare_records(stage: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> StageChange:
    made = [{f"{stage}.method": one["method"], **dict(flatten(one["parameters"], f"{stage}.{one['method']}."))} for one in (before, after)]
    parameters, inputs = tuple(_differing(*made)), tuple(_differing(before["inputs"], after["inputs"]))
    same = before["digest"] == after["digest"]
    unknown = () if same or parameters or inputs else ("what artifacts do not tell: code, settings or packages",)
    return StageChange(stage, "", same, parameters, (), inputs, unknown)


def _name_input(file: str) -> str:
    """An artifact by its name, other data by its path."""
    return file.removeprefix("data/").removesuffix(".zarr") if file.endswith(".zarr") else file


def _digests(files: Sequence[Mapping[str, Any]] | None) -> dict[str, Any]:
    return {str(one["path"]): one.get("md5") for one in files or ()}


def _differing(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    """Names that only one has, or that have another value."""
    return (name for name in {**before, **after} if name not in before or name not in after or before[name] != after[name])


# Figures.


def _compare_figures(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[FigureChange]:
    earlier, later = dict(_numbers(before)), dict(_numbers(after))
    for kind, name in {**earlier, **later}:
        was, is_now = earlier.get((kind, name)), later.get((kind, name))
        if was != is_now:
            yield FigureChange(kind, name, was, is_now)


def _numbers(figures: Mapping[str, Any]) -> Iterator[tuple[tuple[str, str], float]]:
    """Figures by what they are of, and their name there."""
    for kind, content in figures.items():
        for name, value in flatten(content) if isinstance(content, Mapping) else ():
            if isinstance(value, int | float):
                yield (kind, name), value


def _compare_kinds(before: Snapshot, after: Snapshot, how: Resampling) -> tuple[list[KindChange], list[str]]:
    """Kinds of labels that differ, and what has to be said of that."""
    paired, names, remarks = _pair_images(before, after)
    changes: dict[str, KindChange] = {}
    for pairs in paired:
        if pairs.complete and np.array_equal(pairs.before, pairs.after):
            continue
        if not pairs.complete:
            counts = {f"only in {before.name}": pairs.only_before, f"only in {after.name}": pairs.only_after}
            counts["with another truth"] = pairs.other_truth
            others = ", ".join(f"{count} {what}" for what, count in counts.items() if count)
            remarks.append(f"{pairs.kind}: of {len(pairs.images)} images that both have with the same truth; left out: {others}")
        if pairs.images:
            mean, *classes = pairs.compare(how)
            known = [(name, one) for name, one in zip(names, classes, strict=True) if not np.isnan([one.before, one.after]).all()]
            changes[pairs.kind] = KindChange(pairs.kind, pairs, mean, dict(known))
    told = {kind for kind, content in {**before.figures, **after.figures}.items() if isinstance(content, Mapping) and MIOU in content}
    for kind in told - {one.kind for one in paired if one.kind in changes or one.complete}:
        change = _compare_reports(kind, before.figures.get(kind, {}), after.figures.get(kind, {}))
        if any(one.change != 0 for one in (change.miou, *change.classes.values())):  # NaN where only one run has it
            changes[kind] = change
    order = [*after.figures, *before.figures, *changes]
    return sorted(changes.values(), key=lambda one: order.index(one.kind)), remarks


def _compare_reports(kind: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> KindChange:
    """How figures of all images differ, where images cannot be paired."""
    earlier, later = before.get(IOU, {}), after.get(IOU, {})
    classes = {name: _without_interval(earlier.get(name), later.get(name)) for name in {**earlier, **later}}
    known = {name: one for name, one in classes.items() if not np.isnan([one.before, one.after]).all()}
    return KindChange(kind, None, _without_interval(before.get(MIOU), after.get(MIOU)), known)


def _without_interval(before: float | None, after: float | None) -> Difference:
    return Difference(NAN if before is None else before, NAN if after is None else after, NAN, NAN)


def _pair_images(before: Snapshot, after: Snapshot) -> tuple[list[Pairs], list[str], list[str]]:
    """Images of both runs by kind of labels, names of classes, and why that is not to be had."""
    evaluated, missing = [], []
    for run in (before, after):
        try:
            evaluated.append(Evaluated.of(run.artifact(EVALUATION)))
        except ArtifactError as error:
            missing.append(f"no intervals, and no images: {error}")
    if missing:
        return [], [], missing
    names = [_name_classes(run, one.overlaps.shape[2]) for run, one in zip((before, after), evaluated, strict=True)]
    remarks = [line for run, one in zip((before, after), evaluated, strict=True) for line in _find_foreign(run, one)]
    if names[0] != names[1]:
        others = f"{join_names(names[0])} and {join_names(names[1])}"
        return [], [], [*remarks, f"no intervals, and no images: the runs have other classes, {others}"]
    return pair(*evaluated), names[1], remarks


def _name_classes(run: Snapshot, count: int) -> list[str]:
    """Names of the classes, background first."""
    for content in run.figures.values():
        if isinstance(content, Mapping) and len(content.get(IOU, ())) == count:
            return list(content[IOU])
    try:
        return run.artifact("dataset").class_names
    except ArtifactError:
        return [f"class {number}" for number in range(count)]


def _find_foreign(run: Snapshot, evaluated: Evaluated) -> Iterator[str]:
    """Whether figures are not those of the artifact beside them, as when only one of them was put back."""
    for index, kind in enumerate(evaluated.kinds):
        told = run.figures.get(kind, {}).get(MIOU)
        counted = figure(float(mean_iou(evaluated.overlaps[evaluated.held[:, index], index].sum(axis=0, dtype=np.int64))))
        if told != counted and (told is not None or run.figures):
            yield (
                f"{run.name}: {FIGURES} says {kind} mIoU {told}, data/{EVALUATION}.zarr {counted}: they are of different runs; "
                "`dvc checkout` or `dvc repro` puts that right"
            )
            return
