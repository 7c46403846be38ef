"""Superpixels of every method over their granularity: how they fit the truth at equal counts, what they take, and what a CRF adds.

Each method makes superpixels of the same images at several values of the parameter that sets how many there are. Figures are means over
images, and over annotators where there are several; between the values that were tried they are interpolated, on the logarithm of the mean
count. `curves.json` has every figure and `curves.png` draws four of them. The CRF is that of `superpixels.dino`, over the regions of any
method; since it takes seconds, it may run on fewer images.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import astuple, dataclass, fields
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image as PillowImage
from ruamel.yaml import YAML
from scipy.io import loadmat
from skimage.segmentation import relabel_sequential

sys.path.insert(0, str(Path(__file__).parents[1]))
from benchmarks.world import World, spread
from seedbed import dataset, features, images, superpixels
from seedbed.params import Params, rebuild
from seedbed.report import drawing
from seedbed.scoring.boundaries import Boundaries
from seedbed.scoring.region_scores import Fit, score_regions
from seedbed.superpixels.dino import Dino
from seedbed.tools.recipe_files import find_block
from seedbed.types import IGNORE, Image, LabelMap, PatchFeatures, RegionMap

CHECKOUT = Path(__file__).parents[1]
BOUNDARIES = Boundaries(distance=2, share=0.02)
COUNTS = (10, 30, 80)  # at which methods are compared
WANTED = (3, 6, 10, 20, 30, 45, 80, 120)  # counts that are asked for, of methods that can be asked
THRESHOLDS = (-0.1, 0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8)
MOST_CUTS = 200  # of ncut, which ends by itself where the rest is all linked
SCALES = (20, 50, 100, 200, 400, 800, 1600, 3200)  # of felzenszwalb
SHOWN = {"undersegmentation_error": "UE", "achievable_segmentation_accuracy": "ASA", "boundary_recall": "BR", "boundary_precision": "BP"}
BARE, REFINED = "as found", "after the CRF"


@dataclass(frozen=True)
class Annotated:
    """An image and what its annotators say of it."""

    image: Image
    annotations: tuple[LabelMap, ...]


@dataclass(frozen=True)
class Sweep:
    """A method with several values of the parameter that sets how many superpixels it makes."""

    parameter: str
    methods: Mapping[float, superpixels.Method]


@dataclass(frozen=True)
class Scored:
    """Figures of one image, or their means over images."""

    count: float
    undersegmentation_error: float
    boundary_recall: float
    boundary_precision: float
    achievable_segmentation_accuracy: float
    compactness: float
    explained_variation: float
    seconds: float  # of one core


def read_bsds(folder: Path, count: int) -> Iterator[Annotated]:
    """Some images of BSDS500, with the segments of every annotator."""
    for file in spread(sorted((folder / "groundTruth").glob("*.mat")), count):
        annotators = loadmat(file)["groundTruth"][0]
        segments = tuple(np.asarray(one["Segmentation"][0, 0], np.int64) for one in annotators)
        assert max(int(one.max()) for one in segments) < IGNORE, f"{file} has more segments than a byte can tell apart"
        image = folder / "images" / f"{file.stem}.jpg"
        yield Annotated(images.decode(image.read_bytes(), where=image.name), tuple(one.astype(np.uint8) for one in segments))


def read_annotated(params: Params, split: str, count: int) -> Iterator[Annotated]:
    """Some images of a split of the data set in the parameters, with their classes."""
    world = World.read(params.raw_root(), params.method(dataset.Method))
    for entry in spread(world.split(split), count):
        yield Annotated(world.pictures[entry.id], (world.truth(entry),))


def list_sweeps(sections: Mapping[str, Any], area: float) -> dict[str, Sweep]:
    """What is compared.

    sections: of the parameters, whose blocks are taken but for what is swept.
    area: of an image, in pixels, on average.
    """
    edges = [round(math.sqrt(area / count)) for count in WANTED]

    def sweep(name: str, parameter: str, values: Iterable[float], **changes: Any) -> Sweep:
        block = dict(find_block(sections, f"superpixels.{name}", folder=CHECKOUT / "recipes")) | changes
        if "crf" in block:
            block["crf"] = {**block["crf"], "preset": "own", "iterations": 0}
        made = {value: rebuild(superpixels.Method, name, {**block, parameter: value}, where="params.yaml") for value in values}
        return Sweep(parameter, made)

    return {
        "dino": sweep("dino", "threshold", THRESHOLDS, first="lowest"),
        "dino, highest degree first": sweep("dino", "threshold", THRESHOLDS, first="highest"),
        "ncut": sweep("ncut", "threshold", THRESHOLDS, stop="count", count=MOST_CUTS),
        "merge": sweep("merge", "count", WANTED, stop="count"),
        "slic": sweep("slic", "region_size", edges),
        "energy_seeds": sweep("energy_seeds", "count", [max(10, count) for count in WANTED[2:]]),
        "lsc": sweep("lsc", "region_size", edges),
        "felzenszwalb": sweep("felzenszwalb", "scale", SCALES),
    }


def score(annotated: Annotated, regions: RegionMap, seconds: float) -> Scored:
    """Figures of the superpixels of an image."""
    found = score_regions(annotated.image, regions, annotated.annotations, boundaries=BOUNDARIES)
    fit = {one.name: getattr(found.mean_fit, one.name) for one in fields(Fit)}
    return Scored(count=found.count, compactness=found.compactness, explained_variation=found.explained_variation, seconds=seconds, **fit)


def compute_image(
    given: tuple[Annotated, PatchFeatures, bool], *, sweeps: Mapping[str, Sweep], crf: Dino, least: Mapping[str, Sequence[float]]
) -> dict[tuple[str, float, str], Scored]:
    """Figures of an image, by sweep, value and whether a CRF has run.

    given: the image, its features, whether a CRF runs too.
    least: of which values of each sweep the CRF runs.
    """
    annotated, patches, refined = given
    found = {}
    for name, sweep in sweeps.items():
        for value, method in sweep.methods.items():
            started = time.process_time()
            regions = method.partition(annotated.image, patches)
            seconds = time.process_time() - started
            found[name, value, BARE] = score(annotated, regions, seconds)
            if refined and value in least[name]:
                started = time.process_time()
                count = int(regions.max()) + 1
                labels = crf.crf.labels(annotated.image, regions, count=count, certainty=crf.crf_certainty)
                after = np.asarray(relabel_sequential(labels + 1)[0] - 1, np.int32)
                found[name, value, REFINED] = score(annotated, after, seconds + time.process_time() - started)
    return found


def interpolate(curve: Sequence[Scored], count: float, figure: str) -> float:
    """A figure at a count, between the nearest that were tried; NaN beyond them."""
    points = sorted((math.log(one.count), getattr(one, figure)) for one in curve)
    counts, values = zip(*points, strict=True)
    return float(np.interp(math.log(count), counts, values, left=math.nan, right=math.nan))


def draw_curves(curves: Mapping[str, Sequence[Scored]], title: str) -> Image:
    """Four figures by count, a line for each method."""
    with mpl.rc_context():
        mpl.rcdefaults()
        figure = Figure(figsize=(11, 8), dpi=90, layout="constrained")
        canvas = FigureCanvasAgg(figure)
        for axes, (name, short) in zip(figure.subplots(2, 2).ravel(), SHOWN.items(), strict=True):
            for label, curve in curves.items():
                ordered = sorted(curve, key=lambda one: one.count)
                style = "--" if REFINED in label else "-"
                colour = f"C{list(curves).index(label.replace(REFINED, BARE))}"
                axes.plot(
                    [one.count for one in ordered], [getattr(one, name) for one in ordered], style, color=colour, marker=".", label=label
                )
            axes.set(title=f"{short}: {name.replace('_', ' ')}", xlabel="mean count of superpixels", xscale="log", xlim=(2, 300))
            axes.grid(alpha=0.3)
        handles, labels = axes.get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=4, fontsize=8, frameon=False)
        figure.suptitle(title)
        canvas.draw()
        return np.array(canvas.buffer_rgba(), np.uint8)[..., :3]


def tabulate(curves: Mapping[str, Sequence[Scored]], kind: str) -> Iterator[str]:
    """Lines of a Markdown table: every method at equal counts."""
    heads = [f"{short} at {count}" for short in SHOWN.values() for count in COUNTS]
    yield "| ".join(["", kind, *heads, *(f"s at {count}" for count in COUNTS)]) + " |"
    yield "|---" * (1 + len(heads) + len(COUNTS)) + "|"
    for name, curve in curves.items():
        figures = [interpolate(curve, count, figure) for figure in SHOWN for count in COUNTS]
        seconds = [interpolate(curve, count, "seconds") for count in COUNTS]
        cells = [f"{one:.3f}" for one in figures] + [f"{one:.2f}" for one in seconds]
        yield "| " + " | ".join([name, *(cell if "nan" not in cell else "" for cell in cells)]) + " |"


def draw_sheet(given: Sequence[tuple[Annotated, PatchFeatures, bool]], sweeps: Mapping[str, Sweep], chosen: Mapping[str, float]) -> Image:
    """Images with the borders of every method's superpixels."""
    rows = []
    for annotated, patches, _ in given:
        row = {"image": annotated.image}
        for name, sweep in sweeps.items():
            row[f"{name.replace(' degree first', '')}, {chosen[name]:g}"] = drawing.draw_regions(
                annotated.image, sweep.methods[chosen[name]].partition(annotated.image, patches)
            )
        rows.append(row)
    return drawing.arrange_sheet(rows)


