"""Whole systems against each other, under equal conditions: every recipe with several seeds, on several data sets.

    python -m benchmarks.systems run                                              # whatever is missing
    python -m benchmarks.systems run --data shapes --systems crf irn --seeds 0    # a part of it
    python -m benchmarks.systems write                                            # the tables of docs/, from all records
    python -m benchmarks.systems draw                                             # a picture of what all of them predict

A run is one of the recipe DATA_SYSTEM. `truth` is the recipe of `crf`, of which the segmenter learns from true masks: a bound, which no
stage could reach. All runs on a data set share a folder, where what two systems have in common is computed once, and a run that was killed
goes on. What came of each is a line in benchmarks/records/DATA.jsonl. Runs at the same time need folders of their own (`--folder`).
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import csv
import hashlib
import signal
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image as PillowImage

from benchmarks._costs import Cost
from benchmarks._pages import write_between
from benchmarks._places import CHECKOUT, Place, order_stages, seeded, with_spread
from benchmarks._places import figure as find_figure
from benchmarks._records import Book, Record, describe_machine, digest, find_commit, hold_folder, keep_record, read_records
from seedbed.corrections import Corrected, Thing, count_runs, write_lines
from seedbed.errors import SeedbedError
from seedbed.images import Images, decode, fit_size
from seedbed.params import Params
from seedbed.report.drawing import arrange_sheet, draw_overlay
from seedbed.report.export import encode_png
from seedbed.report.palette import make_palette
from seedbed.scoring.truth import Truth
from seedbed.store.artifact import open_artifact
from seedbed.store.schemas import SCHEMAS, find_kind
from seedbed.tools.recipe_files import read_recipe
from seedbed.tools.show import Wanted, draw_picture
from seedbed.types import IGNORE, Image

RECIPES = CHECKOUT / "recipes"
SYSTEMS = ("superpixels", "masking", "usage", "usage_deit", "ssc", "fbr", "fbr_saliency", "crf", "psa", "irn")
BOUND, BEGINS = "truth", "crf"  # the bound, and the system that it differs from in what is learned from
DATA = {"shapes": "The drawn world", "voc6": "Six classes of a VOC subset", "voc12": "PASCAL VOC 2012", "coco14": "COCO 2014"}
PUBLISHED = "voc12"  # the data set of which published figures are shown
SEEDS = (0, 1, 2)
WORST, DRAWN = 3, 6  # images
SIDE = 200  # pixels of a picture that is drawn, if it belongs to no data set
TRUE_MASKS = "truth.jsonl"  # of the folder in which stages run
LEARNS_TRUTH = {
    "seeds": {
        "method": "threshold",
        "superpixels": "none",
        "features": "none",
        "corrections": TRUE_MASKS,
        "threshold": {"foreground": 0.99, "background": 0},  # next to nothing, so that void stays unknown
    },
    "segmenter": {"maps": {"labels": "seeds", "regions": "none", "confidence": "none", "objects": "none"}},
}
FIGURES = (  # what, in words, and its address in an evaluation
    ("class maps", "class_maps.miou"),
    ("at the best threshold", "class_maps.oracle.miou"),
    ("seeds, precision", "seeds.precision"),
    ("coverage", "seeds.coverage"),
    ("masks", "masks.miou"),
    ("predictions", "predictions.miou"),
    ("after the CRF", "predictions_crf.miou"),
)
COMPARED = ("class_maps.miou", "masks.miou", "predictions.miou", "predictions_crf.miou")
OF_TRUTH = ("predictions.miou", "predictions_crf.miou")  # all else of the bound is that of what it differs from


def make_params(data: str, system: str, seed: int) -> dict[str, Any]:
    """Parameters of a run."""
    params = copy.deepcopy(read_recipe(f"{data}_{BEGINS if system == BOUND else system}", folder=RECIPES).plain())
    if system == BOUND:
        for family, section in LEARNS_TRUTH.items():
            params[family] |= section
    seeded(params, seed)
    return params


def take_files(content: Any, weights: Mapping[str, str]) -> None:
    """Let networks begin with files instead of the hub's, in place.

    weights: files of this checkout, by network.
    """
    if not isinstance(content, dict):
        return
    begins = content.get("initial_weights")
    named = [str(content[name]) for name in ("network", "architecture") if name in content]
    if begins and begins["source"] == "hub" and (file := next((weights[name] for name in named if name in weights), None)):
        sha256 = hashlib.sha256((CHECKOUT / file).read_bytes()).hexdigest()
        content["initial_weights"] = {"source": "file", "file": file, "sha256": sha256}
    for value in content.values():
        take_files(value, weights)


def write_truth(place: Place, data: str) -> None:
    """Write the true masks of all images that are learned from, as corrections by somebody who knows them."""
    with contextlib.chdir(place.folder):
        params, index = Params.read(), open_artifact("dataset")
        truth, lines = Truth.of_images(Images(params.raw_root(), index)), []
        for image in index.learnable(params.of_stage("segmenter").splits()["segmenter"]):
            labels = truth[image]
            assert labels is not None, f"{data}: {image} has no mask"
            shown = [int(one) for one in np.unique(labels) if one != IGNORE]
            things = [_draw(index.class_names[one], labels == one) for one in shown]
            lines.append(Corrected(image=image, size=index.size(image), complete=False, things=things))
        write_lines(Path(TRUE_MASKS), lines)


def _draw(label: str, mask: np.ndarray[Any, Any]) -> Thing:
    return Thing(label=label, by="clicks", start="", clicks=[], level=None, runs=count_runs(mask))


def run_stages(place: Place, data: str, system: str, seed: int, weights: Mapping[str, str]) -> dict[str, Cost | None]:
    """Run a system's stages. Returns what those took that do something, by name."""
    params, book, costs = make_params(data, system, seed), Book(place), dict[str, Cost | None]()
    take_files(params, weights)
    place.prepare(params)
    for stage in order_stages(params):
        if system == BOUND and stage == "seeds":
            write_truth(place, data)
        cost = book.measure(stage)
        if params[stage]["method"] != "none":
            costs[stage] = cost
    return costs


