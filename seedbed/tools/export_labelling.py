"""The command `export`: a folder that labelling tools import, so that people correct masks instead of drawing them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote
from xml.sax.saxutils import quoteattr

from seedbed.report.export import encode_mask
from seedbed.report.outlining import Thing, encode_strokes, find_things, measure_runs
from seedbed.tools.export_coco import JsonList, describe_image, encode_json
from seedbed.tools.export_folder import ExportFolder, check_ids
from seedbed.tools.export_source import LABELLED, Source, Wanted, open_source

COCO, CVAT_LABELS, TASKS, INTERFACE = "coco.json", "cvat_labels.json", "label_studio.json", "label_studio.xml"
POLYGONS, BRUSH, PICTURE = "polygons", "brush", "image"  # names within Label Studio
SERVED = "/data/local-files/?d="  # where Label Studio serves files of its own machine


def export_labelling(wanted: Wanted, folder: Path, *, tolerance: float) -> str:
    """Write masks, COCO's instances as CVAT imports them, and tasks of Label Studio. Returns what was done.

    tolerance: so many pixels may polygons be off, so that people have fewer corners to move.
    """
    with open_source(wanted, shown=LABELLED) as source:
        check_ids(source.image_ids)
        numbers, count = {image_id: place for place, image_id in enumerate(source.image_ids, start=1)}, 0
        with ExportFolder(folder) as out, out.writing(COCO) as instances, out.writing(TASKS) as studio:
            listed = JsonList(instances, before=_head(source), after="],")
            for image_id, number in numbers.items():
                listed.add(describe_image(source, image_id, number))
            listed.end()
            annotations, tasks = JsonList(instances, before='\n"annotations":[', after="]}\n"), JsonList(studio)
            for one in source.labelled(empty_too=True):
                out.write(f"labels/{one.image_id}.png", encode_mask(one.labels, source.palette))
                results = list[dict[str, Any]]()
                for thing in find_things(one.labels, tolerance=tolerance):
                    count += 1
                    annotations.add(_annotate(thing, annotation_id=count, number=numbers[one.image_id]))
                    results.append(_describe_result(thing, name=source.data.class_names[thing.class_id], place=len(results)))
                prediction = {"model_version": f"seedbed {source.artifact.name}", "result": results}
                tasks.add({"data": {PICTURE: SERVED + quote(source.file_name(one.image_id))}, "predictions": [prediction]})
            annotations.end()
            tasks.end()
            out.write(CVAT_LABELS, (encode_json(list(_cvat_labels(source))) + "\n").encode())
            out.write(INTERFACE, _interface(source).encode())
        return f"{len(numbers):,} images with {count:,} things"


def _head(source: Source) -> str:
    """What stands in COCO's file before its images; classes have the numbers of the masks beside it."""
    categories = [{"id": number, "name": name, "supercategory": ""} for number, name in source.classes()]
    return f'{{"categories":{encode_json(categories)},\n"images":['


def _annotate(thing: Thing, *, annotation_id: int, number: int) -> dict[str, Any]:
    """A thing as COCO has it: a polygon, or run lengths, which it has for crowds alone, where a thing has holes."""
    if thing.polygon is None:
        outline: Any = {"size": list(thing.size), "counts": measure_runs(thing.shape)}
    else:
        outline = [[coordinate for corner in thing.polygon for coordinate in corner]]
    return {
        "id": annotation_id,
        "image_id": number,
        "category_id": thing.class_id,
        "segmentation": outline,
        "area": thing.area,
        "bbox": list(thing.box),
        "iscrowd": int(thing.polygon is None),
    }


def _describe_result(thing: Thing, *, name: str, place: int) -> dict[str, Any]:
    """A thing as Label Studio has it: a polygon in percent, or strokes of a brush where it has holes."""
    height, width = thing.size
    common = {"id": f"thing{place}", "to_name": PICTURE, "original_width": width, "original_height": height, "image_rotation": 0}
    if thing.polygon is None:
        strokes = {"format": "rle", "rle": encode_strokes(thing.shape), "brushlabels": [name]}
        return {**common, "type": "brushlabels", "from_name": BRUSH, "value": strokes}
    points = [[round(100 * x / width, 4), round(100 * y / height, 4)] for x, y in thing.polygon]
    return {**common, "type": "polygonlabels", "from_name": POLYGONS, "value": {"points": points, "closed": True, "polygonlabels": [name]}}


def _cvat_labels(source: Source) -> Iterator[dict[str, Any]]:
    """Labels for the raw constructor of a CVAT task."""
    for number, name in source.classes():
        yield {"name": name, "color": _hexadecimal(source, number), "attributes": []}


def _interface(source: Source) -> str:
    """A labelling interface for Label Studio: the same classes for polygons and for a brush."""
    lines = ["<View>", f'  <Image name="{PICTURE}" value="${PICTURE}" zoom="true"/>']
    for tag, name in (("PolygonLabels", POLYGONS), ("BrushLabels", BRUSH)):
        lines.append(f'  <{tag} name="{name}" toName="{PICTURE}">')
        lines += [
            f"    <Label value={quoteattr(label)} background={quoteattr(_hexadecimal(source, number))}/>"
            for number, label in source.classes()
        ]
        lines.append(f"  </{tag}>")
    return "\n".join([*lines, "</View>", ""])


def _hexadecimal(source: Source, number: int) -> str:
    return "#" + bytes(source.palette[number].tolist()).hex()
