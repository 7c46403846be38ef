"""The command `export`: masks in the layout of Pascal VOC, and the archive that its test server takes."""

from __future__ import annotations

import gzip
import io
import tarfile
from pathlib import Path

import numpy as np
import numpy.typing as npt

from seedbed.errors import DataError
from seedbed.report.export import encode_mask
from seedbed.report.palette import VOC_BORDER, Palette
from seedbed.store import files
from seedbed.tools.export_folder import ExportFolder, check_ids
from seedbed.tools.export_source import LABELLED, Source, Wanted, describe_left_out, mask_values, open_source
from seedbed.types import BACKGROUND, IGNORE

ARCHIVED = "results/VOC2012/Segmentation/comp{competition}_test_cls"


def export_voc(wanted: Wanted, folder: Path) -> str:
    """Write masks and lists of images as VOC's devkit has them. Returns what was done."""
    with open_source(wanted, shown=LABELLED) as source:
        check_ids(source.image_ids, in_lists=True)
        values, palette, written = mask_values(source.data), _paint_values(source), set[str]()
        with ExportFolder(folder) as out:
            for one in source.labelled():
                out.write(f"SegmentationClass/{one.image_id}.png", encode_mask(values[one.labels], palette, unlabelled=VOC_BORDER))
                written.add(one.image_id)
            for split, image_ids in source.splits():
                if (not wanted.split or split == wanted.split) and (listed := [one for one in image_ids if one in written]):
                    out.write(f"ImageSets/Segmentation/{split}.txt", "\n".join([*listed, ""]).encode())
            out.write("labelmap.txt", _describe_classes(source, values).encode())
        return describe_left_out(source, len(written))


def export_test_server(wanted: Wanted, file: Path, *, competition: int) -> str:
    """Write the archive that VOC's test server takes. Returns what was done.

    competition: 5, where a network learned from VOC alone, or 6.
    """
    if file.exists():
        raise DataError(str(file), found="something", expected="nothing yet", do="remove it, or name another file")
    files.check(file)
    with open_source(wanted, shown=LABELLED) as source:
        if source.data.made_by.method != "voc":
            found = f"a data set that was read as {source.data.made_by.method}"
            raise DataError("data/dataset.zarr", found=found, expected="VOC, whose server it is", do="run `seedbed export voc`")
        check_ids(source.image_ids)
        values, palette, count, unlabelled = mask_values(source.data), _paint_values(source), 0, 0
        with (
            files.writing(file) as out,
            gzip.GzipFile(filename="", fileobj=out, mode="wb", mtime=0) as zipped,
            tarfile.open(fileobj=zipped, mode="w|") as archive,
        ):
            for one in source.labelled():
                nothing = one.labels == IGNORE  # which the server does not know
                content = encode_mask(values[np.where(nothing, BACKGROUND, one.labels)], palette, unlabelled=VOC_BORDER)
                entry = tarfile.TarInfo(f"{ARCHIVED.format(competition=competition)}/{one.image_id}.png")
                entry.size = len(content)
                archive.addfile(entry, io.BytesIO(content))
                count, unlabelled = count + 1, unlabelled + bool(nothing.any())
        told = f"; pixels without a label are background, in {unlabelled:,} of them" if unlabelled else ""
        return describe_left_out(source, count) + told


def _paint_values(source: Source) -> Palette:
    """The colour of every value that a mask has."""
    values, palette = mask_values(source.data), source.palette
    colours = np.zeros((IGNORE, 3), np.uint8)
    colours[values[: len(palette)]] = palette
    return colours


def _describe_classes(source: Source, values: npt.NDArray[np.uint8]) -> str:
    """Names and colours, a line for every value up to the largest, as tools for VOC's layout read them."""
    names = {int(values[number]): (name, source.palette[number]) for number, name in enumerate(source.data.class_names)}
    lines = ["# label:color_rgb:parts:actions"]
    for value in range(1 + max(names)):
        name, colour = names.get(value, (f"unused{value}", (value, 0, 1)))
        lines.append(f"{name}:{','.join(str(int(level)) for level in colour)}::")
    return "\n".join([*lines, ""])
