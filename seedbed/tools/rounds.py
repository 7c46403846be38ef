"""`seedbed round`: stages of the pipeline once more under other names, which learn from what the first ones made.

A round is sections of params.yaml that are called like a kind of stages, `_` and a word. Stages of dvc.yaml follow from them: what each
reads, its slots say, as for the first. So a round is added by parameters alone, and is gone with its sections.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from copy import deepcopy
from fnmatch import fnmatch
from typing import Any

from ruamel.yaml.comments import CommentedMap

from seedbed import methods
from seedbed.errors import MachineError, ParamsError, join_names, nearest
from seedbed.store.schemas import ONLY, find_kind
from seedbed.tools import dependencies, editing

WORD = re.compile("[a-z0-9]+")
LABELS = re.compile(r"data/\$\{evaluation\.labels\..+\}\.zarr")
CHARTS = tuple(f"data/plots/{chart}" for chart in ("confusion_{}.csv", "confusion_{}.png", "errors_{}.png"))  # of whatever is judged


def add(word: str, kinds: Sequence[str]) -> Iterator[str]:
    """Add a round to params.yaml and dvc.yaml: its stages read each other where the first ones do. Says what is left to do.

    word: what it is called.
    """
    content = _load()
    _check_round(word, kinds, content)
    names = {kind: f"{kind}_{word}" for kind in kinds}
    for kind, name in names.items():
        editing.add_section(content, name, _select(content[kind], kind, names))
    labels = content["evaluation"]["labels"]
    for label, artifact in [*labels.items()]:
        if artifact in names:
            labels[f"{label}_{word}"] = names[artifact]
    editing.put(content)
    yield from fit_pipeline()
    yield "next: change what the round does otherwise, and let stages behind it read it; then run `seedbed plan` and `dvc repro`"


def remove(word: str) -> Iterator[str]:
    """Take the sections and stages of a round out again; what else names them is the user's to change."""
    content = _load()
    gone = [name for name in list_further(content) if name.endswith(f"_{word}")]
    if not gone:
        raise ParamsError("seedbed round", found=repr(word), expected="a word that ends the names of sections", do="correct it")
    for name in gone:
        del content[name]
    labels = content["evaluation"]["labels"]
    for label in [label for label, artifact in labels.items() if artifact in gone]:
        del labels[label]
    editing.put(content)
    yield from fit_pipeline()


def _load() -> Any:
    """params.yaml of the project; refused in the folder of another pipeline."""
    editing.check_checkout()
    content = editing.load()
    if "evaluation" not in content:
        raise MachineError("seedbed round", found="a pipeline without evaluation", expected="the project's own", do="run it in its folder")
    return content


def list_further(names: Iterable[str]) -> list[str]:
    """Those of some sections or stages that are a further one of their kind."""
    return [name for name in names if find_kind(name) not in ("", name)]


def fit_pipeline() -> Iterator[str]:
    """Let dvc.yaml have the further stages of which params.yaml has sections, no others, and what the evaluation judges. Says so."""
    params, pipeline = editing.plain(editing.load()), dependencies.load_pipeline()
    stages, before = pipeline["stages"], editing.plain(pipeline)
    for name in list_further(stages):
        if name not in params:
            del stages[name]
            yield f"dvc.yaml: without the stage {name}"
    for name in list_further(params):
        if name not in stages:
            stages.insert(list(stages).index("evaluation"), name, _rename(stages[find_kind(name)], name))
            yield f"dvc.yaml: with the stage {name}"
    if "labels" in params.get("evaluation", {}):
        _judge(stages["evaluation"], params["evaluation"]["labels"])
    if editing.plain(pipeline) != before:
        editing.replace(dependencies.PIPELINE, dependencies.render(pipeline))


def _check_round(word: str, kinds: Sequence[str], content: Mapping[str, Any]) -> None:
    if not WORD.fullmatch(word):
        raise ParamsError("seedbed round", found=repr(word), expected="a word of small letters and digits", do="choose another one")
    known = [kind for kind in content if find_kind(kind) == kind and kind not in ONLY]
    for kind in kinds or ("",):
        if kind not in known:
            found = repr(kind) if kind else "no stages"
            expected = f"one of: {join_names(known)}{nearest(kind, known)}"
            raise ParamsError("seedbed round", found=found, expected=expected, do="correct it")
        if (name := f"{kind}_{word}") in content:
            do = f"choose another word, or run `seedbed round {word} --remove` first"
            raise ParamsError(f"{editing.PARAMS}: {name}", found="a section", expected="none yet", do=do)


def _select(section: Any, kind: str, names: Mapping[str, str]) -> Any:
    """What counts of a section, with the names of a further round in its slots.

    names: of further stages, by kind.
    """
    methods_here = methods.list_available(kind)
    counts = {key: value for key, value in section.items() if key == section["method"] or key not in methods_here}
    selected = editing.strip_comments(counts)
    for slots in (selected, *(value for key, value in selected.items() if key not in methods_here and isinstance(value, Mapping))):
        for slot, named in slots.items():
            if isinstance(named, str) and slot != "method":
                slots[slot] = names.get(named, named)
    return selected


def _rename(stage: Any, name: str) -> Any:
    """A stage of dvc.yaml as a further one of its kind: with its own section, artifact and log."""
    kind, further = find_kind(name), deepcopy(stage)
    further["desc"] = f"{stage['desc']}, {name.removeprefix(f'{kind}_')} round"
    further["cmd"] = f"{stage['cmd']} --as {name}"
    for part in ("deps", "params", "outs", "plots"):
        for place, item in enumerate(further.get(part, [])):
            further[part][place] = _rename_item(item, kind, name)
    return further


def _rename_item(item: Any, kind: str, name: str) -> Any:
    if isinstance(item, Mapping):
        return CommentedMap((_rename_item(key, kind, name), value) for key, value in item.items())
    return re.sub(rf"(^(?:data/(?:plots/)?)?|\$\{{){kind}(?=\.)", rf"\g<1>{name}", item)


def _judge(evaluation: Any, labels: Collection[str]) -> None:
    """Let the evaluation read all labels that it is to judge, and leave charts of these alone."""
    deps, plots = [dep for dep in evaluation["deps"] if not LABELS.fullmatch(dep)], evaluation["plots"]
    if {_read(label) for label in labels} == {*evaluation["deps"]} - {*deps}:
        return
    first = deps.index("data/${evaluation.class_maps}.zarr") + 1
    deps[first:first] = map(_read, labels)
    evaluation["deps"] = deps
    for chart in CHARTS:
        model = next(plot for plot in plots if _name_plot(plot) == chart.format("predictions"))
        others = [plot for plot in plots if fnmatch(_name_plot(plot), chart.format("*")) and plot is not model]
        for plot in others:
            if _name_plot(plot) not in map(chart.format, labels):
                plots.remove(plot)
        for label in labels:
            if chart.format(label) not in map(_name_plot, others):
                plots.insert(plots.index(model), _draw(model, chart, label))


def _read(label: str) -> str:
    """The dep by which labels are read."""
    return f"data/${{evaluation.labels.{label}}}.zarr"


def _name_plot(plot: Any) -> str:
    return str(next(iter(plot)) if isinstance(plot, Mapping) else plot)


def _draw(model: Any, chart: str, label: str) -> Any:
    """A chart of some labels, as that of predictions."""
    name = chart.format(label)
    return {name: deepcopy(model[_name_plot(model)]) | {"title": label}} if isinstance(model, Mapping) else name
