"""params.yaml as typed objects.

The file has one section per stage, which is called like the stage's family of methods, or like that, `_` and a word where a family has
several stages. A section holds `method`, the family's own settings, and one block of parameters per method, of which only the selected one
must be complete. Nothing unknown is allowed anywhere in the file.
"""

from __future__ import annotations

import copy
import importlib
import json
import re
import unicodedata
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from seedbed import methods
from seedbed.errors import MethodError, ParamsError, join_names, nearest
from seedbed.store import raw
from seedbed.store.schemas import NONE, ONLY, find_kind

T = TypeVar("T")
M = TypeVar("M", bound=methods.Method)
PLAIN = (str, int, float)  # what a value can be, beside lists and mappings; true and false are numbers
SPLIT = "split"  # what a setting is called that names one
NO_LETTERS = ("Cc", "Cs")  # of Unicode: control characters, and halves of a letter
MISSING = ("missing", "missing_keyword_only_argument")
DEEPEST = 20  # blocks within blocks; ours are five deep
MOST = 100_000  # values, counted wherever an alias repeats them
LONGEST = 200  # letters of a value in a message
PYDANTIC = re.compile(r"^(Value error, |(Input|String|List|Tuple|Dictionary) should (be |have ))")  # how its messages begin
UNREADABLE = (YAMLError, ValueError, LookupError, TypeError, AttributeError)  # the last four: what ruamel meets in a value that is none
DEPTH = f"at most {DEEPEST}, one within another"
LOOK = "run `seedbed methods` to see every method and its parameters"


