"""Who may import whom. Each law lists what breaks it, with what to do about it."""

from __future__ import annotations

import ast
from collections import deque
from collections.abc import Iterator

from tests.laws.source_tree import TOOLS, SourceTree, Use

TRUTH = "seedbed.truth"
MAY_READ_TRUTH = ("seedbed.truth", "stages.evaluation", "stages.dataset")  # and benchmarks; the last only looks for what is wrong
DRAWS_TRUTH = "seedbed.dataset.shapes"
LEAVES_TRUTH_OUT = "seedbed.starting"  # of the images that it lists
NAMES_KINDS = "seedbed.evaluation"  # of labels: one of them has that word
IMPORTS_BY_NAME = {"seedbed.methods", "seedbed.params", "seedbed.torchvision_repair", *TOOLS}
DYNAMIC = ("importlib", "runpy", "pkgutil", "builtins", "__import__", "exec", "eval", "compile")
HARMLESS = ("importlib.metadata", "importlib.resources")
FRONT_DOORS = {  # what a stage reads goes through its run, where the laws of the pipeline see it
    "seedbed.artifacts.open_artifact": {"seedbed.artifacts", "seedbed.stage", "seedbed.store"},
    "seedbed.store": {"seedbed.shards", "seedbed.stage", "seedbed.store"},
    "seedbed.shards": {"seedbed.shards", "seedbed.stage"},
    "seedbed.methods.load": {"seedbed.methods", "seedbed.params"},
    "seedbed.params": {"seedbed.inputs", "seedbed.params", "seedbed.stage"},
    "seedbed.inputs": {"seedbed.inputs", "seedbed.stage"},
    "seedbed.stage": {"stages"},
}


def import_directions(tree: SourceTree) -> list[str]:
    """Stages and tools import families and core, families themselves and core, the core itself; nothing tools, tests or benchmarks."""
    return [
        f"{tree.at(module, line)}: remove the import of {target}: {reason}"
        for module in _pipeline(tree)
        for target, line in {**_outside(tree, module), **tree.imported[module]}.items()
        if (reason := _objection(tree.room(module), tree.room(target), tree.families))
    ]


def _outside(tree: SourceTree, module: str) -> dict[str, int]:
    """Imports of tests, which are no modules of the tree, and of benchmarks, which may be absent."""
    return {use.name: use.line for use in reversed(tree.uses[module]) if use.imported and begins(use.name, "tests", "benchmarks")}


def _objection(own: str, other: str, families: list[str]) -> str:
    if other in ("tests", "benchmarks"):
        return f"the pipeline stands without {other}"
    if other == "tools" and own != "tools":
        return "the pipeline stands without the tools of the command line"
    if other == "stages":
        return "nothing imports a stage; what two stages need belongs to seedbed/"
    if own in ("stages", "tools") or other not in families or own == other:
        return ""
    return f"family {own} imports no other family" if own in families else "the core imports no family"


def dynamic_imports(tree: SourceTree) -> list[str]:
    """Only the loader of methods imports by name, so that the graph of imports can be trusted."""
    return [
        f"{tree.at(module, use.line)}: remove {use.name}: only seedbed/methods.py imports by name"
        for module in _pipeline(tree)
        if module not in IMPORTS_BY_NAME
        for use in tree.uses[module]
        if begins(use.name, *DYNAMIC) and not begins(use.name, *HARMLESS)
    ]


def no_back_doors(tree: SourceTree) -> list[str]:
    """Artifacts, parameters and methods are asked for by a stage's run, so that dvc.yaml can be held against the code."""
    return [
        f"{tree.at(module, use.line)}: remove {use.name}: only {' and '.join(sorted(allowed))} may use {door}"
        for module in _pipeline(tree)
        for door, allowed in FRONT_DOORS.items()
        if not {module, tree.room(module)} & {*allowed, "tools"}
        for use in tree.uses[module]
        if begins(use.name, door)
    ]


def truth_stays_out(tree: SourceTree) -> list[str]:
    """Nothing that makes labels or learns from them can reach the reader of ground truth."""
    return [
        f"{tree.file(module)}: must not reach {TRUTH}, the reader of pixel labels: break {' -> '.join(route)}"
        for module in _pipeline(tree)
        if module not in MAY_READ_TRUTH and (route := _route(tree, module, TRUTH))
    ]


def _route(tree: SourceTree, start: str, end: str) -> list[str]:
    """The shortest way from a module to another by imports and by methods that a stage has loaded; empty where there is none."""
    routes, left = {start: [start]}, deque([start])
    while left:
        here = left.popleft()
        for there in sorted((tree.runs[here] | _loaded(tree, here)) - set(routes)):
            routes[there] = [*routes[here], there]
            left.append(there)
    return routes.get(end, [])


def _loaded(tree: SourceTree, module: str) -> set[str]:
    if not module.startswith("stages."):
        return set()
    return {method for family in tree.contracts(module.removeprefix("stages.")) for method in tree.methods(family)}


def truth_is_named_once(tree: SourceTree) -> list[str]:
    """No one else builds a path to the folder of ground truth. Evaluation calls a kind of labels by that word."""
    return [
        f'{tree.at(module, node.lineno)}: remove the path "masks": only {tree.file(TRUTH)} knows where ground truth lies'
        for module in _pipeline(tree)
        if module not in (*MAY_READ_TRUTH, DRAWS_TRUTH, LEAVES_TRUTH_OUT, NAMES_KINDS)
        for node in tree.sources[module].nodes
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and "masks" in node.value.split("/")
    ]


SERIALISERS = ("pickle", "cPickle", "_pickle", "dill", "joblib", "cloudpickle", "shelve", "marshal")
FORMATS = (
    *(f"numpy.{name}" for name in ("load", "save", "savez", "savez_compressed")),
    *(f"torch.{name}" for name in ("load", "save", "serialization", "jit.load", "jit.save")),
)

FOREIGN = "seedbed.weights"  # reads what others have pickled, in one place and nothing but weights
PICKLES_TO_COMPARE = "benchmarks.artifacts"  # measures ours against the pickled dictionaries of this field; only it may make any


def no_pickle(tree: SourceTree) -> list[str]:
    """Nothing is pickled: not by a module for it, and not by a format that holds pickles."""
    found = [
        f"{tree.at(module, use.line)}: remove {use.name}: no pickle; arrays are zarr, weights safetensors or zarr"
        for module, uses in tree.uses.items()
        if module != PICKLES_TO_COMPARE
        for use in uses
        if (begins(use.name, *SERIALISERS, *FORMATS) or _is_fabric(use)) and use not in _weights_alone(tree, module)
    ]
    return found + [
        f"{tree.at(module, node.value.lineno)}: remove allow_pickle: no pickle; arrays are zarr"
        for module, source in tree.sources.items()
        if module != PICKLES_TO_COMPARE
        for node in source.nodes
        if isinstance(node, ast.keyword) and node.arg == "allow_pickle"
    ]


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


def begins(name: str, *beginnings: str) -> bool:
    """Whether a dotted name is one of some others or lies within one."""
    return any(name == one or name.startswith(f"{one}.") for one in beginnings)


def _pipeline(tree: SourceTree) -> Iterator[str]:
    """Every module but the benchmarks, which stand outside and may use everything."""
    return (module for module in tree.modules if tree.room(module) != "benchmarks")
