"""A folder of your own: images, and one file that says what each contains.

    images/      any names, in JPEG, PNG or another format of OpenCV; without this folder, images lie beside labels.csv or below it
    labels.csv   columns `image,labels,split`: file name below images/, classes, splits; separated by commas or semicolons; the column
                 `split` may be left out
    masks/       optional, for evaluation only: one PNG per image, with the same name except for the ending, grey or with a palette,
                 whose numbers are classes (0 background, 1..K in the order of `classes`, 255 ignored)
    instances/   optional, for evaluation only: the same for things, whose numbers are 1, 2, ... in each image (0 none, 255 void)

Instead of labels.csv there may be labels.jsonl, with one line for each image:

    {"image": "rex.jpg", "labels": ["dog"], "split": "train"}

Classes are separated by commas or semicolons, or by spaces if no class name has any; so are splits. Without a split, an image belongs to
`train`. An image without labels counts as unlabelled, unless `complete` says that all labels are given: then it contains none of the
classes.

Paper: none; the layout is our own.

Differs from the paper: not applicable.
"""

from __future__ import annotations

import csv
import io
import json
import re
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import Field, model_validator

from seedbed import dataset
from seedbed.dataset import Entry, Index, Preview, Problems, check_root, is_below
from seedbed.errors import DataError, join_names, nearest, shorten
from seedbed.methods import method
from seedbed.store import raw
from seedbed.types import BACKGROUND_NAME, IGNORE

CSV, JSON_LINES = "labels.csv", "labels.jsonl"
COLUMNS = ["image", "labels", "split"]
SPLIT = "train"  # of an image without one

CLASS_NAME = r"^[^\s,;]([^,;]*[^\s,;])?$"  # no separator in it, no space around it
ClassName = Annotated[str, Field(pattern=CLASS_NAME)]


@method
class Folder(dataset.Method):
    classes: Annotated[
        tuple[ClassName, ...], Field(min_length=1, max_length=IGNORE - 1)
    ]  # names of the classes; the first is number 1 in masks
    complete: bool  # whether an image without labels is known to contain none of the classes

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        if len({BACKGROUND_NAME, *self.classes}) <= len(self.classes):
            raise ValueError(f"classes with distinct names, none of them {BACKGROUND_NAME!r}")
        return self

    def read(self, root: Path) -> Index:
        table, problems = table_of(root), Problems()
        images = Path("images") if raw.kind(root / "images") == raw.FOLDER else Path()
        entries: list[Entry] = []
        seen: dict[str, int] = {}
        for number, row in rows(table, problems):
            before = len(problems.found)
            entry = self._entry(root, images, row, f"{table.name}, line {number}", problems)
            if entry.id in seen:
                problems.add(f"{table.name}, line {number}", f"{entry.id!r} was listed in line {seen[entry.id]} already")
            seen.setdefault(entry.id, number)
            if len(problems.found) == before:
                entries.append(entry)
        if not seen and not problems.found:
            raise DataError(str(table), found="no image", expected="at least one line for an image", do="list your images")
        return Index(class_names=self.classes, entries=tuple(entries), problems=tuple(problems.found))

    def preview(self, root: Path) -> Preview:
        splits: dict[str, bool] = {}
        count = 0
        for _, row in rows(table_of(root), Problems()):
            labelled, count = self.complete or bool(words(row["labels"], self.classes)), count + 1
            for split in words(row["split"], ()) or [SPLIT]:
                splits[split] = labelled or splits.get(split, False)
        return Preview(self.classes, splits, count)

    def _entry(self, root: Path, images: Path, row: dict[str, Any], where: str, problems: Problems) -> Entry:
        given = row["image"].strip()
        # What is written as one letter with an accent here may be written as two there.
        forms = (given, unicodedata.normalize("NFC", given), unicodedata.normalize("NFD", given))
        name = next((form for form in forms if raw.kind(root / images / form) == raw.FILE), given)
        file = images / name
        if not is_below(name):
            problems.add(where, f"{name!r} is not a file name below {images}/")
        elif problem := dataset.find_problem(root, images.as_posix(), name):
            problems.add(where, problem)
        labels, splits = words(row["labels"], self.classes), words(row["split"], ())
        if row["split"] is not None and not splits:
            problems.add(where, "no split")
        for split in splits:
            if not re.fullmatch(r"[\w.-]+", split):
                problems.add(where, f"{split!r} is no name of a split: letters, digits, - and _ are")
        for label in labels:
            if label not in self.classes:
                problems.add(where, f"unknown label {label!r}{nearest(label, self.classes)}")
        return Entry(
            id=Path(name).with_suffix("").as_posix() if Path(name).name else name,
            file=file.as_posix(),
            labels=dataset.find_shared_words(frozenset(labels)) if labels or self.complete else None,
            splits=dataset.find_shared_words(frozenset(splits or [SPLIT])),
        )


