"""The stages `trees` and `clicks`, which another pipeline than the first has."""

from __future__ import annotations

import contextlib
import json
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from seedbed.algorithms import ward
from seedbed.algorithms.clicks import Click
from seedbed.clicks.tree import Tree
from seedbed.images import Images
from seedbed.params import Params
from seedbed.reads import read_entry, read_patches
from seedbed.report.layers import REGIONS, list_layers, read_layer
from seedbed.run.stage import Run
from seedbed.scoring import clicking
from seedbed.scoring.instance_truth import InstanceTruth
from seedbed.scoring.truth import Truth
from seedbed.store.artifact import open_artifact
from seedbed.trees.ward import Ward
from stages import clicks
from stages.clicks import read_tree
from tests.stages.miniature import Project
from tests.stages.surviving import change_params, heard


@pytest.fixture(scope="module")
def grown(finished: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project with trees."""
    project = finished.copy_to(tmp_path_factory.mktemp("grown") / "project")
    project.run("trees", "clicks")
    return project


def test_every_image_has_the_tree_of_its_patches(grown: Project) -> None:
    made, features = (open_artifact(name, folder=grown.data) for name in ("trees", "features"))
    assert made.ids == features.ids and made.made_by.inputs.keys() == {"dataset", "features"}
    for image_id in made.ids:
        expected = Ward().merge(read_patches(features, image_id))
        tree = ward.read_from_grid(read_entry(made, "children", image_id), read_entry(made, "costs", image_id))
        assert tree.num_vectors == expected.num_vectors
        assert np.array_equal(tree.children, expected.children) and np.allclose(tree.costs, expected.costs, rtol=1e-6)


def test_the_last_regions_are_seen(grown: Project) -> None:
    made = open_artifact("trees", folder=grown.data)
    image_id = made.ids[0]
    [layer] = list_layers(made, image_id)
    regions = read_layer(made, layer, image_id)
    assert (layer.shown, regions.shape) == ("merges", made.size(image_id))
    assert np.array_equal(np.unique(regions), np.arange(REGIONS))


def test_trees_are_kept_where_larger_images_are_allowed(grown: Project, tmp_path: Path) -> None:
    project = grown.copy_to(tmp_path / "project")
    assert "(0 computed, 9 reused, 0 removed)" in heard(project, "trees")
    made = open_artifact("trees", folder=project.data)
    before = {one: read_entry(made, "children", one) for one in made.ids}
    change_params(project, "dataset", max_size=[90, 96])
    project.run("dataset", "features")
    assert "(0 computed, 9 reused, 0 removed)" in heard(project, "trees")
    after = open_artifact("trees", folder=project.data)
    assert after.lengths["patch_y"] > before[after.ids[0]].shape[1]
    assert all(np.array_equal(read_entry(after, "children", one), before[one]) for one in before)


# Clicks.


def test_true_things_are_clicked_until_they_are_selected(grown: Project) -> None:
    made, data = (open_artifact(name, folder=grown.data) for name in ("clicks", "dataset"))
    assert made.ids == data.split("val") and made.made_by.inputs.keys() == {"dataset", "trees"}
    with contextlib.chdir(grown.root):
        truth = InstanceTruth.of(Truth.of_images(Images(grown.raw.relative_to(grown.root), data)), "shapes")
        for image_id in made.ids:
            true, regions, row = truth[image_id], read_tree(open_artifact("trees"), image_id), made.row(image_id)
            assert true is not None
            wanted = clicking.list_wanted(true)
            assert made.array("true_things")[row] == len(wanted) > 0
            for number, one in enumerate(wanted):
                method = Tree(**grown.params()["clicks"]["tree"])
                made_clicks, iou, _ = clicking.click_through(partial(method.select, regions), one, most=20)
                places = made.array("clicks")[row, number]
                assert [Click(*place) for place in places.tolist() if place[0] >= 0] == made_clicks
                assert made.array("iou")[row, number] == pytest.approx([*iou, *iou[-1:] * (20 - len(iou))])
                assert made.array("classes")[row, number] == one.label
            assert set(np.unique(read_entry(made, "selected", image_id))) <= {*range(len(wanted) + 1)}
            [layer] = list_layers(made, image_id)
            assert read_layer(made, layer, image_id).shape == made.size(image_id)


def test_figures_are_those_of_all_things(grown: Project) -> None:
    made = open_artifact("clicks", folder=grown.data)
    figures = json.loads((grown.data / "metrics" / "clicks.json").read_text())["clicks"]
    assert (figures["images"], figures["things"]) == (len(made.ids), int(made.array("true_things").sum()))
    assert figures["iou_of_first_click"] == pytest.approx(made.array("iou")[..., 0][made.array("iou")[..., 0] >= 0].mean(), abs=1e-4)
    rows = (grown.data / "plots" / "clicks.csv").read_text().splitlines()
    assert rows[0] == "clicks,iou" and len(rows) == 21


def test_another_method_clicks_anew_and_things_beyond_the_most_are_told(grown: Project, tmp_path: Path) -> None:
    project = grown.copy_to(tmp_path / "project")
    assert "(0 computed, 3 reused, 0 removed)" in heard(project, "clicks")
    change_params(project, "clicks", tree={"cost": 0.5, "joined": False}, things=1)
    said = heard(project, "clicks")
    assert "(3 computed, 0 reused, 0 removed)" in said
    left_out = int((open_artifact("clicks", folder=project.data).array("true_things") - 1).sum())
    assert f"clicks: {left_out} smaller things were not clicked on, because params.yaml: clicks.things is less" in said


def test_clicks_of_another_kind_leave_figures_of_their_own(grown: Project, tmp_path: Path) -> None:
    project = grown.copy_to(tmp_path / "project")
    content = project.params()
    content["clicks_joined"] = {**content["clicks"], "tree": {"cost": 0.001, "joined": True}}
    project.write_params(content)
    with contextlib.chdir(project.root):
        clicks.main(Run("clicks_joined", Params.read(), device_wanted="cpu"))
    first, second = (json.loads((project.data / "metrics" / f"{name}.json").read_text())[name] for name in ("clicks", "clicks_joined"))
    assert first != second and first == json.loads((grown.data / "metrics" / "clicks.json").read_text())["clicks"]
    assert (project.data / "plots" / "clicks_joined.csv").is_file() and (project.data / "plots" / "clicks_joined.png").is_file()
