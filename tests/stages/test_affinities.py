"""Masks by learned affinities, from sure labels to the walk."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

from seedbed.reads import Edges, Labels, read_entry, read_instances
from seedbed.store.artifact import open_artifact
from seedbed.tools.verify import verify
from seedbed.types import cells
from tests.stages.miniature import CHECKOUT, Project, tree
from tests.stages.surviving import change_params

CHAIN = ("seeds", "affinity", "edges", "refinement")


def walk(finished: Project, root: Path, method: str) -> Project:
    """A project whose masks come from a random walk."""
    project = finished.copy_to(root / "project")
    change_params(project, "seeds", method=method, superpixels="none")
    change_params(project, "affinity", method=method, maps={"labels": "seeds"})
    change_params(project, "edges", method=method, affinity="affinity")
    change_params(project, "refinement", method=method, edges="edges")
    project.run(*CHAIN)
    return project


@pytest.fixture(scope="module", params=[pytest.param("psa", marks=pytest.mark.slow), "irn"])
def walked(finished: Project, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Project:
    """One for each method."""
    return walk(finished, tmp_path_factory.mktemp(request.param), request.param)


def test_every_stage_leaves_what_the_next_one_reads(walked: Project) -> None:
    seeds, affinity, edges, masks = (open_artifact(name, folder=walked.data) for name in CHAIN)
    method = edges.made_by.method
    assert {one.made_by.method for one in (seeds, affinity, edges, masks)} == {method}
    assert len(affinity.array("log")) and affinity.weights()
    for image_id in edges.ids:
        found, size = Edges(edges)[image_id], edges.size(image_id)
        assert found.stride == 4 and found.boundaries.shape == cells(size, 4)
        assert 0 <= found.boundaries.min() < found.boundaries.max() <= 1
        assert found.displacement.any() == (method == "irn") and found.distances.any() == (method == "psa")
        assert read_entry(masks, "labels", image_id).shape == size


@pytest.mark.slow
def test_another_walk_runs_no_network(walked: Project, tmp_path: Path) -> None:
    """Not even if it wanted to: there are no weights, and no torch."""
    project = walked.copy_to(tmp_path / "project", without=["affinity.zarr", "classifier.zarr", "segmenter.zarr"])
    content = project.params()
    method = content["refinement"]["method"]
    content["refinement"][method]["walk"]["squarings"] = 1
    project.write_params(content)
    (tmp_path / "without").mkdir()
    (tmp_path / "without" / "torch.py").write_text("raise ImportError('a network was asked for')")
    done = project.program("refinement", environment={"PYTHONPATH": f"{tmp_path / 'without'}{os.pathsep}{CHECKOUT}"})
    assert done.returncode == 0, done.stderr
    before, after = (open_artifact("refinement", folder=one.data).entry("confidence", slice(None)) for one in (walked, project))
    assert not np.array_equal(before, after)


@pytest.mark.slow
def test_a_walk_between_superpixels_labels_them_as_a_whole(walked: Project, tmp_path: Path) -> None:
    project = walked.copy_to(tmp_path / "project")
    content = project.params()
    block = content["refinement"][content["refinement"]["method"]]
    block["walk"]["over"], block["crf"]["iterations"] = "superpixels", 0
    content["refinement"]["superpixels"] = "superpixels"
    project.write_params(content)
    project.run("refinement")
    masks, superpixels = (open_artifact(name, folder=project.data) for name in ("refinement", "superpixels"))
    for image_id in masks.ids[:3]:
        labels, regions = read_entry(masks, "labels", image_id), read_entry(superpixels, "regions", image_id)
        assert all(len(np.unique(labels[regions == one])) == 1 for one in range(regions.max() + 1))


def test_edges_of_another_method_are_refused(walked: Project, tmp_path: Path) -> None:
    project = walked.copy_to(tmp_path / "project")
    method = project.params()["edges"]["method"]
    other = {"psa": "irn", "irn": "psa"}[method]
    change_params(project, "refinement", method=other)
    done = project.command("refinement")
    assert done.returncode == 2
    expected = f"params.yaml: refinement.method: found '{other}'; expected '{method}', for which edges is made"
    assert done.stderr == f"error: {expected}; correct it, or select edges.{other}\n"
    change_params(project, "edges", method=other)
    done = project.command("edges")
    assert done.returncode == 2 and f"edges.method: found '{other}'; expected '{method}', as which affinity has learned" in done.stderr


@pytest.mark.slow
def test_a_walk_that_needs_more_pairs_than_were_learned_is_refused(finished: Project, tmp_path: Path) -> None:
    project = walk(finished, tmp_path, "psa")
    content = project.params()
    content["refinement"]["psa"]["walk"]["radius"] = 9
    project.write_params(content)
    done = project.command("refinement")
    assert done.returncode == 2
    assert "refinement.psa.walk.radius: found 9; expected at most 3, within which affinity has compared cells; lower it" in done.stderr


@pytest.mark.slow
def test_things_are_told_apart_by_edges_that_say_where_middles_are(walked: Project, tmp_path: Path) -> None:
    project = walked.copy_to(tmp_path / "project")
    change_params(project, "instances", method="irn", class_maps="cams", edges="edges")
    done = project.command("instances")
    if project.params()["edges"]["method"] == "psa":
        expected = "edges found by 'irn', because others do not say where the middle of a thing is"
        told = f"params.yaml: instances.edges: found 'edges', found by 'psa'; expected {expected}"
        assert (done.returncode, done.stderr) == (2, f"error: {told}; select edges.irn, or another method of instances\n")
        return
    assert done.returncode == 0, done.stderr
    data, made = (open_artifact(name, folder=project.data) for name in ("dataset", "instances"))
    assert made.ids == data.labelled and set(made.made_by.inputs) == {"dataset", "cams", "edges"}
    assert made.lengths["instance"] == project.params()["instances"]["irn"]["most"]
    labels = Labels(data)
    for image_id in made.ids:
        found = read_instances(made, image_id)
        assert found.things.shape == data.size(image_id) and {*found.classes} <= {*labels[image_id]}
        assert np.unique(found.things[found.things > 0]).tolist() == [*range(1, 1 + len(found.classes))]
        assert list(found.scores) == sorted(found.scores, reverse=True) and len(found.scores) == len(found.classes)
    assert made.array("thing_count").any()
    assert verify("instances", folder=project.data).sound
    content = project.params()
    content["evaluation"] |= {"class_maps": "none", "superpixels": "none", "predictions": "none", "instances": "instances"}
    content["evaluation"]["labels"] = {"seeds": "none", "masks": "none"}
    project.write_params(content)
    project.run("evaluation")
    figures = json.loads((project.data / "metrics" / "evaluation.json").read_text())
    judged = open_artifact("evaluation", folder=project.data)
    assert list(figures) == ["instances"] and figures["instances"]["images"] == len(judged) == len(data.learnable("train"))
    assert figures["instances"]["true_things"] == judged.array("true_instances").sum() >= len(judged)
    assert verify("evaluation", folder=project.data).sound


@pytest.mark.slow
def test_where_nothing_is_learned_no_torch_is_imported(finished: Project, tmp_path: Path) -> None:
    project = finished.copy_to(tmp_path / "project")
    (tmp_path / "without").mkdir()
    (tmp_path / "without" / "torch.py").write_text("raise ImportError('a network was asked for')")
    for stage in ("pretraining", "affinity", "edges", "instances"):
        done = project.program(stage, environment={"PYTHONPATH": f"{tmp_path / 'without'}{os.pathsep}{CHECKOUT}"})
        assert done.returncode == 0, done.stderr
        assert tree(project.data / f"{stage}.zarr") == tree(finished.data / f"{stage}.zarr")
    for stage in ("pretraining", "affinity"):
        made = open_artifact(stage, folder=project.data)
        assert made.array("log").shape == (0, 0) and not len(made.array("figures")) and not made.weights()
    for stage in ("edges", "instances"):
        assert not len(open_artifact(stage, folder=project.data))
