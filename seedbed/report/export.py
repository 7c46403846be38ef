"""What leaves the pipeline for people and other tools: figures as JSON, tables for plots as CSV, pictures as PNG."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image as PillowImage
from PIL.PngImagePlugin import PngInfo

from seedbed.report.palette import UNLABELLED, Colour, Palette
from seedbed.store.artifact import Artifact
from seedbed.types import IGNORE, Image

PLOTS = Path("data/plots")
LOGGED = 200  # rows of a training's log


def write_figures(content: Mapping[str, Any], path: Path) -> None:
    """Write figures that `dvc metrics` reads."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def write_table(columns: Sequence[str], rows: Iterable[Sequence[Any]], path: Path) -> None:
    """Write a table that `dvc plots` reads."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)  # as of pictures
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)


def write_training_log(trained: Artifact, path: Path) -> None:
    """Write what is known of a training as a table: at most so many rows, each the mean over as many steps."""
    log, names = trained.array("log"), [str(one) for one in trained.array("figures")]
    runs = np.array_split(np.arange(len(log)), min(LOGGED, len(log))) if len(log) else []
    rows = [(int(run[-1]) + 1, *(float(f"{mean:.6g}") for mean in log[run].mean(axis=0, dtype=np.float64))) for run in runs]
    write_table(["step", *(names or ["loss"])], rows, path)


def write_picture(image: Image, path: Path) -> None:
    """Write a picture."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)  # it may be a link into DVC's cache, which must keep what it has
    _, encoded = cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    path.write_bytes(encoded.tobytes())


def encode_mask(
    labels: npt.NDArray[np.uint8], palette: Palette, *, unlabelled: Colour = UNLABELLED, note: tuple[str, str] | None = None
) -> bytes:
    """Labels as a PNG file of numbers, which programs that show it show in the classes' colours.

    unlabelled: the colour of 255.
    note: a name and a text that the file carries.
    """
    colours = np.full((IGNORE + 1, 3), unlabelled, np.uint8)
    colours[: len(palette)] = palette
    colours[IGNORE] = unlabelled
    picture = PillowImage.fromarray(labels)
    picture.putpalette(colours.tobytes())
    return encode_png(picture, note=note)


def encode_png(picture: PillowImage.Image, *, note: tuple[str, str] | None = None) -> bytes:
    """A picture as a PNG file.

    note: a name and a text that it carries.
    """
    content, notes = io.BytesIO(), PngInfo()
    if note:
        notes.add_text(*note)
    picture.save(content, format="PNG", pnginfo=notes)
    return content.getvalue()
