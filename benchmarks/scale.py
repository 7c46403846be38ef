"""Scale: the whole pipeline under DVC for 1,000, 10,000 and 100,000 small images, and where its work runs; Linux only.

Images are drawn, 48 x 64, with image-level labels and masks. Settings are those of recipe `quick`, with features of colour and texture and
superpixels of SLIC. Networks are the smallest there are, and learn from the first 256 images alone. In `growth`, DVC runs everything, then
again without any change, then with 100 more images. These are judged and not learned from, so weights stay. In `places`, stages without a
network run in one process, in two, and on a dask cluster of two workers with one thread each.

Every command that DVC starts is measured by itself: seconds by the clock, seconds of processors with those of its workers, and the peak
memory of its largest process. What is left of the whole time is DVC's own.

What is measured is written to `results.jsonl` in the folder as soon as it is known, and not measured again there. A round that was stopped
begins again, because its project may be half made.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from ruamel.yaml import YAML

from benchmarks._costs import Cost, start, wait
from benchmarks._places import CHECKOUT, changed
from seedbed.tools.recipe_files import read_recipe

COUNTS = (1_000, 10_000, 100_000)
SPREAD = 10_000  # images whose work is spread
MORE = 100
ROUNDS = 3
PARTS = ("growth", "places")
ALONE, POOL, CLUSTER = "one process", "two processes", "dask, two workers"
PLACES = {ALONE: 1, POOL: 2, CLUSTER: 2}  # how many work on images
SPREAD_STAGES = ("dataset", "features", "superpixels", "seeds", "refinement", "evaluation")  # those that need no network
SIZE = (48, 64)
CLASSES = {"circle": (200, 60, 40), "square": (40, 160, 60), "cross": (50, 80, 200)}
COPIED = ("seedbed", "stages", "dvc.yaml", ".dvcignore", ".dvc/config", ".gitignore", "data/none.zarr")
RUNS = {"first": "`dvc repro`", "again": "again, nothing changed", "more": f"with {MORE} more images"}
LEARNED, JUDGED, FEW = "train", "judged", "few"  # splits; more images are judged alone
NUM_FEW = 256
CHANGES: dict[str, Any] = {
    "dataset.root": "data/raw/drawn",
    "dataset.max_size": list(SIZE),
    "dataset.folder": {"classes": list(CLASSES), "complete": True},
    "features.method": "texture",
    "features.texture": {"patch_size": 4, "num_directions": 8, "reach": 0.5, "texture_weight": 0.5},
    "superpixels.method": "slic",
    "superpixels.features": "none",
    "superpixels.slic": {"region_size": 12, "smoothness": 10, "num_iterations": 10, "smallest": 25},
    "classifier.method": "cam",
    "classifier.split": FEW,
    "classifier.features": "none",
    "classifier.cam": {
        "backbone": {
            "network": "test_resnet",
            "output_stride": 16,
            "dilated": True,
            "initial_weights": {"source": "none", "file": "", "sha256": ""},
            "frozen_norms": "none",
            "frozen_stages": 0,
        },
        "pooled_above": "none",
        "augmentation": {
            "crop": 48,
            "longer_side": 0,
            "smallest_scale": 1,
            "largest_scale": 1,
            "scale_steps": 0,
            "interpolation": "bilinear",
            "padding": [],
            "flip": 0.5,
            "colours": {"brightness": 0, "contrast": 0, "saturation": 0, "hue": 0},
        },
        "training": {
            "seed": 0,
            "epochs": 6,
            "batch_size": 8,
            "micro_batches": 1,
            "precision": "32-true",
            "clip": 0,
            "clip_each": False,
            "averaging": 0,
        },
        "descent": {
            "learning_rate": 0.05,
            "new_layer_factor": 1,
            "momentum": 0.9,
            "weight_decay": 1e-4,
            "warmup": 0.1,
            "power": 0.9,
            "decay_starts": "after_warmup",
        },
    },
    "cams.method": "multiscale",
    "cams.features": "none",
    "cams.multiscale": {"scales": [1], "interpolation": "bilinear", "flip": False, "over_scales": "sum", "stride": 4},
    "refinement.superpixel_means.crf.preset": "own",
    "refinement.superpixel_means.crf.iterations": 0,
    "segmenter.split": FEW,
    "segmenter.light.training.epochs": 1,
    "segmenter.light.stride": 4,
    "predictions.split": FEW,
    "predictions.patch_probabilities.stride": 4,
    "evaluation.split": JUDGED,
    "evaluation.predictions": "none",
}
HELPERS = "SCALE_HELPERS"  # processes that work for a stage and are not its children, by their ids
# What stands before `python` on the path of DVC, and takes note of what a stage takes.
WRAPPER = """#!{python} -SE
import json, os, subprocess, sys, time
def ticks(process, first, last):
    with open(f"/proc/{{process}}/stat") as about:
        return sum(map(int, about.read().rpartition(")")[2].split()[first:last])) / os.sysconf("SC_CLK_TCK")
