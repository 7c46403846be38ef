"""params.yaml, changed by a program as its owner would: comments and layout stay."""

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

PARAMS = Path("params.yaml")


def check_checkout() -> None:
    """Refuse a folder that is no project, and a params.yaml that cannot be read, before anything is written."""
    if not PARAMS.is_file() or not Path("dvc.yaml").is_file():
        raise MachineError(str(Path.cwd()), found="no params.yaml and dvc.yaml", expected="a checkout of Seedbed", do="go there")
    Params.read()


def load(path: Path = PARAMS) -> Any:
    """A file's content that knows how it was written."""
    return _yaml().load(path.read_text(encoding="utf-8"))


def plain(content: Any) -> Any:
    """The same as plain dictionaries, lists, texts and numbers."""
    return json.loads(json.dumps(content))


def put(content: Any) -> None:
    """Write params.yaml, as a whole or not at all, in a form that says what is meant."""
    text, wanted = io.StringIO(), plain(content)
    _yaml().dump(content, text)
    if _understand(text.getvalue()) != wanted:  # comments of a key can get in the way of another value for it
        text = io.StringIO()
        YAML().dump(wanted, text)
    _replace(text.getvalue())


def insert(family: str, name: str, file: Path) -> None:
    """Add a block that params.yaml lacks to the end of its section, with the comments that another file has for it."""
    content = load()
    added = load(file)[family][name]
    wanted = plain(content)
    wanted.setdefault(family, {})[name] = plain(added)
    text = _join(content, family, file) if family in content else ""
    if _understand(text) == wanted:
        _replace(text)
    else:
        content.setdefault(family, {})[name] = strip_comments(added)
        put(content)


def inline(values: Sequence[Any]) -> CommentedSeq:
    """A list that stays on its line."""
    line = CommentedSeq(values)
    line.fa.set_flow_style()
    return line


def assign(parent: Any, key: str, value: Any) -> None:
    """Let an entry of loaded content have a value, and nothing that the value lacks. What has it already stays as it is written."""
    old = parent.get(key)
    if isinstance(old, Mapping) and isinstance(value, Mapping):
        for name in [name for name in old if name not in value]:
            del parent[key][name]
        for name, inner in value.items():
            assign(old, name, inner)
    elif key not in parent or old != value or isinstance(old, bool) != isinstance(value, bool):
        parent[key] = strip_comments(value)


def strip_comments(value: Any) -> Any:
    """A copy in the same style, with lists on their line and nothing shared by aliases."""
    if isinstance(value, Mapping):
        copy = CommentedMap((name, strip_comments(inner)) for name, inner in value.items())
        if isinstance(value, CommentedMap) and value.fa.flow_style():
            copy.fa.set_flow_style()
        return copy
    return inline(value) if isinstance(value, list) else value


def _join(content: Any, family: str, file: Path) -> str:
    """The text of params.yaml with the lines of a block, as a file has them, at the end of a section."""
    lines = PARAMS.read_text(encoding="utf-8").splitlines()
    families = list(content)
    following = families[families.index(family) + 1 :]
    end = content.lc.key(following[0])[0] if following else len(lines)
    while end and (not lines[end - 1].strip() or lines[end - 1].startswith("#")):  # comments there belong to the next section
        end -= 1
    block = [line for line in file.read_text(encoding="utf-8").splitlines() if line.startswith(" ")]
    return "\n".join([*lines[:end], *block, *lines[end:]]) + "\n"


def _understand(text: str) -> Any:
    """What a text says; None where it is no YAML."""
    try:
        return YAML(typ="safe").load(text)
    except YAMLError:
        return None


def _replace(text: str) -> None:
    new = PARAMS.with_name(f"{PARAMS.name}.new")
    new.write_text(text, encoding="utf-8")
    new.replace(PARAMS)


def _yaml() -> YAML:
    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 1000
    return yaml
