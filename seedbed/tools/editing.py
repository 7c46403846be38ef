"""Edits params.yaml as its owner would: comments and layout stay."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import YAMLError

from seedbed.errors import MachineError
from seedbed.params import Params
from seedbed.store.schemas import find_kind

PARAMS = Path("params.yaml")


def check_checkout() -> None:
    """Refuse a folder that is not a project, or a params.yaml that cannot be read, before anything is written."""
    if not PARAMS.is_file() or not Path("dvc.yaml").is_file():
        raise MachineError(
            str(Path.cwd()), found="no params.yaml and dvc.yaml", expected="a checkout of Seedbed", do="run this in its folder"
        )
    Params.read()


def load(path: Path = PARAMS) -> Any:
    """Load a file's content together with its comments and layout."""
    return _yaml().load(path.read_text(encoding="utf-8"))


def plain(content: Any) -> Any:
    """Loaded content as plain dictionaries, lists, strings and numbers."""
    return json.loads(json.dumps(content))


def put(content: Any) -> None:
    """Write params.yaml, whole or not at all, and without comments if they would change its meaning."""
    text, wanted = io.StringIO(), plain(content)
    _yaml().dump(content, text)
    if parse(text.getvalue()) != wanted:  # a key's comments can collide with its new value
        text = io.StringIO()
        YAML().dump(wanted, text)
    replace(PARAMS, text.getvalue().rstrip("\n") + "\n")


def insert(section: str, name: str, file: Path) -> None:
    """Add a block to the end of a section of params.yaml, with its comments from another file, in whose section of that kind it is."""
    content = load()
    added = load(file)[find_kind(section)][name]
    wanted = plain(content)
    wanted[section][name] = plain(added)
    text = _join(content, section, file)
    if parse(text) == wanted:
        replace(PARAMS, text)
    else:
        content[section][name] = strip_comments(added)
        put(content)


def replace(file: Path, text: str) -> None:
    """Write a file whole or not at all."""
    new = file.with_name(f"{file.name}.new")
    new.write_text(text, encoding="utf-8")
    new.replace(file)


def inline(values: Sequence[Any]) -> CommentedSeq:
    """A list that is written on one line."""
    line = CommentedSeq(values)
    line.fa.set_flow_style()
    return line


def add_section(content: Any, name: str, section: Any) -> None:
    """Add a section to the end of loaded content, one line below what is there."""
    content[name] = section
    content.yaml_set_comment_before_after_key(name, before="\n")


def assign(parent: Any, key: str, value: Any) -> None:
    """Set an entry of loaded content to a value. Parts that have that value already keep their comments and layout."""
    old = parent.get(key)
    if isinstance(old, Mapping) and isinstance(value, Mapping):
        for name in [name for name in old if name not in value]:
            del parent[key][name]
        for name, inner in value.items():
            assign(old, name, inner)
    elif key not in parent or old != value or isinstance(old, bool) != isinstance(value, bool):
        parent[key] = strip_comments(value)


def strip_comments(value: Any) -> Any:
    """A copy in the same style but without comments, with lists on one line and no aliases."""
    if isinstance(value, Mapping):
        copy = CommentedMap((name, strip_comments(inner)) for name, inner in value.items())
        if isinstance(value, CommentedMap) and value.fa.flow_style():
            copy.fa.set_flow_style()
        return copy
    return inline(value) if isinstance(value, list) else value


def _join(content: Any, section: str, file: Path) -> str:
    """The text of params.yaml with the lines of a block from a file at the end of a section."""
    lines = PARAMS.read_text(encoding="utf-8").splitlines()
    sections = list(content)
    following = sections[sections.index(section) + 1 :]
    end = content.lc.key(following[0])[0] if following else len(lines)
    while end and (not lines[end - 1].strip() or lines[end - 1].startswith("#")):  # comments there belong to the next section
        end -= 1
    block = [line for line in file.read_text(encoding="utf-8").splitlines() if line.startswith(" ")]
    return "\n".join([*lines[:end], *block, *lines[end:]]) + "\n"


def parse(text: str) -> Any:
    """The content of a text; None if it is not YAML."""
    try:
        return YAML(typ="safe").load(text)
    except YAMLError:
        return None


def _yaml() -> YAML:
    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 1000
    return yaml
