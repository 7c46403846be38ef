"""dvc.yaml says what the code does. Each law lists what breaks it, with the line to add or to remove."""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Iterable, Iterator
from functools import reduce
from typing import TypeVar

from tests.laws.import_laws import TRUTH
from tests.laws.source_tree import SourceTree, dotted

N = TypeVar("N", bound=ast.AST)
ROOT = "${dataset.root}"  # of the raw data
# Rooms and words that carry results, and change them in nothing.
CARRYING = ("run", "store", "report", "view", "tools", "cli", "errors", "methods", "packages", "params")
SHARED = ("algorithms", "networks", "learning", "scoring")  # rooms that are one dep
NONE = "none"  # the kind of the one artifact that no stage leaves: it is in git
DECODER, SCHEMAS = "seedbed.reads", "seedbed/store/schemas.py"  # of every stage
CHARTS = ("confusion_{}.csv", "confusion_{}.png", "errors_{}.png")  # of every kind of labels
CHART = re.compile(r"data/plots/(confusion|errors)_.+")
WATCHED = ("images_watching_raw_data", "read_raw")  # how a run gives all of them


# Code that a stage runs.


def code_deps_are_complete(tree: SourceTree) -> list[str]:
    """All code that can change what a stage makes is among its deps, and no other: files, and rooms that stages share."""
    found = []
    for stage in tree.stages:
        listed = {dep for dep in tree.dvc[stage]["deps"] if is_code(tree, dep)}
        expected = {f"{tree.up}{dep}" for dep in code_deps(tree, stage)}
        found += differences(stage, "deps", listed, expected, why="nothing there can change what the stage makes")
        found += [
            f'stage {stage}: "- {dep}" of deps is {file}, which does not exist'
            for dep in sorted(listed)
            if "$" in dep and not (tree.root / tree.folder / (file := filled_in(tree, dep))).is_file()
        ]
    return found


def is_code(tree: SourceTree, dep: str) -> bool:
    """Whether a dep is ours."""
    return dep.removeprefix(tree.up).startswith(("seedbed/", "stages/"))


def code_deps(tree: SourceTree, stage: str) -> set[str]:
    """Code that a stage depends on. Of methods, those that others import too; the selected one is a pattern.

    Of another family, whose methods a stage runs as another stage has trained them, it is all: a slot says which stage that was.
    """
    modules, seen = computing(tree, tree.module(stage))
    reads, _ = computing(tree, DECODER)
    modules |= reads
    patterns, others = {SCHEMAS}, set[str]()
    for family, names in tree.contracts(stage).items():
        if "Method" in names:
            if family == tree.kind(stage):
                patterns.add(f"seedbed/{family}/${{{stage}.method}}.py")
            else:
                others.add(f"seedbed/{family}")
            for method in tree.methods(family):
                more, also = computing(tree, method)
                modules, seen = modules | (more - {method}), seen | also
    if "report" in {tree.room(module) for module in seen}:
        patterns.add("seedbed/report")
    return patterns | others | {dep for dep in (_dep(tree, module) for module in modules) if dep.rpartition("/")[0] not in others}


def computing(tree: SourceTree, start: str) -> tuple[set[str], set[str]]:
    """Modules that importing one runs, not by way of those that carry results, and the carriers that are met."""
    found, met, left = set[str](), set[str](), {start}
    while left:
        one = left.pop()
        if tree.room(one) in CARRYING or one in ("seedbed", "stages"):
            met.add(one)
            continue
        found.add(one)
        left |= tree.runs[one] - found
    return found, met


def _dep(tree: SourceTree, module: str) -> str:
    room = tree.room(module)
    return f"seedbed/{room}" if room in SHARED else tree.file(module)


def filled_in(tree: SourceTree, dep: str) -> str:
    """A dep with the values of params.yaml in it."""
    return re.sub(r"\$\{([\w.]+)\}", lambda place: str(reduce(operator.getitem, place[1].split("."), tree.params)), dep)


# Data that a stage reads.


