"""`seedbed recipe`: every recipe is whole and right, changes what it says, and leaves the rest of params.yaml as it was written."""

from __future__ import annotations

import importlib
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from ruamel.yaml import YAML

from seedbed import classifier, features, methods, segmenter
from seedbed.params import Params
from seedbed.store.schemas import find_kind
from seedbed.tools.dependencies import list_kinds
from seedbed.tools.preflight import check_slots
from seedbed.tools.recipe_files import read_block, read_recipe
from tests.support.recipes import FILES, RECIPES, recipe, values

SWITCHES = {
    **dict.fromkeys(("quick", "shapes_quick"), "classifier.linear.standardised"),
    **{name: "dataset.voc.difficult" for name in RECIPES if name.startswith("voc6_")},
    **dict.fromkeys(("voc12_masking", "voc12_masking_vgg16", "coco14_masking"), "segmenter.masking.backbone.dilated"),
    **dict.fromkeys(("voc12_usage_deit", "coco14_usage_deit"), "cams.attention.flip"),
}  # a switch that a recipe selects, where it is another than that of the others

SAMPLE = [one if place % 6 == 0 else pytest.param(one, marks=pytest.mark.slow) for place, one in enumerate(RECIPES)]
KINDS = sorted(list_kinds(FILES.parent / "dvc.yaml"))  # of stages that a recipe is about
OWN = """\
# Mine
# next: feed the cat
# nothing else
superpixels:
  method: dino
  dino:
    threshold: 0.25
    first: lowest
    crf_certainty: 0.7
    crf: {preset: own, smooth_distance: 10, smooth_weight: 10, colour_distance: 20, colour_difference: 5, colour_weight: 10, iterations: 5}
segmenter:
  maps: {regions: superpixels}
cams:
  multiscale:
    scales: [1, 2]
    interpolation: bilinear
    flip: true
    over_scales: sum
    stride: 4
"""


def run_of(params: Path) -> dict[str, Any]:
    """Everything that the stages read."""
    read = Params.read(params)
    found: dict[str, Any] = {"root": read.raw_root()}
    for family in KINDS:
        contract = importlib.import_module(f"seedbed.{family}")
        method: Any = read.method(contract.Method)
        found[family] = (method.name, methods.identity(method), read.settings(contract.Settings) if hasattr(contract, "Settings") else None)
    return found


def comments(params: Path) -> list[str]:
    return re.findall(r"#.*", params.read_text())


# --- Every recipe ---


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_gives_every_value_of_what_it_selects(name: str) -> None:
    alone = read_recipe(name, folder=FILES).params()
    assert sorted({find_kind(section) for section in alone.sections()}) == KINDS
    alone.check()
    check_slots(alone)


@pytest.mark.parametrize("name", RECIPES)
def test_dvc_finds_whatever_it_asks_a_recipe_for(name: str) -> None:
    said = read_recipe(name, folder=FILES).plain()
    asked = set(re.findall(r"\$\{(\w+)\.([\w.]+)\}", (FILES.parent / "dvc.yaml").read_text()))
    assert ("segmenter", "maps.objects") in asked
    assert not [f"{family}.{address}" for family, address in asked if address not in values(said[family])]


@pytest.mark.parametrize("name", RECIPES)
def test_the_networks_of_a_recipe_exist(name: str) -> None:
    read = read_recipe(name, folder=FILES).params()
    with torch.device("meta"):  # names and shapes alone
        if isinstance(learned := read.method(classifier.Method), classifier.NetworkMethod):
            learned.network(20)
        if isinstance(labels := read.method(segmenter.Method), segmenter.NetworkMethod):
            labels.network(20)
    assert read.method(features.Method).num_channels > 0