def run_system(place: Place, data: str, system: str, seed: int, weights: Mapping[str, str]) -> Record:
    """Run a system, and look at what came of it."""
    commit, parameters = find_commit(), digest(make_params(data, system, seed))
    costs = run_stages(place, data, system, seed, weights)
    figures = place.figures()
    with (place.folder / "data" / "metrics" / "images.csv").open(encoding="utf-8", newline="") as file:
        predicted = [(row["image"], float(row["miou"])) for row in csv.DictReader(file) if row["kind"] == "predictions" and row["miou"]]
    worst = sorted(predicted, key=lambda one: one[1])[:WORST]
    return Record(system, seed, commit, parameters, weights, describe_machine(), figures, costs, worst)


def run_all(options: argparse.Namespace) -> None:
    """Run what is missing of what is asked for."""
    weights = dict(options.weights)
    for data in options.data:
        folder: Path = options.folder / data
        with hold_folder(folder):
            for seed in options.seeds:
                for system in options.systems:
                    known = read_records(data).get((system, seed))
                    if known is None or known.weights != weights or not is_present(known, data):
                        print(f"{data}, {system}, seed {seed}", file=sys.stderr, flush=True)
                        keep_record(data, run_system(Place(folder), data, system, seed, weights))


def is_present(record: Record, data: str) -> bool:
    """Whether a run had the parameters that its recipe has now."""
    return record.parameters == digest(make_params(data, record.system, record.seed))


@dataclass(frozen=True)
class Runs:
    """All runs of a system on a data set, with different seeds."""

    system: str
    records: Sequence[Record]

    def figures(self, address: str) -> np.ndarray[Any, Any]:
        """A figure of every run, NaN where it has none."""
        if self.system == BOUND and address not in OF_TRUTH:
            return np.full(len(self.records), np.nan)
        return np.array([find_figure(one.figures, address) for one in self.records], np.float64)

    def minutes(self, *, trained: bool) -> str:
        """How long processors worked for all stages, or those that train a network; empty where that is not known of any run."""
        wanted = [stage for stage in self.records[0].costs if not trained or SCHEMAS[find_kind(stage)].weights]
        whole = [[one.costs[stage] for stage in wanted] for one in self.records]
        known = [sum(cost.processors for cost in costs if cost) / 60 for costs in whole if all(costs)]
        return f"{np.mean(known):.1f}" if known else ""

    def peak(self) -> str:
        """Memory of the largest process, in GB; empty where that is not known of any run."""
        whole = [list(one.costs.values()) for one in self.records]
        known = [cost.peak for costs in whole if all(costs) for cost in costs if cost]
        return f"{max(known) / 1e9:.1f}" if known else ""


def gather(data: str) -> list[Runs]:
    """All systems that have been run with their present recipes, in the order of tables. It says which runs are left out."""
    found = []
    for system in (*SYSTEMS, BOUND):
        records = sorted((one for one in read_records(data).values() if one.system == system), key=lambda one: one.seed)
        if stale := [one.seed for one in records if not is_present(one, data)]:
            print(f"{data}, {system}: its recipe has changed since seeds {stale}, which are left out: run them again", file=sys.stderr)
        if present := [one for one in records if one.seed not in stale]:
            found.append(Runs(system, present))
    return found


