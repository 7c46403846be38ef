"""params.yaml as typed objects.

The file has one section per family of methods. A section holds `method`, the family's own settings, and one block of parameters
per method, of which only the selected one must be complete. Nothing unknown is allowed anywhere in the file.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from seedbed import methods, raw
from seedbed.errors import MethodError, ParamsError, listed, nearest

T = TypeVar("T")
M = TypeVar("M", bound=methods.Method)
MISSING = ("missing", "missing_keyword_only_argument")
LOOK = "run `seedbed methods` to see every method and its parameters"


class Params:
    """The parameters of a run. Names are checked for the whole file at once, values when a part is asked for."""

    def __init__(self, sections: Mapping[str, Any], *, source: str = "params.yaml") -> None:
        self._sections = sections
        self._source = source
        self._check_names()

    @classmethod
    def read(cls, path: Path = Path("params.yaml")) -> Params:
        """Read a file as DVC reads it: YAML 1.2, so that 1e-3 is a number and `on` is a word."""
        if not path.is_file():
            raise ParamsError(
                str(path), found="no such file", expected="the parameters of every stage", do="run this in the project's folder"
            )
        try:
            content = YAML(typ="safe").load(path.read_text(encoding="utf-8"))
        except UnicodeDecodeError as error:
            raise ParamsError(str(path), found=f"bytes that are not UTF-8: {error}", expected="YAML text", do="save it as UTF-8") from error
        except MarkedYAMLError as error:
            mark = error.problem_mark
            where = f"{path}, line {mark.line + 1}, column {mark.column + 1}" if mark else str(path)
            raise ParamsError(
                where, found=f"a mistake in the YAML: {error.problem}", expected="names and values", do="correct that line"
            ) from error
        except (YAMLError, ValueError) as error:  # ValueError: a date that does not exist
            raise ParamsError(str(path), found=str(error), expected="YAML", do="correct the file") from error
        return cls(_mapping(content, str(path)), source=str(path))

    def families(self) -> list[str]:
        """Sections of the file, in its order."""
        return list(self._sections)

    def method_name(self, family: str) -> str:
        """Which method a section selects."""
        name = self._section(family).get("method")
        if not isinstance(name, str):
            raise ParamsError(
                f"{self._source}: {family}.method",
                found="nothing" if name is None else repr(name),
                expected=f"one of: {listed(methods.available(family))}",
                do=LOOK,
            )
        return name

    def method(self, contract: type[M]) -> M:
        """The selected method of a family, with its parameters.

        contract: the family's `Method`.
        """
        family = _family(contract)
        name = self.method_name(family)
        selected = methods.load(family, name, where=f"{self._source}: {family}.method")
        made = _make(selected, self._section(family).get(name), f"{self._source}: {family}.{name}")
        assert isinstance(made, contract)
        return made

    def settings(self, settings: type[T]) -> T:
        """A family's own settings.

        settings: the family's `Settings`.
        """
        family = _family(settings)
        names = methods.available(family)
        own = {key: value for key, value in self._section(family).items() if key != "method" and key not in names}
        made = _make(settings, own, f"{self._source}: {family}")
        assert isinstance(made, settings)
        return made

    def raw_root(self) -> Path:
        """Where the raw data lies. A location, not a value: what is found there is checked against the data set's digests."""
        root = self._section("dataset").get("root")
        if not isinstance(root, str) or not root.strip() or "\0" in root or raw.holds_project(Path(root)):
            found = "nothing" if root is None else repr(root)
            raise ParamsError(f"{self._source}: dataset.root", found=found, expected="a folder below the project", do="correct it")
        return Path(root)

    def check(self) -> None:
        """Check every value of the file, of unselected methods too, and what lies where it names the raw data.

        Slow, because it imports all methods and looks at all files.
        """
        raw.check(self.raw_root())
        for family in methods.families():
            module = importlib.import_module(f"seedbed.{family}")
            self.method(module.Method)
            if methods.declared_settings(family):
                self.settings(module.Settings)
            for name in methods.available(family):
                block = self._section(family).get(name)
                if block is not None and name != self.method_name(family):
                    self._check_given(family, name, block)

    def _check_given(self, family: str, name: str, block: Any) -> None:
        """Check what is given for a method that is not selected; what is not given is not missed."""
        address = f"{self._source}: {family}.{name}"
        try:
            kind = methods.load(family, name)
        except MethodError:
            return  # its optional package is missing, which is nobody's concern until it is selected
        _make(kind, block, address, complete=False)

    def _section(self, family: str) -> Mapping[str, Any]:
        if family not in self._sections:
            raise ParamsError(
                f"{self._source}: {family}", found="nothing", expected="a section for this stage", do="restore it from params.yaml in git"
            )
        return _mapping(self._sections[family], f"{self._source}: {family}")

    def _check_names(self) -> None:
        known = methods.families()
        for family in self._sections:
            self._check_known(str(family), known, "")
            section = self._section(family)
            names = methods.available(family)
            declared_settings = methods.declared_settings(family)
            settings = declared_settings.parameters if declared_settings else ()
            for key, value in section.items():
                self._check_known(str(key), ["method", *(item.name for item in settings), *names], f"{family}.")
                if key in names:
                    self._check_block(value, methods.declared(family, key).parameters, f"{family}.{key}")
            for item in settings:
                if item.nested and item.name in section:
                    self._check_block(section[item.name], item.nested.parameters, f"{family}.{item.name}")

    def _check_block(self, block: Any, fields: Iterable[methods.Parameter], address: str) -> None:
        fields = tuple(fields)
        for key, value in _mapping(block, f"{self._source}: {address}").items():
            self._check_known(str(key), [item.name for item in fields], f"{address}.")
            for item in fields:
                if item.name == key and item.nested:
                    self._check_block(value, item.nested.parameters, f"{address}.{key}")

    def _check_known(self, key: str, known: list[str], parent: str) -> None:
        if key not in known:
            raise ParamsError(
                f"{self._source}: {parent}{key}",
                found="a name that nothing reads",
                expected=f"one of: {listed(known)}{nearest(key, known)}",
                do=f"correct or remove it, or {LOOK}",
            )