@pytest.mark.parametrize("name", SAMPLE)
def test_a_recipe_is_laid_once_and_leaves_what_it_does_not_name(checkout: Path, name: str) -> None:
    before = comments(checkout), YAML(typ="safe").load(checkout)
    done = recipe(name)
    assert done.exit_code == 0, done.output
    assert ("dataset.method: shapes -> " in done.output) == (not name.startswith("shapes_"))
    assert done.output.endswith("next: run `seedbed plan`, then `dvc repro`\n")
    Params.read(checkout).check()
    address = SWITCHES.get(name, "cams.multiscale.flip")
    switch = address.rpartition(".")[2]
    checkout.write_text(checkout.read_text().replace(f"{switch}: true", f"{switch}: 1"))  # which equals true, but is no truth value
    assert recipe(name).output.startswith(f"{address}: 1 -> true\n")
    assert comments(checkout) == before[0]
    changed = {line.partition(":")[0] for line in done.output.splitlines() if " -> " in line}
    after = YAML(typ="safe").load(checkout)
    kept = {family: [one for one in after[family] if one in section] for family, section in before[1].items()}
    assert kept == {family: list(section) for family, section in before[1].items()}, "blocks that were missing are added at most"
    assert after["dataset"]["shapes"] == before[1]["dataset"]["shapes"]
    assert sum("->" in line for line in done.output.splitlines()) == len(changed) == differing(before[1], after)
    text = checkout.read_text()
    assert recipe(name).output.startswith("nothing to change\nnext: ") and checkout.read_text() == text


def differing(one: Any, other: Any) -> int:
    """How many values differ; a list is one."""
    if isinstance(one or {}, dict) and isinstance(other or {}, dict) and (one or other):
        one, other = one or {}, other or {}
        return sum(differing(one.get(name), other.get(name)) for name in {*one, *other})
    return int(one != other)


@pytest.mark.parametrize(
    ("name", "first"),
    [("voc6_superpixels_gpu", 0), *(pytest.param(one, place % 7, marks=pytest.mark.slow) for place, one in enumerate(RECIPES))],
)
def test_what_was_there_before_plays_no_part(checkout: Path, name: str, first: int) -> None:
    recipe(name)
    expected = run_of(checkout)
    for earlier in RECIPES[first::7]:  # so that every recipe comes before several others
        recipe(earlier)
        recipe(name)
        assert run_of(checkout) == expected, f"{earlier}, then {name}"
    odd = YAML(typ="safe").load(checkout)
    del odd["features"]["vit"], odd["segmenter"]
    odd["classifier"]["maps"] = {"regions": "superpixels"}
    YAML(typ="safe").dump(odd, checkout)
    recipe(name)
    assert run_of(checkout) == expected


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_says_what_it_is_and_what_to_do(name: str) -> None:
    title, text = read_recipe(name, folder=FILES).title, (FILES / f"{name}.yaml").read_text()
    assert text.startswith(f"# {title}\n# next: ") and len(title) < 150
    assert re.search("(?i)figures.* compar", re.split(r"\n(?!#)", text)[0], re.DOTALL)


def test_masking_in_the_drawn_world_is_all_else_that_params_yaml_says() -> None:
    said = values(read_recipe("shapes_masking", folder=FILES).plain())
    usual = values(YAML(typ="safe").load(FILES.parent / "params.yaml"))
    for address in ("classifier.masking", "saliency.unsupervised", "segmenter.masking"):
        usual |= values(read_block(address, folder=FILES).plain())
    assert {address: value for address, value in said.items() if value != usual[address]} == {
        "classifier.method": "masking",
        "cams.multiscale.over_scales": "largest",
        "saliency.method": "unsupervised",
        "saliency.class_maps": "cams",
        "saliency.superpixels": "superpixels",
        "saliency.features": "features",
        "segmenter.method": "masking",
        "segmenter.maps.labels": "none",
        "segmenter.maps.regions": "none",
        "segmenter.maps.objects": "saliency",
        "segmenter.classifier": "classifier",
        "evaluation.saliency": "saliency",
    }


# --- What is said ---


def test_what_a_recipe_changes_and_what_is_left_to_do(checkout: Path) -> None:
    Path("recipes/own.yaml").write_text(OWN)
    assert recipe("own").output == (
        "superpixels.dino.threshold: 0.7 -> 0.25\n"
        "cams.multiscale.scales: [1, 0.75, 1.5] -> [1, 2]\n"
        "segmenter.maps.labels: seeds -> nothing\n"
        "segmenter.maps.confidence: none -> nothing\n"
        "segmenter.maps.objects: none -> nothing\n"
        "next: feed the cat\n"
        "next: data/raw/shapes is missing: put the data there, or a symbolic link to it\n"
        "next: run `seedbed plan`, then `dvc repro`\n"
    )
    text = checkout.read_text()
    assert "    scales: [1, 2]\n" in text and "  maps: {regions: superpixels}" in text


