"""A second round of a classifier, its class maps and masks under the real DVC: beside the first, which it leaves alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.pipeline.test_repro import STAGES, Checkout

SECOND = ["classifier_second", "cams_second", "refinement_second"]
UNUSED = ("superpixels", "features", "pretraining", "seeds", "affinity", "edges", "instances", "saliency", "segmenter", "predictions")


@pytest.mark.slow
def test_a_second_round_runs_beside_the_first(tmp_path: Path) -> None:
    checkout = Checkout(tmp_path)
    params = checkout.params()
    params["evaluation"] |= {"superpixels": "none", "predictions": "none", "labels": {"seeds": "none", "masks": "refinement"}}
    checkout.write(params)
    assert set(checkout.repro("evaluation")) == {*STAGES} - {*UNUSED}
    names = ("classifier", "cams", "refinement")
    before = {name: checkout.artifact(name).digest for name in names}

    # Equal parameters and inputs: equal contents.
    assert checkout.seedbed("round", "second", *names).exit_code == 0
    plan = checkout.plan()
    assert {plan[stage] for stage in SECOND} == {"runs: it never ran here"}
    assert sorted(checkout.repro("evaluation")) == sorted([*SECOND, "evaluation"])
    for name in names:
        first, second = checkout.artifact(name), checkout.artifact(f"{name}_second")
        assert first.files == second.files and first.digest == before[name] != second.digest
    assert set(checkout.artifact("refinement_second").made_by.inputs) == {"dataset", "cams_second"}
    assert checkout.artifact("evaluation").array("kinds").tolist() == ["class_maps", "masks", "masks_second"]

    # What the second round alone reads reruns it alone.
    params = checkout.params()
    params["classifier_second"]["cam"]["training"]["seed"] = 1
    checkout.write(params)
    plan = checkout.plan()
    assert plan["classifier_second"] == "runs: params.yaml: classifier_second.cam changed"
    assert {stage for stage in plan if plan[stage] != "nothing to do"} - {*UNUSED} == {*SECOND, "evaluation"}
    assert sorted(checkout.repro("evaluation")) == sorted([*SECOND, "evaluation"])
    assert {name: checkout.artifact(name).digest for name in names} == before
    assert checkout.artifact("cams_second").files != checkout.artifact("cams").files
    assert set(checkout.artifact("evaluation").made_by.inputs) == {"dataset", "cams", "refinement", "refinement_second"}

    # Every command knows it.
    assert checkout.seedbed("verify").exit_code == 0
    assert "cams_second" in checkout.seedbed("gc").stdout
    assert "masks_second" in checkout.seedbed("summary").stdout
    assert checkout.seedbed("weights", "classifier_second", str(tmp_path / "w.safetensors")).exit_code == 0
    image_id = checkout.artifact("refinement_second").ids[0]
    assert checkout.seedbed("show", "refinement_second", image_id, "--to", str(tmp_path / "shown.png")).exit_code == 0
    assert checkout.seedbed("export", "voc", str(tmp_path / "voc"), "--from", "refinement_second").exit_code == 0
    assert checkout.seedbed("report", "--to", str(tmp_path / "report.html")).exit_code == 0
    report = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "cams_second" in report and "masks_second" in report and "classifier_second.cam.training.seed" in report