def data_deps_are_complete(tree: SourceTree) -> list[str]:
    """Every artifact, folder and file that a stage opens is among its deps, and no other; so are raw data that it reads as a whole."""
    found = []
    for stage in tree.stages:
        listed = {dep for dep in tree.dvc[stage]["deps"] if not is_code(tree, dep)}
        names, untraceable = opened(tree, stage)
        expected = {f"data/{name}.zarr" for name in names} | others(tree, stage) | ({ROOT} if reads_raw_data(tree, stage) else set())
        found += [*untraceable, *differences(stage, "deps", listed, expected, why="the stage does not open it")]
    return found


def reads_raw_data(tree: SourceTree, stage: str) -> bool:
    """Whether a stage reads more below the root than images whose digest it knows."""
    return TRUTH in tree.reachable(tree.module(stage)) or "Method" in tree.contracts(stage).get("dataset", ())


def raw_data_are_watched(tree: SourceTree) -> list[str]:
    """A stage that reads the raw data as a whole gets them from its run, which sees when they change meanwhile; no other stage does."""
    found = []
    for stage in tree.stages:
        watched = any(use for door in WATCHED for use in of_run(tree, tree.module(stage), door))
        if watched != reads_raw_data(tree, stage):
            doors = " or ".join(f"run.{door}" for door in WATCHED)
            found.append(f"stage {stage}: {'do without' if watched else 'get the raw data by'} {doors}")
    return found


def others(tree: SourceTree, stage: str) -> set[str]:
    """Other files, folders of them, and artifacts by their path, that a stage opens, as dvc.yaml writes them."""
    module = tree.module(stage)
    opening = [used for door in ("open_folder", "open_file", "open_path") for used in of_run(tree, module, door)]
    calls = [call for call in nodes(tree, module, ast.Call) if any(call.func is used for used in opening)]
    return {of_section(tree, stage, name) for call in calls for name in names_in(tree, module, call.args[0]) or ()}


def opened(tree: SourceTree, stage: str) -> tuple[set[str], list[str]]:
    """Names of the artifacts that a stage opens, as dvc.yaml writes them, and violations where that cannot be seen."""
    module, violations = tree.module(stage), []
    names: set[str] = set()
    calls = {id(call.func): call for call in nodes(tree, module, ast.Call)}
    for door in ("open", "open_slot"):
        for used in of_run(tree, module, door):
            call = calls.get(id(used))
            found = names_in(tree, module, call.args[0]) if call and len(call.args) == 1 else None
            if found is None:
                violations.append(f"{tree.at(module, used.lineno)}: name what run.{door} opens, so that dvc.yaml can be checked")
            names.update(of_section(tree, stage, name) for name in found or ())
    for door, place in {"maps": 1, "open_slots": 0}.items():
        for used in of_run(tree, module, door):
            call = calls.get(id(used))
            settings = names_in(tree, module, call.args[place]) if call and len(call.args) == place + 1 else None
            if settings is None:
                violations.append(
                    f"{tree.at(module, used.lineno)}: name the settings that run.{door} reads, so that dvc.yaml can be checked"
                )
            own = [of_section(tree, stage, setting) for setting in settings or ()]
            names.update(name for setting in own for name in slots_of(tree, setting, learned=door == "maps"))
    return names, violations


def of_section(tree: SourceTree, stage: str, address: str) -> str:
    """An address of params.yaml, maybe as a pattern, of which the stage reads its own section."""
    return re.sub(rf"(^|\$\{{){tree.kind(stage)}\.", rf"\g<1>{stage}.", address)


def slots_of(tree: SourceTree, pattern: str, *, learned: bool) -> set[str]:
    """Artifacts of a setting that has several slots.

    learned: whether they are extra inputs of a training, of which each has one, whichever method is selected.
    """
    address = pattern.removeprefix("${").removesuffix("}")
    section, _, setting = address.partition(".")
    names = {*tree.params.get(section, {}).get(setting, {}), *(maps_learned(tree, tree.kind(section)) if learned else ())}
    return {f"${{{address}.{name}}}" for name in names}