def test_weights_that_are_downloaded_are_named_once(checkout: Path) -> None:
    (checkout.parent / "data" / "raw" / "voc6").mkdir(parents=True)
    said = recipe("voc6_superpixels_gpu").output
    assert said.count("resnet50.tv_in1k; docs/weights.md says how to use files instead\n") == 1
    assert "next: weights are downloaded when they are first used: vit_small_patch16_224.dino, resnet50.tv_in1k;" in said
    assert "is not there" not in said


def test_weights_that_are_read_from_a_file_are_named(checkout: Path) -> None:
    weights = "initial_weights: {source: file, file: data/raw/weights.pth}"
    features = f"features: {{vit: {{{weights}}}}}"
    networks = [f"{address}: {{backbone: {{{weights}}}}}" for address in ("cam", "region_growing")]
    sections = [features, f"classifier: {{{networks[0]}}}", f"segmenter: {{{networks[1]}}}"]
    Path("recipes/own.yaml").write_text("\n".join(["based_on: voc6_superpixels_gpu", *sections, ""]))
    said = recipe("own").output
    assert (
        said.count("next: set initial_weights.file to your copy of data/raw/weights.pth, and initial_weights.sha256 to its digest\n") == 1
    )
    assert "downloaded" not in said


def test_a_number_in_quotes_is_another_value(checkout: Path) -> None:
    recipe("quick")
    text = checkout.read_text()
    checkout.write_text(text.replace("allow_broken: 0", 'allow_broken: "0"'))
    assert 'dataset.allow_broken: "0" -> 0\n' in recipe("quick").output
    assert checkout.read_text().split() == text.split()  # but for what is between them


# --- What cannot be done ---


def test_a_block_for_a_section_that_is_not_there(checkout: Path) -> None:
    before = checkout.read_text()
    done = recipe("seeds_third.threshold")
    assert done.exit_code == 2 and "params.yaml: seeds_third: found nothing" in done.stderr, done.stderr
    assert checkout.read_text() == before


def test_weights_that_say_too_little_are_left_to_plan(checkout: Path) -> None:
    Path("recipes/own.yaml").write_text("classifier: {method: [cam], cam: {backbone: {initial_weights: {source: file}}}}\n")
    for words in ([], ["own"]):
        done = recipe(*words)
        assert done.exit_code == 0, done.exception
    assert "next: set initial_weights.file to your copy of" not in done.output


def test_an_unknown_recipe(checkout: Path) -> None:
    before = checkout.read_text()
    done = recipe("voc12_superpixel")
    assert done.exit_code == 2 and checkout.read_text() == before
    assert done.stderr == (
        "error: seedbed recipe voc12_superpixel: found no such recipe; "
        f"expected one of: {', '.join(RECIPES)} (nearest: voc12_superpixels); run `seedbed recipe` to see what each is\n"
    )


def test_a_recipe_with_a_name_that_nothing_reads(checkout: Path) -> None:
    before = checkout.read_text()
    Path("recipes/own.yaml").write_text(OWN.replace("threshold", "treshold"))
    done = recipe("own")
    assert done.exit_code == 2 and checkout.read_text() == before
    assert done.stderr.startswith("error: recipes/own.yaml: superpixels.dino.treshold: found a name that nothing reads; expected one of: ")


def test_a_value_that_belongs_to_two_places(checkout: Path) -> None:
    none, weights = '{source: none, file: "", sha256: ""}', "vit_base_patch8_224.dino\n    patch_size: 8\n    initial_weights: &them {"
    text = checkout.read_text().replace("vit_base_patch8_224.dino\n    patch_size: 8\n    initial_weights: {", weights)
    before, there, after = text.partition("&them")
    text = before + there + after.replace(none, "*them")
    checkout.write_text(text)
    Path("recipes/own.yaml").write_text("based_on: voc6_superpixels_gpu\nfeatures: {vit: {initial_weights: {source: none}}}\n")
    done = recipe("own")
    assert done.exit_code == 2 and checkout.read_text() == text
    assert done.stderr == (
        "error: params.yaml: features.vit.initial_weights.source: found hub, which is an alias (*) of another value; "
        "expected a value of its own; write it out\n"
    )


def test_outside_of_a_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for arguments in ([], ["voc12_superpixels"]):
        done = recipe(*arguments)
        assert done.exit_code == 2
        assert (
            done.stderr == f"error: {tmp_path}: found no params.yaml and dvc.yaml; expected a checkout of Seedbed; run this in its folder\n"
        )
