"""What networks have to do for a system, counted from its parameters."""

from __future__ import annotations

from typing import Any

import pytest

from seedbed import methods
from seedbed.tools.recipe_files import read_recipe
from seedbed.tools.work import TOGETHER, Work, count_work
from tests.support.recipes import FILES


def section(method: str, **block: Any) -> dict[str, Any]:
    return {"method": method, method: block, "other": {"training": {"epochs": 1000}}}


def training(epochs: float, *, crop: int = 0, **more: Any) -> dict[str, Any]:
    return {"training": {"epochs": epochs}, "backbone": {}, **({"augmentation": {"crop": crop}} if crop else {}), **more}


EVERYTHING = {
    "pretraining": section("dino", training={"epochs": 7}, architecture="vit"),
    "features": section("vit", architecture="vit"),
    "features_mirrored": section("vit", architecture="vit"),
    "classifier": section("cam", **training(3, crop=96)),
    "cams": section("multiscale", scales=[1, 2, 3], flip=True),
    "affinity": section("irn", **training(2, crop=64)),
    "edges": section("irn", flip=True),
    "segmenter": section("cotraining", **training(5, crop=160)),
    "predictions": section("multiscale", scales=[1, 0.5], flip=False),
    "evaluation": section("standard", crf={}),
    "dataset": {"root": "data/raw/mine"},
}


@pytest.mark.parametrize(
    ("sections", "work", "words"),
    [
        (EVERYTHING, Work(5, 22, (64, 96, 160), 0, 12), "5 trainings, 22 passes of 64-160 px, 12 views of an image"),
        ({"classifier": section("cam", **training(1, crop=96))}, Work(1, 1, (96,), 0, 0), "1 training, 1 pass of 96 px"),
        ({"pretraining": section("dino", **training(2.0))}, Work(1, 2, (), 0, 0), "1 training, 2 passes"),
        ({"classifier": section("cam", **training(0.25))}, Work(1, 0.25, (), 0, 0), "1 training, 0.25 passes"),
        (
            {"features": section("cnn", backbone={}), "segmenter": section("light", training={"epochs": 9})},
            Work(0, 0, (), 1, 1),
            "1 training on features, 1 view of an image",
        ),
        (
            {
                "features": section("texture"),
                "affinity": section("none"),
                "edges": section("none"),
                "cams": section("patch_scores", stride=8),
            },
            Work(0, 0, (), 0, 0),
            "no networks",
        ),
        ({"edges": section("psa"), "superpixels": section("slic", scales=[1])}, Work(0, 0, (), 0, 1), "1 view of an image"),
        ({"edges": {"method": "psa"}, "cams": {}}, Work(0, 0, (), 0, 1), "1 view of an image"),
    ],
)
def test_trainings_passes_and_views_are_those_of_selected_methods(sections: dict[str, Any], work: Work, words: str) -> None:
    assert (count_work(sections), str(work)) == (work, words)


def test_of_a_recipe_further_rounds_count() -> None:
    # 5 passes of a classifier, 5 of a second one, 3 of IRN, 15 of DeepLab; twice 8 views for class maps, 2 for edges, 3 to predict
    assert count_work(read_recipe("voc12_fbr", folder=FILES).plain()) == Work(4, 28, (448, 512), 0, 21)


def test_methods_that_train_several_networks_are_counted_so() -> None:
    several = {name: getattr(methods.load("segmenter", name), "num_networks", 1) for name in methods.list_available("segmenter")}
    assert {name: count for name, count in several.items() if count > 1} == TOGETHER