def maps_learned(tree: SourceTree, family: str) -> dict[str, str]:
    """Every map that a method of a family can learn from, with the method's module."""
    values = [(value, method) for method in tree.methods(family) for value in bindings(tree, method, "maps")]
    written = [(value, method) for value, method in values if isinstance(value, ast.Tuple)]
    return {str(name): method for value, method in written for name in ast.literal_eval(value)}


def maps_have_slots(tree: SourceTree) -> list[str]:
    """Every map that a method can learn from has a slot in params.yaml, so that whoever selects the method finds it there."""
    return [
        f'params.yaml: add "{name}: none" to {section}.maps: {tree.file(method)} can learn from {name}'
        for section in tree.params
        for name, method in maps_learned(tree, tree.kind(section)).items()
        if name not in tree.params[section].get("maps", {})
    ]


def names_in(tree: SourceTree, module: str, node: ast.expr) -> set[str] | None:
    """Values that an expression can have: texts, collections of them, names for these, and settings; None for anything else."""
    if isinstance(node, ast.Constant):
        return {str(node.value)}
    if isinstance(node, ast.Starred):
        return names_in(tree, module, node.value)
    if isinstance(node, ast.Tuple | ast.List | ast.Set):
        return _together(names_in(tree, module, element) for element in node.elts)
    if isinstance(node, ast.Name):
        return _together(names_in(tree, module, value) for value in bindings(tree, module, node.id))
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        return _together(_setting(tree, module, value, node.attr) for value in bindings(tree, module, node.value.id))
    return None


def _together(parts: Iterable[set[str] | None]) -> set[str] | None:
    """All of some sets; None where there is none or one of them is unknown."""
    known = list(parts)
    return {name for part in known for name in part or ()} if known and None not in known else None


def _setting(tree: SourceTree, module: str, settings: ast.expr, field: str) -> set[str] | None:
    """A field of `run.params.settings(family.Settings)`."""
    if isinstance(settings, ast.Call) and len(settings.args) == 1:
        family, _, contract = tree.sources[module].resolved(settings.args[0]).removeprefix("seedbed.").rpartition(".")
        if contract == "Settings":
            return {f"${{{family}.{field}}}"}
    return None


def bindings(tree: SourceTree, module: str, name: str) -> Iterator[ast.expr]:
    """Everything that a module assigns to a name or lets it run through."""
    for node in tree.sources[module].nodes:
        if isinstance(node, ast.comprehension | ast.For):
            yield from _bound(node.target, node.iter, name)
        elif isinstance(node, ast.Assign):
            for target in node.targets:
                yield from _bound(target, node.value, name)
        elif isinstance(node, ast.AnnAssign) and node.value:
            yield from _bound(node.target, node.value, name)


def _bound(target: ast.expr, value: ast.expr, name: str) -> Iterator[ast.expr]:
    """The value that a name has from one assignment, if it is assigned there."""
    if isinstance(target, ast.Name) and target.id == name:
        yield value
    elif isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple) and len(target.elts) == len(value.elts):
        for part, its_value in zip(target.elts, value.elts, strict=True):
            yield from _bound(part, its_value, name)


def of_run(tree: SourceTree, module: str, attribute: str) -> Iterator[ast.Attribute]:
    """Every time that a stage names an attribute of its run."""
    annotated = ((one.arg, one.annotation) for one in nodes(tree, module, ast.arg) if one.annotation)
    runs = {name for name, annotation in annotated if tree.sources[module].resolved(annotation) == "seedbed.run.stage.Run"}
    for node in nodes(tree, module, ast.Attribute):
        if node.attr == attribute and isinstance(node.value, ast.Name) and node.value.id in runs:
            yield node


def nodes(tree: SourceTree, module: str, kind: type[N]) -> list[N]:
    """Everything of one kind in a module."""
    return tree.sources[module].nodes_of(kind)


# Parameters that a stage reads.


def params_are_complete(tree: SourceTree) -> list[str]:
    """Every parameter that a stage reads is among its params, and no other."""
    found = []
    for stage in tree.stages:
        read, untraceable = params_read(tree, stage)
        listed = set(tree.dvc[stage]["params"])
        found += [*untraceable, *differences(stage, "params", listed, read, why="the stage does not read it")]
    return found


