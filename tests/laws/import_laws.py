"""Who may import whom. Each law lists what breaks it, with what to do about it."""

from __future__ import annotations

import ast
from collections import deque
from collections.abc import Iterator
from functools import cache

from tests.laws.source_tree import Source, SourceTree, Use, begins, find_uses

# Rooms and words of the vocabulary, each of which imports only what stands before it, and itself.
ORDER = (
    *("errors", "packages", "types", "methods", "store", "params", "images", "detected", "corrections", "reads"),
    *("run", "algorithms", "merge_trees", "networks", "learning", "scoring", "report"),
    *("families", "stages", "view", "tools", "cli"),
)
COMMANDS = ("view", "tools", "cli")
TRUTH = "seedbed.scoring.truth"
TRUE_THINGS = "seedbed.scoring.instance_truth"  # which reads it too
MAY_READ_TRUTH = (
    TRUTH,
    TRUE_THINGS,
    "stages.evaluation",
    "stages.clicks",
    "stages.dataset",
)  # and benchmarks; the last only looks for what is wrong
SHOW_TRUTH = ("seedbed.view", "seedbed.tools.view", "seedbed.tools.report", "seedbed.tools.replay")  # to people; no stage can import them
DRAWS_TRUTH = "seedbed.dataset.shapes"
LEAVES_TRUTH_OUT = "seedbed.tools.init"  # of the images that it lists
IMPORTS_BY_NAME = ("seedbed.methods", "seedbed.params", "seedbed.networks.torchvision_repair")
DYNAMIC = ("importlib", "runpy", "pkgutil", "builtins", "__import__", "exec", "eval", "compile")
HARMLESS = ("importlib.metadata", "importlib.resources")
# What a stage reads goes through its run, where the laws of the pipeline see it.
BEHIND_THE_RUN = ("seedbed.store.artifact.open_artifact", "seedbed.store.store", "seedbed.methods.load", "seedbed.params")
OF_THE_RUN = ("seedbed.run.inputs", "seedbed.run.shards")
MAY_GO_BEHIND = ("store", "methods", "params", "run", *COMMANDS)


def import_directions(tree: SourceTree) -> list[str]:
    """Rooms import those that stand before them; no family imports another; nothing imports stages, tests or benchmarks."""
    return [
        f"{tree.at(module, line)}: remove the import of {target}: {reason}"
        for module in _pipeline(tree)
        for target, line in {**_outside(tree, module), **tree.imported[module]}.items()
        if (reason := _objection(tree.room(module), tree.room(target), tree.families))
    ]


def _outside(tree: SourceTree, module: str) -> dict[str, int]:
    """Imports of tests, which are no modules of the tree, and of benchmarks, which may be absent."""
    return {use.name: use.line for use in reversed(find_uses(tree.sources[module], "tests", "benchmarks")) if use.imported}


def _objection(own: str, other: str, families: list[str]) -> str:
    if other in ("tests", "benchmarks"):
        return f"the pipeline stands without {other}"
    if other == "stages":
        return "nothing imports a stage; what two stages need belongs to seedbed/"
    if "" in (own, other) or own == other:  # the package itself
        return ""
    if own in families and other in families:
        return f"family {own} imports no other family"
    if own in families and other == "report":
        return "a method draws nothing"
    place, before = (ORDER.index("families" if room in families else room) for room in (own, other))
    return "" if before < place else f"{own} comes before {other}, and a room imports only what stands before it"


def every_room_has_a_place(tree: SourceTree) -> list[str]:
    """A folder below seedbed/ is a family, or one of the rooms that are known, and says what lives there."""
    rooms = {tree.room(module): tree.file(module) for module in sorted(tree.modules, reverse=True) if tree.room(module)}
    found = [
        f"{file}: give {room} a place among the rooms of tests/laws/import_laws.py, or a class Method"
        for room, file in sorted(rooms.items())
        if room not in (*ORDER, *tree.families, "benchmarks")
    ]
    return found + [
        f"seedbed/{room}/__init__.py: say in two sentences what lives there and who may import it"
        for room in sorted(rooms)
        if (tree.root / "seedbed" / room).is_dir()
        and room not in tree.families
        and (ast.get_docstring(tree.sources[f"seedbed.{room}"].syntax) or "").count(".") < 2
    ]


def dynamic_imports(tree: SourceTree) -> list[str]:
    """Only the loader of methods imports by name, so that the graph of imports can be trusted."""
    return [
        f"{tree.at(module, use.line)}: remove {use.name}: only seedbed/methods.py imports by name"
        for module in _pipeline(tree)
        if module not in IMPORTS_BY_NAME and tree.room(module) not in COMMANDS
        for use in find_uses(tree.sources[module], *DYNAMIC)
        if not begins(use.name, *HARMLESS)
    ]


