"""The stages `trees`, `clicker` and `clicks`, which another pipeline than the first has."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path
from unittest import mock

import numpy as np
import numpy.typing as npt
import pytest

from seedbed import clicker
from seedbed.algorithms import ward
from seedbed.algorithms.clicks import Click
from seedbed.clicks import Seen
from seedbed.clicks.tree import Tree
from seedbed.errors import ParamsError, SeedbedError
from seedbed.images import Images
from seedbed.merge_trees import Trees
from seedbed.networks.weights import restore
from seedbed.networks.zooming import Zoom, ZoomedAnswer
from seedbed.params import Params
from seedbed.reads import read_entry, read_patches
from seedbed.report.layers import REGIONS, list_layers, read_layer
from seedbed.run import reuse
from seedbed.run.stage import Run
from seedbed.scoring import clicking
from seedbed.scoring.instance_truth import InstanceTruth
from seedbed.scoring.truth import Truth
from seedbed.store.artifact import MadeBy, open_artifact
from seedbed.tools import provenance
from seedbed.trees.ward import Ward
from stages import clicks
from tests.stages.miniature import CHECKOUT, Project
from tests.stages.surviving import change_params, heard
from tests.support.publishing import published


@pytest.fixture(scope="module")
def grown(finished: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project with trees."""
    project = finished.copy_to(tmp_path_factory.mktemp("grown") / "project")
    project.run("trees")
    return project


