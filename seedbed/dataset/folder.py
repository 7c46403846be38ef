"""A folder of your own: images, and one CSV file that says what each contains.

    images/    any names, in JPEG, PNG or whatever else OpenCV reads
    labels.csv columns `image,labels,split`: file name below images/, classes separated by spaces, splits separated by spaces
    masks/     optional, for evaluation only: one PNG per image, of the same name but for the ending, whose pixel values are
               classes (0 background, 1..K in the order of `classes`, 255 ignored)

Paper: none; the layout is our own.

Differs from the paper: not applicable.
"""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, model_validator

from seedbed import dataset
from seedbed.dataset import Entry, Index, class_colours
from seedbed.errors import DataError, listed, nearest
from seedbed.methods import method
from seedbed.types import BACKGROUND_NAME, IGNORE

COLUMNS = ["image", "labels", "split"]


ClassName = Annotated[str, Field(pattern=r"^\S+$")]  # one word, because spaces separate classes


@method
class Folder(dataset.Method):
    classes: Annotated[
        tuple[ClassName, ...], Field(min_length=1, max_length=IGNORE - 1)
    ]  # names of the classes; the first is number 1 in masks

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        if len({BACKGROUND_NAME, *self.classes}) <= len(self.classes):
            raise ValueError(f"classes with distinct names, none of them {BACKGROUND_NAME!r}")
        return self

    def read(self, root: Path) -> Index:
        if not root.is_dir():
            raise DataError(
                str(root), found="no such folder", expected="the raw data", do="put it there, or correct dataset.root in params.yaml"
            )
        table = root / "labels.csv"
        if not table.is_file():
            raise DataError(
                str(table), found="no such file", expected=f"a CSV file with the columns {','.join(COLUMNS)}", do="write it, see README"
            )
        entries: list[Entry] = []
        problems: list[str] = []
        seen: dict[str, int] = {}
        try:
            text = table.read_text(encoding="utf-8-sig")
        except UnicodeDecodeError as error:
            raise DataError(str(table), found=f"bytes that are not UTF-8: {error}", expected="UTF-8 text", do="save it as UTF-8") from error
        with io.StringIO(text, newline="") as stream:
            reader = csv.DictReader(stream)
            if reader.fieldnames is None or [one.strip() for one in reader.fieldnames] != COLUMNS:
                raise DataError(
                    f"{table}, line 1", found=repr(reader.fieldnames), expected=f"the header {','.join(COLUMNS)}", do="correct that line"
                )
            reader.fieldnames = COLUMNS  # without the spaces around them
            for line in reader:
                entry, wrong = self._entry(root, line)
                if entry.id in seen:
                    wrong.append(f"{entry.id!r} was listed in line {seen[entry.id]} already")
                seen[entry.id] = reader.line_num
                problems += [f"line {reader.line_num}: {one}" for one in wrong]
                entries.append(entry)
        if problems:
            shown = "; ".join(problems[:20]) + (f"; and {len(problems) - 20} more" if len(problems) > 20 else "")
            raise DataError(
                str(table),
                found=f"{len(problems)} wrong entries: {shown}",
                expected=f"existing images once each, with labels among: {listed(self.classes)}",
                do="correct these lines",
            )
        if not entries:
            raise DataError(str(table), found="no image", expected="at least one line below the header", do="list your images")
        return Index(class_names=self.classes, palette=class_colours(len(self.classes)), entries=tuple(entries))

    def _entry(self, root: Path, line: dict[str, str]) -> tuple[Entry, list[str]]:
        name, labels, splits = ((line[column] or "").strip() for column in COLUMNS)
        file = Path("images") / name
        wrong = []
        if not name or ".." in file.parts or Path(name).is_absolute():
            wrong.append(f"{name!r} is not a file name below images/")
        elif not (root / file).is_file():
            wrong.append(f"there is no {file.as_posix()}")
        for label in labels.split():
            if label not in self.classes:
                wrong.append(f"unknown label {label!r}{nearest(label, self.classes)}")
        if None in line:
            wrong.append(f"more than {len(COLUMNS)} columns; separate classes by spaces")
        if not splits:
            wrong.append("no split")
        entry = Entry(
            id=Path(name).with_suffix("").as_posix() if Path(name).name else name,
            file=file.as_posix(),
            labels=frozenset(labels.split()),
            splits=frozenset(splits.split()),
        )
        return entry, wrong
