"""What a group says of itself, and whether its files are those on record. Imports nothing that takes long, for whoever only compares."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

FOLDER = Path("data")
WORK = ".work"  # beside the artifacts, so that links and renaming stay within one file system


def misfits(path: Path, record: Mapping[str, Any]) -> Iterator[str]:
    """Files of an artifact that are missing, of another length, or not its own."""
    present = {relative: file.stat().st_size for relative, file in files_below(path)}
    for relative, (size, sha) in record["files"].items():
        if relative not in present:
            yield f"no {relative}"
        elif present[relative] != size:
            yield f"{relative} with {present[relative]} bytes instead of {size}"
        elif relative.endswith("zarr.json") and sha256(path / relative) != sha:
            yield f"{relative} with another content than was published"
    for relative in sorted(present.keys() - record["files"].keys()):
        yield f"{relative}, which does not belong there"


def record_of(path: Path) -> dict[str, Any]:
    """What a group says of itself; empty where that is nothing, or not what was once written."""
    try:
        record: dict[str, Any] = json.loads((path / "zarr.json").read_text(encoding="utf-8"))["attributes"]["seedbed"]
        content = {name: value for name, value in record.items() if name != "digest"}
        return record if record["digest"] == digest(content) else {}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def files_below(path: Path) -> Iterator[tuple[str, Path]]:
    """Every file below a group but its own metadata, by relative name, in order."""
    for file in sorted(path.rglob("*")):
        relative = file.relative_to(path).as_posix()
        if file.is_file() and relative != "zarr.json":
            yield relative, file


def digest(content: Any) -> str:
    """Identity of plain data."""
    return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def sha256(file: Path) -> str:
    """Identity of a file's content."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
