"""Names of rooms, and what may be done in them. Each law lists what breaks it, with what to do about it."""

from __future__ import annotations

import ast

from tests.laws.source_tree import SourceTree

NO_ROOMS = {"utils", "util", "common", "helpers", "helper", "misc"}
USES_DISK = {
    *("dataset", "tools", "stages", "benchmarks"),  # rooms
    *(f"seedbed.{name}" for name in ("artifacts", "drawing", "export", "files", "fingerprint", "images", "inputs", "methods")),
    *("seedbed.params", "seedbed.store", "seedbed.memory", "seedbed.raw", "seedbed.truth", "seedbed.weights"),
}
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
        if not {module, tree.room(module)} & USES_DISK
        for use in uses
        if use.name.rpartition(".")[2] in DISK and not _is_ours(use.name)
    ]


def _is_ours(name: str) -> bool:
    """Whether it is a function or method of this project, which is looked at where it is defined."""
    return name.startswith("seedbed.") or (name.startswith("self.") and name.count(".") == 1)
