"""Artifacts on disk: one sharded array per stage, against one pickled file per image and against one zarr array per image.

Class maps and seeds are drawn, of the sizes of VOC: what a classifier sees at a sixteenth of the resolution, blobs in smooth noise,
enlarged and summed over scales as real ones are; seeds follow the jagged borders of superpixels.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import chdir, contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import scipy.spatial
import zarr

sys.path.insert(0, str(Path(__file__).parents[1]))
from seedbed.methods import Method, method
from seedbed.params import Params
from seedbed.reads import read_class_maps, read_entry
from seedbed.run.stage import Run
from seedbed.store.artifact import Artifact, open_artifact
from seedbed.store.layout import compressor
from seedbed.store.schemas import Columns
from seedbed.types import BACKGROUND, IGNORE, ClassMaps, LabelMap, RegionMap, Size

IMAGES = 2000
LARGEST, SMALLEST = 500, 333  # sides of most VOC images
MAX_SIZE = (512, 512)
CLASSES = 20
STRIDE = 4  # of the class maps that are kept
NETWORK_STRIDE = 16
SCALES = (1.0, 0.75, 1.5)
READS = 300
WRITES = 3  # rounds
ADDS = 3
KINDS = ("seeds", "cams")
TARGETS = {"size": 1 / 4, "read": 2.0, "add": 5.0}  # share of the pickles' bytes, milliseconds, times as fast


# What is stored.


@dataclass
class Scenes:
    """Images that nobody took: their sizes, classes, class maps and seeds, the same every time."""

    count: int
    seconds: float = 0.0  # spent on drawing, which is no part of writing

    @property
    def ids(self) -> list[str]:
        """Ids of the images."""
        return [f"2012_{number:06}" for number in range(self.count)]

    def key(self, image: str) -> str:
        """Identity of an image."""
        return image

    def size(self, image: str) -> Size:
        """Height and width: three of four pictures are wide."""
        random = _random(image)
        short = int(random.integers(SMALLEST, LARGEST))
        return (short, LARGEST) if random.random() < 0.75 else (LARGEST, short)

    def classes(self, image: str) -> tuple[int, ...]:
        """One to three classes."""
        random = _random(image, 1)
        chosen = random.choice(np.arange(1, 1 + CLASSES), size=random.choice([1, 2, 3], p=[0.6, 0.3, 0.1]), replace=False)
        return tuple(sorted(int(one) for one in chosen))

    def maps(self, image: str, *, stride: int) -> ClassMaps:
        """Class maps of an image."""
        with self._drawing():
            return _maps(image, self.size(image), self.classes(image), stride)

    def labels(self, image: str) -> LabelMap:
        """Seeds of an image."""
        with self._drawing():
            maps, regions = _maps(image, self.size(image), self.classes(image), 1), _regions(image, self.size(image))
            pixels = np.maximum(1, np.bincount(regions.ravel()))
            means = np.stack([np.bincount(regions.ravel(), one.ravel()) / pixels for one in maps.maps])
            labels = np.full(pixels.shape, IGNORE, np.uint8)
            labels[means.max(axis=0) < 0.1] = BACKGROUND
            labels[means.max(axis=0) > 0.4] = np.asarray(maps.classes, np.uint8)[means.argmax(axis=0)[means.max(axis=0) > 0.4]]
            return np.asarray(labels[regions], np.uint8)

    @contextmanager
    def _drawing(self) -> Iterator[None]:
        started = time.perf_counter()
        yield
        self.seconds += time.perf_counter() - started


def _random(image: str, purpose: int = 0) -> np.random.Generator:
    return np.random.default_rng([int(image.partition("_")[2]), purpose])


def _maps(image: str, size: Size, classes: tuple[int, ...], stride: int) -> ClassMaps:
    random, (height, width) = _random(image, 2), size
    maps = np.zeros((len(classes), -(-height // stride), -(-width // stride)), np.float32)
    for total in maps:
        blobs = [(random.random(2), random.uniform(0.05, 0.25, 2), random.uniform(0.5, 1)) for _ in range(random.integers(1, 4))]
        for scale in SCALES:
            rows, columns = (int(np.ceil(length * scale / NETWORK_STRIDE)) for length in size)
            y, x = np.linspace(0, 1, rows)[:, None], np.linspace(0, 1, columns)
            seen = 0.1 * cv2.GaussianBlur(random.normal(size=(rows, columns)), (0, 0), 0.7)
            for centre, radii, strength in blobs:
                seen += strength * np.exp(-(((y - centre[0]) / radii[0]) ** 2 + ((x - centre[1]) / radii[1]) ** 2) / 2)
            total += cv2.resize(np.maximum(0, seen).astype(np.float32), total.shape[::-1], interpolation=cv2.INTER_LINEAR)
        total /= total.max()
    return ClassMaps(classes=classes, maps=maps)


def _regions(image: str, size: Size) -> RegionMap:
    random = _random(image, 3)
    whole = _superpixels(int(random.integers(16)))
    moved = np.roll(whole, random.integers(MAX_SIZE), axis=(0, 1))[:: random.choice([-1, 1]), :: random.choice([-1, 1])]
    return moved[: size[0], : size[1]]


@cache
def _superpixels(number: int) -> RegionMap:
    """Superpixels with jagged borders: the nearest of some points, seen through noise."""
    random = np.random.default_rng([number, 4])
    places = np.moveaxis(np.indices(MAX_SIZE).astype(float), 0, -1)
    for sigma, amplitude in ((12, 120), (1.5, 4)):
        places += amplitude * cv2.GaussianBlur(random.normal(size=places.shape), (0, 0), sigma)
    points = random.uniform((0, 0), MAX_SIZE, (250, 2))
    return np.asarray(scipy.spatial.KDTree(points).query(places)[1], np.int32)


# Ways of storing it.


@dataclass
class Way(ABC):
    """A way of storing seeds and class maps."""

    scenes: Scenes
    folder: Path
    kinds: tuple[str, ...] = field(default=KINDS)

    def outs(self) -> dict[str, Path]:
        """Folder of every kind, which would be an out of DVC."""
        return {kind: self.folder / kind for kind in self.kinds}

    @abstractmethod
    def write(self, kind: str) -> None:
        """Store a kind, of all images."""

    @abstractmethod
    def reader(self, kind: str) -> Callable[[str], npt.NDArray[Any]]:
        """What reads a kind of one image; whatever can be opened once has been."""


class Pickles(Way):
    """A file of a pickled dictionary for every image: float32 class maps at the size of the image."""

    suffix = ".npy"
    stride = 1
    dtype: type[np.floating[Any]] = np.float32

    def write(self, kind: str) -> None:
        """See `Way`."""
        self.outs()[kind].mkdir(parents=True)
        for image in self.scenes.ids:
            self._write(kind, image, self.outs()[kind] / f"{image}{self.suffix}")

    def _write(self, kind: str, image: str, file: Path) -> None:
        if kind == "seeds":
            content: dict[str, Any] = {"labels": self.scenes.labels(image)}
        else:
            maps = self.scenes.maps(image, stride=self.stride)
            content = {"keys": np.asarray(maps.classes), "high_res": maps.maps.astype(self.dtype)}
        np.save(file, np.asarray(content, object))

    def reader(self, kind: str) -> Callable[[str], npt.NDArray[Any]]:
        """See `Way`."""
        folder, name = self.outs()[kind], "labels" if kind == "seeds" else "high_res"

        def read(image: str) -> npt.NDArray[Any]:
            return np.asarray(np.load(folder / f"{image}{self.suffix}", allow_pickle=True).item()[name])

        return read


class SmallPickles(Pickles):
    """The same, with class maps of our resolution and type; seeds would be the same again."""

    stride = STRIDE
    dtype = np.float16


class Pictures(Pickles):
    """A grey PNG for every image; of seeds only."""

    suffix = ".png"

    def _write(self, kind: str, image: str, file: Path) -> None:
        assert kind == "seeds", "class maps are no pictures"
        cv2.imwrite(str(file), self.scenes.labels(image))

    def reader(self, kind: str) -> Callable[[str], npt.NDArray[Any]]:
        """See `Way`."""
        folder = self.outs()[kind]
        return lambda image: np.asarray(cv2.imread(str(folder / f"{image}{self.suffix}"), cv2.IMREAD_UNCHANGED))


class ArrayPerImage(Way):
    """A zarr group with an array for every image, with chunks, types and compression as ours."""

    def write(self, kind: str) -> None:
        """See `Way`."""
        group = zarr.create_group(self.outs()[kind], zarr_format=3)
        for image in self.scenes.ids:
            size, classes = self.scenes.size(image), self.scenes.classes(image)
            if kind == "seeds":
                labels = group.create_array(image, shape=size, dtype="uint8", chunks=size, fill_value=IGNORE, compressors=compressor())
                labels[...] = self.scenes.labels(image)
                continue
            maps = self.scenes.maps(image, stride=STRIDE)
            shape = maps.maps.shape[1:]
            array = group.create_array(
                image,
                shape=(1 + CLASSES, *shape),
                dtype="float16",
                chunks=(1, *shape),
                fill_value=0.0,
                compressors=compressor(),
                attributes={"present": list(classes)},
            )
            for one, values in zip(classes, maps.maps, strict=True):
                array[one] = values.astype(np.float16)

    def reader(self, kind: str) -> Callable[[str], npt.NDArray[Any]]:
        """See `Way`."""
        group = zarr.open_group(self.outs()[kind], mode="r", zarr_format=3)

        def read(image: str) -> npt.NDArray[Any]:
            array = group[image]
            assert isinstance(array, zarr.Array)
            if kind == "seeds":
                return np.asarray(array[...])
            present: Any = array.attrs["present"]
            return np.stack([np.asarray(array[one]) for one in present])

        return read


Ways = Mapping[str, Way]


@method
class Drawn(Method):
    """What the record of an artifact says that its method was."""


def look(scenes: Scenes, images: Sequence[str]) -> Iterator[Columns]:
    """What stage `dataset` would find out of images."""
    for image in images:
        yield {"size": scenes.size(image), "original_size": scenes.size(image), "problem": "", "mask_problem": ""}


def draw_seeds(scenes: Scenes, images: Sequence[str]) -> Iterator[Columns]:
    """What stage `seeds` would compute of images."""
    for image in images:
        yield {"labels": scenes.labels(image)}


def draw_maps(scenes: Scenes, images: Sequence[str]) -> Iterator[Columns]:
    """What stage `cams` would compute of images."""
    for image in images:
        maps = scenes.maps(image, stride=STRIDE)
        yield {"maps": maps.spread(CLASSES), "present": maps.present(CLASSES), "scores": np.zeros(1 + CLASSES)}


class Ours(Way):
    """Artifacts, published by the real stages' machinery in one process."""

    def outs(self) -> dict[str, Path]:
        """See `Way`."""
        return {kind: self.folder / "data" / f"{kind}.zarr" for kind in self.kinds}

    def prepare(self) -> None:
        """Publish the index of the images, which the other artifacts need; seeds and class maps are nobody's inputs here."""
        self.folder.mkdir()
        with chdir(self.folder):
            classes = [f"class {number}" for number in range(1 + CLASSES)]
            whole = {
                "max_size": MAX_SIZE,
                "class_names": classes,
                "split_names": ["train"],
                "file": [f"{image}.jpg" for image in self.scenes.ids],
                "image_digest": self.scenes.ids,
                "labels": [np.isin(np.arange(1 + CLASSES), [BACKGROUND, *self.scenes.classes(image)]) for image in self.scenes.ids],
                "labelled": np.ones(self.scenes.count),
                "splits": np.ones((self.scenes.count, 1)),
                "mask_meaning": np.full(256, -1),
            }
            Run("dataset", Params({})).per_image(Drawn(), look, self.scenes, image_ids=self.scenes.ids, whole=whole)

    def write(self, kind: str) -> None:
        """See `Way`."""
        with chdir(self.folder):
            run = Run(kind, Params({}))
            run.open("dataset")
            height, width = MAX_SIZE
            extents = {"map_y": height // STRIDE, "map_x": width // STRIDE} if kind == "cams" else {}
            compute = draw_maps if kind == "cams" else draw_seeds
            run.per_image(Drawn(), compute, self.scenes, image_ids=self.scenes.ids, extents=extents)

    def artifact(self, kind: str) -> Artifact:
        """What was published."""
        return open_artifact(kind, folder=self.folder / "data")

    def reader(self, kind: str) -> Callable[[str], npt.NDArray[Any]]:
        """See `Way`."""
        artifact = self.artifact(kind)
        return (
            (lambda image: read_class_maps(artifact, image).maps) if kind == "cams" else lambda image: read_entry(artifact, "labels", image)
        )


# Measuring.


def written(make: Callable[[Path], Ways], folder: Path, *, rounds: int) -> tuple[Ways, dict[tuple[str, str], float]]:
    """Write everything in every way, some times. Returns the ways of the last time, and median milliseconds per image.

    make: the ways, all new, below a folder.
    """
    seconds: dict[tuple[str, str], list[float]] = {}
    ways: Ways = {}
    for number in range(rounds):
        for way in ways.values():
            shutil.rmtree(way.folder)
        ways = make(folder / f"round {number}")
        for name, way in ways.items():
            if isinstance(way, Ours):
                way.prepare()
            for kind in way.kinds:
                os.sync()  # nobody pays for what another has written
                drawn, started = way.scenes.seconds, time.perf_counter()
                way.write(kind)
                net = time.perf_counter() - started - (way.scenes.seconds - drawn)
                seconds.setdefault((name, kind), []).append(net)
    os.sync()
    count = next(iter(ways.values())).scenes.count
    return ways, {key: statistics.median(each) / count * 1000 for key, each in seconds.items()}


def read(ways: Ways, kind: str, *, extra: Mapping[str, Callable[[str], object]]) -> dict[str, float]:
    """Median milliseconds of reading a kind of one image, images in no order, ways in turn."""
    readers: dict[str, Callable[[str], object]] = {**{name: way.reader(kind) for name, way in ways.items() if kind in way.kinds}, **extra}
    ids = next(iter(ways.values())).scenes.ids
    milliseconds: dict[str, list[float]] = {name: [] for name in readers}
    for counted in (False, True):
        for image in np.random.default_rng(counted).choice(ids, size=READS if counted else 20):
            for name, reader in readers.items():
                started = time.perf_counter()
                reader(str(image))
                if counted:
                    milliseconds[name].append((time.perf_counter() - started) * 1000)
    return {name: statistics.median(each) for name, each in milliseconds.items()}


def added(ways: Mapping[str, Sequence[Path]], folder: Path) -> dict[str, float]:
    """Median seconds of `dvc add` of some folders, each time in a project and with a cache of its own."""
    empty = folder / "empty"
    empty.mkdir()
    (empty / "file").write_text("nothing")
    outs = {**ways, "one small file": [empty]}
    seconds: dict[str, list[float]] = {name: [] for name in outs}
    environment = {**os.environ, "DVC_NO_ANALYTICS": "1", "DVC_SITE_CACHE_DIR": str(folder / "site")}
    for number in range(ADDS):
        for name, paths in outs.items():
            project = folder / f"project {number} {name}"
            project.mkdir()

            def dvc(*arguments: str, project: Path = project) -> None:
                command = [sys.executable, "-m", "dvc", *arguments]
                subprocess.run(command, cwd=project, env=environment, check=True)  # noqa: S603 (our own arguments)

            dvc("init", "--no-scm", "-q")
            dvc("config", "core.analytics", "false")
            inside = [path.rename(project / path.name) for path in paths]
            os.sync()
            started = time.perf_counter()
            dvc("add", "-q", *(path.name for path in inside))
            seconds[name].append(time.perf_counter() - started)
            for here, path in zip(inside, paths, strict=True):
                here.rename(path)
            shutil.rmtree(project)
    return {name: statistics.median(each) for name, each in seconds.items()}


def check(ways: Ways) -> None:
    """Every way holds the same."""
    for image in next(iter(ways.values())).scenes.ids[::97]:
        labels = [way.reader("seeds")(image) for way in ways.values() if "seeds" in way.kinds]
        assert all(np.array_equal(one, labels[0]) for one in labels), f"{image}: other seeds"
        maps = {name: way.reader("cams")(image) for name, way in ways.items() if "cams" in way.kinds}
        small = [one for name, one in maps.items() if name != PICKLES]
        assert all(np.array_equal(one, small[0]) for one in small), f"{image}: other class maps"


def stored(folder: Path) -> tuple[int, int, int]:
    """Files, their bytes, and the bytes of the disk that they occupy."""
    files = [file.stat() for file in folder.rglob("*") if file.is_file()]
    return len(files), sum(one.st_size for one in files), sum(one.st_blocks * 512 for one in files)


OURS, PICKLES, SMALL_PICKLES, ARRAYS, PICTURES = (
    "artifact",
    "npy, float32, full size",
    f"npy, float16, stride {STRIDE}",
    "zarr array per image",
    "png",
)


def main() -> None:
    """Measure, and print tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=IMAGES)
    count = parser.parse_args().images

    def make(folder: Path) -> dict[str, Way]:
        folder.mkdir()
        return {
            OURS: Ours(Scenes(count), folder / "ours"),
            PICKLES: Pickles(Scenes(count), folder / "pickles"),
            SMALL_PICKLES: SmallPickles(Scenes(count), folder / "small pickles", ("cams",)),
            ARRAYS: ArrayPerImage(Scenes(count), folder / "arrays"),
            PICTURES: Pictures(Scenes(count), folder / "pictures", ("seeds",)),
        }

    with tempfile.TemporaryDirectory() as name:
        ways, write = written(make, Path(name), rounds=WRITES)
        check(ways)
        ours = ways[OURS]
        assert isinstance(ours, Ours)
        sizes = {}
        for kind in KINDS:
            artifact = ours.artifact(kind)

            def enlarged(image: str, maps: Artifact = artifact, scenes: Scenes = ours.scenes) -> object:
                return read_class_maps(maps, image).resize(scenes.size(image))

            reads = read(ways, kind, extra={"artifact, enlarged to full size": enlarged} if kind == "cams" else {})
            print(f"{kind} of {count} images          files        MB  MB of disk   artifact/this   write, ms/image    read one, ms")
            for way in reads:
                row = f"  {way:31}"
                if way in ways:
                    files, size, disk = sizes[way, kind] = stored(ways[way].outs()[kind])
                    row += f"{files:8}{size / 1e6:10.1f}{disk / 1e6:12.1f}{sizes[OURS, kind][1] / size:16.3f}{write[way, kind]:18.2f}"
                else:
                    row += " " * 64
                print(f"{row}{reads[way]:16.2f}")
            if kind == "seeds":
                read_one = reads[OURS]
        outs = {name: list(ways[name].outs().values()) for name in (OURS, PICKLES, SMALL_PICKLES, ARRAYS)}
        outs[SMALL_PICKLES].append(ways[PICKLES].outs()["seeds"])
        seconds = added(outs, Path(name))
    print("dvc add of seeds and class maps")
    for way, one in seconds.items():
        print(f"  {way:31}{one:8.2f} s{one / seconds[OURS]:8.2f} x artifact")
    share = sum(sizes[OURS, kind][1] for kind in KINDS) / sum(sizes[PICKLES, kind][1] for kind in KINDS)
    print("targets")
    print(f"  size, of npy                  {share:8.3f}      at most {TARGETS['size']}")
    print(f"  read one mask                 {read_one:8.2f} ms   at most {TARGETS['read']}")
    print(f"  dvc add, of array per image   {seconds[ARRAYS] / seconds[OURS]:8.2f} x    at least {TARGETS['add']}")


if __name__ == "__main__":
    main()
