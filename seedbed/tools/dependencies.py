"""What of the code each stage depends on, as each dvc.yaml lists it: found by imports, so that nobody keeps these lists by hand.

A room that several stages share is one line, its folder: whether an edit there concerns a stage, the digest of its code decides, and
DVC's new run of it then takes seconds. So is a family of which a stage runs what another stage has trained, for a slot says which stage
that is. What carries results and changes none is not listed, except for schemas, and for pictures where the stage draws some.
"""

from __future__ import annotations

import re
from io import StringIO
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from seedbed import methods
from seedbed.run import fingerprint
from seedbed.store.schemas import find_kind

PIPELINE, OTHERS = Path("dvc.yaml"), "pipelines/*/dvc.yaml"
CODE = ("seedbed/", "stages/")
SCHEMAS, REPORT = "seedbed/store/schemas.py", "seedbed/report"


def list_pipelines() -> list[Path]:
    """Every dvc.yaml of ours: the project's, and those of pipelines in folders of their own."""
    return [PIPELINE, *sorted(Path().glob(OTHERS))]


def list_kinds(file: Path = PIPELINE) -> set[str]:
    """Kinds of the stages of a dvc.yaml."""
    return {find_kind(stage) for stage in load_pipeline(file)["stages"]}


def render_pipeline(file: Path = PIPELINE) -> str:
    """A dvc.yaml with the code that every stage depends on, seen from its folder."""
    return render(load_pipeline(file), up="../" * len(file.parent.parts))


def load_pipeline(file: Path = PIPELINE) -> Any:
    """The content of a dvc.yaml with its comments and layout."""
    return _yaml().load(file)


def render(content: Any, *, up: str = "") -> str:
    """The content of a dvc.yaml as text, with the code that every stage depends on.

    up: from its folder to the project's.
    """
    for stage, section in content["stages"].items():
        data = [dep for dep in section["deps"] if not dep.removeprefix(up).startswith(CODE)]
        section["deps"] = [*data, *(f"{up}{code}" for code in find_code(stage))]
    text = StringIO()
    _yaml().dump(content, text)
    return text.getvalue()


def _yaml() -> YAML:
    yaml = YAML()
    yaml.width = 140
    yaml.indent(mapping=2, sequence=4, offset=2)
    return yaml


def find_code(stage: str) -> list[str]:
    """Files and folders of ours that can change what a stage makes, as deps of dvc.yaml."""
    kind = find_kind(stage)
    text = (fingerprint.ROOT / "stages" / f"{kind}.py").read_text(encoding="utf-8")
    asked = [family for family in methods.list_families() if re.search(rf"\b{family}\.Method\b", text)]
    reached = fingerprint.find_reached([f"stages.{kind}", fingerprint.DECODER])
    for family in asked:
        for name in methods.list_available(family):
            method = f"seedbed.{family}.{name}"
            reached |= fingerprint.find_reached([method]) - {method}
    others = [f"seedbed/{family}" for family in asked if family != kind]
    listed = {_name_dependency(module) for module in reached if not fingerprint.carries(module)}
    listed = {one for one in listed if not one.startswith(tuple(f"{other}/" for other in others))}
    drawn = {REPORT} if any(module.startswith("seedbed.report") for module in reached) else set()
    own = {f"seedbed/{kind}/${{{stage}.method}}.py"} if kind in asked else set()
    return sorted({*listed, *drawn, *others, *own, SCHEMAS})


def _name_dependency(module: str) -> str:
    """A module as a dep: itself, or the room that it is in."""
    parts = module.split(".")
    if len(parts) > 1 and parts[0] == "seedbed" and parts[1] not in methods.list_families() and (methods.PACKAGE / parts[1]).is_dir():
        return f"seedbed/{parts[1]}"
    path = Path(*parts)
    return (path / "__init__.py" if (fingerprint.ROOT / path).is_dir() else path.with_suffix(".py")).as_posix()