def helped():
    return sum(ticks(process, 11, 13) for process in os.environ.get({helpers!r}, "").split())
started, before = time.monotonic(), helped()
child = subprocess.Popen([{python!r}, *sys.argv[1:]])
os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
own = ticks(child.pid, 11, 13)
_, status, used = os.wait4(child.pid, 0)
processors = used.ru_utime + used.ru_stime + helped() - before
with open({notes!r}, "a", encoding="utf-8") as notes:
    notes.write(json.dumps([sys.argv[1:], time.monotonic() - started, processors, used.ru_maxrss * 1024, own]) + "\\n")
sys.exit(os.waitstatus_to_exitcode(status))
"""


@dataclass(frozen=True)
class StageCost(Cost):
    """What a stage took, with the work of a cluster."""

    own: float  # seconds of processors of the process that hands out work


@dataclass(frozen=True)
class Repro:
    """What a run of DVC took."""

    whole: Cost
    stages: Mapping[str, StageCost]  # those that ran


def place_of(number: int) -> str:
    """Where an image is, below the folder of images, and its mask below that of masks."""
    return f"{number // 1000:03}/{number:06}.png"


def draw(number: int, grounds: npt.NDArray[np.uint8]) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """An image, BGR, and its mask: one thing before a ground of noise, in no two images the same."""
    random = np.random.default_rng(number)
    shift = random.integers(0, SIZE)
    image: npt.NDArray[np.uint8] = np.roll(grounds[number % len(grounds)], shift, (0, 1))
    mask = np.zeros(SIZE, np.uint8)
    kind, radius = number % len(CLASSES), int(random.integers(8, 15))
    y, x = (int(random.integers(radius, side - radius)) for side in SIZE)
    if kind == 0:
        cv2.circle(mask, (x, y), radius, 1, -1)
    elif kind == 1:
        cv2.rectangle(mask, (x - radius, y - radius), (x + radius, y + radius), 2, -1)
    else:
        cv2.line(mask, (x - radius, y), (x + radius, y), 3, radius)
        cv2.line(mask, (x, y - radius), (x, y + radius), 3, radius)
    colour = np.array(list(CLASSES.values())[kind][::-1]) + random.integers(-30, 31, 3)
    image[mask > 0] = np.clip(image[mask > 0] // 4 + colour, 0, 255)
    return image, mask


class Project:
    """A copy of the project in a folder, with images of its own."""

    def __init__(self, folder: Path, count: int) -> None:
        """count: images of the first run, which alone are learned from."""
        self.folder, self.count = folder, count
        self.raw = folder / CHANGES["dataset.root"]
        self._notes = folder / "notes.jsonl"

    def make(self) -> None:
        """Everything that is there before the first run."""
        shutil.rmtree(self.folder, ignore_errors=True)
        for name in COPIED:
            (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
            if (CHECKOUT / name).is_dir():
                shutil.copytree(CHECKOUT / name, self.folder / name, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(CHECKOUT / name, self.folder / name)
        subprocess.run(["git", "init", "--quiet", "."], cwd=self.folder, check=True)  # noqa: S607 (whichever git is installed)
        self._write_params()
        wrapper = self.folder / ".bin" / "python"
        wrapper.parent.mkdir()
        wrapper.write_text(WRAPPER.format(python=sys.executable, notes=str(self._notes), helpers=HELPERS), encoding="utf-8")
        wrapper.chmod(0o755)
        self.show(0, self.count)

    def _write_params(self) -> None:
        params = read_recipe("quick", folder=CHECKOUT / "recipes").plain()
        for address, value in CHANGES.items():
            if isinstance(value, dict):  # the block of a method, which the recipe may not select
                family, method = address.split(".")
                params[family][method] = value
            else:
                changed(params, address, value)
        YAML().dump(params, self.folder / "params.yaml")

    def show(self, first: int, last: int) -> None:
        """Draw images, and list all up to the last."""
        grounds = np.random.default_rng(0).integers(0, 256, (64, *SIZE, 3), np.uint8)
        grounds = np.stack([cv2.GaussianBlur(ground, (5, 5), 0) for ground in grounds])
        for number in range(first, last):
            for kind, picture in zip(("images", "masks"), draw(number, grounds), strict=True):
                file = self.raw / kind / place_of(number)
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(cv2.imencode(".png", picture)[1].tobytes())
        lines = ["image,labels,split"]
        for number in range(last):
            splits = [JUDGED, *([LEARNED] if number < self.count else []), *([FEW] if number < NUM_FEW else [])]
            lines.append(f"{place_of(number)},{list(CLASSES)[number % len(CLASSES)]},{' '.join(splits)}")
        (self.raw / "labels.csv").write_text("\n".join([*lines, ""]), encoding="utf-8")

    def artifacts(self) -> list[Path]:
        """What the stages left."""
        return [one for one in sorted(self.folder.glob("data/*.zarr")) if one.name != "none.zarr"]

    def repro(self, environment: Mapping[str, str]) -> Repro:
        """Run everything that DVC wants to run."""
        return Repro(self._run([sys.executable, "-m", "dvc", "repro"], environment), self._read_notes())

    def rerun(self, stage: str, environment: Mapping[str, str]) -> StageCost:
        """Run a stage without DVC, with everything to be computed again."""
        for kept in (stage, f"published/{stage}"):
            shutil.rmtree(self.folder / "data" / ".work" / kept, ignore_errors=True)
        self._run([str(self.folder / ".bin" / "python"), "-m", f"stages.{stage}"], environment)
        return self._read_notes()[stage]

    def _run(self, command: Sequence[str], environment: Mapping[str, str]) -> Cost:
        """Run a command as a user of the activated environment would, and forget the notes of commands before it."""
        self._notes.unlink(missing_ok=True)
        own = {
            "PATH": os.pathsep.join([str(self.folder / ".bin"), str(Path(sys.executable).parent), os.environ["PATH"]]),
            "PYTHONPATH": str(self.folder),
            "DVC_SITE_CACHE_DIR": str(self.folder / ".dvc" / "site"),  # else what DVC knows of files outlasts this folder
            "PYTHONDONTWRITEBYTECODE": "",  # or each stage would compile its modules
        }
        with (self.folder / "said.txt").open("a", encoding="utf-8") as said:
            cost, status = wait(start(command, folder=self.folder, environment={**os.environ, **own, **environment}, said=said))
        if status:
            raise SystemExit(f"{' '.join(command)} failed in {self.folder}: see said.txt there")
        return cost

    def _read_notes(self) -> dict[str, StageCost]:
        """What stages took."""
        notes = map(json.loads, self._notes.read_text(encoding="utf-8").splitlines() if self._notes.exists() else ())
        return {arguments[1].removeprefix("stages."): StageCost(*cost) for arguments, *cost in notes}

    def sizes(self) -> dict[str, tuple[int, int]]:
        """Files and bytes on disk of every artifact, of other places, and of all together; a file with several names counts once there."""
        places = {one.stem: one for one in self.artifacts()}
        places |= {"the store": self.folder / "data/.work", "DVC's cache": self.folder / ".dvc/cache", "raw data": self.raw}
        places |= {"what DVC knows of files": self.folder / ".dvc/site", "all together": self.folder}
        return {name: count_files(place) for name, place in places.items()}


def count_files(folder: Path) -> tuple[int, int]:
    """Files below a folder, and the bytes that they take on disk; one with several names there counts once."""
    found = {}
    for file in folder.rglob("*"):
        about = file.lstat()
        if file.is_file():
            found[about.st_ino] = about.st_blocks * 512
    return len(found), sum(found.values())


@contextmanager
def start_cluster(project: Project, peaks: list[int]) -> Iterator[dict[str, str]]:
    """A dask scheduler and two workers with one thread each, as programs of their own. Yields what stages need to know.

    peaks: memory of each program is added when it ends.
    """
    address = project.folder / "scheduler.json"
    address.unlink(missing_ok=True)
    environment = {**os.environ, "PYTHONPATH": str(project.folder), "OMP_NUM_THREADS": "1"}
    dask = [sys.executable, "-m", "dask"]
    commands = [[*dask, "scheduler", "--port", "0", "--no-dashboard", "--scheduler-file", str(address)]]
    worker = [*dask, "worker", "--scheduler-file", str(address), "--nthreads", "1", "--no-dashboard", "--no-nanny", "--memory-limit", "0"]
    commands += [[*worker, "--local-directory", str(project.folder / f"worker-{number}")] for number in range(2)]
    programs = []
    try:
        with (project.folder / "dask.txt").open("a", encoding="utf-8") as said:
            for command in commands:
                programs.append(start(command, folder=project.folder, environment=environment, said=said))
        while not address.exists():
            if os.waitid(os.P_PID, programs[0].pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None:
                raise SystemExit(f"the scheduler ended: see {project.folder / 'dask.txt'}")
            time.sleep(0.1)
        helpers = " ".join(str(program.pid) for program in programs)
        yield {"SEEDBED_SCHEDULER": json.loads(address.read_text(encoding="utf-8"))["address"], HELPERS: helpers}
    finally:
        for program in reversed(programs):
            program.terminate()
            peaks.append(wait(program)[0].peak)


class Book:
    """What has been measured so far, in a file."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def all(self, **wanted: Any) -> list[dict[str, Any]]:
        """Measurements of which this is said."""
        lines = self._file.read_text(encoding="utf-8").splitlines() if self._file.exists() else []
        return [one for one in map(json.loads, lines) if all(one.get(name) == value for name, value in wanted.items())]

    def add(self, measured: Mapping[str, Any]) -> None:
        """Write one down."""
        with self._file.open("a", encoding="utf-8") as book:
            book.write(json.dumps(measured) + "\n")