def rebuilt(contract: type[M], name: str, block: Mapping[str, Any], *, where: str) -> M:
    """A method with the parameters that an artifact was made with.

    where: the artifact, for messages.
    """
    family = _family(contract)
    made = _make(methods.load(family, name, where=where), block, f"{where}: {family}.{name}")
    assert isinstance(made, contract)
    return made


def _make(kind: type[T], block: Any, address: str, *, complete: bool = True) -> T | None:
    """An object from a block of parameters; a ParamsError says what is wrong with the first of them.

    complete: whether a missing parameter is wrong; else there is no object.
    """
    given = _mapping({} if block is None else block, address)
    try:
        # Through JSON, because in strict mode only JSON may give a mapping for a nested dataclass or a list for a tuple.
        return TypeAdapter(kind).validate_json(json.dumps(given))
    except ValidationError as error:
        for problem in error.errors():
            if complete or problem["type"] not in MISSING:
                raise _explained(problem, address) from None
        return None
    except TypeError as error:
        raise ParamsError(address, found=str(error), expected="numbers, text, true, false and lists", do="correct it") from error


def _explained(problem: Any, address: str) -> ParamsError:
    full = ".".join([address, *(str(part) for part in problem["loc"])])
    if problem["type"] in MISSING:
        return ParamsError(full, found="nothing", expected="a value", do=f"add it, or {LOOK}")
    expected = str(problem["msg"]).removeprefix("Value error, ").removeprefix("Input should be ")
    return ParamsError(full, found=repr(problem["input"]), expected=expected, do=f"correct it, or {LOOK}")


def _family(member: type[object]) -> str:
    return member.__module__.rpartition(".")[2]


def _mapping(value: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise ParamsError(where, found=repr(value), expected="a mapping of names to values", do="indent its entries below it")
    for key in value:
        if not isinstance(key, str):
            raise ParamsError(where, found=f"the key {key!r}", expected="names", do="put it in quotes")
    return value
