"""The record that a group holds of itself, and whether its files match it. Imports only what loads fast, for `seedbed/run/reuse.py`."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

FOLDER = Path("data")
WORK = ".work"  # beside the artifacts, so that links and renaming stay within one file system


def misfits(path: Path, record: Mapping[str, Any]) -> Iterator[str]:
    """Files of an artifact that are missing, have another length, or do not belong to it."""
    present = {relative: file.stat().st_size for relative, file in files_below(path)}
    for relative, (size, sha) in record["files"].items():
        if relative not in present:
            yield f"no {relative}"
        elif present[relative] != size:
            yield f"{relative} with {present[relative]} bytes instead of {size}"
        elif relative.endswith("zarr.json") and sha256(path / relative) != sha:
            yield f"{relative} with content other than what was published"
    for relative in sorted(present.keys() - record["files"].keys()):
        yield f"{relative}, which does not belong to it"


def record_of(path: Path) -> dict[str, Any]:
    """The record of a group; empty if there is none, or if it has been changed."""
    try:
        record: dict[str, Any] = json.loads((path / "zarr.json").read_text(encoding="utf-8"))["attributes"]["seedbed"]
        content = {name: value for name, value in record.items() if name != "digest"}
        return record if record["digest"] == digest(content) else {}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def files_below(path: Path) -> Iterator[tuple[str, Path]]:
    """Every file below a group but its own metadata, by relative name, in order."""
    yield from ((relative, path / relative) for relative in sorted(_walk(str(path), "")) if relative != "zarr.json")


def _walk(folder: str, prefix: str) -> Iterator[str]:
    """Relative names of files; several times as fast as `Path.rglob`, which counts where there are thousands of them."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                yield from _walk(entry.path, f"{prefix}{entry.name}/")
            elif entry.is_file():
                yield f"{prefix}{entry.name}"


def digest(content: Any) -> str:
    """Identity of plain data."""
    return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def sha256(file: Path) -> str:
    """Identity of a file's content."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