@pytest.fixture(scope="module")
def clicked(grown: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project in which trees answered clicks."""
    project = grown.copy_to(tmp_path_factory.mktemp("clicked") / "project")
    content = project.params()
    content["clicks"] = content["clicks_tree"]
    project.write_params(content)
    project.run("clicks")
    return project


@pytest.fixture(scope="module")
def learned(grown: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project in which a network did that has learned to."""
    project = grown.copy_to(tmp_path_factory.mktemp("learned") / "project")
    change_params(project, "clicks", things=1, most=3)
    project.run("clicker", "clicks")
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


def test_true_things_are_clicked_until_they_are_selected(clicked: Project) -> None:
    made, data = (open_artifact(name, folder=clicked.data) for name in ("clicks", "dataset"))
    assert made.ids == data.split("val") and made.made_by.inputs.keys() == {"dataset", "trees"}
    with contextlib.chdir(clicked.root):
        truth = InstanceTruth.of(Truth.of_images(Images(clicked.raw.relative_to(clicked.root), data)), "shapes")
        for image_id in made.ids:
            true, row = truth[image_id], made.row(image_id)
            regions = Trees(open_artifact("trees")).of(image_id, made.size(image_id))
            assert true is not None
            wanted = clicking.list_wanted(true)
            assert made.array("true_things")[row] == len(wanted) > 0
            for number, one in enumerate(wanted):
                method = Tree(**clicked.params()["clicks"]["tree"])
                nothing = np.zeros_like(one.shape)
                made_clicks, (_, *iou), _ = clicking.click_through(
                    partial(method.select, regions, start=nothing), one, start=nothing, most=20
                )
                places = made.array("clicks")[row, number]
                assert [Click(*place) for place in places.tolist() if place[0] >= 0] == made_clicks
                assert made.array("iou")[row, number] == pytest.approx([*iou, *iou[-1:] * (20 - len(iou))])
                assert made.array("classes")[row, number] == one.label
            assert set(np.unique(read_entry(made, "selected", image_id))) <= {*range(len(wanted) + 1)}
            [layer] = list_layers(made, image_id)
            assert read_layer(made, layer, image_id).shape == made.size(image_id)


def test_figures_are_those_of_all_things(clicked: Project) -> None:
    made = open_artifact("clicks", folder=clicked.data)
    figures = json.loads((clicked.data / "metrics" / "clicks.json").read_text())["clicks"]
    assert (figures["images"], figures["things"]) == (len(made.ids), int(made.array("true_things").sum()))
    assert figures["iou_of_first_click"] == pytest.approx(made.array("iou")[..., 0][made.array("iou")[..., 0] >= 0].mean(), abs=1e-4)
    rows = (clicked.data / "plots" / "clicks.csv").read_text().splitlines()
    assert rows[0] == "clicks,iou" and len(rows) == 21


def test_another_method_clicks_anew_and_things_beyond_the_most_are_told(clicked: Project, tmp_path: Path) -> None:
    project = clicked.copy_to(tmp_path / "project")
    assert "(0 computed, 3 reused, 0 removed)" in heard(project, "clicks")
    change_params(project, "clicks", tree={"cost": 0.5, "joined": False}, things=1)
    said = heard(project, "clicks")
    assert "(3 computed, 0 reused, 0 removed)" in said
    left_out = int((open_artifact("clicks", folder=project.data).array("true_things") - 1).sum())
    assert f"clicks: {left_out} smaller things were not clicked on, because params.yaml: clicks.things is less" in said


def test_clicks_of_another_kind_leave_figures_of_their_own(clicked: Project, tmp_path: Path) -> None:
    project = clicked.copy_to(tmp_path / "project")
    content = project.params()
    content["clicks_joined"] = {**content["clicks"], "tree": {"cost": 0.001, "joined": True}}
    project.write_params(content)
    with contextlib.chdir(project.root):
        clicks.main(Run("clicks_joined", Params.read(), device_wanted="cpu"))
    first, second = (json.loads((project.data / "metrics" / f"{name}.json").read_text())[name] for name in ("clicks", "clicks_joined"))
    assert first != second and first == json.loads((clicked.data / "metrics" / "clicks.json").read_text())["clicks"]
    assert (project.data / "plots" / "clicks_joined.csv").is_file() and (project.data / "plots" / "clicks_joined.png").is_file()


def test_trees_ask_no_network(clicked: Project) -> None:
    made = open_artifact("clicks", folder=clicked.data)
    assert (made.array("levels")[made.array("iou")[..., 0] >= 0] >= 0).all()
    code = "import runpy, sys; sys.argv[1:] = ['--help']\ntry: runpy.run_module('stages.clicks', run_name='__main__')\n"
    code += "except SystemExit: print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=CHECKOUT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "False"


def test_clicks_off_the_middle_follow_the_seed_and_no_other_image(clicked: Project, tmp_path: Path) -> None:
    project = clicked.copy_to(tmp_path / "project")
    places = []
    for depth, seed in ((0.3, 0), (0.3, 1), (1, 1)):
        change_params(project, "clicks", depth=depth, seed=seed)
        heard(project, "clicks")
        places.append(open_artifact("clicks", folder=project.data).array("clicks").copy())
    middle = open_artifact("clicks", folder=clicked.data).array("clicks")
    assert np.array_equal(places[2], middle)
    assert not any(np.array_equal(one, other) for one, other in ((places[0], places[1]), (places[0], middle)))


# Labels that clicks correct.


def publish_labels(project: Project, *, of: str = "", count: int = 3) -> dict[str, npt.NDArray[np.uint8]]:
    """What another pipeline left: of the first image the truth, of the second half of it, of the third nothing.

    of: digest of the data set that it was made of; empty for the project's own.
    count: images of which it has labels.
    """
    data = open_artifact("dataset", folder=project.data)
    with contextlib.chdir(project.root):
        images = Images(project.raw.relative_to(project.root), data)
        truth = Truth.of_images(images)
        labels = {image_id: truth[image_id] for image_id in data.split("val")[:2]}
    exact, half = labels.values()
    assert exact is not None and half is not None
    half = half.copy()
    half[:, ::2] = 0
    third = data.split("val")[2]
    left = {**dict(zip(labels, (exact, half), strict=True)), third: np.zeros(data.size(third), np.uint8)}
    rows = [{"ids": image_id, "size": data.size(image_id), "labels": one} for image_id, one in left.items()][:count]
    made_by = MadeBy("seeds", "threshold", {}, {"dataset": of or data.digest})
    published("seeds", project.root / "main" / "data", rows, extents=data.extents, made_by=made_by)
    return dict(zip(labels, (exact, half), strict=True))


@pytest.fixture(scope="module")
def corrected(clicked: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project in which clicks correct labels of another pipeline."""
    project = clicked.copy_to(tmp_path_factory.mktemp("corrected") / "project")
    shutil.copy(CHECKOUT / "pipelines" / "mis" / "dvc.yaml", project.root)
    publish_labels(project)
    change_params(project, "clicks", start="main/data/seeds.zarr")
    done = project.command("clicks")
    assert done.returncode == 0, done.stderr
    return project


def test_clicks_correct_labels_of_another_pipeline(clicked: Project, corrected: Project) -> None:
    made, before, data = (
        open_artifact(name, folder=one.data) for name, one in (("clicks", corrected), ("clicks", clicked), ("dataset", corrected))
    )
    assert made.made_by.inputs.keys() == {"dataset", "trees", "start"}
    labels = publish_labels(corrected)
    method = Tree(**corrected.params()["clicks"]["tree"])
    with contextlib.chdir(corrected.root):
        truth = InstanceTruth.of(Truth.of_images(Images(corrected.raw.relative_to(corrected.root), data)), "shapes")
        for image_id in made.ids[:2]:
            true, row = truth[image_id], made.row(image_id)
            assert true is not None
            wanted = clicking.list_wanted(true)
            regions = Trees(open_artifact("trees")).of(image_id, made.size(image_id))
            for number, (one, start) in enumerate(zip(wanted, clicking.find_starts(labels[image_id], wanted, apart=True), strict=True)):
                answer = method.begin(Seen(np.zeros((0, 0, 3), np.uint8), regions), start)
                made_clicks, iou, _ = clicking.click_through(answer, one, start=start, most=20)
                assert [Click(*place) for place in made.array("clicks")[row, number].tolist() if place[0] >= 0] == made_clicks
                assert made.array("start_iou")[row, number] == pytest.approx(iou[0])
                assert made.array("iou")[row, number] == pytest.approx([*iou[1:], *iou[-1:] * (20 - len(made_clicks))])
    exact, half, none = made.array("start_iou")
    assert exact.max() == 1 and 0 < half.max() < 1 and not (none > 0).any() and (none == 0).any()
    place = (0, int(exact.argmax()))
    assert (made.array("clicks")[place] == -1).all() and (made.array("iou")[place] == 1).all(), "what is right is not clicked on"
    assert read_entry(made, "selected", made.ids[0]).max() > 0
    for name in ("iou", "clicks"):
        assert np.array_equal(made.array(name)[2], before.array(name)[2]), "where nothing is labelled they begin with nothing"
    assert np.array_equal(made.array("levels"), before.array("levels")), "an oracle corrects nothing"


def test_what_is_right_before_the_first_click_is_among_the_figures(clicked: Project, corrected: Project) -> None:
    figures, before = (json.loads((one.data / "metrics" / "clicks.json").read_text())["clicks"] for one in (corrected, clicked))
    assert figures.keys() - before.keys() == {"iou_of_start"} and figures["clicks_to_80"] < before["clicks_to_80"]
    first, second = ((one.data / "plots" / "clicks.csv").read_text().splitlines()[1] for one in (corrected, clicked))
    assert first == f"0,{figures['iou_of_start']}" and second.startswith("1,")


def test_predictions_are_corrected_at_the_size_of_the_image(clicked: Project, tmp_path: Path) -> None:
    project = clicked.copy_to(tmp_path / "project")
    change_params(project, "clicks", start="data/predictions.zarr")
    assert "(3 computed, 0 reused, 0 removed)" in heard(project, "clicks")
    assert open_artifact("clicks", folder=project.data).made_by.inputs.keys() == {"dataset", "trees", "start"}


def test_what_was_corrected_is_compared_with_what_params_yaml_names(corrected: Project, tmp_path: Path) -> None:
    project = corrected.copy_to(tmp_path / "project")
    made = open_artifact("clicks", folder=project.data)
    assert not [*provenance.compare_params(made, Params(project.params()), folder=project.data)]
    publish_labels(project, of="another")
    found = [*provenance.compare_params(made, Params(project.params()), folder=project.data)]
    assert found == ["made from a different main/data/seeds.zarr"]
    shutil.rmtree(project.root / "main")
    assert not [*provenance.compare_params(made, Params(project.params()), folder=project.data)], "what is not there is not another"
    change_params(project, "clicks", start="data/none.zarr")
    found = [*provenance.compare_params(made, Params(project.params()), folder=project.data)]
    assert found == ["made from start, trees; params.yaml now names trees"]


def test_labels_that_change_are_corrected_anew_and_others_are_not(corrected: Project, tmp_path: Path) -> None:
    project = corrected.copy_to(tmp_path / "project")
    with contextlib.chdir(project.root):
        assert reuse.republish("clicks")
        put = mock.Mock(side_effect=lambda *_: publish_labels(project, of="another"))
        with mock.patch.object(reuse, "_put", put):
            assert reuse.republish("clicks") == "" and put.called, "they change while the result is put in place"
        assert reuse.republish("clicks") == ""
    assert "expected one of data/dataset.zarr" in project.command("clicks").stderr


@pytest.mark.parametrize(
    ("start", "message"),
    [
        (
            "main/data/seeds.zarr",
            r"main/data/seeds.zarr: found an artifact of another data set; expected one of data/dataset.zarr: of the same",
        ),
        ("main/data/refinement.zarr", r"main/data/refinement.zarr: found nothing; expected the artifact of stage refinement"),
        (
            "data/raw",
            r"clicks.start: found 'data/raw'; expected the path of an artifact of the kind seeds or refinement",
        ),
        ("data/trees.zarr", r"clicks.start: found 'data/trees.zarr'; expected the path of an artifact of the kind seeds"),
        ("seeds", r"clicks.start: found 'seeds'; expected the path of an artifact of the kind .*, or data/none.zarr; correct it"),
    ],
)
def test_what_clicks_cannot_correct_is_refused(clicked: Project, tmp_path: Path, start: str, message: str) -> None:
    project = clicked.copy_to(tmp_path / "project")
    publish_labels(project, of="0" * 64)
    change_params(project, "clicks", start=start)
    with pytest.raises(SeedbedError, match=message):
        project.run("clicks")


def test_a_class_is_clicked_on_as_a_whole_and_has_all_of_the_labels(clicked: Project, tmp_path: Path) -> None:
    project = clicked.copy_to(tmp_path / "project")
    labels = publish_labels(project)
    first, second = labels
    change_params(project, "clicks", wanted="classes", start="main/data/seeds.zarr")
    assert "(3 computed, 0 reused, 0 removed)" in heard(project, "clicks")
    made = open_artifact("clicks", folder=project.data)
    for image_id, one in labels.items():
        row, classes = made.row(image_id), [label for label in np.unique(one) if label not in (0, 255)]
        assert set(made.array("classes")[row].tolist()) - {0} == set(classes) and made.array("true_things")[row] == len(classes)
    assert (made.array("start_iou")[made.row(first)][: made.array("true_things")[made.row(first)]] == 1).all()
    halves = made.array("start_iou")[made.row(second)]
    assert 0 < halves[halves >= 0].min() <= halves.max() < 1


def test_classes_are_clicked_on_where_nobody_knows_things(clicked: Project, tmp_path: Path) -> None:
    project = clicked.copy_to(tmp_path / "project")
    shutil.rmtree(project.raw / "instances")
    project.run("clicks")
    assert not open_artifact("clicks", folder=project.data).array("with_truth").any()
    change_params(project, "clicks", wanted="classes")
    assert "(3 computed, 0 reused, 0 removed)" in heard(project, "clicks")
    assert open_artifact("clicks", folder=project.data).array("with_truth").all()
    assert json.loads((project.data / "metrics" / "clicks.json").read_text())["clicks"]["things"] > 0


def test_labels_of_some_images_of_the_split_will_not_do(clicked: Project, tmp_path: Path) -> None:
    project = clicked.copy_to(tmp_path / "project")
    publish_labels(project, count=2)
    change_params(project, "clicks", start="main/data/seeds.zarr")
    said = project.command("clicks").stderr
    assert "clicks.start: found main/data/seeds.zarr, which lacks 1 of 3 images: val_0002; expected an artifact that has all" in said


# A network.


def test_a_network_learns_from_the_images_and_their_trees_alone(learned: Project) -> None:
    made = open_artifact("clicker", folder=learned.data)
    assert made.made_by.inputs.keys() == {"dataset", "trees"} and made.made_by.method == "mis"
    assert made.array("figures").tolist()[:3] == ["loss", "regions", "smoothness"] and "iou" in made.array("figures").tolist()
    rows = (learned.data / "plots" / "clicker.csv").read_text().splitlines()
    assert len(rows) == 1 + len(made.array("log"))


def test_other_trees_are_learned_from_anew_and_the_same_are_not(learned: Project, tmp_path: Path) -> None:
    project = learned.copy_to(tmp_path / "project")
    assert "clicker: reused" in heard(project, "clicker")
    change_params(project, "features", texture={**project.params()["features"]["texture"], "texture_weight": 1})
    project.run("features", "trees")
    assert "clicker: reused" not in heard(project, "clicker")


def test_true_things_are_clicked_until_the_network_selects_them(learned: Project) -> None:
    made, data = (open_artifact(name, folder=learned.data) for name in ("clicks", "dataset"))
    assert made.ids == data.split("val") and made.made_by.inputs.keys() == {"dataset", "clicker"}
    assert (made.array("levels") == -1).all()
    figures = json.loads((learned.data / "metrics" / "clicks.json").read_text())["clicks"]
    assert figures["things"] == len(made.ids) and "clicks_to_85" in figures and "best_region" not in figures
    with contextlib.chdir(learned.root):
        images = Images(learned.raw.relative_to(learned.root), data)
        truth = InstanceTruth.of(Truth.of_images(images), "shapes")
        method = Params.read().method(clicker.Method)
        network = restore(method.network(), open_artifact("clicker"), device="cpu")
        zoom = Zoom(**learned.params()["clicks"]["learned"]["zoom"])
        for image_id in made.ids:
            true = truth[image_id]
            assert true is not None
            wanted, row = clicking.list_wanted(true)[0], made.row(image_id)
            answer = ZoomedAnswer(network, images[image_id], zoom, "cpu")
            made_clicks, (_, *iou), _ = clicking.click_through(answer, wanted, start=np.zeros_like(wanted.shape), most=3)
            assert [Click(*place) for place in made.array("clicks")[row, 0].tolist() if place[0] >= 0] == made_clicks
            assert made.array("iou")[row, 0] == pytest.approx([*iou, *iou[-1:] * (3 - len(iou))], abs=1e-5)


def test_another_network_answers_anew(learned: Project, tmp_path: Path) -> None:
    project = learned.copy_to(tmp_path / "project")
    assert "(0 computed, 3 reused, 0 removed)" in heard(project, "clicks")
    change_params(project, "clicker", mis={**project.params()["clicker"]["mis"], "learning_rate": 0.01})
    project.run("clicker")
    assert "(3 computed, 0 reused, 0 removed)" in heard(project, "clicks")


def test_what_is_shown_to_a_network_is_of_whole_patches(learned: Project, tmp_path: Path) -> None:
    project = learned.copy_to(tmp_path / "project")
    block = project.params()["clicks"]["learned"]
    for side in (40, 16):
        change_params(project, "clicks", learned={"zoom": {**block["zoom"], "side": side}})
        with pytest.raises(ParamsError, match=r"clicks.learned.zoom.side: found '?\d+'?; expected two or more whole patches"):
            project.run("clicks")


def test_who_asks_a_network_names_no_trees_and_the_other_way_round(learned: Project, tmp_path: Path) -> None:
    project = learned.copy_to(tmp_path / "project")
    change_params(project, "clicks", trees="trees")
    with pytest.raises(ParamsError, match=r"clicks.trees: found 'trees'; expected 'none', unless the selected method selects regions"):
        project.run("clicks")
    change_params(project, "clicks", trees="none", clicker="none")
    with pytest.raises(ParamsError, match=r"clicks.clicker: found 'none'; .* because the selected method asks a network"):
        project.run("clicks")
