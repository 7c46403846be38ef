"""DAVIS 2016 and 2017, and other videos in their layout, for what is judged without labels, such as clicks.

    JPEGImages/480p/VIDEO/00000.jpg     frames; the folder between may have another name, or be left out
    Annotations/480p/VIDEO/00000.png    which thing each pixel is of, for evaluation only

Every frame is in the split `val`; all videos below the folder are read. What they show has one class, `thing`, and no frame has labels.

Paper: F. Perazzi, J. Pont-Tuset, B. McWilliams, L. Van Gool, M. Gross and A. Sorkine-Hornung, "A Benchmark Dataset and Evaluation
Methodology for Video Object Segmentation", CVPR 2016.

Differs from the paper: not applicable.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field

from seedbed import dataset
from seedbed.dataset import Entry, Index, Preview, Problems, check_root
from seedbed.methods import method
from seedbed.store import raw
from seedbed.types import IGNORE

FRAMES, SPLIT, THING = "JPEGImages", "val", "thing"


@method
class Davis(dataset.Method):
    folder: str  # between JPEGImages and the videos, and likewise below Annotations, such as 480p; empty if there is none
    every: Annotated[int, Field(ge=1, le=10_000)]  # of each video, every so many frames, from the first on
    told_apart: bool  # 2017: values of masks number things, and 255 is void; 2016, false: whatever is not 0 is one thing

    def read(self, root: Path) -> Index:
        _check_layout(root)
        problems, entries = Problems(), list[Entry]()
        frames = root / FRAMES / self.folder
        for video in _list_folders(frames) if dataset.is_below(self.folder or FRAMES) else []:
            for file in raw.matching(video, "*.jpg")[:: self.every]:
                name = file.relative_to(root / FRAMES).as_posix()
                if problem := dataset.find_problem(root, FRAMES, name):
                    problems.add(name, problem)
                else:
                    entries.append(Entry(f"{video.name}/{file.stem}", f"{FRAMES}/{name}", None, frozenset({SPLIT})))
        if not entries and not problems.found:
            problems.add(f"{FRAMES}/{self.folder}", "no folder with frames, as JPEG")
        things = {value: 1 for value in range(1, 256) if value != IGNORE or not self.told_apart}
        return Index(class_names=(THING,), entries=tuple(entries), further=things, problems=tuple(problems.found))

    def preview(self, root: Path) -> Preview:
        _check_layout(root)
        return Preview((THING,), {SPLIT: False})


def _check_layout(root: Path) -> None:
    check_root(root, holds=FRAMES, do="let dataset.root be the folder that has JPEGImages and Annotations")


def _list_folders(folder: Path) -> list[Path]:
    return [one for one in raw.matching(folder, "*") if raw.kind(one) == raw.FOLDER]
