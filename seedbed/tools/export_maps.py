"""The command `export`: class maps, probabilities and features as .npy files, which any numpy reads."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from seedbed.reads import read_class_maps, read_patches, read_probabilities
from seedbed.tools.export_coco import JsonList, encode_json
from seedbed.tools.export_folder import ExportFolder, check_ids
from seedbed.tools.export_source import Source, Wanted, open_source

FLOATS = ("scores", "probabilities", "features")  # ways of being shown whose numbers are no labels
AXES = {"scores": "class, y, x", "probabilities": "class, y, x", "features": "patch_y, patch_x, channel"}


def export_maps(wanted: Wanted, folder: Path, *, full_size: bool) -> str:
    """Write an array of every image, and which classes it has, in order. Returns what was done.

    full_size: whether maps are enlarged to the size of the image's file, smoothly; else they are as they are stored.
    """
    with open_source(wanted, shown=FLOATS) as source:
        check_ids(source.image_ids)
        head = {"artifact": source.artifact.name, "array": source.array, "axes": AXES[source.shown], "class_names": source.data.class_names}
        with ExportFolder(folder) as out, out.writing("classes.json") as index:
            listed = JsonList(index, before=f'{encode_json(head)[:-1]},\n"images":[', after="]}\n")
            for image_id in source.image_ids:
                classes, array = _read(source, image_id, full_size=full_size)
                out.write(f"{source.array}/{image_id}.npy", encode_array(array))
                listed.add({"id": image_id, "classes": list(classes), "size": list(source.file_size(image_id))})
            listed.end()
        return f"{len(source.image_ids):,} images"


def _read(source: Source, image_id: str, *, full_size: bool) -> tuple[Sequence[int], npt.NDArray[np.float32]]:
    """An array of an image, and the classes along its first axis."""
    size = source.file_size(image_id)
    match source.shown:
        case "scores":
            maps = read_class_maps(source.artifact, image_id)
            return maps.classes, (maps.resize(size) if full_size else maps).maps
        case "probabilities":
            probabilities = read_probabilities(source.artifact, image_id)
            shares = (probabilities.resize(size) if full_size else probabilities).maps
            return range(len(shares)), shares
        case _:
            return (), read_patches(source.artifact, image_id).values


def encode_array(array: npt.NDArray[np.float32]) -> bytes:
    """An array as an .npy file."""
    content = io.BytesIO()
    np.lib.format.write_array(content, np.ascontiguousarray(array, np.float32))
    return content.getvalue()
