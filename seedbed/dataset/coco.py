"""Microsoft COCO, 2014 or 2017, as downloaded.

    annotations/instances_train2017.json   what the images of a split show, and where
    train2017/                             its images; or below images/
    ...

A split has the name of its file without the year: train, val. An image without annotations is known to contain none of the classes.
Crowds count as contained. Outlines are used for evaluation only.

Paper: T.-Y. Lin et al., "Microsoft COCO: Common Objects in Context", 2014.

Differs from the paper: not applicable.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

from seedbed import dataset
from seedbed.dataset import Entry, Index, Preview, Problems, check_root
from seedbed.errors import DataError, shorten
from seedbed.methods import method
from seedbed.store import raw
from seedbed.types import BACKGROUND, BACKGROUND_NAME, IGNORE


@method
class Coco(dataset.Method):
    year: Literal[2014, 2017]  # of the files to read; a folder may hold both

    def read(self, root: Path) -> Index:
        problems = Problems()
        names: dict[int, str] = {}
        entries: dict[str, Entry] = {}
        for file in self._files(root):
            for entry in self._entries(root, file, names, problems):
                if entry.id in entries:
                    problems.add(f"annotations/{file.name}", f"image {entry.id!r} is listed twice")
                else:
                    entries[entry.id] = entry
        if not entries and not problems.found:
            problems.add("annotations", f"no instances_*{self.year}.json that names an image")
        numbers = sorted(names)
        return Index(
            class_names=tuple(names[one] for one in numbers),
            entries=tuple(entries.values()),
            values=(BACKGROUND, *numbers),
            problems=tuple(problems.found),
        )

    def preview(self, root: Path) -> Preview:
        return Preview(splits={self._split(file): True for file in self._files(root)})

    def _files(self, root: Path) -> list[Path]:
        check_root(root, holds="annotations", do="unpack the annotations there")
        return raw.matching(root / "annotations", f"instances_*{self.year}.json")

    def _split(self, file: Path) -> str:
        return file.stem.removeprefix("instances_").removesuffix(str(self.year))

    def _entries(self, root: Path, file: Path, names: dict[int, str], problems: Problems) -> list[Entry]:
        """Images of one file.

        names: of all categories so far.
        """
        where = f"annotations/{file.name}"
        try:
            content: Any = json.loads(raw.text(file))
            categories = [(_number(one["id"]), _text(one["name"])) for one in content["categories"]]
            images = [
                (_number(one["id"]), _text(one["file_name"]), _number(one["height"]), _number(one["width"])) for one in content["images"]
            ]
            shown = [(_number(one["image_id"]), _number(one["category_id"]), one.get("id")) for one in content["annotations"]]
        except DataError as error:
            problems.add(where, error.found)
            return []
        except json.JSONDecodeError as error:
            problems.add(f"{where}, line {error.lineno}", f"it is no JSON, or cut short: {error.msg}")
            return []
        except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
            problems.add(where, f"it is not what COCO calls instances: {shorten(repr(error))}")
            return []
        if not _learn(categories, names, where, problems):
            return []
        folder = file.stem.removeprefix("instances_")
        below = next((one for one in (folder, f"images/{folder}") if raw.kind(root / one) == raw.FOLDER), folder)
        labels: dict[int, set[str]] = {number: set() for number, *_ in images}
        known = {number for number, _ in categories}
        for image, category, annotation in shown:
            if image not in labels:
                problems.add(where, f"annotation {annotation} of image {image}, which is not listed")
            elif category not in known:
                problems.add(where, f"annotation {annotation} of category {category}, which is not listed")
            else:
                labels[image].add(names[category])
        splits = frozenset({self._split(file)})
        entries, seen = [], set[int]()
        for number, name, height, width in images:
            if number in seen:
                problems.add(where, f"image {number} is listed twice")
            elif problem := dataset.find_problem(root, below, name):
                problems.add(where, problem)
            elif min(height, width) < 1:
                problems.add(where, f"image {number} of {height} x {width} pixels")
            else:
                entries.append(
                    Entry(
                        Path(name).with_suffix("").as_posix(),
                        f"{below}/{name}",
                        dataset.find_shared_words(frozenset(labels[number])),
                        splits,
                    )
                )
            seen.add(number)
        return entries


def _learn(categories: list[tuple[int, str]], names: dict[int, str], where: str, problems: Problems) -> bool:
    """Add the categories of a file to those of others; whether they can be understood."""
    before = len(problems.found)
    for place, (number, name) in enumerate(categories):
        if not 0 < number < IGNORE:
            problems.add(where, f"category {name!r} is number {number}; 1 to {IGNORE - 1} can be read")
        elif number in [one for one, _ in categories[:place]] or name in [one for _, one in categories[:place]]:
            problems.add(where, f"category {number}, {name!r}, is listed twice")
        elif name in ("", BACKGROUND_NAME):
            problems.add(where, f"category {number} is called {name!r}")
        elif names.get(number, name) != name:
            problems.add(where, f"category {number} is {name!r} here and {names[number]!r} in another file")
        else:
            names[number] = name
    return len(problems.found) == before


def _number(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{value!r} where a whole number should be")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str) or not raw.is_writable(value):
        raise TypeError(f"{value!r} where a text should be")
    return value
