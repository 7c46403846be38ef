"""Single faults that a programmer could make, as edits of a module's text.

Comparisons and signs are exchanged, constants changed, branches taken always or never, statements left out; a parameter is read as another
of its kind, or as a constant as if nobody read it; arguments that look alike change places. What is text, type, message or import is left
alone.
"""

from __future__ import annotations

import ast
import copy
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TypeAlias

PROJECT = Path(__file__).parents[2]
COMPARISONS: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE, ast.Gt),
    ast.LtE: (ast.Lt,),
    ast.Gt: (ast.GtE, ast.Lt),
    ast.GtE: (ast.Gt,),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
}
OPERATORS: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.FloorDiv,
    ast.Pow: ast.Mult,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
}
OPPOSITES = {
    "max": "min",
    "argmax": "argmin",
    "sum": "mean",
    "floor": "ceil",
    "zeros": "ones",
    "any": "all",
    "exp": "log",
    "maximum": "minimum",
}
OPPOSITES |= {other: name for name, other in OPPOSITES.items()}
RESHAPED = re.compile(rb"\.reshape\(([^()\[\]]|\[[^\]]*\]|\([^()]*\))*-$")
SILENT = ("strict", "flush", "file")  # arguments that compute nothing
ESTIMATES = ("memory", "estimate_memory", "BYTES_PER_LABEL", "RGB_FLOATS")  # of what is needed, which move no result
Fields: TypeAlias = dict[str, str]


@dataclass(frozen=True)
class Fault:
    """One change of one module."""

    module: str  # relative to the project
    line: int
    begin: int  # in bytes of its text
    end: int
    before: str
    after: str
    context: str  # the line, without its indentation

    def __str__(self) -> str:
        return f"{self.module}: {' '.join(self.before.split())} -> {' '.join(self.after.split())} in `{self.context}`"

    def put_into(self, whole: bytes) -> bytes:
        """The module's text with it."""
        return whole[: self.begin] + self.after.encode() + whole[self.end :]


def faults(module: str) -> list[Fault]:
    """Every fault of a module that we can think of."""
    text = (PROJECT / module).read_bytes()
    lines = text.decode().splitlines()
    starts = [0]
    for line in text.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    tree = ast.parse(text)
    kinds = _kinds(tree)
    blocks = [_fields(node, kinds) for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
    alike = _alike(tree)
    found = []
    for node in _computing(tree):
        begin = starts[node.lineno - 1] + node.col_offset
        end = starts[(node.end_lineno or 0) - 1] + (node.end_col_offset or 0)
        before = text[begin:end].decode()
        for changed in [*_of_statement(node), *_of_expression(node, blocks, alike)]:
            after = ast.unparse(changed)
            if isinstance(node, ast.expr):
                after = f"({after})"
            if _is_none(after, text[starts[node.lineno - 1] : begin], text[end:]):
                continue
            if ast.dump(ast.parse(after)) != ast.dump(ast.parse(f"({before})" if isinstance(node, ast.expr) else before)):
                found.append(Fault(module, node.lineno, begin, end, before, after, lines[node.lineno - 1].strip()))
    return list(dict.fromkeys(found))


def _computing(node: ast.AST) -> Iterator[ast.stmt | ast.expr]:
    """Whatever computes: no annotations, decorators, docstrings, messages, imports."""
    for name, child in ast.iter_fields(node):
        if name in ("annotation", "returns", "decorator_list", "type_params", "bases"):
            continue
        for one in child if isinstance(child, list) else [child]:
            if isinstance(one, ast.FunctionDef) and one.name in ESTIMATES:
                continue
            if isinstance(one, ast.Assign) and ast.unparse(one.targets[0]) in ESTIMATES:
                continue
            if isinstance(one, ast.Raise | ast.Assert | ast.Import | ast.ImportFrom | ast.JoinedStr):
                continue
            if isinstance(one, ast.Expr) and (isinstance(one.value, ast.Constant) or ast.unparse(one).startswith("print(")):
                continue
            if isinstance(one, ast.keyword) and one.arg in SILENT:
                continue
            if isinstance(one, ast.Subscript) and ast.unparse(one.value) == "Annotated":
                continue
            if isinstance(one, ast.If) and all(isinstance(inner, ast.Raise) for inner in one.body) and not one.orelse:
                yield from _computing(ast.Expr(one.test))
                continue
            if isinstance(one, ast.AST):
                if isinstance(one, ast.stmt | ast.expr):
                    yield one
                yield from _computing(one)


def _of_statement(node: ast.stmt | ast.expr) -> Iterator[ast.AST]:
    """A statement that is left out, where that leaves a program."""
    again = isinstance(node, ast.Assign) and {ast.unparse(one) for one in node.targets} & {
        ast.unparse(one) for one in ast.walk(node.value) if isinstance(one, ast.Name | ast.Attribute)
    }
    stored = isinstance(node, ast.Assign) and all(isinstance(one, ast.Subscript | ast.Attribute) for one in node.targets)
    if isinstance(node, ast.Expr | ast.AugAssign | ast.Continue | ast.Break) or again or stored:
        yield ast.Pass()
    if isinstance(node, ast.AugAssign) and type(node.op) in OPERATORS:
        yield _with(node, op=OPERATORS[type(node.op)]())


def _of_expression(node: ast.stmt | ast.expr, blocks: Sequence[Fields], alike: set[frozenset[str]]) -> Iterator[ast.AST]:
    """An expression that is another one.

    blocks: parameters of every class. alike: names of which one may be taken for the other.
    """
    if isinstance(node, ast.Compare):
        for place, operator in enumerate(node.ops):
            for other in COMPARISONS[type(operator)]:
                yield _with(node, ops=[*node.ops[:place], other(), *node.ops[place + 1 :]])
    if isinstance(node, ast.BinOp) and type(node.op) in OPERATORS and not _is_text(node):
        yield _with(node, op=OPERATORS[type(node.op)]())
    if isinstance(node, ast.BoolOp):
        yield _with(node, op=ast.Or() if isinstance(node.op, ast.And) else ast.And())
        yield from node.values
    if isinstance(node, ast.UnaryOp):
        yield node.operand
    if isinstance(node, ast.IfExp):
        yield from (node.body, node.orelse)
    if isinstance(node, ast.Constant) and isinstance(node.value, bool):
        yield ast.Constant(not node.value)
    elif isinstance(node, ast.Constant) and isinstance(node.value, int | float):
        yield ast.Constant(node.value + 1 if isinstance(node.value, int) else node.value * 1.5)
    if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load):
        if node.attr in OPPOSITES:
            yield _with(node, attr=OPPOSITES[node.attr])
        for fields in _read(node, blocks):
            same = [name for name, kind in fields.items() if kind == fields[node.attr]]
            following = same[(same.index(node.attr) + 1) % len(same)]
            if following != node.attr:
                yield _with(node, attr=following)
            yield from _constants(node, fields[node.attr])
    if isinstance(node, ast.Call):
        for place, (first, second) in enumerate(pairwise(node.args) if ast.unparse(node.func) not in ("max", "min") else ()):
            if _exchangeable(first, second, blocks, alike):
                yield _with(node, args=[*node.args[:place], second, first, *node.args[place + 2 :]])
        for place, (given, next_given) in enumerate(pairwise(node.keywords)):
            if _exchangeable(given.value, next_given.value, blocks, alike):
                swapped = [ast.keyword(given.arg, next_given.value), ast.keyword(next_given.arg, given.value)]
                yield _with(node, keywords=[*node.keywords[:place], *swapped, *node.keywords[place + 2 :]])