def tabulate(heads: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """A table in Markdown."""
    return "\n".join("| " + " | ".join(line) + " |" for line in (heads, ["---"] * len(heads), *lines))


def tabulate_systems(data: str, all_runs: Sequence[Runs]) -> str:
    """Systems as rows: what is made at every step, what that takes, and what is published."""
    heads = [
        "",
        "seeds",
        *(words for words, _ in FIGURES),
        "training, core minutes",
        "all, core minutes",
        "peak, GB",
        f"published, {DATA[PUBLISHED]}",
    ]
    lines = []
    for runs in all_runs:
        made = [with_spread(runs.figures(address)) for _, address in FIGURES]
        took = [runs.minutes(trained=True), runs.minutes(trained=False), runs.peak()]
        lines.append([name(runs.system, data), str(len(runs.records)), *made, *took, find_published(runs.system)])
    return tabulate(heads, lines)


def name(system: str, data: str) -> str:
    """What a table calls a system."""
    return "*true masks (the bound)*" if system == BOUND else f"[`{system}`](../recipes/{data}_{system}.yaml)"


def find_published(system: str) -> str:
    """What its source says that a system reaches on the data set that most works are judged on."""
    return "" if system == BOUND else read_recipe(f"{PUBLISHED}_{system}", folder=RECIPES).published


def tabulate_differences(all_runs: Sequence[Runs]) -> str:
    """How far systems are from the plainest with the same seed: mean, least and most; in bold where the sign is always the same."""
    plain = next((one for one in all_runs if one.system == BEGINS), None)
    if plain is None:
        return ""
    lines = []
    for runs in all_runs:
        if runs is not plain:
            both = [(one, other) for one in runs.records for other in plain.records if one.seed == other.seed]
            cells = []
            for address in COMPARED:
                pairs = [(find_figure(one.figures, address), find_figure(other.figures, address)) for one, other in both]
                pairs = [] if runs.system == BOUND and address not in OF_TRUTH else pairs
                cells.append(tell_differences([one - other for one, other in pairs if one is not None and other is not None]))
            lines.append([f"`{runs.system}`", str(len(both)), *cells])
    words = {address: words for words, address in FIGURES}
    return tabulate(["", "seeds", *(words[address] for address in COMPARED)], lines)


def tell_differences(found: Sequence[float]) -> str:
    """The mean of some differences, and between what they lie."""
    if not found:
        return ""
    if len(found) == 1:
        return f"{found[0]:+.3f}"
    said = f"{np.mean(found):+.3f} ({min(found):+.3f} to {max(found):+.3f})"
    return f"**{said}**" if min(found) * max(found) > 0 else said


def tabulate_parts(all_runs: Sequence[Runs], part: str) -> str:
    """IoU of predictions, by size of things or by class.

    part: things or iou, of an evaluation.
    """
    found = all_runs[0].records[0].figures["predictions"][part]
    names = {name: f"{name} ({one['count']} things)" if part == "things" else name for name, one in found.items()}
    lines = [[f"`{runs.system}`", *(with_spread(_read(runs, part, name)) for name in names)] for runs in all_runs]
    return tabulate(["", *names.values()], lines)


def _read(runs: Runs, part: str, name: str) -> np.ndarray[Any, Any]:
    found = [one.figures["predictions"][part][name] for one in runs.records]
    return np.array([one["iou"] if part == "things" else one for one in found], np.float64)


def list_worst(all_runs: Sequence[Runs]) -> str:
    """Images that are predicted worst, with their mIoU, of the first seed."""
    lines = [[f"`{runs.system}`", ", ".join(f"{image} ({miou:.2f})" for image, miou in runs.records[0].worst)] for runs in all_runs]
    return tabulate(["", "predicted worst"], lines)


def tell_origin(all_runs: Sequence[Runs]) -> str:
    """What runs follow from, in a line."""
    records = [one for runs in all_runs for one in runs.records]
    said = {
        "commit": {one.commit for one in records},
        "machine": {one.machine for one in records},
        "weights from files": {f"{network} ({Path(file).name})" for one in records for network, file in one.weights.items()},
    }
    return "; ".join(f"{word}: {', '.join(sorted(values))}" for word, values in said.items() if values)


def write() -> None:
    """Write all tables into the pages of results."""
    first, more = [], []
    for data, title in DATA.items():
        if all_runs := gather(data):
            first += [f"### {title}", tabulate_systems(data, all_runs), f"*{tell_origin(all_runs)}*"]
            parts = {
                f"Against `{BEGINS}`, seed by seed": tabulate_differences(all_runs),
                "Things by their share of the image, IoU of predictions": tabulate_parts(all_runs, "things"),
                "Classes, IoU of predictions": tabulate_parts(all_runs, "iou"),
                "Worst images": list_worst(all_runs),
            }
            more += [f"## {title}", *(f"### {words}\n\n{text}" for words, text in parts.items() if text)]
    write_between("systems", "\n\n".join(first))
    write_between("systems in detail", "\n\n".join(more))


def draw(options: argparse.Namespace) -> None:
    """Draw what systems predict of some images, with the first seed. What has been run in that folder is not computed again."""
    pictures = [picture.absolute() for picture in options.pictures]
    for data in options.data:
        place, rows = Place(options.folder / data), dict[str, dict[str, Image]]()
        with hold_folder(place.folder):
            for system in options.systems:
                run_stages(place, data, system, options.seeds[0], dict(options.weights))
                with contextlib.chdir(place.folder):
                    rows = rows or (begin_rows_of_files(pictures) if pictures else begin_rows())
                    for image, drawn in (draw_files(pictures) if pictures else draw_images(list(rows))).items():
                        rows[image]["learned from truth" if system == BOUND else system] = drawn
        file = CHECKOUT / "docs" / "pictures" / f"systems_{data}{'_pictures' if pictures else ''}.png"  # not every data set may be shown
        file.write_bytes(encode_png(PillowImage.fromarray(arrange_sheet(list(rows.values())))))
        print(f"wrote {file}")


def begin_rows() -> dict[str, dict[str, Image]]:
    """Some images of those that are predicted, and the truth, by image."""
    data = open_artifact("dataset")
    pictures, ids = Images(Params.read().raw_root(), data), open_artifact("predictions").ids
    truth, palette, rows = Truth.of_images(pictures), make_palette(data.num_classes), dict[str, dict[str, Image]]()
    for number in np.linspace(0, len(ids) - 1, DRAWN):
        image = ids[int(number)]
        rows[image] = {"image": pictures[image]}
        if (labels := truth[image]) is not None:
            rows[image]["truth"] = draw_overlay(pictures[image], labels, palette)
    return rows


def draw_images(images: Sequence[str]) -> dict[str, Image]:
    """What is predicted of images of the data set."""
    return {image: draw_picture(Wanted("predictions", image)).picture for image in images}


def begin_rows_of_files(pictures: Sequence[Path]) -> dict[str, dict[str, Image]]:
    """Pictures that belong to no data set, by the names of their files."""
    return {picture.stem: {"image": shrink(decode(picture.read_bytes(), where=str(picture)))} for picture in pictures}


def draw_files(pictures: Sequence[Path]) -> dict[str, Image]:
    """What is predicted of pictures that belong to no data set."""
    from seedbed.tools.predict import Request, segment_pictures  # imports torch

    with tempfile.TemporaryDirectory() as folder:
        wanted = Request(Path(folder), overlay=True)
        for made in segment_pictures(pictures, wanted, params=Params.read(), device="cpu"):
            if isinstance(made, SeedbedError):
                raise made
        return {picture.stem: shrink(decode(wanted.overlay_file(picture).read_bytes(), where=str(picture))) for picture in pictures}


def shrink(image: Image) -> Image:
    """It at a size at which all systems stand side by side."""
    size = fit_size((image.shape[0], image.shape[1]), (SIDE, SIDE))
    return np.asarray(cv2.resize(image, size[::-1], interpolation=cv2.INTER_AREA), np.uint8)


def main() -> None:
    """Run, write or draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["run", "write", "draw"])
    parser.add_argument("--data", nargs="+", default=["shapes"], choices=list(DATA), help="data sets")
    parser.add_argument("--systems", nargs="+", default=[*SYSTEMS, BOUND], choices=[*SYSTEMS, BOUND])
    parser.add_argument("--seeds", type=int, nargs="+", default=list(SEEDS))
    parser.add_argument("--folder", type=Path, default=CHECKOUT / "build" / "systems", help="where to run, in a folder for each data set")
    parser.add_argument("--pictures", type=Path, nargs="+", default=[], help="draw these files, not images of the data set")
    parser.add_argument(
        "--weights",
        nargs=2,
        action="append",
        default=[],
        metavar=("NETWORK", "FILE"),
        help="begin with it, not the hub's: a path within this checkout, since records name it",
    )
    options = parser.parse_args()
    for _, file in options.weights:
        if Path(file).is_absolute() or not (CHECKOUT / file).is_file():
            parser.error(f"--weights: {file} is no file of this checkout; link it into data/weights")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended; run it again to go on"))  # with the stage that is running
    if options.what == "write":
        write()
    else:
        {"run": run_all, "draw": draw}[options.what](options)


if __name__ == "__main__":
    main()
