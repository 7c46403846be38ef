"""Average precision of things by their masks: that of COCO's tool on whole files, though images are judged one at a time."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from seedbed.scoring.mask_ap import Findings, find
from seedbed.scoring.true_things import TrueThing, TrueThings
from seedbed.types import Instances
from tests.support.publishing import published

NAMES = ["background", "cat", "dog", "owl"]
SIZE = (18, 25)
MOST = 9
NO_VOID = np.zeros(SIZE, np.bool_)


def shape(top: int, left: int, height: int, width: int) -> npt.NDArray[np.bool_]:
    pixels = np.zeros(SIZE, np.bool_)
    pixels[top : top + height, left : left + width] = True
    return pixels


def made(*things: tuple[npt.NDArray[np.bool_], int, float]) -> Instances:
    """Things, later ones over earlier ones."""
    numbers = np.zeros(SIZE, np.uint8)
    for number, (pixels, _, _) in enumerate(things, start=1):
        numbers[pixels] = number
    return Instances(numbers, tuple(label for _, label, _ in things), tuple(score for _, _, score in things))


def together(findings: Sequence[Findings], folder: Path) -> Findings:
    """Those of all images, by way of the artifact that holds them."""
    rows = []
    for number, one in enumerate(findings):
        known = {"judged": [False], "miou": [-1], "boundary_miou": [-1]}
        zeros = {
            "coverage": [0],
            "violations": [0],
            "smallest": [0],
            "confusion": np.zeros((1, 4, 5)),
            "disagreement": [[0]],
            "boundary_overlap": np.zeros((1, 4, 2)),
            "by_size": np.zeros((1, 1, 2)),
            "sweep": np.zeros((1, 4, 2)),
            "region_count": 0,
            "region_overlap": [0] * 3,
            "region_boundary": [0] * 4,
            "saliency_judged": False,
            "objects": np.zeros((2, 3)),
            "with_truth": False,
            "with_labels": False,
            "corrected": False,
        }
        own = {"instances_judged": True, "instances_with_truth": True, **one.columns(most=MOST)}
        rows.append({"ids": f"{number:03}", "size": SIZE, **known, **zeros, **own, "refined": np.zeros(SIZE)})
    extents = {"class": 4, "predicted": 5, "kind": 1, "other_kind": 1, "threshold": 1, "thing_size": 1, "size_bound": 0}
    extents |= {"instance": MOST, "y": SIZE[0], "x": SIZE[1]}
    whole = {"kinds": ["masks"], "thresholds": [0.5], "threshold": 0.5, "size_bounds": []}
    return Findings.of(published("evaluation", folder, rows, whole=whole, extents=extents))


# --- The smallest known answers ---


def test_a_thing_that_is_there_is_right_at_every_threshold() -> None:
    pixels = shape(2, 3, 5, 8)
    findings = find(made((pixels, 2, 0.5)), TrueThings((TrueThing(pixels, 2),), NO_VOID), num_classes=3)
    assert findings.found.tolist() == [[True] * 10] and not findings.uncounted.any() and findings.true.tolist() == [0, 0, 1, 0]
    assert findings.figures(NAMES) == {
        "true_things": 1,
        "ap": 1.0,
        "ap50": 1.0,
        "ap75": 1.0,
        "ap50_by_class": {"cat": None, "dog": 1.0, "owl": None},
    }


def test_a_thing_that_overlaps_enough_is_right_up_to_its_iou() -> None:
    """40 of 60 pixels, which is 0.67."""
    findings = find(made((shape(2, 3, 5, 8), 1, 0.5)), TrueThings((TrueThing(shape(2, 3, 5, 12), 1),), NO_VOID), num_classes=3)
    assert findings.found.tolist() == [[True] * 4 + [False] * 6]
    figures = findings.figures(NAMES)
    assert (figures["ap"], figures["ap50"], figures["ap75"]) == (0.4, 1.0, 0.0)


def test_a_second_thing_that_finds_the_same_is_wrong_and_so_is_one_of_another_class() -> None:
    pixels, half = shape(2, 3, 6, 8), shape(2, 3, 2, 8)
    findings = find(made((pixels, 1, 0.9), (half, 1, 0.8)), TrueThings((TrueThing(pixels, 1),), NO_VOID), num_classes=3)
    assert findings.found[:, 0].tolist() == [True, False] and not findings.uncounted.any()
    other = find(made((pixels, 2, 0.9)), TrueThings((TrueThing(pixels, 1),), NO_VOID), num_classes=3)
    assert not other.found.any() and not other.uncounted.any() and other.true.tolist() == [0, 1, 0, 0]
    assert other.figures(NAMES)["ap50_by_class"] == {"cat": 0.0, "dog": None, "owl": None}


def test_a_wrong_thing_that_is_surer_halves_the_precision() -> None:
    pixels, far = shape(2, 3, 5, 8), shape(10, 14, 5, 8)
    things = made((far, 1, 0.9), (pixels, 1, 0.8))
    assert find(things, TrueThings((TrueThing(pixels, 1),), NO_VOID), num_classes=3).figures(NAMES)["ap50"] == 0.5


def test_what_finds_a_crowd_is_neither_right_nor_wrong() -> None:
    crowd = TrueThing(shape(2, 3, 10, 12), 1, crowd=True)
    findings = find(made((shape(2, 3, 4, 5), 1, 0.9)), TrueThings((crowd,), NO_VOID), num_classes=3)
    assert findings.uncounted.all() and not findings.true.any()
    assert findings.figures(NAMES)["ap50"] is None


def test_void_is_in_no_thing() -> None:
    """Of 60 pixels 40 are right, and the others are void."""
    right, void = shape(2, 3, 5, 8), shape(2, 11, 5, 4)
    things = made((right | void, 1, 0.9), (shape(12, 3, 2, 2), 1, 0.8))
    findings = find(things, TrueThings((TrueThing(right, 1),), void | shape(12, 3, 2, 2)), num_classes=3)
    assert findings.found[0].all() and findings.uncounted.tolist() == [[False] * 10, [True] * 10], "the second lies in void"


def test_without_a_truth_nothing_counts() -> None:
    findings = find(made((shape(2, 3, 4, 5), 1, 0.9)), None, num_classes=3)
    assert findings.uncounted.all() and not findings.found.any() and findings.classes.tolist() == [1]


def test_an_image_without_any_thing() -> None:
    findings = find(Instances.empty(SIZE), TrueThings((), NO_VOID), num_classes=3)
    assert len(findings.classes) == 0 and findings.figures(NAMES)["ap"] is None
    assert findings.columns(most=0)["instance_found"].shape == (0, 10)


def test_true_things_of_a_smaller_image_are_smaller_and_those_of_which_nothing_is_left_are_gone() -> None:
    small, tiny = shape(0, 0, 9, 10), shape(0, 24, 1, 1)
    true = TrueThings((TrueThing(small, 1), TrueThing(tiny, 2), TrueThing(small, 3, crowd=True)), shape(9, 0, 9, 25)).shrink((6, 5))
    assert [(int(one.shape.sum()), one.label, one.crowd) for one in true.things] == [(6, 1, False), (6, 3, True)]
    assert true.void.tolist() == [[False] * 5] * 3 + [[True] * 5] * 3


# --- COCO's own tool on whole files ---

World = list[tuple[Instances, TrueThings]]


def random_world(seed: int, *, images: int = 12, labels: Sequence[int] = (1, 2)) -> World:
    """Images of things, most of them near true ones, some of which overlap; with crowds, equal scores, and images without any truth."""
    generator = np.random.default_rng(seed)

    def rectangle() -> npt.NDArray[np.bool_]:
        top, left = (int(one) for one in generator.integers(0, (12, 18)))
        return shape(top, left, *(int(one) for one in generator.integers(2, 10, 2)))

    world: World = []
    for _ in range(images):
        true = [
            TrueThing(rectangle(), int(generator.choice(labels)), bool(generator.random() < 0.2)) for _ in range(generator.integers(0, 5))
        ]
        things = []
        for one in true:
            moved = np.roll(one.shape, generator.choice([-1, 0, 0, 0, 1], 2), (0, 1)) & (generator.random(SIZE) < 0.98)
            things.append((moved, one.label if generator.random() < 0.8 else int(generator.choice(labels)), 0.0))
        things += [(rectangle(), int(generator.choice(labels)), 0.0) for _ in range(generator.integers(0, 4))]
        scores = np.sort(generator.choice([0.1, 0.3, 0.3, 0.7, 0.9], len(things)).astype(np.float32))[::-1]
        order = generator.permutation(len(things))
        drawn = made(*((things[place][0], things[place][1], float(score)) for place, score in zip(order, scores, strict=True)))
        seen = [number for number in range(1, len(things) + 1) if (drawn.things == number).any()]  # others are hidden
        renumbered = np.zeros(SIZE, np.uint8)
        for number, old in enumerate(seen, start=1):
            renumbered[drawn.things == old] = number
        kept = Instances(renumbered, tuple(drawn.classes[one - 1] for one in seen), tuple(drawn.scores[one - 1] for one in seen))
        world.append((kept, TrueThings(tuple(true), NO_VOID)))
    return world


def encode(pixels: npt.NDArray[np.bool_]) -> dict[str, Any]:
    packed = coco_mask.encode(np.asfortranarray(pixels, np.uint8))
    return {"size": packed["size"], "counts": packed["counts"].decode()}


def judge_by_files(world: World) -> npt.NDArray[np.float64]:
    """Precision by threshold and class as COCO's tool has it, used in the ordinary way."""
    true: list[dict[str, Any]] = []
    results: list[dict[str, Any]] = []
    for image, (things, truth) in enumerate(world, start=1):
        for one in truth.things:
            area = int(one.shape.sum())
            named = {"id": len(true) + 1, "image_id": image, "category_id": one.label, "iscrowd": int(one.crowd)}
            true.append({**named, "area": area, "bbox": [0, 0, 1, 1], "segmentation": encode(one.shape)})
        for number, (label, score) in enumerate(zip(things.classes, things.scores, strict=True), start=1):
            shape = encode(things.things == number)
            results.append({"image_id": image, "category_id": label, "score": score, "segmentation": shape})
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = {
            "images": [{"id": image, "height": SIZE[0], "width": SIZE[1]} for image in range(1, len(world) + 1)],
            "annotations": true,
            "categories": [{"id": number, "name": name} for number, name in enumerate(NAMES) if number],
        }
        coco.createIndex()
        how = COCOeval(coco, coco.loadRes(results), "segm")
        how.evaluate()
        how.accumulate()
        how.summarize()
    everywhere = how.eval["precision"][:, :, :, 0, 2]
    assert how.stats[0] == pytest.approx(everywhere[everywhere > -1].mean())
    by_class = np.where(everywhere < 0, np.nan, everywhere).mean(axis=1)
    stats = [np.nanmean(by_class), np.nanmean(by_class[0]), np.nanmean(by_class[5])]
    assert how.stats[:3] == pytest.approx(stats)
    return np.asarray(by_class)


