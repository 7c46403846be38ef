"""The arrays of every kind of artifact, their dimensions and what they mean. docs/artifacts.md is generated from it.

Arrays along `image` hold one chunk per image and one shard per run of images, so that a viewer reads one mask and a data set is few
files. Images differ in size, so pixel arrays are padded to the data set's `max_size`.

A stage, its section of params.yaml and its artifact have one name: a kind, such as `cams`, or a kind, `_` and a word, such as
`cams_second`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

Columns = Mapping[str, Any]  # one image's entries, by array
SHARD_BYTES = 256 * 2**20  # uncompressed
SHARD_IMAGES = 64  # also what a worker does at a time, and what a killed run loses
LARGE = ("y", "map_y", "patch_y", "predicted", "intersection_union")  # an array with one of these dimensions has a chunk per image
SPATIAL = ("y", "map_y", "patch_y")
DIMENSIONS = {
    "image": "images, in the data set's order",
    "class": "classes: 0 is background, 1..K are the data set's",
    "predicted": "classes, as predicted, and last `unlabelled`",
    "split": "splits of the data set",
    "value": "values that a byte can have",
    "y": "pixel rows, padded to dataset.max_size",
    "x": "pixel columns, padded to dataset.max_size",
    "map_y": "rows of a map of lower resolution, padded",
    "map_x": "columns of a map of lower resolution, padded",
    "patch_y": "rows of the patch grid, padded",
    "patch_x": "columns of the patch grid, padded",
    "channel": "entries of a feature vector",
    "child": "the two regions that a merge joins, the smaller number first",
    "instance": "things of an image that are told apart, the surest first; padded to the most that the method keeps",
    "pair": "cells near each cell, in the order of `list_offsets`",
    "height_width": "height, width",
    "step": "steps of a training",
    "figure": "what is known of every step",
    "click": "clicks on a thing, one after the other",
    "place": "row, column, 1 where the click is on the thing and 0 where it is beside it",
    "level": "best region around the first click of somebody who begins with nothing, best region of all, best patches",
    "kind": "kinds of labels that are held against the truth",
    "other_kind": "the same kinds again",
    "thing_size": "sizes of true things, the smallest first",
    "size_bound": "bounds between sizes, ascending",
    "thing": "true things of the size, sum of their IoU",
    "threshold": "thresholds of class maps that are swept, ascending",
    "iou_threshold": "IoU with a true thing from which on a thing is right: 0.5, 0.55, ... 0.95",
    "intersection_union": "pixels in the intersection of labels and truth, pixels in their union",
    "overlap": "pixels that agree with the main class of their region, pixels that leak out of it, pixels in all",
    "true_object": "where nothing is, where something is",
    "object": "where nothing is said to be, where something is, where that is unknown",
    "boundary": "true boundary pixels that a region boundary meets, all of them; region boundary pixels that meet a true one, all of them",
}
SHOWN = {  # how arrays of pixels are looked at
    "labels": "a class for every pixel, in its colour",
    "regions": "regions, by their borders",
    "confidence": "a share of 255 for every pixel, as light",
    "scores": "a map in [0, 1] for each class that is present, as light",
    "probabilities": "a share of 255 for every class, background first: the likeliest class, or one of them as light",
    "objects": "where something is, as light; where that is unknown, as half of it",
    "things": "things that are told apart, each in a colour of its own",
    "features": "vectors, by the colours that their three main directions give",
    "light": "a map in [0, 1], as light",
    "merges": "regions of all sizes: the last few, by their borders",
    "selections": "what was selected, by its border",
    "ways": "which way, by the colour, and how far, by its strength",
}
FIXED = {
    "height_width": 2,
    "child": 2,
    "place": 3,
    "level": 3,
    "thing": 2,
    "iou_threshold": 10,
    "intersection_union": 2,
    "overlap": 3,
    "true_object": 2,
    "object": 3,
    "boundary": 4,
}  # lengths that follow from the meaning


@dataclass(frozen=True)
class Array:
    """One array of an artifact."""

    dimensions: tuple[str, ...]
    dtype: str
    fill: int | float | bool | str  # value of padding
    meaning: str
    extent: str = ""  # the array that holds each image's true extent in the last two spatial dimensions
    shown: str = ""  # a key of SHOWN; empty where nobody looks at it
    apart: bool = False  # every entry of the second dimension has a chunk of its own, so that one of zeros takes no room

    @property
    def large(self) -> bool:
        """Whether there is a chunk per image, in shards."""
        return bool(set(LARGE) & set(self.dimensions))

    @property
    def per_image(self) -> bool:
        """Whether there is an entry for every image."""
        return self.dimensions[:1] == ("image",)

    def cells(self, extents: Mapping[str, int]) -> tuple[int, ...]:
        """Lengths of all dimensions but the first."""
        return tuple(extents[one] for one in self.dimensions[1:])

    def bytes(self, extents: Mapping[str, int]) -> int:
        """Bytes of one entry of the first dimension, before compression."""
        return 0 if self.dtype == "str" else np.dtype(self.dtype).itemsize * int(np.prod(self.cells(extents)))


@dataclass(frozen=True)
class Schema:
    """What one stage's artifact holds. Raise the version when the arrays or their meaning change."""

    version: int
    meaning: str
    arrays: Mapping[str, Array]
    weights: bool = False  # also a group `weights`: one array per entry of a network's state

    def images_per_shard(self, extents: Mapping[str, int]) -> int:
        """Images in a shard, the same for every array, so that a run of images is a file in each."""
        largest = max((one.bytes(extents) for one in self.arrays.values() if one.large), default=1)
        return max(1, min(SHARD_IMAGES, SHARD_BYTES // largest))

    def bytes_per_image(self, extents: Mapping[str, int]) -> int:
        """Bytes of one image in all arrays, before compression."""
        return sum(one.bytes(extents) for one in self.arrays.values() if one.per_image)


IDS = Array(("image",), "str", "", "the image's id")
SIZE = Array(("image", "height_width"), "int32", 0, "true size of the image in pixels")
PER_IMAGE = {"ids": IDS, "size": SIZE, "digest": Array(("image",), "str", "", "SHA-256 of all that the stage computed of the image")}
LOG = {
    "log": Array(("step", "figure"), "float32", 0.0, "what is known of every step of the training; the first is its loss"),
    "figures": Array(("figure",), "str", "", "name of the figure"),
}
MAP_SIZE = Array(("image", "height_width"), "int32", 0, "true extent of the image's maps")
LABELS = Array(("image", "y", "x"), "uint8", 255, "class of the pixel; 255 is unlabelled or padding", "size", "labels")
NONE = "none"  # what a slot names that the selected method does not read
ONLY = ("dataset", "evaluation")  # kinds of which a pipeline has one artifact, which is called like its kind
SCHEMAS: dict[str, Schema] = {
    "dataset": Schema(
        4,
        "Index of a raw data set: what every later stage trusts. Holds no pixels and nothing of any pixel label.",
        {
            "ids": IDS,
            "size": Array(("image", "height_width"), "int32", 0, "size of the image in pixels, as it is used"),
            "original_size": Array(("image", "height_width"), "int32", 0, "size in its file, which is larger where it is shrunk"),
            "file": Array(("image",), "str", "", "image file, relative to dataset.root"),
            "image_digest": Array(("image",), "str", "", "SHA-256 of the image file"),
            "labels": Array(("image", "class"), "bool", False, "whether the image contains the class; background is always true"),
            "labelled": Array(("image",), "bool", False, "whether it is known which classes the image contains"),
            "splits": Array(("image", "split"), "bool", False, "whether the image belongs to the split"),
            "split_names": Array(("split",), "str", "", "name of the split"),
            "class_names": Array(("class",), "str", "", "name of the class; the first is background"),
            "mask_meaning": Array(("value",), "int16", -1, "class of every value in true masks; 255 counts nowhere, -1 must not occur"),
            "max_size": Array(("height_width",), "int32", 0, "no image is larger: what pixel arrays are padded to"),
            "problem": Array(("image",), "str", "", "why the file cannot be used, else empty; later stages leave such an image out"),
            "mask_problem": Array(("image",), "str", "", "always empty: a data set with a wrong mask is refused"),
        },
    ),
    "pretraining": Schema(1, "Weights of a transformer that learned from the images alone, or none.", LOG, weights=True),
    "features": Schema(
        4,
        "One vector per patch of every image.",
        {
            **PER_IMAGE,
            "patches": Array(("image", "patch_y", "patch_x", "channel"), "float16", 0.0, "feature of the patch", "patch_grid", "features"),
            "patch_grid": Array(("image", "height_width"), "int32", 0, "patches that the image really has"),
            "patch_size": Array((), "int32", 0, "edge of a patch in pixels"),
            "alignment": Array(
                (), "str", "", "resized: patches cover equal parts of the image; padded: the last row and column reach beyond its border"
            ),
            "mirrored": Array((), "bool", False, "whether the network saw the image mirrored; patches lie where they do without"),
        },
    ),
    "superpixels": Schema(
        2,
        "One region map per image.",
        {
            **PER_IMAGE,
            "regions": Array(
                ("image", "y", "x"), "int32", -1, "region of the pixel, 0..n-1 within its image; -1 is padding", "size", "regions"
            ),
            "region_count": Array(("image",), "int32", 0, "regions of the image"),
        },
    ),
    "trees": Schema(
        1,
        "Regions of all sizes of every image, each made of two smaller ones. Patches are regions 0, 1, ... row by row, and so are merges "
        "counted, of which there is one fewer: what merge m makes is the region m + the number of patches.",
        {
            **PER_IMAGE,
            "children": Array(
                ("image", "child", "patch_y", "patch_x"),
                "int32",
                -1,
                "regions that the merge of this number joins; -1 at the last patch, and in padding",
                "patch_grid",
                "merges",
            ),
            "costs": Array(
                ("image", "patch_y", "patch_x"), "float32", 0.0, "what the merge of this number adds to the squared error", "patch_grid"
            ),
            "patch_grid": Array(("image", "height_width"), "int32", 0, "patches that the image really has"),
            "patch_size": Array((), "int32", 0, "edge of a patch in pixels"),
            "alignment": Array((), "str", "", "how patches lie on the image, as in `features`"),
        },
    ),
    "classifier": Schema(2, "Weights of the image-level classifier.", LOG, weights=True),
    "cams": Schema(
        2,
        "Class maps of the classes that each image contains, and the classifier's scores.",
        {
            **PER_IMAGE,
            "scores": Array(("image", "class"), "float32", 0.0, "probability of the class in the image; background is always 0"),
            "present": Array(("image", "class"), "bool", False, "whether there is a map of the class"),
            "map_size": MAP_SIZE,
            "maps": Array(
                ("image", "class", "map_y", "map_x"),
                "float16",
                0.0,
                "class map in [0, 1], at a lower resolution; classes that are not present take no room",
                "map_size",
                "scores",
                apart=True,
            ),
        },
    ),
    "seeds": Schema(
        3,
        "Partial labels: confident pixels only.",
        {**PER_IMAGE, "labels": LABELS, "corrected": Array(("image",), "bool", False, "whether a person has corrected the image")},
    ),
    "affinity": Schema(1, "Weights of a network that says which cells of an image belong together, or none.", LOG, weights=True),
    "edges": Schema(
        1,
        "What links neighbouring cells of each image, and what parts them. What the method does not find is 0, or of no length.",
        {
            **PER_IMAGE,
            "map_size": MAP_SIZE,
            "cell_size": Array((), "int32", 0, "edge of a cell in pixels"),
            "boundaries": Array(
                ("image", "map_y", "map_x"), "float16", 0.0, "how surely something ends at the cell, in [0, 1]", "map_size", "light"
            ),
            "displacement": Array(
                ("image", "height_width", "map_y", "map_x"),
                "float16",
                0.0,
                "rows and columns from the cell to the middle of its thing",
                "map_size",
                "ways",
            ),
            "distances": Array(
                ("image", "pair", "map_y", "map_x"), "float16", 0.0, "of the cell's features from those of a cell near it", "map_size"
            ),
        },
    ),
    "refinement": Schema(
        3,
        "Pseudo masks: a label for every pixel, or 255 where the method declines.",
        {
            **PER_IMAGE,
            "labels": LABELS,
            "confidence": Array(
                ("image", "y", "x"),
                "uint8",
                0,
                "how sure the pixel's label is, its probability or its rank as the method says: 255 is 1; 0 where there is none",
                "size",
                "confidence",
            ),
        },
    ),
    "instances": Schema(
        1,
        "Things of each image, told apart: where each is, its class and how sure that is. None of them overlap.",
        {
            **PER_IMAGE,
            "things": Array(
                ("image", "y", "x"), "uint8", 0, "number of the thing that the pixel is of, from 1; 0 is of none", "size", "things"
            ),
            "thing_count": Array(("image",), "int32", 0, "things of the image"),
            "classes": Array(("image", "instance"), "uint8", 0, "class of each thing, in the order of their numbers"),
            "scores": Array(("image", "instance"), "float32", 0.0, "how sure the thing is, the surest first"),
        },
    ),
    "saliency": Schema(
        1,
        "Where in each image something is, whatever it is.",
        {
            **PER_IMAGE,
            "saliency": Array(
                ("image", "y", "x"), "uint8", 0, "how surely something is at the pixel, uncorrected: 255 is 1", "size", "confidence"
            ),
            "objects": Array(
                ("image", "y", "x"),
                "uint8",
                255,
                "1 where something is, 0 where nothing is; 255 where that is unknown, or padding",
                "size",
                "objects",
            ),
        },
    ),
    "segmenter": Schema(2, "Weights of the segmentation network.", LOG, weights=True),
    "predictions": Schema(
        3,
        "Class probabilities of the images that are evaluated, at a lower resolution.",
        {
            **PER_IMAGE,
            "map_size": MAP_SIZE,
            "probabilities": Array(
                ("image", "class", "map_y", "map_x"),
                "uint8",
                0,
                "probability of the class in 255ths, background first",
                "map_size",
                "probabilities",
            ),
        },
    ),
    "evaluation": Schema(
        9,
        "What was counted on every image that is evaluated, and labels after the CRF. Without a truth, what needs one is 0.",
        {
            **PER_IMAGE,
            "kinds": Array(("kind",), "str", "", "name of the kind of labels"),
            "thresholds": Array(("threshold",), "float64", 0.0, "threshold of class maps in the sweep"),
            "threshold": Array((), "float64", 0.0, "threshold of class maps that was declared beforehand"),
            "judged": Array(("image", "kind"), "bool", False, "whether the image has labels of the kind"),
            "with_truth": Array(("image",), "bool", False, "whether the image has a truth"),
            "with_labels": Array(("image",), "bool", False, "whether it is known which classes the image contains"),
            "corrected": Array(("image",), "bool", False, "whether a person has corrected some of its labels"),
            "coverage": Array(("image", "kind"), "float64", 0.0, "share of labelled pixels"),
            "violations": Array(("image", "kind"), "int64", 0, "pixels labelled with a class that the image is known not to contain"),
            "confusion": Array(("image", "kind", "class", "predicted"), "int64", 0, "pixels of a true class by predicted class"),
            "boundary_overlap": Array(
                ("image", "kind", "class", "intersection_union"), "int64", 0, "how labels fit the true class along its contours"
            ),
            "miou": Array(("image", "kind"), "float64", -1.0, "mean IoU of the image alone; -1 where there is none"),
            "boundary_miou": Array(("image", "kind"), "float64", -1.0, "the same along contours"),
            "smallest": Array(("image", "kind"), "int64", 0, "pixels of the smallest thing among the labels: connected pixels of a class"),
            "disagreement": Array(
                ("image", "kind", "other_kind"), "float64", 0.0, "share of the pixels that both kinds label which they label differently"
            ),
            "size_bounds": Array(("size_bound",), "float64", 0.0, "share of the image from which on a true thing is of the next size"),
            "by_size": Array(("image", "kind", "thing_size", "thing"), "float64", 0.0, "how well true things of each size are found"),
            "sweep": Array(
                ("image", "threshold", "class", "intersection_union"), "int64", 0, "how class maps fit the true class at each threshold"
            ),
            "region_count": Array(("image",), "int32", 0, "superpixels of the image; 0 where they are not judged"),
            "region_overlap": Array(("image", "overlap"), "int64", 0, "how superpixels fit the true classes"),
            "region_boundary": Array(("image", "boundary"), "int64", 0, "how boundaries of superpixels meet those of the true classes"),
            "instances_judged": Array(("image",), "bool", False, "whether things of the image are judged that are told apart"),
            "instances_with_truth": Array(("image",), "bool", False, "whether the true ones are known then"),
            "instance_class": Array(("image", "instance"), "uint8", 0, "class of each thing; 0 is padding"),
            "instance_score": Array(("image", "instance"), "float32", 0.0, "how sure each is"),
            "instance_found": Array(
                ("image", "instance", "iou_threshold"), "bool", False, "whether it is matched to a true thing, or to a crowd"
            ),
            "instance_uncounted": Array(("image", "instance", "iou_threshold"), "bool", False, "whether it is neither right nor wrong"),
            "saliency_judged": Array(("image",), "bool", False, "whether saliency of the image is judged"),
            "objects": Array(
                ("image", "true_object", "object"), "int64", 0, "pixels where something is, and others, by what is said of them"
            ),
            "true_instances": Array(("image", "class"), "int64", 0, "true things of each class, crowds left out"),
            "refined": Array(
                ("image", "y", "x"),
                "uint8",
                255,
                "class of the pixel as predicted, after the CRF; 255 is padding or not predicted",
                "size",
                "labels",
            ),
        },
    ),
    "clicker": Schema(1, "Weights of a network that answers clicks.", LOG, weights=True),
    "clicks": Schema(
        2,
        "How well true things are selected by clicks, those of each image by their size, the largest first.",
        {
            **PER_IMAGE,
            "with_truth": Array(("image",), "bool", False, "whether true things of the image are known"),
            "true_things": Array(("image",), "int32", 0, "how many there are, those that were not clicked on among them"),
            "classes": Array(("image", "instance"), "uint8", 0, "class of each thing; 0 is padding"),
            "clicks": Array(
                ("image", "instance", "click", "place"), "int32", -1, "where it was clicked, and whether on the thing; -1: no more"
            ),
            "start_iou": Array(
                ("image", "instance"),
                "float32",
                -1.0,
                "how well what is selected fits the thing before the first click; 0 if that is nothing",
            ),
            "iou": Array(("image", "instance", "click"), "float32", -1.0, "how well what is selected fits the thing after each click"),
            "levels": Array(
                ("image", "instance", "level"),
                "float32",
                -1.0,
                "how well fits what an oracle would select that knows the thing; -1 where no regions are read",
            ),
            "selected": Array(
                ("image", "y", "x"),
                "int32",
                -1,
                "number of the thing that the last click selects, from 1; 0 is of none",
                "size",
                "selections",
            ),
        },
    ),
    "none": Schema(1, "Nothing, in git: what a slot of params.yaml names that the selected method does not read.", {}),
}


def find_kind(name: str) -> str:
    """The kind of an artifact, which follows from its name, be it made or not; empty where no kind begins the name."""
    return next((kind for kind in SCHEMAS if name == kind or (kind != NONE and re.fullmatch(rf"{kind}(_[a-z0-9]+)+", name))), "")