class Params:
    """The parameters of a run. Names are checked for the whole file at once, values when a part is asked for."""

    def __init__(
        self,
        sections: Mapping[str, Any],
        *,
        source: str = "params.yaml",
        file: Path | None = None,
        content: bytes | None = None,
        checked: bool = True,
    ) -> None:
        """file: where they come from, if that is a file; content: of that file; checked: whether names are."""
        self._sections = sections
        self._source = source
        self.file = file
        self.content = content
        self._stage = ""
        self._check_values()
        if checked:
            self._check_names()

    @classmethod
    def read(cls, path: Path = Path("params.yaml"), *, checked: bool = True) -> Params:
        """Read a file as DVC reads it: YAML 1.2, so that 1e-3 is a number and `on` is a word.

        checked: whether names are; else a mistake is met when the section that has it is asked for.
        """
        if not path.is_file():
            raise ParamsError(
                str(path), found="no such file", expected="the parameters of the pipeline", do="run this in the project's folder"
            )
        try:
            read = path.read_bytes()
            content = YAML(typ="safe").load(read.decode("utf-8"))
        except UnicodeDecodeError as error:
            raise ParamsError(str(path), found=f"bytes that are not UTF-8: {error}", expected="YAML text", do="save it as UTF-8") from error
        except MarkedYAMLError as error:
            mark = error.problem_mark
            where = f"{path}, line {mark.line + 1}, column {mark.column + 1}" if mark else str(path)
            raise ParamsError(
                where, found=f"a mistake in the YAML: {error.problem}", expected="names and values", do="correct that line"
            ) from error
        except RecursionError as error:
            raise ParamsError(str(path), found="blocks within blocks without end", expected=DEPTH, do="correct the file") from error
        except UNREADABLE as error:
            found = f"a value that cannot be read: {error}"
            raise ParamsError(str(path), found=found, expected="YAML", do="correct the file") from error
        except OSError as error:
            found = f"that it cannot be read: {error.strerror}"
            raise ParamsError(str(path), found=found, expected="the parameters of the pipeline", do="see who may read it") from error
        return cls(_check_mapping(content, str(path)), source=str(path), file=path, content=read, checked=checked)

    def of_stage(self, stage: str) -> Params:
        """The same parameters for one stage: whoever asks for its family gets the section that is called like the stage."""
        own = copy.copy(self)
        own._stage = stage
        return own

    def sections(self) -> list[str]:
        """Names of the file's sections, in its order."""
        return list(self._sections)

    def method_name(self, section: str) -> str:
        """Which method a section selects."""
        name = self._section(section).get("method")
        if not isinstance(name, str):
            raise ParamsError(
                f"{self._source}: {section}.method",
                found="nothing" if name is None else repr(name),
                expected=f"one of: {join_names(methods.list_available(find_kind(section)))}",
                do=LOOK,
            )
        return name

    def method(self, contract: type[M]) -> M:
        """The selected method of a family, with its parameters.

        contract: the family's `Method`.
        """
        family, section = _find_family(contract), self._find_section(contract)
        name = self.method_name(section)
        selected = methods.load(family, name, where=f"{self._source}: {section}.method")
        block, address = self._section(section).get(name), f"{self._source}: {section}.{name}"
        if block is None and methods.read_declaration(family, name).parameters:
            has_file = Path("recipes/methods", f"{family}.{name}.yaml").is_file()
            do = f"run `seedbed recipe {family}.{name}`" if has_file else "restore them from params.yaml in git"
            do = do if section == family else f"add them, or {LOOK}"
            raise ParamsError(address, found="nothing", expected="the parameters of the selected method", do=do)
        made = _make(selected, block, address)
        assert isinstance(made, contract)
        return made

    def settings(self, settings: type[T]) -> T:
        """A family's own settings.

        settings: the family's `Settings`.
        """
        names, section = methods.list_available(_find_family(settings)), self._find_section(settings)
        own = {key: value for key, value in self._section(section).items() if key != "method" and key not in names}
        made = _make(settings, own, f"{self._source}: {section}")
        assert isinstance(made, settings)
        return made

    def select(self, section: str) -> dict[str, Any]:
        """All that counts of a section, by address: which method is selected, its parameters, and the family's own settings."""
        name, others = self.method_name(section), methods.list_available(find_kind(section))
        chosen = {key: value for key, value in self._section(section).items() if key == name or key not in others}
        return dict(flatten(chosen, f"{section}."))

    def raw_root(self) -> Path:
        """Where the raw data lies. A location, not a value: what is found there is checked against the data set's digests."""
        root = self._section("dataset").get("root")
        if not isinstance(root, str) or not root.strip() or raw.holds_project(Path(root)):
            found = "nothing" if root is None else repr(root)
            raise ParamsError(f"{self._source}: dataset.root", found=found, expected="a folder below the project", do="correct it")
        return Path(root)

    def splits(self) -> dict[str, str]:
        """The split that each stage works on, of those that have such a setting and do anything. It says nothing of what is wrong there."""
        known = methods.list_families()
        working = [one for one in self._sections if find_kind(one) in known and self._section(one).get("method") != NONE]
        declared = {one: methods.read_settings_declaration(find_kind(one)) for one in working}
        named = {one: self._section(one).get(SPLIT) for one, settings in declared.items() if settings and SPLIT in settings.names()}
        return {section: split for section, split in named.items() if isinstance(split, str)}

    def check(self, needed: Collection[str] = ()) -> None:
        """Check every value of the file, of unselected methods too, and what lies where it names the raw data.

        Slow, because it imports all methods and looks at all files.

        needed: stages that must have a section; of others, those that have one are checked.
        """
        raw.check(self.raw_root())
        known = methods.list_families()
        for section in sorted({*self._sections, *needed}):
            family = find_kind(section)
            if family not in known:
                continue  # a stage of somebody else
            module, own = importlib.import_module(f"seedbed.{family}"), self.of_stage(section)
            own.method(module.Method)
            if methods.read_settings_declaration(family):
                own.settings(module.Settings)
            for name in methods.list_available(family):
                block = self._section(section).get(name)
                if block is not None and name != self.method_name(section):
                    self._check_given(family, name, block, f"{self._source}: {section}.{name}")

    def _check_given(self, family: str, name: str, block: Any, address: str) -> None:
        """Check what is given for a method that is not selected; what is not given is not missed."""
        try:
            kind = methods.load(family, name)
        except MethodError:
            return  # its optional package is missing, which is nobody's concern until it is selected
        _make(kind, block, address, complete=False)

    def _find_section(self, member: type[object]) -> str:
        """The section of the family that a contract belongs to: the stage's own, if there is a stage and that is of the family."""
        family = _find_family(member)
        return self._stage if find_kind(self._stage) == family else family

    def _section(self, name: str) -> Mapping[str, Any]:
        if name not in self._sections:
            do = "restore it from params.yaml in git" if name in methods.list_families() else "add it"
            raise ParamsError(f"{self._source}: {name}", found="nothing", expected="a section for this stage", do=do)
        return _check_mapping(self._sections[name], f"{self._source}: {name}")

    def _check_values(self) -> None:
        """Refuse what YAML can say and no parameter is: dates, bytes, sets, keys that are no names, and what has no end."""
        left: list[tuple[str, Any, tuple[int, ...]]] = [("", self._sections, ())]
        count = 0
        while left:
            address, value, around = left.pop()
            where, count = f"{self._source}: {address}" if address else self._source, count + 1
            if id(value) in around:
                raise ParamsError(where, found="an alias to what it stands in", expected="an end", do="write out what is meant")
            if len(around) > DEEPEST or count > MOST:
                found = "blocks within blocks" if len(around) > DEEPEST else f"more than {MOST:,} values, many of them by aliases"
                expected = DEPTH if len(around) > DEEPEST else "fewer"
                raise ParamsError(where, found=found, expected=expected, do="write out what is meant")
            if isinstance(value, list | tuple):
                inner: Iterable[tuple[Any, Any]] = enumerate(value)
            elif isinstance(value, Mapping):
                inner = _check_mapping(value, where).items()
            elif isinstance(value, str) and any(unicodedata.category(letter) in NO_LETTERS for letter in value):
                raise ParamsError(where, found=_shorten(value), expected="letters that can be read", do="correct it")
            elif value is None or isinstance(value, PLAIN):
                continue
            else:
                raise ParamsError(where, found=_shorten(value), expected="numbers, text, true, false and lists", do="correct it")
            within = (*around, id(value))
            left += [(f"{address}.{key}" if address else str(key), one, within) for key, one in reversed(list(inner))]

    def _check_names(self) -> None:
        known = methods.list_families()
        for name in self._sections:
            family = find_kind(name)
            if family not in known:
                self._check_known(name, known, "")
            if family in ONLY and name != family:
                found, expected = f"a second section of {family}", f"{family} alone, of which there is one"
                raise ParamsError(f"{self._source}: {name}", found=found, expected=expected, do="remove it")
            available = methods.list_available(family)
            declared_settings = methods.read_settings_declaration(family)
            settings = declared_settings.parameters if declared_settings else ()
            section = self._section(name)
            for key, value in section.items():
                self._check_known(str(key), ["method", *(item.name for item in settings), *available], f"{name}.")
                if key in available:
                    self._check_block(value, methods.read_declaration(family, key).parameters, f"{name}.{key}")
            for item in settings:
                if item.nested and item.name in section:
                    self._check_block(section[item.name], item.nested.parameters, f"{name}.{item.name}")

    def _check_block(self, block: Any, fields: Iterable[methods.Parameter], address: str) -> None:
        fields = tuple(fields)
        for key, value in _check_mapping(block, f"{self._source}: {address}").items():
            self._check_known(str(key), [item.name for item in fields], f"{address}.")
            for item in fields:
                if item.name == key and item.nested:
                    self._check_block(value, item.nested.parameters, f"{address}.{key}")

    def _check_known(self, key: str, known: list[str], parent: str) -> None:
        if key not in known:
            raise ParamsError(
                f"{self._source}: {parent}{key}",
                found="a name that nothing reads",
                expected=f"one of: {join_names(known)}{nearest(key, known)}",
                do=f"correct or remove it, or {LOOK}",
            )