@pytest.mark.parametrize("seed", range(8))
def test_the_whole_figure_is_that_of_coco_s_tool_on_files(seed: int, tmp_path: Path) -> None:
    world = random_world(seed)
    findings = together([find(*one, num_classes=3) for one in world], tmp_path)
    ours, theirs = findings.average_precision(), judge_by_files(world)
    assert np.isnan(ours[:, 0]).all(), "background"
    assert np.array_equal(ours[:, 1:], theirs, equal_nan=True)
    assert np.isnan(theirs[:, 2]).all() and np.nanmean(theirs[0]) > 0.1, "a class that is nowhere, and figures worth comparing"
    figures = findings.figures(NAMES)
    assert figures["true_things"] == sum(not thing.crowd for _, true in world for thing in true.things)
    assert [figures[name] for name in ("ap", "ap50", "ap75")] == [
        round(float(np.nanmean(one)), 4) for one in (theirs, theirs[0], theirs[5])
    ]


def test_a_class_of_more_than_a_hundred_things_is_judged_by_its_surest() -> None:
    size = (20, 30)
    numbers = np.zeros(size, np.uint8)
    for number in range(120):
        numbers[number // 15, 2 * (number % 15)] = number + 1
    things = Instances(numbers, (1,) * 120, tuple(1 - number / 200 for number in range(120)))
    true = TrueThings(tuple(TrueThing(numbers == number + 1, 1) for number in range(120)), np.zeros(size, np.bool_))
    findings = find(things, true, num_classes=1)
    assert findings.found[:, 0].tolist() == [True] * 100 + [False] * 20
    assert findings.uncounted[:, 0].tolist() == [False] * 100 + [True] * 20
    precision = np.arange(0, 1.01, 0.01) <= 100 / 120
    assert findings.average_precision()[0, 1] == pytest.approx(precision.mean())
