"""What the evaluation judges is named by slots: labels of any artifact, under any name, and none where there are none."""

from __future__ import annotations

import contextlib
import csv
import io
import itertools
import json
import shutil
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from PIL import Image as PillowImage
from rich.console import Console

import stages.evaluation
import stages.seeds
from seedbed.errors import ArtifactError, ParamsError
from seedbed.images import Images
from seedbed.params import Params
from seedbed.reads import list_columns
from seedbed.run.stage import Run
from seedbed.scoring.instance_truth import InstanceTruth
from seedbed.scoring.truth import Truth
from seedbed.store.artifact import open_artifact
from seedbed.tools.preflight import check_slots
from seedbed.tools.summary import figures_table
from seedbed.tools.verify import verify
from seedbed.types import Instances
from tests.stages.miniature import Project
from tests.support.publishing import published

pytestmark = pytest.mark.usefixtures("blank_charts")

SECOND = "seeds_second"


@pytest.fixture(scope="module")
def twice(finished: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project with seeds of two rounds, the second by plain thresholds; nothing is judged yet."""
    project = finished.copy_to(tmp_path_factory.mktemp("twice"), without=["metrics", "plots"])
    content = project.params()
    content[SECOND] = content["seeds"] | {"method": "threshold", "superpixels": "none", "threshold": {"foreground": 0.6, "background": 0.2}}
    with contextlib.chdir(project.root):
        stages.seeds.main(Run(SECOND, Params(content)))
    return project


def judge(project: Project, folder: Path, **settings: Any) -> tuple[Project, dict[str, Any]]:
    """A copy of a project with other settings of its evaluation, and what that found."""
    copy = project.copy_to(folder)
    content = copy.params()
    content["evaluation"] |= settings
    copy.write_params(content)
    copy.run("evaluation")
    return copy, json.loads((copy.data / "metrics" / "evaluation.json").read_text(encoding="utf-8"))


def test_labels_of_a_second_artifact_of_a_kind_are_judged_beside_the_first(finished: Project, twice: Project, tmp_path: Path) -> None:
    before = json.loads((finished.data / "metrics" / "evaluation.json").read_text(encoding="utf-8"))
    labels = {"seeds": "seeds", "by_thresholds": SECOND, "masks": "refinement"}
    project, after = judge(twice, tmp_path / "project", labels=labels)
    second = after.pop("by_thresholds")
    assert after == before and list(after) == list(before)
    assert second["images"] == 6 and second["label_violations"] == 0
    assert second["coverage"] != before["seeds"]["coverage"] and second["iou"] != before["seeds"]["iou"]
    evaluation = open_artifact("evaluation", folder=project.data)
    assert evaluation.array("kinds").tolist() == ["class_maps", "seeds", "by_thresholds", "masks", "predictions", "predictions_crf"]
    assert SECOND in evaluation.made_by.inputs
    with (project.data / "metrics" / "images.csv").open(encoding="utf-8") as stream:
        kinds = [kind for kind, _ in itertools.groupby(row["kind"] for row in csv.DictReader(stream))]
    assert kinds == evaluation.array("kinds").tolist()
    plots = {file.name for file in (project.data / "plots").iterdir()}
    assert {"confusion_by_thresholds.csv", "confusion_by_thresholds.png", "errors_by_thresholds.png"} <= plots
    with contextlib.chdir(project.root):
        check_slots(Params.read())
        assert verify("evaluation", params=Params.read()).sound


def test_a_slot_of_labels_that_says_none_leaves_them_out_but_not_the_files_that_dvc_expects(finished: Project, tmp_path: Path) -> None:
    before = json.loads((finished.data / "metrics" / "evaluation.json").read_text(encoding="utf-8"))
    project, after = judge(finished, tmp_path, labels={"seeds": "none", "masks": "refinement"})
    del before["seeds"]
    assert after == before
    plots, every = (sorted(file.name for file in (one.data / "plots").iterdir()) for one in (project, finished))
    assert plots == every
    assert (project.data / "plots" / "confusion_seeds.csv").read_text(encoding="utf-8") == "true,predicted,share,pixels\n"
    assert "seeds" not in open_artifact("evaluation", folder=project.data).made_by.inputs


ALL = ["classifier", "class_maps", "seeds", "masks", "superpixels", "predictions", "predictions_crf"]
NO_LABELS = {"seeds": "none", "masks": "none"}


@pytest.mark.parametrize(
    ("settings", "missing"),
    [
        pytest.param({"class_maps": "none"}, ["classifier", "class_maps"], marks=pytest.mark.slow),
        pytest.param({"superpixels": "none"}, ["superpixels"], marks=pytest.mark.slow),
        ({"predictions": "none"}, ["classifier", "predictions", "predictions_crf"]),
        pytest.param({"class_maps": "none", "superpixels": "none", "labels": NO_LABELS}, [*ALL[:5]], marks=pytest.mark.slow),
        ({"class_maps": "none", "predictions": "none", "labels": NO_LABELS}, [one for one in ALL if one != "superpixels"]),
    ],
)
def test_what_is_not_there_is_not_judged(finished: Project, tmp_path: Path, settings: dict[str, Any], missing: list[str]) -> None:
    before = json.loads((finished.data / "metrics" / "evaluation.json").read_text(encoding="utf-8"))
    unread = {"class_maps": "cams", "superpixels": "superpixels", "predictions": "predictions"}
    without = finished.copy_to(tmp_path / "without", without=[f"{unread[slot]}.zarr" for slot, name in settings.items() if name == "none"])
    project, after = judge(without, tmp_path / "project", **settings)
    assert after == {kind: content for kind, content in before.items() if kind not in missing}
    plots, every = (sorted(file.name for file in (one.data / "plots").iterdir()) for one in (project, finished))
    assert plots == every
    with contextlib.chdir(project.root):
        check_slots(Params.read())
        assert verify("evaluation", params=Params.read()).sound


def test_an_artifact_that_is_not_there_is_told_in_a_line(fresh: Project) -> None:
    fresh.run("dataset", "pretraining")
    with pytest.raises(ArtifactError, match=r"^data/cams.zarr: found nothing; expected the artifact of stage cams; run `dvc repro cams`$"):
        fresh.run("evaluation")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"labels": {"seeds": "sedes"}},
            "labels.seeds: found 'sedes'; expected an artifact of the kind seeds or refinement, or 'none'; correct it",
        ),
        (
            {"labels": {"seeds": "dataset"}},
            "labels.seeds: found 'dataset'; expected an artifact of the kind seeds or refinement, or 'none'; correct it",
        ),
        ({"class_maps": "seeds"}, "class_maps: found 'seeds'; expected an artifact of the kind cams, or 'none'; correct it"),
        ({"superpixels": "cams"}, "superpixels: found 'cams'; expected an artifact of the kind superpixels, or 'none'; correct it"),
        (
            {"predictions": SECOND},
            "predictions: found 'seeds_second'; expected an artifact of the kind predictions, or 'none'; correct it",
        ),
        *(
            (
                {"labels": {name: "seeds"}},
                f"labels.{name}: found the name {name!r}; expected a word of small letters, digits and _ that is none of: classifier, "
                "class_maps, superpixels, instances, saliency, predictions, predictions_crf, image, truth; rename it, and in dvc.yaml",
            )
            for name in ("class_maps", "predictions", "superpixels", "truth", "Seeds", "../seeds", "")
        ),
    ],
)
def test_slots_that_do_not_fit_are_refused_by_the_plan_and_by_the_stage(
    twice: Project, settings: dict[str, Any], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = twice.params()
    content["evaluation"] |= settings
    monkeypatch.chdir(twice.root)
    with pytest.raises(ParamsError) as planned:
        check_slots(Params(content))
    with pytest.raises(ParamsError) as run:
        stages.evaluation.main(Run("evaluation", Params(content)))
    assert str(planned.value) == str(run.value) and str(run.value).startswith(f"params.yaml: evaluation.{message}")


def test_somebody_must_be_judged(twice: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    content = twice.params()
    content["evaluation"] |= {"class_maps": "none", "superpixels": "none", "predictions": "none", "labels": {"seeds": "none"}}
    monkeypatch.chdir(twice.root)
    with pytest.raises(ParamsError) as refused:
        check_slots(Params(content))
    assert str(refused.value) == (
        "params.yaml: evaluation: found 'none' in every slot; expected something to judge; name an artifact in one of: class_maps, "
        "superpixels, instances, saliency, predictions, labels"
    )


# --- Things that are told apart ---


def tell_apart(project: Project, *, images: list[str] | None = None) -> None:
    """Leave true things of images as a stage might have made them; of all that are learned from, if none are named."""
    data = open_artifact("dataset", folder=project.data)
    truth = Truth.of_images(Images(project.raw, data))
    rows = []
    for image in data.learnable("train") if images is None else images:
        true = InstanceTruth.of(truth, "shapes")[image]
        assert true is not None
        numbers = np.zeros(data.size(image), np.uint8)
        for number, thing in enumerate(true.things, start=1):
            numbers[thing.shape] = number
        classes, scores = tuple(thing.label for thing in true.things), tuple(1 / number for number in range(1, len(true.things) + 1))
        rows.append({"ids": image, "size": data.size(image), **list_columns(Instances(numbers, classes, scores), most=5)})
    published("instances", project.data, rows, extents={"instance": 5, "y": data.max_size[0], "x": data.max_size[1]})


def test_things_that_are_told_apart_are_judged_beside_all_else(finished: Project, tmp_path: Path) -> None:
    before = json.loads((finished.data / "metrics" / "evaluation.json").read_text(encoding="utf-8"))
    told_apart = finished.copy_to(tmp_path / "told")
    tell_apart(told_apart)
    project, after = judge(told_apart, tmp_path / "project", instances="instances")
    things = after.pop("instances")
    assert after == before and list(after) == list(before)
    assert (things["images"], things["images_with_truth"]) == (6, 6)
    assert things["things"] == things["true_things"] >= 6
    assert things["ap"] == things["ap50"] == things["ap75"] == 1.0
    assert list(things["ap50_by_class"]) == open_artifact("dataset", folder=project.data).class_names[1:]
    assert {*things["ap50_by_class"].values()} == {None, 1.0}
    assert "instances" in open_artifact("evaluation", folder=project.data).made_by.inputs
    with contextlib.chdir(project.root):
        check_slots(Params.read())
        console = Console(width=300, file=io.StringIO())
        console.print(figures_table())
    told = f"things {things['things']}   true things {things['true_things']}   ap 1.0   ap50 1.0   ap75 1.0"
    assert told in cast(io.StringIO, console.file).getvalue()


def test_things_alone_are_judged_and_only_where_they_were_told_apart(finished: Project, tmp_path: Path) -> None:
    told_apart = finished.copy_to(tmp_path / "told")
    tell_apart(told_apart, images=["train_0000", "train_0002"])
    nothing = {"class_maps": "none", "superpixels": "none", "predictions": "none", "labels": NO_LABELS}
    _, after = judge(told_apart, tmp_path / "project", instances="instances", **nothing)
    assert list(after) == ["instances"] and after["instances"]["images"] == 2


def test_without_instances_in_the_raw_data_things_are_counted_and_nothing_else(finished: Project, tmp_path: Path) -> None:
    told_apart = finished.copy_to(tmp_path / "told")
    tell_apart(told_apart)
    shutil.rmtree(told_apart.raw / "instances")
    _, after = judge(told_apart, tmp_path / "project", instances="instances")
    assert after["instances"].keys() == {"images", "images_with_truth", "things"} and after["instances"]["images_with_truth"] == 0


@pytest.mark.slow
def test_a_changed_instance_mask_judges_its_image_again_and_none_where_things_are_not_judged(finished: Project, tmp_path: Path) -> None:
    told_apart = finished.copy_to(tmp_path / "told")
    tell_apart(told_apart)
    project, before = judge(told_apart, tmp_path / "project", instances="instances")
    file = project.raw / "instances" / "train_0001.png"
    with PillowImage.open(file) as opened:
        numbers = np.asarray(opened)
    PillowImage.fromarray(np.zeros_like(numbers)).save(file)
    project.run("evaluation")
    after = json.loads((project.data / "metrics" / "evaluation.json").read_text(encoding="utf-8"))
    assert after["instances"]["true_things"] < before["instances"]["true_things"]
    (plain := finished.copy_to(tmp_path / "plain")).run("evaluation")
    kept = open_artifact("evaluation", folder=plain.data).array("digest").tolist()
    shutil.copy(file, plain.raw / "instances" / file.name)
    plain.run("evaluation")
    assert open_artifact("evaluation", folder=plain.data).array("digest").tolist() == kept