def _fields(block: ast.ClassDef, kinds: Mapping[str, str]) -> Fields:
    """Parameters of a class, with what kind of value each is."""
    fields = [one for one in block.body if isinstance(one, ast.AnnAssign) and one.value is None]
    return {ast.unparse(one.target): _kind(ast.unparse(one.annotation), kinds) for one in fields}


def _kind(annotation: str, kinds: Mapping[str, str]) -> str:
    written = kinds.get(annotation, annotation).removeprefix("Annotated[")
    return next((kind for kind in ("tuple", "bool", "int", "float") if written.startswith(kind)), annotation)


def _kinds(tree: ast.Module) -> dict[str, str]:
    """What types are that a module gives a name of its own, or imports from one that does."""
    found: dict[str, str] = {}
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("seedbed."):
            file = (PROJECT / str(node.module).replace(".", "/")).with_suffix(".py")
            inner = _kinds(ast.parse(file.read_text(encoding="utf-8"))) if file.is_file() else {}
            found |= {alias.name: inner[alias.name] for alias in node.names if alias.name in inner}
        elif isinstance(node, ast.Assign) and ast.unparse(node.value).startswith("Annotated["):
            found[ast.unparse(node.targets[0])] = ast.unparse(node.value)
    return found


def _alike(tree: ast.AST) -> set[frozenset[str]]:
    """Pairs of names that are unpacked side by side, such as a height and a width."""
    unpacked = [node for node in ast.walk(tree) if isinstance(node, ast.Tuple) and isinstance(node.ctx, ast.Store)]
    targets = [[ast.unparse(one) for one in node.elts] for node in unpacked]
    return {frozenset(pair) for names in targets for pair in pairwise(names)}


def _read(node: ast.expr, blocks: Sequence[Fields]) -> list[Fields]:
    """The block of which an expression reads a parameter."""
    if not isinstance(node, ast.Attribute) or ast.unparse(node.value) not in ("self", "method", "self.method"):
        return []
    return [fields for fields in blocks if node.attr in fields][:1]


def _exchangeable(one: ast.expr, other: ast.expr, blocks: Sequence[Fields], alike: set[frozenset[str]]) -> bool:
    """Whether two arguments are likely to be of one type."""
    if frozenset((ast.unparse(one), ast.unparse(other))) in alike:
        return True
    kinds = [fields[place.attr] for place in (one, other) if isinstance(place, ast.Attribute) for fields in _read(place, blocks)]
    return len(kinds) == 2 and kinds[0] == kinds[1]


def _constants(node: ast.expr, kind: str) -> Iterator[ast.expr]:
    """What a parameter is for who ignores it."""
    if kind == "tuple":
        yield ast.Subscript(node, ast.Slice(upper=ast.Constant(1)), ast.Load())
    elif kind == "bool":
        yield from (ast.Constant(True), ast.Constant(False))
    elif kind in ("int", "float"):
        yield ast.Constant(1)


def _with(node: ast.AST, **changes: object) -> ast.AST:
    changed = copy.copy(node)
    for name, value in changes.items():
        setattr(changed, name, value)
    return changed


def _is_none(after: str, left: bytes, right: bytes) -> bool:
    """Whether a change can be told from what stands beside it to be no fault.

    Of the first value alone, the first is the same, and any negative length is the one that an array finds for itself.
    """
    return (after.endswith("[:1])") and right.startswith(b"[0]")) or (after == "(2)" and RESHAPED.search(left) is not None)


def _is_text(node: ast.BinOp) -> bool:
    return any(isinstance(one, ast.JoinedStr) or (isinstance(one, ast.Constant) and isinstance(one.value, str)) for one in ast.walk(node))
