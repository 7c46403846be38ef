"""Every superpixel of an image: how large it is, how it scores, what it was labelled, and why."""

from __future__ import annotations

from typing import Any

import numpy as np

from seedbed import seeds
from seedbed.algorithms.region_means import average_within
from seedbed.params import Params
from seedbed.reads import Patches, read_class_maps, read_entry
from seedbed.store.schemas import NONE, find_kind
from seedbed.types import IGNORE, CellEdges, Evidence
from seedbed.view.library import Library

DIGITS = 4  # of a score
SEEDS = "seeds"


def describe(library: Library, params: Params, name: str, image_id: str) -> dict[str, Any]:
    """By number of the region. Of several stages that make seeds, the first is told of that reads these superpixels.

    name: of the artifact of superpixels.
    """
    regions = read_entry(library.artifact(name), "regions", image_id)
    read = {one: params.of_stage(one).settings(seeds.Settings) for one in params.sections() if find_kind(one) == SEEDS}
    stage = next((one for one, settings in read.items() if settings.superpixels == name), next(iter(read), SEEDS))
    numbers = np.arange(regions.max() + 1)
    described: list[dict[str, Any]] = [{"pixels": int(count)} for count in np.bincount(regions.ravel(), minlength=len(numbers))]
    maps = library.find(read[stage].class_maps) if stage in read else None
    if maps is not None and image_id in maps:
        class_maps = read_class_maps(maps, image_id).resize(maps.size(image_id))
        for label, single in zip(class_maps.classes, class_maps.maps, strict=True):
            for one, mean in zip(described, average_within(single[None], regions)[0], strict=True):
                one.setdefault("scores", {})[label] = round(float(mean), DIGITS)
        method = params.of_stage(stage).method(seeds.Method)
        features = read[stage].features
        patches = Patches(None if features == NONE else library.artifact(features))[image_id]
        known = Evidence(library.photo(image_id), class_maps, regions, patches, CellEdges.empty())
        for one, why in zip(described, method.explain(known), strict=False):
            one["why"] = why
    made = library.find(stage)
    if made is not None and image_id in made:
        labels = read_entry(made, "labels", image_id)
        if made.array("corrected")[made.row(image_id)]:
            for one in described:
                one["why"] = "a person has corrected the image"
        counts = np.zeros((len(numbers), 256), np.int64)
        np.add.at(counts, (regions.ravel(), labels.ravel()), 1)
        for one, row in zip(described, counts, strict=True):
            one["seeds"] = {int(label): int(row[label]) for label in np.flatnonzero(row) if label != IGNORE}
    return {"regions": described}
