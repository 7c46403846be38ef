"""Methods are found by file name: `superpixels.method: dino` is `seedbed/superpixels/dino.py`. There is no list.

A family is a folder below `seedbed/` whose `__init__.py` holds the contract, an abstract class `Method`. A method is one file
in it with one class marked `@method`: a frozen, strictly checked dataclass whose fields are the method's parameters.

Names of parameters are read from the source text without importing it (`Declaration`), so that a typing error anywhere in
params.yaml is found although the stage that finds it imports only the method that it runs, and so that a method whose optional
package is missing disturbs nobody else.
"""

from __future__ import annotations

import ast
import dataclasses
import importlib
from abc import ABC
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from operator import attrgetter
from pathlib import Path
from typing import Any, ClassVar, TypeVar, dataclass_transform, get_type_hints

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass as pydantic_dataclass

from seedbed.errors import MethodError, join_names, nearest
from seedbed.packages import INSTALLED_AS

PACKAGE = Path(__file__).parent
CONTRACT = "\nclass Method("  # by which a family is told from another folder
LOCATION = "says where something lies, not what it is"  # marks such a parameter: Annotated[str, LOCATION]
T = TypeVar("T")


class Method(ABC):  # noqa: B024 (the families add the abstract verbs)
    """What every family's contract is made from."""

    name: ClassVar[str] = ""
    uses_gpu: ClassVar[bool] = False  # whether its verbs are quicker on one
    makes_nothing: ClassVar[bool] = False  # its artifact is empty, and takes no time
    saves_memory: ClassVar[str] = "let images be smaller: dataset.max_size, with dataset.larger: shrink"

    def check(self) -> None:  # noqa: B027 (most methods have nothing to check)
        """Refuse what can be known to fail without any data, such as a network that does not exist. Quick: no weights are read."""

    @property
    def remark(self) -> str:
        """What one should know before it runs, such as a cost that is not seen."""
        return ""

    @property
    def unread(self) -> tuple[str, ...]:
        """Slots of its family's settings that it does not read, with these parameters: they say none."""
        return ()

    def memory(self, extents: Mapping[str, int]) -> int:
        """Bytes that it holds at once, about, for an image of the largest size or for a part of a batch; 0 where that is little.

        extents: lengths of dimensions by name, those of what it reads among them.
        """
        return 0


M = TypeVar("M", bound=Method)


@dataclass_transform(kw_only_default=True, frozen_default=True, field_specifiers=(Field,))
def parameters(cls: type[T]) -> type[T]:
    """Make a class a block of parameters: frozen, every field required, unknown keys and wrong types refused."""
    decorate: Any = pydantic_dataclass(frozen=True, kw_only=True, config=ConfigDict(strict=True, extra="forbid", allow_inf_nan=False))
    decorated: type[T] = decorate(cls)
    return decorated


@dataclass_transform(kw_only_default=True, frozen_default=True, field_specifiers=(Field,))
def method(cls: type[M]) -> type[M]:
    """Mark the one class of a file that is its method; its name is the file's."""
    cls.name = cls.__module__.rpartition(".")[2]
    return parameters(cls)


def check_preset(block: Any, published: Mapping[str, Mapping[str, Any]]) -> None:
    """Refuse parameters that are not those of the published set that their `preset` names; own allows any.

    published: parameters of every set, by its name; `walk.power` is one of the block `walk`.
    """
    wanted = published.get(block.preset, {})
    if any(attrgetter(name)(block) != value for name, value in wanted.items()):
        numbers = ", ".join(f"{name}: {value}" for name, value in wanted.items())
        raise ValueError(f"the numbers of the preset {block.preset} ({numbers}), or preset: own")


def identity(block: object) -> dict[str, Any]:
    """A method's parameters as plain data that goes into artifacts: those that only say where something lies are left empty."""
    hints = get_type_hints(type(block), include_extras=True)
    plain: dict[str, Any] = {}
    for field in dataclasses.fields(block):  # type: ignore[arg-type]  # every block of parameters is a dataclass
        value = getattr(block, field.name)
        if LOCATION in getattr(hints[field.name], "__metadata__", ()):
            plain[field.name] = ""
        elif dataclasses.is_dataclass(value):
            plain[field.name] = identity(value)
        else:
            plain[field.name] = list(value) if isinstance(value, tuple) else value
    return plain


def blocks(block: object, address: str) -> Iterator[tuple[str, Any]]:
    """A block of parameters and all blocks within it, with their addresses."""
    yield address, block
    for field in dataclasses.fields(block):  # type: ignore[arg-type]  # every block of parameters is a dataclass
        value = getattr(block, field.name)
        if dataclasses.is_dataclass(value):
            yield from blocks(value, f"{address}.{field.name}")


def list_families() -> list[str]:
    """Folders of `seedbed/` that hold a contract, in alphabetical order; other folders are rooms."""
    return sorted(file.parent.name for file in PACKAGE.glob("*/__init__.py") if CONTRACT in file.read_text(encoding="utf-8"))