def no_back_doors(tree: SourceTree) -> list[str]:
    """Artifacts, parameters and methods are asked for by a stage's run, so that dvc.yaml can be held against the code."""
    doors = {
        **dict.fromkeys(BEHIND_THE_RUN, MAY_GO_BEHIND),
        **dict.fromkeys(OF_THE_RUN, ("run", *COMMANDS)),
        "seedbed.run.stage": ("stages", *COMMANDS),
    }
    return [
        f"{tree.at(module, use.line)}: remove {use.name}: only {' and '.join(allowed)} may use {door}"
        for module in _pipeline(tree)
        for door, allowed in doors.items()
        if tree.room(module) not in allowed and module != door
        for use in find_uses(tree.sources[module], door)
    ]


def truth_stays_out(tree: SourceTree) -> list[str]:
    """Nothing that makes labels or learns from them can reach the reader of ground truth."""
    return [
        f"{tree.file(module)}: must not reach {TRUTH}, the reader of pixel labels: break {' -> '.join(route)}"
        for module in _pipeline(tree)
        if module not in MAY_READ_TRUTH and not begins(module, *SHOW_TRUTH) and (route := _route(tree, module, TRUTH))
    ]


def _route(tree: SourceTree, start: str, end: str) -> list[str]:
    """The shortest way from a module to another by imports and by methods that a stage has loaded; empty where there is none."""
    routes, left = {start: [start]}, deque([start])
    while left:
        here = left.popleft()
        for there in sorted((tree.runs[here] | _loaded(tree, here)) - set(routes)):
            if not begins(there, *SHOW_TRUTH):
                routes[there] = [*routes[here], there]
                left.append(there)
    return routes.get(end, [])


def _loaded(tree: SourceTree, module: str) -> set[str]:
    if not module.startswith("stages."):
        return set()
    return {method for family in tree.contracts(module.removeprefix("stages.")) for method in tree.methods(family)}


def truth_is_named_once(tree: SourceTree) -> list[str]:
    """No one else builds a path to the folder of ground truth."""
    return [
        f'{tree.at(module, node.lineno)}: remove the path "masks": only {tree.file(TRUTH)} knows where ground truth lies'
        for module in _pipeline(tree)
        if module not in (*MAY_READ_TRUTH, DRAWS_TRUTH, LEAVES_TRUTH_OUT)
        for node in tree.sources[module].nodes
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and "masks" in node.value.split("/")
    ]


SERIALISERS = ("pickle", "cPickle", "_pickle", "dill", "joblib", "cloudpickle", "shelve", "marshal")
FORMATS = (
    *(f"numpy.{name}" for name in ("load", "save", "savez", "savez_compressed")),
    *(f"torch.{name}" for name in ("load", "save", "serialization", "jit.load", "jit.save")),
)

FOREIGN = "seedbed.networks.weights"  # reads what others have pickled, in one place and nothing but weights
PICKLES_TO_COMPARE = "benchmarks.artifacts"  # measures ours against the pickled dictionaries of this field; only it may make any


def no_pickle(tree: SourceTree) -> list[str]:
    """Nothing is pickled: not by a module for it, and not by a format that holds pickles."""
    found = [
        f"{tree.at(module, use.line)}: remove {use.name}: no pickle; arrays are zarr, weights safetensors or zarr"
        for module, source in tree.sources.items()
        if module != PICKLES_TO_COMPARE
        for use in _find_pickles(source)
        if use not in _weights_alone(tree, module)
    ]
    return found + [
        f"{tree.at(module, node.value.lineno)}: remove allow_pickle: no pickle; arrays are zarr"
        for module, source in tree.sources.items()
        if module != PICKLES_TO_COMPARE
        for node in source.nodes
        if isinstance(node, ast.keyword) and node.arg == "allow_pickle"
    ]


@cache
def _find_pickles(source: Source) -> list[Use]:
    return [use for use in source.uses if begins(use.name, *SERIALISERS, *FORMATS) or _is_fabric(use)]


def _weights_alone(tree: SourceTree, module: str) -> list[Use]:
    """The one reader of foreign weights, and what it may meet beside them."""
    source = tree.sources[module]
    readers = [
        node.lineno
        for node in source.nodes
        if isinstance(node, ast.Call)
        and source.resolved(node.func) == "torch.load"
        and any(one.arg == "weights_only" and ast.unparse(one.value) == "True" for one in node.keywords)
    ]
    if module != FOREIGN:
        return []
    beside = [use for use in source.uses if use.name == "torch.serialization.safe_globals"]
    return [*(use for use in source.uses if use.name == "torch.load" and use.line in sorted(readers)[:1]), *beside]


def _is_fabric(use: Use) -> bool:
    """Whether it is save or load of an object of Lightning Fabric, going by the object's name."""
    owner, _, verb = use.name.rpartition(".")
    return verb in ("save", "load", "load_raw") and owner.lower().endswith("fabric")


def _pipeline(tree: SourceTree) -> Iterator[str]:
    """Every module but the benchmarks, which stand outside and may use everything."""
    return (module for module in tree.modules if tree.room(module) != "benchmarks")