def params_read(tree: SourceTree, stage: str) -> tuple[set[str], list[str]]:
    """Parameters that a stage reads, as dvc.yaml writes them, and violations where that cannot be seen."""
    module, violations = tree.module(stage), []
    read: set[str] = set()
    questions = {id(node.value): node for node in nodes(tree, module, ast.Attribute)}
    calls = {id(call.func): call for call in nodes(tree, module, ast.Call)}
    for params in of_run(tree, module, "params"):
        question = questions.get(id(params))
        call = calls.get(id(question))
        contract = tree.sources[module].resolved(call.args[0]) if call and len(call.args) == 1 else ""
        names = _params_of(tree, question.attr if question else "", contract)
        if names is None:
            how = "only .method(family.Method) or .settings(family.Settings), so that dvc.yaml can be checked"
            violations.append(f"{tree.at(module, params.lineno)}: ask run.params {how}")
        read.update(of_section(tree, stage, name) for name in names or ())
    return read, violations


def _params_of(tree: SourceTree, question: str, contract: str) -> set[str] | None:
    """What one question to the parameters reads; None where that cannot be seen."""
    family, _, kind = contract.removeprefix("seedbed.").rpartition(".")
    if family in tree.families and (question, kind) == ("method", "Method"):
        return {f"{family}.method", f"{family}.${{{family}.method}}"}
    if family in tree.families and (question, kind) == ("settings", "Settings"):
        return {f"{family}.{field}" for field in fields(tree, family, "Settings")}
    return None


def fields(tree: SourceTree, family: str, name: str) -> list[str]:
    """Fields of a class of a family's contract."""
    bodies = [node.body for node in tree.sources[f"seedbed.{family}"].syntax.body if isinstance(node, ast.ClassDef) and node.name == name]
    return [item.target.id for body in bodies for item in body if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name)]


# What a stage leaves.


def outs_have_schemas(tree: SourceTree) -> list[str]:
    """Every artifact of a pipeline is described in SCHEMAS and the reverse; dimensions are those of DIMENSIONS."""
    outs = {tree.kind(name) for one in tree.pipelines for stage in one.dvc for name in artifacts(one, stage)}
    schemas, dimensions, used = keys(tree, "SCHEMAS"), keys(tree, "DIMENSIONS"), dimensions_used(tree)
    where = tree.file("seedbed.store.schemas")
    return [
        *(f"{where}: add {name!r} to SCHEMAS: data/{name}.zarr is an out in dvc.yaml" for name in sorted(outs - schemas)),
        *(
            f"{where}: remove {name!r} from SCHEMAS: no stage of dvc.yaml leaves data/{name}.zarr"
            for name in sorted(schemas - outs - {NONE})
        ),
        *(f"{where}: add {name!r} to DIMENSIONS: an array has it" for name in sorted(used - dimensions)),
        *(f"{where}: remove {name!r} from DIMENSIONS: no array has it" for name in sorted(dimensions - used)),
    ]


def labels_have_charts(tree: SourceTree) -> list[str]:
    """Whatever labels params.yaml lets the evaluation judge, dvc.yaml has their charts, and no others."""
    if not {"evaluation"} <= {*tree.dvc} & {*tree.params}:
        return []
    listed = {name for name in left(tree, "evaluation") if CHART.fullmatch(name)}
    kinds = (*tree.params["evaluation"]["labels"], "predictions")
    expected = {f"data/plots/{chart.format(kind)}" for kind in kinds for chart in CHARTS}
    return differences("evaluation", "plots", listed, expected, why="evaluation.labels has no such slot")


def trainings_have_plots(tree: SourceTree) -> list[str]:
    """A stage that trains leaves its log as a table, which is called like the stage."""
    return [
        f'stage {stage}: add "- data/plots/{stage}.csv" to plots'
        for stage in tree.stages
        if any(of_run(tree, tree.module(stage), "training")) and f"data/plots/{stage}.csv" not in left(tree, stage)
    ]


def left(tree: SourceTree, stage: str) -> list[str]:
    """Everything that a stage leaves."""
    listed = [one for kind in ("outs", "metrics", "plots") for one in tree.dvc[stage].get(kind, [])]
    return [next(iter(one)) if isinstance(one, dict) else one for one in listed]