def average(scored: Iterable[Scored]) -> Scored:
    """Means over images; one that has no figure is left out of its mean."""
    return Scored(*(float(one) for one in np.nanmean([astuple(each) for each in scored], axis=0)))


def find_nearest(curve: Mapping[float, Scored], count: float) -> float:
    """The value of a sweep that makes about so many superpixels."""
    return min(curve, key=lambda value: abs(math.log(curve[value].count / count)))


def describe_images(method: features.Method, pictures: Sequence[Image]) -> Iterator[PatchFeatures]:
    """Features of images, one after another; of one patch where the method describes none."""
    network = method.network()
    for image in pictures:
        yield from method.describe([image], network if network is None else network.eval(), device="cpu")


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--params", type=Path, default=CHECKOUT / "params.yaml", help="data set, features, and constants of methods")
    parser.add_argument("--bsds", type=Path, help="folder with images/ and groundTruth/ of BSDS500, instead of the data set")
    parser.add_argument("--split", default="val")
    parser.add_argument("--images", type=int, default=100, help="so many of the split")
    parser.add_argument("--refined", type=int, default=24, help="so many of these also with a CRF")
    parser.add_argument("--refined-values", nargs="+", metavar="METHOD=VALUES", default=[], help="of which a CRF runs; of the others all")
    parser.add_argument("--methods", nargs="+", help="these alone")
    parser.add_argument("--sheet", type=int, default=0, help="draw so many images with the superpixels of every method, some 30 each")
    parser.add_argument("--to", type=Path, default=CHECKOUT / "build" / "superpixels", help="where curves are written")
    options = parser.parse_args()
    sections: dict[str, Any] = YAML(typ="safe").load(options.params)
    params = Params(sections, source=str(options.params))
    read = read_bsds(options.bsds, options.images) if options.bsds else read_annotated(params, options.split, options.images)
    pictures = list(read)
    described = describe_images(params.method(features.Method), [one.image for one in pictures])
    refined = set(spread(range(len(pictures)), options.refined))
    given = [(one, patches, place in refined) for place, (one, patches) in enumerate(zip(pictures, described, strict=True))]
    area = float(np.mean([one.image.shape[0] * one.image.shape[1] for one in pictures]))
    sweeps = {name: sweep for name, sweep in list_sweeps(sections, area).items() if not options.methods or name in options.methods}
    asked = dict(one.split("=") for one in options.refined_values)
    least = {
        name: [float(value) for value in asked[name].split(",")] if name in asked else list(sweep.methods) for name, sweep in sweeps.items()
    }
    crf = rebuild(superpixels.Method, "dino", sections["superpixels"]["dino"], where=str(options.params))
    assert isinstance(crf, Dino)
    os.environ["OMP_NUM_THREADS"] = "1"  # of the processes that follow
    with ProcessPoolExecutor(len(os.sched_getaffinity(0)), mp_context=get_context("spawn")) as pool:
        found = list(pool.map(partial(compute_image, sweeps=sweeps, crf=crf, least=least), given))
    averaged = {
        f"{name}, {kind}": {
            value: average(one[name, value, kind] for one in found if (name, value, kind) in one)
            for value in sweep.methods
            if any((name, value, kind) in one for one in found)
        }
        for kind in (BARE, REFINED)
        for name, sweep in sweeps.items()
    }
    what = f"{options.bsds.name if options.bsds else f'{params.raw_root().name}, {options.split}'}, {len(pictures)} images"
    options.to.mkdir(parents=True, exist_ok=True)
    content = {
        "data": what,
        "images_with_crf": min(options.refined, len(pictures)),
        "curves": {
            label: [{sweeps[label.rpartition(", ")[0]].parameter: value, **vars(one)} for value, one in values.items()]
            for label, values in averaged.items()
        },
    }
    (options.to / "curves.json").write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    curves = {label: list(values.values()) for label, values in averaged.items() if values}
    PillowImage.fromarray(draw_curves(curves, what)).save(options.to / "curves.png", optimize=True)
    print(what)
    for kind in (BARE, REFINED):
        chosen = {label.removesuffix(f", {kind}"): curve for label, curve in curves.items() if label.endswith(kind)}
        print("", *tabulate(chosen, kind), sep="\n")
    if options.sheet:
        nearest = {name: find_nearest(averaged[f"{name}, {BARE}"], 30) for name in sweeps}
        PillowImage.fromarray(draw_sheet(spread(given, options.sheet), sweeps, nearest)).save(options.to / "sheet.png", optimize=True)


if __name__ == "__main__":
    main()