def table_of(root: Path) -> Path:
    """The file that says what the images of a folder contain."""
    tables = [name for name in (CSV, JSON_LINES) if raw.kind(root / name) != raw.NOTHING]
    name = (tables or [CSV])[0]
    check_root(root, holds=name, do=f"write it, or {JSON_LINES}; `seedbed init` makes a start")
    if len(tables) > 1:
        raise DataError(str(root), found=f"{CSV} and {JSON_LINES}", expected="one of them", do="remove the other")
    return root / name


def rows(table: Path, problems: Problems) -> Iterator[tuple[int, dict[str, Any]]]:
    """Lines of a table, by number, each with all columns; what cannot be understood is noted as a problem."""
    text = raw.text(table)
    yield from _csv_rows(table, text, problems) if table.suffix == ".csv" else _json_rows(table.name, text, problems)


def _csv_rows(table: Path, text: str, problems: Problems) -> Iterator[tuple[int, dict[str, Any]]]:
    header = text.partition("\n")[0]
    delimiter = ";" if ";" in header and "," not in header else ","
    with io.StringIO(text, newline="") as stream:
        reader = csv.reader(stream, delimiter=delimiter, strict=True)
        last = 0
        try:
            given = next(reader, [])
            columns = [one.strip().lower() for one in given]
            if columns not in (COLUMNS, COLUMNS[:-1]):
                expected = f"the header {','.join(COLUMNS)}, of which {COLUMNS[-1]} may be left out"
                found = shorten(repr(given)) if given else "nothing"
                raise DataError(f"{table}, line 1", found=found, expected=expected, do="correct that line")
            last = reader.line_num
            for cells in reader:
                line, last = last + 1, reader.line_num
                if not any(cell.strip() for cell in cells):
                    continue
                if len(cells) > len(columns):
                    advice = "put classes into quotes, or separate them by spaces"
                    problems.add(f"{table.name}, line {line}", f"more than {len(columns)} columns; {advice}")
                elif any("\n" in cell or "\r" in cell for cell in cells):
                    problems.add(f"{table.name}, line {line}", "a line break within a cell: is a quote missing?")
                else:
                    full = dict(zip(columns, [*cells, *[""] * (len(columns) - len(cells))], strict=True))
                    yield line, {name: full.get(name) for name in COLUMNS}
        except csv.Error as error:
            problems.add(f"{table.name}, line {last + 1}", f"no CSV: {error}")


def _json_rows(name: str, text: str, problems: Problems) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in enumerate(text.split("\n"), start=1):  # not splitlines: other line breaks may stand within text
        if not line.strip():
            continue
        where = f"{name}, line {number}"
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            problems.add(where, f"no JSON, or cut short: {error.msg}")
            continue
        except (RecursionError, ValueError):  # the latter: a number of thousands of digits
            problems.add(where, "no JSON that anybody would write")
            continue
        if not isinstance(row, dict) or "image" not in row or row.keys() - set(COLUMNS):
            problems.add(where, f"not an object with {join_names(COLUMNS)}")
        elif not isinstance(row["image"], str) or not all(_is_text(row.get(column)) for column in COLUMNS):
            problems.add(where, "something that is neither text nor a list of texts")
        else:
            yield number, {column: row.get(column) for column in COLUMNS}


def _is_text(value: Any) -> bool:
    texts = value if isinstance(value, list) else [value]
    return value is None or all(isinstance(one, str) and raw.is_writable(one) for one in texts)


def words(cell: Any, names: Sequence[str]) -> list[str]:
    """Classes or splits of a cell.

    names: those that may have spaces within them.
    """
    if isinstance(cell, list):
        return [one.strip() for one in cell]
    text = (cell or "").strip()
    if text in names:
        return [text]
    spaces = not re.search("[,;]", text) and not any(re.search(r"\s", name) for name in names)
    return [word.strip() for word in re.split(r"\s+" if spaces else "[,;]", text) if word.strip()]