def measure_growth(project: Project, workers: int) -> Iterator[tuple[str, dict[str, Any]]]:
    """Everything, nothing, and a little more: each by its name, with what it took."""
    environment = {"SEEDBED_WORKERS": str(workers)}
    project.make()
    yield "first", {"repro": asdict(project.repro(environment)), "sizes": project.sizes()}
    again = project.repro(environment)
    assert not again.stages, "nothing has changed"
    yield "again", {"repro": asdict(again)}
    project.show(project.count, project.count + MORE)
    yield "more", {"repro": asdict(project.repro(environment))}


def measure_place(project: Project, place: str) -> dict[str, Any]:
    """Stages that work on images and need no network, one after another, with their work at one of the places."""
    peaks: list[int] = []
    with start_cluster(project, peaks) if place == CLUSTER else nullcontext({"SEEDBED_WORKERS": str(PLACES[place])}) as environment:
        stages = {stage: asdict(project.rerun(stage, environment)) for stage in SPREAD_STAGES}
    return {"stages": stages, "cluster": peaks}


def measure(options: argparse.Namespace, folder: Path, book: Book) -> None:
    """Measure what is asked for and not in the book."""
    for number in range(options.rounds):
        for count in options.counts if "growth" in options.only else ():
            what = {"part": "growth", "count": count, "round": number}
            if len(book.all(**what)) < len(RUNS):
                project = Project(folder / "project", count)
                for run, measured in measure_growth(project, options.workers):
                    if not book.all(**what, run=run):
                        book.add({**what, "run": run, **measured})
                shutil.rmtree(project.folder)
    wanted = [(number, place) for number in range(options.rounds) for place in PLACES] if "places" in options.only else []
    missing = [one for one in wanted if not book.all(part="places", count=options.spread, round=one[0], place=one[1])]
    if missing:
        project = Project(folder / "project", options.spread)
        project.make()
        project.repro({"SEEDBED_WORKERS": "2"})  # what the stages read
        for number, place in missing:
            what = {"part": "places", "count": options.spread, "round": number, "place": place}
            book.add({**what, **measure_place(project, place)})
        shutil.rmtree(project.folder)


