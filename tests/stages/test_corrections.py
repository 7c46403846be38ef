"""Seeds that a person has corrected: those images alone are made anew, and evaluation tells them from the others."""

from __future__ import annotations

import contextlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from seedbed.corrections import Corrected, Thing, count_runs, write_lines
from seedbed.errors import ParamsError
from seedbed.params import Params
from seedbed.reads import read_entry
from seedbed.store.artifact import open_artifact
from seedbed.tools.preflight import check
from tests.stages.miniature import CHECKOUT, Project

pytestmark = pytest.mark.usefixtures("blank_charts")
FILE = "corrections.jsonl"
LEFT_OUT = ["metrics", "plots"]


@pytest.fixture
def project(finished: Project, tmp_path: Path) -> Project:
    """A project whose seeds read a file of corrections."""
    project = finished.copy_to(tmp_path / "project", without=LEFT_OUT)
    content = project.params()
    content["seeds"]["corrections"] = FILE
    project.write_params(content)
    return project


def correct(project: Project, *images: str) -> None:
    """Say that the upper left of some images is what their first label says, and the rest background."""
    data, lines = open_artifact("dataset", folder=project.data), []
    for image in images:
        size = data.size(image)
        mask = np.zeros(size, bool)
        mask[: size[0] // 2, : size[1] // 3] = True
        label = data.class_names[int(np.flatnonzero(data.array("labels")[data.row(image)])[1])]
        thing = Thing(label=label, by="clicks", start="", clicks=[(0, 0, 1)], level=None, runs=count_runs(mask))
        lines.append(Corrected(image=image, size=size, complete=True, things=[thing]))
    write_lines(project.root / FILE, lines)


def test_corrected_images_alone_are_made_anew_and_told_of(project: Project, finished: Project) -> None:
    images = open_artifact("seeds", folder=finished.data).ids
    correct(project, *images[:2])
    done = project.command("seeds")
    assert done.returncode == 0, done.stderr
    assert f"seeds: {len(images)} images" in done.stderr and f"(2 computed, {len(images) - 2} reused, 0 removed)" in done.stderr
    assert f"seeds: a person has corrected 2 of {len(images)} images\n" in done.stderr
    before, after = (open_artifact("seeds", folder=one.data) for one in (finished, project))
    assert after.array("corrected").tolist() == [True, True] + [False] * (len(images) - 2)
    same = [np.array_equal(read_entry(before, "labels", image), read_entry(after, "labels", image)) for image in images]
    assert same == [False, False] + [True] * (len(images) - 2)
    labels = read_entry(after, "labels", images[0])
    assert labels[0, 0] > 0 and labels[-1, -1] == 0 and len(np.unique(labels)) == 2

    correct(project, *images[1:2])  # the first is as it was, from the store
    done = project.command("seeds")
    assert f"(0 computed, {len(images)} reused, 0 removed)" in done.stderr
    assert open_artifact("seeds", folder=project.data).array("corrected").sum() == 1


def test_evaluation_tells_corrected_images_from_the_others(project: Project, finished: Project) -> None:
    learned = [image for image in open_artifact("seeds", folder=finished.data).ids if image.startswith("train")]
    correct(project, *learned[:2])
    project.run("seeds", "evaluation")
    figures = json.loads((project.data / "metrics" / "evaluation.json").read_text(encoding="utf-8"))
    table = (project.data / "metrics" / "images.csv").read_text(encoding="utf-8")
    for kind in ("seeds", "masks", "class_maps"):
        found = figures[kind]
        assert found["corrected"]["images"] == 2 and found["not_corrected"]["images"] == len(learned) - 2
        assert found["corrected"]["miou"] != found["not_corrected"]["miou"] != found["miou"]
    assert "corrected" not in figures["predictions"], "of whose images none is corrected"
    assert f"seeds,{learned[0]}," in table
    before = json.loads((finished.data / "metrics" / "evaluation.json").read_text(encoding="utf-8"))
    assert "corrected" not in before["seeds"]


def test_a_file_that_is_not_there_is_refused_before_anything_runs(project: Project) -> None:
    said = rf"seeds.corrections: found '{FILE}', no such file; expected a file, or data/none.zarr where there is none"
    shutil.copy(CHECKOUT / "dvc.yaml", project.root)
    with contextlib.chdir(project.root), pytest.raises(ParamsError, match=said):
        check(Params.read())
    assert "no such file" in project.command("seeds").stderr
    correct(project)
    pipeline = project.root / "dvc.yaml"
    pipeline.write_text(pipeline.read_text(encoding="utf-8").replace("      - ${seeds.corrections}\n", ""), encoding="utf-8")
    said = r"seeds.corrections: found a path that DVC does not know; expected \$\{seeds.corrections\} among the dependencies of seeds"
    with contextlib.chdir(project.root), pytest.raises(ParamsError, match=said):
        check(Params.read())
