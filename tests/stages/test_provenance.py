"""An artifact that is not what params.yaml, the code and the packages would make now is named, whatever DVC takes it for."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from seedbed.errors import MachineError
from seedbed.params import Params
from seedbed.run import fingerprint
from seedbed.store.artifact import open_artifact
from seedbed.store.store import Store
from seedbed.tools import provenance
from seedbed.tools.verify import verify, verify_all
from tests.stages.miniature import STAGES, Project

Edit = Callable[[dict[str, Any]], object]


def outdated(project: Project, stage: str, edit: Edit = lambda _: None) -> list[str]:
    """What is said of an artifact where params.yaml has been edited."""
    content = project.params()
    edit(content)
    artifact = open_artifact(stage, folder=project.data)
    return list(provenance.find_outdated(artifact, Params(content), folder=project.data))


def test_nothing_is_said_of_what_is_as_it_would_be_made_now(finished: Project) -> None:
    assert {stage: outdated(finished, stage) for stage in STAGES} == {stage: [] for stage in STAGES}


@pytest.mark.parametrize(
    ("stage", "edit", "expected"),
    [
        (
            "superpixels",
            lambda content: content["superpixels"]["dino"].update(threshold=0.6),
            ["made with threshold 0.7; params.yaml now says 0.6"],
        ),
        (
            "superpixels",
            lambda content: content["superpixels"]["dino"]["crf"].update(smooth_weight=4, iterations=3),
            ["made with crf.smooth_weight 10.0; params.yaml now says 4.0", "made with crf.iterations 1; params.yaml now says 3"],
        ),
        (
            "seeds",
            lambda content: content["seeds"].update(method="threshold"),
            ["made by the method superpixel_background; params.yaml now selects threshold"],
        ),
        (
            "cams",
            lambda content: content["cams"]["multiscale"].update(scales=[1, 0.5]),
            ["made with scales [1.0]; params.yaml now says [1.0, 0.5]"],
        ),
        (
            "dataset",
            lambda content: content["dataset"].update(max_size=[80, 72]),
            ["made with max_size [72, 80]; params.yaml now says [80, 72]"],
        ),
        (
            "dataset",
            lambda content: content["dataset"].update(classes=["cow", "fish"]),
            ["made with the classes fish, lizard, bee, tiger, cow, snail; params.yaml now says cow, fish"],
        ),
        (
            "segmenter",
            lambda content: content["segmenter"]["maps"].update(labels="refinement"),
            ["made from seeds, superpixels; params.yaml now names refinement, superpixels"],
        ),
        (
            "segmenter",
            lambda content: content["segmenter"].update(start="classifier"),
            ["made from seeds, superpixels; params.yaml now names classifier, seeds, superpixels"],
        ),
        (
            "predictions",
            lambda content: content["predictions"].update(split="train"),
            ["made from other images than those of the split train, which params.yaml now names"],
        ),
        (
            "predictions",
            lambda content: content["predictions"].update(split="test"),
            ["made from other images than those of the split test, which params.yaml now names and no image belongs to"],
        ),
        (
            "evaluation",
            lambda content: content["evaluation"].update(split="val"),
            ["made from other images than those of the split val, which params.yaml now names"],
        ),
        (
            "evaluation",
            lambda content: content["evaluation"].update(labels={"seeds": "seeds", "masks": "none"}),
            [
                "made from cams, predictions, refinement, seeds, superpixels; params.yaml now names cams, predictions, seeds, superpixels",
                "made of class_maps, seeds, masks, predictions, predictions_crf; params.yaml now names class_maps, seeds, predictions, "
                "predictions_crf",
            ],
        ),
        (
            "evaluation",
            lambda content: content["evaluation"].update(superpixels="none"),
            ["made from cams, predictions, refinement, seeds, superpixels; params.yaml now names cams, predictions, refinement, seeds"],
        ),
        (
            "evaluation",
            lambda content: content["evaluation"].update(class_maps="none", superpixels="none", labels={"seeds": "none"}),
            [
                "made from cams, predictions, refinement, seeds, superpixels; params.yaml now names predictions",
                "made of class_maps, seeds, masks, predictions, predictions_crf; params.yaml now names predictions, predictions_crf",
                "made from other images than those of the split train, which params.yaml now names",
            ],
        ),
        ("seeds", lambda content: content["superpixels"]["dino"].update(threshold=0.6), []),
        ("superpixels", lambda content: content["seeds"].update(method="threshold"), []),
    ],
)
def test_what_was_made_with_other_parameters(finished: Project, stage: str, edit: Edit, expected: list[str]) -> None:
    assert outdated(finished, stage, edit) == expected


def test_where_something_lies_is_no_difference(finished: Project, tmp_path: Path) -> None:
    def moved(content: dict[str, Any]) -> None:
        content["dataset"]["root"] = "elsewhere"
        content["segmenter"]["region_growing"]["backbone"]["initial_weights"]["file"] = ""

    assert [outdated(finished, stage, moved) for stage in ("dataset", "segmenter")] == [[], []]


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ({"larger": "shrink", "max_size": [64, 64]}, {"larger": "refuse"}, "made with larger images shrunk; params.yaml now says refuse"),
        ({"allow_broken": 2}, {"allow_broken": 0}, "made with 1 broken images left out; params.yaml now allows 0"),
    ],
)
def test_rules_for_images_that_cannot_be_used_as_they_are(
    own: Project, before: dict[str, Any], after: dict[str, Any], expected: str
) -> None:
    content = own.params()
    names = ["fish", "lizard", "bee", "tiger", "cow", "snail"]
    content["dataset"] |= {"method": "folder", "folder": {"classes": names, "complete": True}, **before}
    own.write_params(content)
    if "allow_broken" in before:
        (own.raw / "images/train_0001.png").write_bytes(b"")
    own.run("dataset")
    assert outdated(own, "dataset") == []
    assert outdated(own, "dataset", lambda content: content["dataset"].update(after)) == [expected]


# --- Code and packages ---


@pytest.fixture
def other_code(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let all code be another than it was."""
    monkeypatch.setattr(fingerprint, "digest", lambda modules: "another")


