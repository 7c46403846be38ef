"""The pipeline's figures over several seeds, and over several values of one parameter, as tables for docs/results.md.

Every run is made by the stages themselves, one after another in a folder of its own where what a seed does not touch is not computed
again. A seed is the one of every training; the data set stays.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ruamel.yaml import YAML

CHECKOUT = Path(__file__).parents[1]
PAGE = CHECKOUT / "docs" / "results.md"
SHOWN: tuple[tuple[str, str, str], ...] = (  # what, in words, and the figure's address
    ("classifier, mean average precision", "classifier", "mean_average_precision"),
    ("class maps at the declared threshold, mIoU", "class_maps", "miou"),
    ("class maps at the best threshold (an oracle), mIoU", "class_maps", "oracle.miou"),
    ("seeds, coverage", "seeds", "coverage"),
    ("seeds, precision", "seeds", "precision"),
    ("seeds, mIoU", "seeds", "miou"),
    ("masks, mIoU", "masks", "miou"),
    ("masks, boundary mIoU", "masks", "boundary_miou"),
    ("masks, false positive rate", "masks", "false_positive_rate"),
    ("masks, false negative rate", "masks", "false_negative_rate"),
    ("superpixels, mean count", "superpixels", "mean_count"),
    ("superpixels, achievable segmentation accuracy", "superpixels", "achievable_segmentation_accuracy"),
    ("superpixels, undersegmentation error", "superpixels", "undersegmentation_error"),
    ("superpixels, boundary recall", "superpixels", "boundary_recall"),
    ("superpixels, boundary precision", "superpixels", "boundary_precision"),
    ("predictions, mIoU", "predictions", "miou"),
    ("predictions after the CRF, mIoU", "predictions_crf", "miou"),
)


@dataclass(frozen=True)
class Place:
    """A folder in which stages run."""

    folder: Path

    def prepare(self, params: Mapping[str, Any]) -> None:
        """Give it parameters, and the raw data and weights of this checkout."""
        self.folder.mkdir(parents=True, exist_ok=True)
        YAML().dump(dict(params), self.folder / "params.yaml")
        (self.folder / "data").mkdir(exist_ok=True)
        for name in ("raw", "weights"):
            if not (link := self.folder / "data" / name).is_symlink():
                link.symlink_to((CHECKOUT / "data" / name).resolve(), target_is_directory=True)

    def run(self, stages: Sequence[str]) -> dict[str, Any]:
        """Run stages in turn. Returns the figures that they leave."""
        environment = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
        for stage in stages:
            subprocess.run([sys.executable, "-m", f"stages.{stage}"], cwd=self.folder, env=environment, check=True)  # noqa: S603 (our own)
        content: dict[str, Any] = json.loads((self.folder / "data" / "metrics" / "evaluation.json").read_text(encoding="utf-8"))
        return content


def stages() -> list[str]:
    """All stages, in the order of dvc.yaml, which is one that they can run in."""
    return list(YAML(typ="safe").load(CHECKOUT / "dvc.yaml")["stages"])


def changed(params: dict[str, Any], address: str, value: Any) -> None:
    """Give a parameter another value."""
    *way, last = address.split(".")
    place = params
    for name in way:
        place = place[name]
    if last not in place:
        raise SystemExit(f"no parameter {address}")
    place[last] = value


def seeded(params: dict[str, Any], seed: int) -> None:
    """Let every training that is selected have a seed."""
    for family, section in params.items():
        block = section.get(section["method"]) or {}
        if "training" in block:
            changed(params, f"{family}.{section['method']}.training.seed", seed)


def figure(content: Mapping[str, Any], address: str) -> float | None:
    """A figure of an evaluation."""
    found: Any = content
    for name in address.split("."):
        found = (found or {}).get(name)
    return None if found is None else float(found)


def rows(reports: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, str, list[float | None]]]:
    """What is shown, the images that it is of, and its figure in every report."""
    for words, kind, address in SHOWN:
        values = [figure(report.get(kind, {}), address) for report in reports]
        if any(value is not None for value in values):
            yield words, str(reports[0][kind]["images"]), values


def table(reports: Sequence[Mapping[str, Any]], heads: Sequence[str], *, spread: bool) -> str:
    """Figures in Markdown, a column for every report, and with `spread` their mean and standard deviation."""
    lines = [["what", "images", *heads, *(["mean ± spread"] if spread else [])]]
    lines.append(["---"] * len(lines[0]))
    for words, images, values in rows(reports):
        digits = 1 if "count" in words else 3
        cells = ["" if value is None else f"{value:.{digits}f}" for value in values]
        known = [value for value in values if value is not None]
        lines.append([words, images, *cells, *([f"{np.mean(known):.{digits}f} ± {np.std(known, ddof=1):.{digits}f}"] if spread else [])])
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def written(name: str, text: str) -> None:
    """Put a table between its marks in docs/results.md."""
    page = PAGE.read_text(encoding="utf-8")
    marks = re.compile(rf"(<!-- {re.escape(name)} -->\n).*?(\n<!-- end -->)", re.DOTALL)
    if not marks.search(page):
        raise SystemExit(f"docs/results.md has no <!-- {name} --> ... <!-- end -->")
    PAGE.write_text(marks.sub(lambda match: match[1] + text + match[2], page), encoding="utf-8")


def main() -> None:
    """Run and tell."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--params", type=Path, default=CHECKOUT / "params.yaml", help="what to run")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--sweep", nargs="+", metavar=("PARAMETER", "VALUE"), help="values of a parameter, with the first seed")
    parser.add_argument("--stages", nargs="+", default=[], help="run these alone, where the others have been run")
    parser.add_argument("--folder", type=Path, default=CHECKOUT / "build" / "results", help="where to run")
    parser.add_argument("--write", default="", metavar="NAME", help="put the table between such marks in docs/results.md")
    options = parser.parse_args()
    place, reports, heads = Place(options.folder), [], []
    address, *values = options.sweep or [""]
    for given in values or options.seeds:
        params: dict[str, Any] = YAML(typ="safe").load(options.params)
        seeded(params, options.seeds[0] if values else given)
        if values:
            changed(params, address, YAML(typ="safe").load(given))
        place.prepare(params)
        started = time.perf_counter()
        reports.append(place.run(options.stages or stages()))
        heads.append(str(given) if values else f"seed {given}")
        print(f"{heads[-1]}: {time.perf_counter() - started:.0f} s", file=sys.stderr, flush=True)
    text = table(reports, heads, spread=not values and len(reports) > 1)
    print(text)
    if options.write:
        written(options.write, text)


if __name__ == "__main__":
    main()
