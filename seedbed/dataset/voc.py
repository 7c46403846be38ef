"""PASCAL VOC 2012 as downloaded, with or without the lists and masks of the augmented training set (SBD).

    JPEGImages/            images
    Annotations/           what they show: one XML file per image
    ImageSets/.../         lists of images: one text file per split
    SegmentationClass/     true masks, for evaluation only; where there is none, that of SegmentationClassAug/
    SegmentationObject/    which thing each pixel is of, for evaluation only

Every list in the folder `lists` is a split, and the data set consists of the listed images. An image's labels come from its XML file alone;
an image without one has no labels.

Paper: M. Everingham, L. Van Gool, C. K. I. Williams, J. Winn and A. Zisserman, "The PASCAL Visual Object Classes (VOC) Challenge", 2010;
B. Hariharan, P. Arbelaez, L. Bourdev, S. Maji and J. Malik, "Semantic Contours from Inverse Detectors", 2011.

Differs from the paper: not applicable.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from xml.etree import ElementTree as ET

from seedbed import dataset
from seedbed.dataset import Entry, Index, Preview, Problems, check_root
from seedbed.errors import DataError, nearest
from seedbed.methods import method
from seedbed.store import raw

NAMES = (
    *("aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow"),
    *("diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor"),
)


@method
class Voc(dataset.Method):
    lists: str  # folder of the lists, relative to the root; usually ImageSets/Segmentation
    difficult: bool  # whether objects that are marked as difficult count as contained

    def read(self, root: Path) -> Index:
        _check_devkit(root)
        problems = Problems()
        splits = self._splits(root, problems)
        with ThreadPoolExecutor() as threads:  # waits for the disk
            entries = tuple(threads.map(lambda image: self._entry(root, image, frozenset(splits[image]), problems), splits))
        return Index(class_names=NAMES, entries=entries, problems=tuple(problems.found))

    def preview(self, root: Path) -> Preview:
        _check_devkit(root)
        splits = self._splits(root, Problems())
        return Preview(NAMES, dict.fromkeys((one for listed in splits.values() for one in listed), True), len(splits))

    def _splits(self, root: Path, problems: Problems) -> dict[str, list[str]]:
        """Splits of every image, in the order in which the lists name them."""
        splits: dict[str, list[str]] = {}
        for file in raw.matching(root / self.lists, "*.txt") if dataset.is_below(self.lists) else []:
            where = f"{self.lists}/{file.name}"
            try:
                lines = raw.text(file).splitlines()
            except DataError as error:
                problems.add(where, error.found)
                continue
            for number, image in _listed(lines):
                if file.stem in splits.get(image, ()):
                    problems.add(f"{where}, line {number}", f"{image!r} is listed twice")
                elif image not in splits and (problem := dataset.find_problem(root, "JPEGImages", f"{image}.jpg")):
                    problems.add(f"{where}, line {number}", problem)
                else:
                    splits.setdefault(image, []).append(file.stem)
        if not splits and not problems.found:
            problems.add(self.lists, "no list that names an image")
        return splits

    def _entry(self, root: Path, image: str, splits: frozenset[str], problems: Problems) -> Entry:
        where = f"Annotations/{image}.xml"
        labels: set[str] | None = None
        try:
            tree = ET.fromstring(raw.read(root / where))  # noqa: S314 (expat refuses entities that grow without bound)
            if tree.tag != "annotation":
                raise ValueError(f"it holds <{tree.tag}>, not <annotation>")
            labels = set()
            for thing in tree.iter("object"):
                name = (thing.findtext("name") or "").strip()
                if name not in NAMES:
                    problems.add(where, f"unknown class {name!r}{nearest(name, NAMES)}")
                elif self.difficult or (thing.findtext("difficult") or "0").strip() != "1":
                    labels.add(name)
        except DataError as error:
            if error.found != raw.NOTHING:  # nobody has said what it shows
                problems.add(where, error.found)
        except (ValueError, LookupError, ET.ParseError) as error:
            problems.add(where, f"it cannot be read: {error}")
        return Entry(
            image,
            f"JPEGImages/{image}.jpg",
            None if labels is None else dataset.find_shared_words(frozenset(labels)),
            dataset.find_shared_words(splits),
        )


def _check_devkit(root: Path) -> None:
    check_root(root, holds="JPEGImages", do="let dataset.root be the folder VOC2012 of the devkit")


def _listed(lines: list[str]) -> Iterator[tuple[int, str]]:
    """Images of a list: the first word of each line, for some lists say more, or name two files with folders before them."""
    for number, line in enumerate(lines, start=1):
        if line.strip():
            word = line.split()[0]
            yield number, Path(word).stem if word.endswith(".jpg") else word