@pytest.mark.usefixtures("other_code")
@pytest.mark.parametrize("stage", ["dataset", "superpixels", "segmenter", "evaluation"])
def test_what_other_code_computed(finished: Project, stage: str) -> None:
    assert outdated(finished, stage) == ["computed with code that has changed since"]


@pytest.mark.usefixtures("other_code")
def test_nothing_is_said_of_code_without_a_store(finished: Project, tmp_path: Path) -> None:
    pulled = finished.copy_to(tmp_path / "project", without=[".work"])
    assert [outdated(pulled, stage) for stage in ("dataset", "seeds", "segmenter")] == [[], [], []]


def test_nothing_is_said_of_code_where_the_store_made_something_else_last(finished: Project, tmp_path: Path) -> None:
    project = finished.copy_to(tmp_path / "project", without=["classifier", "segmenter"])
    earlier = tmp_path / "earlier"
    shutil.copytree(project.data / "seeds.zarr", earlier)
    content = project.params()
    content["seeds"]["superpixel_background"]["threshold"] = 0.2
    project.write_params(content)
    project.run("seeds")
    shutil.rmtree(project.data / "seeds.zarr")
    earlier.rename(project.data / "seeds.zarr")  # as DVC puts it back
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fingerprint, "digest", lambda modules: "another")
        assert outdated(project, "seeds") == ["made with threshold 0.7; params.yaml now says 0.2"]


def test_what_the_present_code_computed_to_the_same_is_as_good(finished: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = finished.copy_to(tmp_path / "project", without=["classifier", "segmenter"])
    right, running = fingerprint.digest, fingerprint.running
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fingerprint, "running", lambda modules: running(modules)._replace(digest="another"))
        project.run("seeds")
    store = Store("seeds", folder=project.data)
    assert len(list(store.entries())) == 2
    assert [store.entry(name).recipe["code"] for name in store.last()["entries"]] == ["another"]  # type: ignore[union-attr]
    assert outdated(project, "seeds") == []
    monkeypatch.setattr(fingerprint, "digest", lambda modules: f"neither of {right(modules)}")
    assert outdated(project, "seeds") == ["computed with code that has changed since"]


def test_what_other_versions_of_packages_computed(finished: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    before = Store("classifier", folder=finished.data)
    entry = before.entry(before.last()["entries"][0])
    assert entry is not None
    known = dict(entry.recipe["packages"])
    assert {"torch", "timm", "numpy"} <= set(known)
    now = {**known, "torch": "99.1", "numpy": ""}
    monkeypatch.setattr(fingerprint, "packages", lambda modules: now)
    assert outdated(finished, "classifier") == [
        f"computed with numpy {known['numpy']}, now none",
        f"computed with torch {known['torch']}, now 99.1",
    ]


def test_a_module_that_is_gone_is_named(finished: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(modules: object) -> str:
        raise ModuleNotFoundError("no module", name="seedbed.seeds.old")

    monkeypatch.setattr(fingerprint, "digest", gone)
    assert outdated(finished, "seeds") == ["computed with seedbed.seeds.old, which no longer exists"]


# --- What `seedbed verify` makes of it ---


def test_a_stale_artifact_is_a_finding(finished: Project) -> None:
    content = finished.params()
    content["superpixels"]["dino"]["threshold"] = 0.6
    (report,) = verify_all(["superpixels"], params=Params(content), folder=finished.data)
    assert str(report) == "superpixels: params.yaml: made with threshold 0.7; params.yaml now says 0.6"
    assert [one.do for one in report.findings] == ["run `dvc repro --force --single-item superpixels`, then `dvc repro`"]


@pytest.mark.usefixtures("other_code")
def test_what_other_code_computed_is_a_finding(finished: Project) -> None:
    assert [str(one) for one in verify("seeds", folder=finished.data).findings] == [
        "seeds: code: computed with code that has changed since"
    ]


def test_parameters_that_are_wrong_are_no_reason_to_look_at_nothing(finished: Project) -> None:
    content = finished.params()
    content["superpixels"]["dino"]["threshold"] = "high"
    (finding,) = verify("superpixels", params=Params(content), folder=finished.data).findings
    assert str(finding).startswith(
        "superpixels: params.yaml: not compared with it: params.yaml: superpixels.dino.threshold: found 'high'; expected"
    )
    assert finding.do == "run `seedbed plan`"


# --- dvc.lock ---


@pytest.mark.parametrize("text", ["<<<<<<< HEAD\nstages: {}\n", "- seeds\n", "stages: [&a {*a: 1}]\n"])
def test_a_record_of_dvc_that_cannot_be_read(tmp_path: Path, text: str) -> None:
    (tmp_path / "dvc.lock").write_text(text, encoding="utf-8")
    with pytest.raises(
        MachineError, match=r"^dvc.lock: found content that DVC did not write: .*; expected DVC's record of what ran; restore it from git"
    ):
        provenance.read_recorded(tmp_path / "data")


def test_what_dvc_tells_of(tmp_path: Path) -> None:
    with contextlib.chdir(tmp_path):
        assert provenance.read_recorded() == frozenset()
        Path("dvc.lock").write_text("schema: '2.0'\nstages:\n  seeds: {cmd: x}\n", encoding="utf-8")
        assert provenance.read_recorded() == {"seeds"}