def median(measured: Sequence[Mapping[str, Any]], *address: str) -> float:
    """Median of a number over rounds."""
    values = []
    for one in measured:
        found: Any = one
        for name in address:
            found = found[name]
        values.append(float(found))
    return statistics.median(values)


def beside_stages(measured: Sequence[Mapping[str, Any]], what: str) -> float:
    """What runs of DVC took beside their stages, as a median."""
    rests = [one["repro"]["whole"][what] - sum(cost[what] for cost in one["repro"]["stages"].values()) for one in measured]
    return float(statistics.median(rests))


def print_table(heading: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A table in Markdown."""
    for row in (heading, ["---"] * len(heading), *rows):
        print(f"| {' | '.join(row)} |")
    print()


def show_growth(book: Book) -> None:
    """Print tables of all counts that were measured."""
    counts = sorted({one["count"] for one in book.all(part="growth", run="first")})
    if not counts:
        return
    found = {run: {count: book.all(part="growth", count=count, run=run) for count in counts} for run in RUNS}
    named = [f"{count:,} images" for count in counts]
    stages = list(found["first"][counts[0]][0]["repro"]["stages"])

    def row(name: str, run: str, *address: str) -> list[str]:
        ran = {count: found[run][count] for count in counts if found[run][count]}
        processors = {count: median(ran[count], "repro", *address, "processors") for count in ran}
        cells = [
            f"{median(ran[count], 'repro', *address, 'seconds'):.0f}, {processors[count]:.0f}" if count in ran else "" for count in counts
        ]
        for less, more in itertools.pairwise(counts):
            cells.append(f"{1000 * (processors[more] - processors[less]) / (more - less):.2f}" if {less, more} <= ran.keys() else "")
        return [name, *cells]

    print(f"Seconds by the clock, and of processors; medians of {min(map(len, found['first'].values()))} or more rounds.\n")
    rows = [row(stage, "first", "stages", stage) for stage in stages]
    for run, words in RUNS.items():
        rows.append(row(f"**{words}**", run, "whole"))
        rest = [", ".join(f"{beside_stages(ran, what):.0f}" for what in ("seconds", "processors") if ran) for ran in found[run].values()]
        rows.append(["of it DVC's own", *rest, *[""] * (len(counts) - 1)])
    further = [f"processor ms per further image, {less:,} to {more:,}" for less, more in itertools.pairwise(counts)]
    print_table(["", *named, *further], rows)
    print("Peak memory of the largest process, MiB.\n")
    first = list(found["first"].values())
    addresses = [*[(stage, ("stages", stage)) for stage in stages], ("all, with DVC", ("whole",))]
    rows = [[name, *[f"{median(ran, 'repro', *address, 'peak') / 2**20:.0f}" for ran in first]] for name, address in addresses]
    print_table(["", *named], rows)
    print("Files, and MB on disk.\n")
    sizes = [ran[-1]["sizes"] for ran in first]
    rows = [[name, *[f"{size[name][0]:,}, {size[name][1] / 1e6:,.1f}" for size in sizes]] for name in sizes[0]]
    print_table(["", *named], rows)


def show_places(book: Book) -> None:
    """Print tables of all places that were measured."""
    for count in sorted({one["count"] for one in book.all(part="places")}):
        found = {place: book.all(part="places", count=count, place=place) for place in PLACES}
        if not all(found.values()):
            continue
        print(f"{count:,} images; medians of {min(map(len, found.values()))} or more rounds.")
        print("Of every stage: seconds by the clock, and of processors, in brackets those of the process that hands out work.")
        print("Efficiency: seconds in one process, by twice those in two, by the clock; and by processors, as it would be if two of them")
        print("were free (twice those of the process that hands out work, and all of workers).\n")
        rows = []
        for stage in SPREAD_STAGES:
            took = ("seconds", "processors", "own")
            costs = {place: {what: median(found[place], "stages", stage, what) for what in took} for place in PLACES}
            alone = costs[ALONE]
            cells = [stage, f"{alone['seconds']:.1f}, {alone['processors']:.1f}"]
            for place in (POOL, CLUSTER):
                cost = costs[place]
                free = 2 * cost["own"] + (cost["processors"] - cost["own"])
                cells.append(f"{cost['seconds']:.1f}, {cost['processors']:.1f} ({cost['own']:.1f})")
                cells.append(f"{alone['seconds'] / (2 * cost['seconds']):.2f}, {alone['processors'] / free:.2f}")
            rows.append(cells)
        print_table(["", ALONE, POOL, "efficiency", CLUSTER, "efficiency"], rows)
        peaks = [max(one["cluster"]) / 2**20 for one in found[CLUSTER]]
        print(f"Largest process of the cluster: {statistics.median(peaks):.0f} MiB.\n")


def main() -> None:
    """Measure, and print tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--counts", type=int, nargs="+", default=COUNTS, help="numbers of images in `growth`")
    parser.add_argument("--spread", type=int, default=SPREAD, help="number of images in `places`")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--workers", type=int, default=2, help="processes that work on images in `growth`")
    parser.add_argument("--folder", type=Path, help="where to work, and to keep what is measured; if not given, a temporary one")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        book = Book(folder.absolute() / "results.jsonl")
        measure(options, folder.absolute(), book)
        show_growth(book)
        show_places(book)


if __name__ == "__main__":
    main()
