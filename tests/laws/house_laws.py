"""Names of rooms, and what may be done in them. Each law lists what breaks it, with what to do about it."""

from __future__ import annotations

import ast

from tests.laws.source_tree import SourceTree

NO_ROOMS = {"utils", "util", "common", "helpers", "helper", "misc"}
USES_DISK = {  # rooms, and words of the vocabulary
    *("dataset", "store", "run", "report", "view", "tools", "cli", "stages", "benchmarks"),
    *("images", "detected", "corrections", "methods", "params"),
}
LOADERS = {"seedbed.networks.pinned_files", "seedbed.learning.checkpoints", "seedbed.scoring.truth"}
ORACLE = "test_the_whole_"  # how tests begin that hold a verb as a whole against the same written down plainly
NO_ORACLE = {"dataset"}  # families whose methods read what others wrote: their tests hold what is read against that
DISK = {
    *("open", "open_group", "open_array", "read_text", "read_bytes", "write_text", "write_bytes", "imread", "imwrite"),
    *("fromfile", "tofile", "loadtxt", "savetxt", "genfromtxt", "memmap", "load_file", "save_file", "mkdir", "unlink", "rmtree"),
}


def rooms_have_names(tree: SourceTree) -> list[str]:
    """A module is called after what it holds."""
    return [
        f"{tree.file(module)}: call it after what it holds, not {module.rpartition('.')[2]}"
        for module in tree.modules
        if module.rpartition(".")[2] in NO_ROOMS
    ]


def no_bare_except(tree: SourceTree) -> list[str]:
    """An error is caught by name."""
    return [
        f"{tree.at(module, node.lineno)}: name the error after except"
        for module, source in tree.sources.items()
        for node in source.nodes
        if isinstance(node, ast.ExceptHandler) and node.type is None
    ]


def methods_touch_no_disk(tree: SourceTree) -> list[str]:
    """Arrays in, arrays out: files are read and written in few places."""
    return [
        f"{tree.at(module, use.line)}: remove {use.name.rpartition('.')[2]}: methods and most of the core touch no disk"
        for module, uses in tree.uses.items()
        if tree.room(module) not in USES_DISK and module not in LOADERS
        for use in uses
        if use.name.rpartition(".")[2] in DISK and not _is_ours(use.name)
    ]


def methods_have_oracles(tree: SourceTree) -> list[str]:
    """What a method does as a whole, with parameters of which none is usual, equals a plain transcription of what it says it does."""
    return [
        f"{file}: add {ORACLE}...: {tree.file(method)}, all of it, against the same written down plainly"
        for family in sorted({*tree.families} - NO_ORACLE)
        for method in tree.methods(family)
        if has_parameters(tree, method)
        for file in [f"tests/{family}/test_{method.rpartition('.')[2]}.py"]
        if not (tree.root / file).is_file() or f"def {ORACLE}" not in (tree.root / file).read_text(encoding="utf-8")
    ]


def has_parameters(tree: SourceTree, method: str) -> bool:
    """Whether the class of a method's module that is marked as one has fields."""
    marked = (node for node in tree.sources[method].nodes if isinstance(node, ast.ClassDef) and _marks(node) & {"method"})
    return any(isinstance(item, ast.AnnAssign) and "ClassVar" not in ast.unparse(item.annotation) for node in marked for item in node.body)


def _marks(node: ast.ClassDef) -> set[str]:
    return {ast.unparse(one).rpartition(".")[2] for one in node.decorator_list}


def _is_ours(name: str) -> bool:
    """Whether it is a function or method of this project, which is looked at where it is defined."""
    return name.startswith("seedbed.") or (name.startswith("self.") and name.count(".") == 1)
