"""`seedbed round`: a further round is in params.yaml and dvc.yaml as a user would write it, and is gone without a trace."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML
from typer.testing import CliRunner, Result

from seedbed import cli
from seedbed.params import Params
from seedbed.tools.recipe_files import read_recipe
from tests.support.recipes import FILES, recipe

PIPELINE = Path("dvc.yaml")


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli.app, ["round", *arguments])


def load(file: Path) -> Any:
    return YAML(typ="safe").load(file)


def test_stages_of_a_round_read_each_other_and_else_what_the_first_ones_read(checkout: Path) -> None:
    before, stages = load(checkout), load(PIPELINE)["stages"]
    assert run("second", "cams", "seeds").output == (
        "dvc.yaml: with the stage cams_second\n"
        "dvc.yaml: with the stage seeds_second\n"
        "next: change what the round does otherwise, and let stages behind it read it; then run `seedbed plan` and `dvc repro`\n"
    )
    after = load(checkout)
    labels = {**before["evaluation"]["labels"], "seeds_second": "seeds_second"}
    assert after == before | {
        "evaluation": before["evaluation"] | {"labels": labels},
        "cams_second": before["cams"],
        "seeds_second": {
            key: value
            for key, value in before["seeds"].items()
            if key in ("superpixels", "features", "corrections", "superpixel_background")
        }
        | {"method": "superpixel_background", "class_maps": "cams_second"},
    }
    Params.read().check()
    added = load(PIPELINE)["stages"]
    assert {name: stage for name, stage in added.items() if name in stages and name != "evaluation"} == {
        name: stage for name, stage in stages.items() if name != "evaluation"
    }
    assert [*added][-3:] == ["cams_second", "seeds_second", "evaluation"]
    assert "data/${evaluation.labels.seeds_second}.zarr" in added["evaluation"]["deps"]
    charts = [plot if isinstance(plot, str) else next(iter(plot)) for plot in added["evaluation"]["plots"]]
    assert [chart for chart in charts if "seeds_second" in chart] == [
        "data/plots/confusion_seeds_second.csv",
        "data/plots/confusion_seeds_second.png",
        "data/plots/errors_seeds_second.png",
    ]


def test_only_the_method_that_is_selected_is_taken_over(checkout: Path) -> None:
    assert {"texture", "vit"} <= {*load(checkout)["features"]}
    run("other", "features")
    assert [*load(checkout)["features_other"]] == ["method", "pretraining", "scale", "mirrored", "texture"]


def test_a_round_is_gone_as_it_came(checkout: Path) -> None:
    before, text = load(checkout), PIPELINE.read_text(encoding="utf-8")
    run("second", "classifier", "cams", "seeds", "refinement")
    run("third", "cams")
    assert run("second", "--remove").output == "".join(
        f"dvc.yaml: without the stage {kind}_second\n" for kind in ("classifier", "cams", "seeds", "refinement")
    )
    assert [one for one in load(checkout) if one not in before] == ["cams_third"]
    assert run("third", "--remove").exit_code == 0
    assert load(checkout) == before and PIPELINE.read_text(encoding="utf-8") == text


def test_a_block_goes_into_a_section_of_a_round(checkout: Path) -> None:
    run("second", "classifier")
    assert "next: to select it, set classifier_second.method: amn\n" in recipe("classifier_second.amn").output
    assert [*load(checkout)["classifier_second"]][-1] == "amn" and "amn" not in load(checkout)["classifier"]
    assert recipe("classifier_second.amn").output.startswith("classifier_second.amn: in params.yaml already, with these values\n")


# --- With recipes ---


def test_a_recipe_brings_its_round_and_another_one_takes_it_away(checkout: Path) -> None:
    text = PIPELINE.read_text(encoding="utf-8")
    said = recipe("voc12_fbr").output
    assert "dvc.yaml: with the stage classifier_second\n" in said and "cams_second.classifier: nothing -> classifier_second\n" in said
    assert "${classifier_second.maps.labels}" in PIPELINE.read_text(encoding="utf-8")
    Params.read().check()
    said = recipe("voc12_irn").output
    assert "cams_second.classifier: classifier_second -> nothing\n" in said and "dvc.yaml: without the stage cams_second\n" in said
    assert PIPELINE.read_text(encoding="utf-8") == text


def test_a_recipe_of_some_sections_leaves_rounds_alone(checkout: Path) -> None:
    run("second", "cams")
    Path("recipes/own.yaml").write_text("# Mine\nseeds: {class_maps: cams_second}\n")
    assert recipe("own").output.startswith("seeds.class_maps: cams -> cams_second\nnext: ")
    assert load(checkout)["cams_second"]["classifier"] == "classifier"


def test_a_round_of_a_recipe_gives_only_what_differs_from_the_first(checkout: Path) -> None:
    Path("recipes/own.yaml").write_text("based_on: voc12_irn\ncams_second: {multiscale: {stride: 8}}\nseeds_second: {method: threshold}\n")
    first = read_recipe("voc12_irn").plain()
    sections = read_recipe("own").plain()
    assert sections["cams_second"] == first["cams"] | {"multiscale": first["cams"]["multiscale"] | {"stride": 8}}
    assert sections["cams"] == first["cams"] and sections["seeds"] == first["seeds"]
    assert sections["seeds_second"] == {key: value for key, value in first["seeds"].items() if key != "irn"} | {"method": "threshold"}


# --- What cannot be done ---


def test_what_is_refused_changes_nothing(checkout: Path) -> None:
    run("third", "cams")
    before = [file.read_text(encoding="utf-8") for file in (checkout, PIPELINE)]
    for arguments, message in {
        "Second cams": "seedbed round: found 'Second'; expected a word of small letters and digits; choose another one",
        "second cam": "seedbed round: found 'cam'; expected one of: pretraining, ",
        "second evaluation": "seedbed round: found 'evaluation'; expected one of: pretraining, ",
        "second": "seedbed round: found no stages; expected one of: pretraining, ",
        "first --remove": "seedbed round: found 'first'; expected a word that ends the names of sections; correct it",
        "third seeds cams": "params.yaml: cams_third: found a section; expected none yet; choose another word, or run "
        "`seedbed round third --remove` first",
    }.items():
        done = run(*arguments.split())
        assert done.exit_code == 2 and done.stderr.startswith(f"error: {message}"), done.stderr
        assert [file.read_text(encoding="utf-8") for file in (checkout, PIPELINE)] == before, arguments


def test_another_pipeline_has_none(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(FILES.parent / "pipelines" / "mis", "pipelines/mis", ignore=shutil.ignore_patterns("data"))
    monkeypatch.chdir("pipelines/mis")
    for arguments in ("second trees", "second --remove"):
        done = run(*arguments.split())
        expected = "error: seedbed round: found a pipeline without evaluation; expected the project's own; run it in its folder\n"
        assert (done.exit_code, done.stderr) == (2, expected)
