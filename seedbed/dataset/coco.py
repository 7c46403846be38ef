"""Microsoft COCO, 2014 or 2017, as downloaded.

    annotations/instances_train2017.json   what the images of a split show, and where
    train2017/                             its images; or below images/
    ...

A split is called as its file without the year: train, val. An image in which nothing is annotated is known to show none of the
classes. Crowds count as shown. Outlines are drawn for evaluation only.

Paper: T.-Y. Lin et al., "Microsoft COCO: Common Objects in Context", 2014.

Differs from the paper: not applicable.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, Literal

from seedbed import dataset
from seedbed.dataset import Entry, Index, Problems, check_root, class_colours
from seedbed.methods import method
from seedbed.types import BACKGROUND


@method
class Coco(dataset.Method):
    year: Literal[2014, 2017]  # of the files that are read; a folder may hold both

    def read(self, root: Path) -> Index:
        check_root(root, holds="annotations", do="unpack the annotations there")
        problems = Problems()
        names: dict[int, str] = {}
        entries: dict[str, Entry] = {}
        for file in sorted((root / "annotations").glob(f"instances_*{self.year}.json")):
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
            palette=class_colours(len(numbers)),
            entries=tuple(entries.values()),
            values=(BACKGROUND, *numbers),
            problems=tuple(problems.found),
        )

    def _entries(self, root: Path, file: Path, names: dict[int, str], problems: Problems) -> list[Entry]:
        """Images of one file.

        names: of all categories so far.
        """
        where = f"annotations/{file.name}"
        try:
            content: Any = json.loads(file.read_text(encoding="utf-8"))
            categories = {int(one["id"]): str(one["name"]) for one in content["categories"]}
            images = [(one["id"], str(one["file_name"])) for one in content["images"]]
            shown = [(one["image_id"], int(one["category_id"])) for one in content["annotations"]]
        except json.JSONDecodeError as error:
            problems.add(f"{where}, line {error.lineno}", f"it is no JSON, or cut short: {error.msg}")
            return []
        except (OSError, UnicodeDecodeError, KeyError, TypeError, ValueError) as error:
            problems.add(where, f"it is not what COCO calls instances: {error!r}")
            return []
        if any(not 0 < number < 255 for number in categories) or any(names.get(one, name) != name for one, name in categories.items()):
            problems.add(where, "categories that are numbered beyond 254, or other than in the files before")
            return []
        names |= categories
        folder = re.sub(r"^instances_", "", file.stem)
        below = next((one for one in (folder, f"images/{folder}") if (root / one).is_dir()), folder)
        labels: dict[Any, set[str]] = {number: set() for number, _ in images}
        for image, category in shown:
            if image not in labels:
                problems.add(where, f"an annotation of image {image!r}, which is not listed")
            elif category not in categories:
                problems.add(where, f"an annotation of category {category}, which is not listed")
            else:
                labels[image].add(categories[category])
        splits = frozenset({folder.removesuffix(str(self.year))})
        entries = []
        for number, name in images:
            if not (dataset.is_below(name) and (root / below / name).is_file()):
                problems.add(where, f"there is no {below}/{name}")
                continue
            entries.append(Entry(Path(name).stem, f"{below}/{name}", frozenset(labels[number]), splits))
        return entries
