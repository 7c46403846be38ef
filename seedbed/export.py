"""What leaves the pipeline for people and other tools: figures as JSON, tables for plots as CSV, pictures as PNG."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from seedbed import drawing
from seedbed.types import Image


def figures(content: Mapping[str, Any], path: Path) -> None:
    """Write figures that `dvc metrics` reads."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]], path: Path) -> None:
    """Write a table that `dvc plots` reads."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)


def pictures(rows: Sequence[Mapping[str, Image]], path: Path) -> None:
    """Write a sheet of pictures."""
    drawing.save(drawing.sheet(rows), path)


def picture(image: Image, path: Path) -> None:
    """Write a picture."""
    drawing.save(image, path)