def artifacts(tree: SourceTree, stage: str) -> list[str]:
    """Names of the artifacts that a stage leaves."""
    return [match[1] for out in left(tree, stage) if (match := re.fullmatch(r"data/(.+)\.zarr", out))]


def keys(tree: SourceTree, table: str) -> set[str]:
    """Keys of a table of schemas.py."""
    [value] = bindings(tree, "seedbed.store.schemas", table)
    assert isinstance(value, ast.Dict)
    return {str(ast.literal_eval(key)) for key in value.keys if key}


def dimensions_used(tree: SourceTree) -> set[str]:
    """Dimensions of every array of schemas.py, shared ones too."""
    arrays = [call for call in nodes(tree, "seedbed.store.schemas", ast.Call) if dotted(call.func) == "Array"]
    return {str(name) for call in arrays for name in ast.literal_eval(call.args[0])}


# One word per step.


def one_word_per_step(tree: SourceTree) -> list[str]:
    """A stage's file, parameters, family, artifact, command and tests have its name, and nothing of these is there without a stage.

    Where a stage is called after its kind and a word, file, family and tests have the name of the kind.
    """
    return [*(violation for stage in tree.dvc for violation in _missing(tree, stage)), *_left_over(tree), *_sections_left_over(tree)]


def _missing(tree: SourceTree, stage: str) -> list[str]:
    word = tree.kind(stage)
    file, contract = f"stages/{word}.py", f"seedbed/{word}/__init__.py"
    command = f"python -m stages.{word}" + (f" --as {stage}" if stage != word else "")
    return [
        f"stage {stage}: {wanted}"
        for wanted, there in {
            f"add {file}": (tree.root / file).is_file(),
            f'end {file} with run_stage(main, "{word}")': _runs_as(tree, word),
            f"add {contract} with a class Method": _has_contract(tree, word),
            f"add a section {stage}: to params.yaml": stage in tree.params,
            f'write "cmd: {command}"': tree.dvc[stage]["cmd"] == command,
            f'write "- data/{stage}.zarr" as the one artifact of outs': artifacts(tree, stage) == [stage],
            f"add tests/{word}/test_<method>.py": _is_tested(tree, word),
        }.items()
        if not there
    ]


def _runs_as(tree: SourceTree, word: str) -> bool:
    module = f"stages.{word}"
    return module in tree.sources and f"run_stage(main, {word!r})" in ast.unparse(tree.sources[module].syntax)


def _has_contract(tree: SourceTree, word: str) -> bool:
    return word in tree.families and any(one.name == "Method" for one in nodes(tree, f"seedbed.{word}", ast.ClassDef))


def _is_tested(tree: SourceTree, word: str) -> bool:
    tests = tree.root / "tests"
    return any(tests.glob(f"{word}/test_*.py")) or any(tests.rglob(f"test_*{word}*.py"))


def _left_over(tree: SourceTree) -> list[str]:
    files = {f"stages/{module.removeprefix('stages.')}.py": module for module in tree.modules if module.startswith("stages.")}
    words = {
        **{file: module.removeprefix("stages.") for file, module in files.items()},
        **{f"seedbed/{family}/": family for family in tree.families},
    }
    known = {tree.kind(stage) for one in tree.pipelines for stage in one.dvc}
    return [f"{what}: remove it, or add a stage {word} to dvc.yaml" for what, word in words.items() if word not in known]


def _sections_left_over(tree: SourceTree) -> list[str]:
    return [
        f"section {section} of params.yaml: remove it, or add a stage {section} to dvc.yaml"
        for section in tree.params
        if section not in tree.dvc
    ]


def differences(stage: str, section: str, listed: set[str], expected: set[str], *, why: str) -> list[str]:
    """What a list of dvc.yaml lacks and what it has too much."""
    return [
        *(f'stage {stage}: add "- {line}" to {section}' for line in sorted(expected - listed)),
        *(f'stage {stage}: remove "- {line}" from {section}: {why}' for line in sorted(listed - expected)),
    ]
