"""Tables that stages leave for plots, read back."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass

from seedbed.errors import ArtifactError


@dataclass(frozen=True)
class Table:
    """Rows of text, below the names of their columns."""

    file: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]

    @classmethod
    def parse(cls, text: str, *, file: str) -> Table:
        """A table as it is in a file."""
        try:
            columns, *rows = csv.reader(io.StringIO(text, newline=""), strict=True)
        except (csv.Error, ValueError) as error:
            raise _damaged(file, f"no table: {error}") from error
        if wrong := [row for row in rows if len(row) != len(columns)]:
            raise _damaged(file, f"a row of {len(wrong[0])} cells below {len(columns)} columns")
        return cls(file, columns, rows)

    def texts(self, column: str) -> list[str]:
        """A column."""
        if column not in self.columns:
            raise _damaged(self.file, f"no column {column!r}")
        place = self.columns.index(column)
        return [row[place] for row in self.rows]

    def numbers(self, column: str) -> list[float]:
        """A column of numbers."""
        try:
            return [float(one) for one in self.texts(column)]
        except ValueError as error:
            raise _damaged(self.file, f"in the column {column!r} what is no number: {error}") from error


def _damaged(file: str, found: str) -> ArtifactError:
    return ArtifactError(file, found=found, expected="a table as the stage wrote it", do="run `dvc repro` again")