def flatten(block: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Values of a block and of those within it, by address."""
    for name, value in block.items():
        if isinstance(value, Mapping) and value:
            yield from flatten(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def rebuild(contract: type[M], name: str, block: Mapping[str, Any], *, where: str) -> M:
    """A method with the parameters that an artifact was made with.

    where: the artifact, for messages.
    """
    family = _find_family(contract)
    made = _make(methods.load(family, name, where=where), block, f"{where}: {family}.{name}")
    assert isinstance(made, contract)
    return made


def _make(kind: type[T], block: Any, address: str, *, complete: bool = True) -> T | None:
    """An object from a block of parameters; a ParamsError says what is wrong with the first of them.

    complete: whether a missing parameter is wrong; else there is no object.
    """
    given = _check_mapping({} if block is None else block, address)
    try:
        # Through JSON, because in strict mode only JSON may give a mapping for a nested dataclass or a list for a tuple.
        return TypeAdapter(kind).validate_json(json.dumps(given))
    except ValidationError as error:
        for problem in error.errors():
            if complete or problem["type"] not in MISSING:
                raise _explain(problem, address) from None
        return None


def _explain(problem: Any, address: str) -> ParamsError:
    full = ".".join([address, *(str(part) for part in problem["loc"])])
    if problem["type"] in MISSING:
        return ParamsError(full, found="nothing", expected="a value", do=f"add it, or {LOOK}")
    expected = PYDANTIC.sub("", str(problem["msg"]))
    return ParamsError(full, found=_shorten(problem["input"]), expected=expected, do=f"correct it, or {LOOK}")


def _shorten(value: Any) -> str:
    """A value for a message, cut short where it is long."""
    text = repr(value)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}..."


def _find_family(member: type[object]) -> str:
    return member.__module__.rpartition(".")[2]


def _check_mapping(value: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise ParamsError(where, found=_shorten(value), expected="a mapping of names to values", do="indent its entries below it")
    for key in value:
        if not isinstance(key, str):
            raise ParamsError(where, found=f"the key {key!r}", expected="names", do="put it in quotes")
    return value