def list_available(family: str) -> list[str]:
    """Names of the methods of a family, whether or not they can be imported here."""
    return sorted(file.stem for file in (PACKAGE / family).glob("*.py") if not file.stem.startswith("_"))


def load(family: str, name: str, *, where: str | None = None) -> type[Method]:
    """Import one method.

    where: how the user asked for it, for the message when that fails.
    """
    where = where or f"params.yaml: {family}.method"
    known = list_available(family)
    if name not in known:
        raise MethodError(
            where,
            found=repr(name),
            expected=f"one of: {join_names(known)}{nearest(name, known)}",
            do="run `seedbed methods` to see what there is",
        )
    module_name = f"seedbed.{family}.{name}"
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        package = (error.name or "").split(".")[0]
        if package in ("seedbed", ""):
            raise
        raise MethodError(
            where,
            found=f"{name!r}, which imports {package!r}: {error}",
            expected="that package to be installed",
            do=f"run `pip install {INSTALLED_AS.get(package, package)}`, or choose another method",
        ) from error
    marked = [
        value
        for value in vars(module).values()
        if isinstance(value, type) and value.__module__ == module_name and issubclass(value, Method) and "name" in vars(value)
    ]
    if len(marked) == 1:
        return marked[0]
    raise MethodError(
        f"{PACKAGE.name}/{family}/{name}.py",
        found=f"{len(marked)} classes marked @method" if marked else "no class marked @method",
        expected="exactly one",
        do="see CONTRIBUTING.md, Adding a method",
    )


@dataclass(frozen=True)
class Parameter:
    """A field of a method, as its source text declares it."""

    name: str
    type: str
    comment: str
    nested: Declaration | None


@dataclass(frozen=True)
class Declaration:
    """A method or a block of parameters, read from source without running it."""

    name: str
    docstring: str
    parameters: tuple[Parameter, ...]

    def names(self) -> list[str]:
        """Names of the fields, in order of declaration."""
        return [parameter.name for parameter in self.parameters]

    def summary(self) -> str:
        """The first sentence of the docstring."""
        return self.docstring.strip().split("\n\n")[0].replace("\n", " ")

    def paper(self) -> str:
        """The paragraph that begins with 'Paper:', without that word."""
        for paragraph in self.docstring.split("\n\n"):
            if paragraph.strip().startswith("Paper:"):
                return " ".join(paragraph.strip().removeprefix("Paper:").split())
        return ""


def read_declaration(family: str, name: str) -> Declaration:
    """What a method's file declares."""
    return _declaration(f"seedbed.{family}.{name}", marked_with="method")


def read_settings_declaration(family: str) -> Declaration | None:
    """What a family declares beside its methods, in a class `Settings`; None where it has no such class."""
    module = f"seedbed.{family}"
    if any(node.name == "Settings" for node in _classes(module)):
        return _declaration(module, class_name="Settings")
    return None


@cache
def _parse(module: str) -> tuple[ast.Module, tuple[str, ...]]:
    path = PACKAGE.parent.joinpath(*module.split("."))
    path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    text = path.read_text(encoding="utf-8")
    return ast.parse(text), tuple(text.splitlines())


def _classes(module: str) -> Iterator[ast.ClassDef]:
    return (node for node in _parse(module)[0].body if isinstance(node, ast.ClassDef))


@cache
def _declaration(module: str, *, marked_with: str = "", class_name: str = "") -> Declaration:
    tree, lines = _parse(module)
    for node in _classes(module):
        marks = {ast.unparse(decorator).split("(")[0].split(".")[-1] for decorator in node.decorator_list}
        if node.name == class_name or (marked_with and marked_with in marks):
            fields = tuple(
                _parameter(module, item, lines)
                for item in node.body
                if isinstance(item, ast.AnnAssign) and "ClassVar" not in ast.unparse(item.annotation)
            )
            docstring = (ast.get_docstring(tree) if marked_with else ast.get_docstring(node)) or ""
            return Declaration(name=node.name, docstring=docstring, parameters=fields)
    return Declaration(name=class_name, docstring=ast.get_docstring(tree) or "", parameters=())


def _parameter(module: str, field: ast.AnnAssign, lines: tuple[str, ...]) -> Parameter:
    assert isinstance(field.target, ast.Name)
    written = ast.unparse(field.annotation)
    _, _, comment = lines[(field.end_lineno or field.lineno) - 1].partition("  # ")
    return Parameter(name=field.target.id, type=written, comment=comment.strip(), nested=_find_nested(module, written))


def _find_nested(module: str, annotation: str) -> Declaration | None:
    """The block of parameters that an annotation names, if it names one of ours."""
    if any(node.name == annotation for node in _classes(module)):
        return _declaration(module, class_name=annotation)
    for node in _parse(module)[0].body:
        if not isinstance(node, ast.ImportFrom) or not (node.module or "").startswith("seedbed."):
            continue
        if annotation in (alias.asname or alias.name for alias in node.names):
            found = _declaration(str(node.module), class_name=annotation)
            return found if found.parameters else None
    return None
