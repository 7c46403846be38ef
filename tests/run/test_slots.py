"""Slots that do not fit are told before anything runs."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from seedbed.errors import ParamsError
from seedbed.params import Params
from seedbed.run.slots import check_maps
from seedbed.tools.dependencies import list_kinds
from seedbed.tools.preflight import check_slots
from seedbed.tools.recipe_files import list_recipes, read_recipe

PROJECT = Path(__file__).parents[2]
FILES = sorted([PROJECT / "params.yaml", *(PROJECT / "benchmarks").glob("*.yaml")])
RECIPES = list_recipes(PROJECT / "recipes")
Edit = Callable[[dict[str, Any]], object]


def params(edit: Edit = lambda _: None, *, file: Path = PROJECT / "params.yaml") -> Params:
    content: dict[str, Any] = YAML(typ="safe").load(file)
    edit(content)
    return Params(content)


@pytest.mark.parametrize("name", [*FILES, *RECIPES], ids=lambda name: Path(name).stem)
def test_whatever_is_committed_fits(name: Path | str) -> None:
    committed = read_recipe(str(Path(name).with_suffix("")), folder=PROJECT / "recipes").params()
    committed.check(needed=list_kinds(PROJECT / "dvc.yaml"))
    check_slots(committed)


def from_classifier(content: dict[str, Any], *, network: str = "test_resnet", start: str = "classifier") -> None:
    content["segmenter"]["start"] = start
    content["segmenter"]["region_growing"]["backbone"] |= {
        "network": network,
        "initial_weights": {"source": "classifier", "file": "", "sha256": ""},
    }


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (
            lambda content: content["segmenter"].update(start="classifier"),
            "params.yaml: segmenter.start: found 'classifier'; expected 'none', unless initial_weights.source is classifier; "
            "correct one of the two",
        ),
        (
            lambda content: from_classifier(content, start="none"),
            "params.yaml: segmenter.start: found 'none'; expected an artifact of the kind classifier, because "
            "initial_weights.source is classifier; correct one of the two",
        ),
        (
            lambda content: from_classifier(content, network="resnet18"),
            "params.yaml: segmenter.region_growing.backbone.network: found 'resnet18'; expected 'test_resnet', the classifier's, because "
            "initial_weights.source is classifier; name the same network for both",
        ),
        (
            lambda content: content["segmenter"]["maps"].update(regions="none"),
            "params.yaml: segmenter.maps.regions: found 'none'; expected an artifact with `regions`: superpixels; correct it",
        ),
        (
            lambda content: content["features"].update(method="none"),
            "params.yaml: features.method: found 'none'; expected one that describes images, because superpixels.dino needs features; "
            "select one, or a method of superpixels that needs none",
        ),
        (
            lambda content: content["classifier"].update(maps={"labels": "none", "regions": "superpixels", "objects": "none"}),
            "params.yaml: classifier.maps.regions: found 'superpixels'; expected 'none', because the selected method reads nothing; "
            "correct it",
        ),
    ],
)
def test_what_does_not_fit_is_refused_without_any_artifact(edit: Edit, message: str) -> None:
    with pytest.raises(ParamsError) as refused:
        check_slots(params(edit))
    assert str(refused.value) == message


def test_what_fits_is_not() -> None:
    check_slots(params(from_classifier))
    check_maps("segmenter", ("labels", "confidence"), {"labels": "refinement", "confidence": "refinement", "regions": "none"})


def only(content: dict[str, Any], *families: str) -> None:
    for family in [family for family in content if family not in families]:
        del content[family]


@pytest.mark.parametrize(
    "families",
    [
        ("dataset",),
        ("dataset", "features", "superpixels"),
        ("dataset", "superpixels"),
        ("dataset", "features"),
        ("dataset", "segmenter"),
        ("dataset", "evaluation"),
    ],
)
def test_a_pipeline_needs_its_own_sections_only(families: tuple[str, ...]) -> None:
    own = params(lambda content: only(content, *families))
    own.check(needed=families)
    check_slots(own)


def test_a_section_that_its_stage_needs_is_missed() -> None:
    own = params(lambda content: only(content, "dataset", "features"))
    with pytest.raises(ParamsError, match=r"^params.yaml: superpixels: found nothing; expected a section for this stage; restore it"):
        own.check(needed=["dataset", "features", "superpixels"])


def test_what_one_section_alone_says_wrong_is_refused_without_the_others() -> None:
    def edit(content: dict[str, Any]) -> None:
        only(content, "dataset", "segmenter")
        content["segmenter"]["start"] = "classifier"

    own = params(edit)
    with pytest.raises(ParamsError, match=r"^params.yaml: segmenter.start: found 'classifier'; expected 'none', unless"):
        check_slots(own)


def test_confidence_is_that_of_the_labels() -> None:
    with pytest.raises(ParamsError, match="found 'refinement'; expected 'seeds', because it is that of other labels"):
        check_maps("segmenter", ("labels", "confidence"), {"labels": "seeds", "confidence": "refinement"})


def set_slot(address: str, artifact: str) -> Edit:
    section, slot = address.split(".")
    return lambda content: content[section].update({slot: artifact})


@pytest.mark.parametrize(
    ("address", "kind", "when"),
    [
        ("features.pretraining", "pretraining", ""),
        ("superpixels.features", "features", "the selected method needs features"),
        ("cams.classifier", "classifier", None),
        ("seeds.class_maps", "cams", None),
        ("seeds.superpixels", "superpixels", "the selected method needs regions"),
        ("refinement.class_maps", "cams", None),
        ("predictions.segmenter", "segmenter", None),
    ],
)
def test_a_slot_names_an_artifact_of_its_kind(address: str, kind: str, when: str | None) -> None:
    """when: where it is read; empty where the selected method does not, nothing where every method does."""
    if when != "":
        check_slots(params(set_slot(address, f"{kind}_second")))
        with pytest.raises(ParamsError) as none:
            check_slots(params(set_slot(address, "none")))
        because = f", because {when}; correct one of the two" if when else "; correct it"
        assert str(none.value) == f"params.yaml: {address}: found 'none'; expected an artifact of the kind {kind}{because}"
    for other in ("evaluation", f"{kind}2", ""):
        with pytest.raises(ParamsError) as refused:
            check_slots(params(set_slot(address, other)))
        optional = "" if when is None else ", or 'none'"
        expected = f"params.yaml: {address}: found {other!r}; expected an artifact of the kind {kind}{optional}; correct it, or run"
        assert str(refused.value).startswith(expected)


def test_slots_of_a_second_round_are_checked_as_those_of_the_first() -> None:
    def second(content: dict[str, Any], **slots: str) -> None:
        content["seeds_second"] = content["seeds"] | {"class_maps": "cams_second"} | slots

    check_slots(params(second))
    message = "params.yaml: seeds_second.superpixels: found 'none'; expected an artifact of the kind superpixels, because the selected"
    with pytest.raises(ParamsError, match=message):
        check_slots(params(lambda content: second(content, superpixels="none")))
    message = "params.yaml: seeds_second.superpixels: found 'superpixels'; expected 'none', unless the selected method needs regions"
    with pytest.raises(ParamsError, match=message):
        check_slots(params(lambda content: second(content, method="threshold")))
    check_slots(params(lambda content: second(content, method="threshold", superpixels="none")))


def test_networks_of_the_stages_that_slots_name_must_fit() -> None:
    def edit(content: dict[str, Any]) -> None:
        from_classifier(content, start="classifier_second")
        content["classifier_second"] = copy.deepcopy(content["classifier"])
        content["classifier_second"]["cam"]["backbone"]["network"] = "resnet18"

    with pytest.raises(
        ParamsError, match=r"backbone.network: found 'test_resnet'; expected 'resnet18', that of classifier_second, because"
    ):
        check_slots(params(edit))


# --- What learns from features, and what reads them ---


def of_features(content: dict[str, Any]) -> None:
    """A classifier and a segmenter that learn from features."""
    for section, name in (
        ("classifier", "linear"),
        ("cams", "patch_scores"),
        ("segmenter", "light"),
        ("predictions", "patch_probabilities"),
    ):
        content[section] |= {"method": name, "features": "features"}
        content[section][name] = block(section, name)


def block(section: str, name: str) -> dict[str, Any]:
    """Parameters of a method that params.yaml does not select."""
    content: dict[str, Any] = YAML(typ="safe").load(PROJECT / "recipes" / "methods" / f"{section}.{name}.yaml")
    found: dict[str, Any] = content[section][name]
    return found


def test_everything_may_learn_from_features() -> None:
    check_slots(params(of_features))

    def more(content: dict[str, Any]) -> None:
        of_features(content)
        content["segmenter"]["views"] = {"mirrored": "features_mirrored"}
        content["predictions"]["features"] = "features_mirrored"

    check_slots(params(more))


@pytest.mark.parametrize(
    ("section", "learner", "other", "name"),
    [("cams", "classifier", "cam", "multiscale"), ("predictions", "segmenter", "region_growing", "multiscale")],
)
def test_who_sees_images_and_who_sees_features_do_not_fit(section: str, learner: str, other: str, name: str) -> None:
    def edit(content: dict[str, Any], *, late: bool) -> None:
        of_features(content)
        changed = section if late else learner
        content[changed] |= {"method": name if late else other, "features": "none"}

    learned, own = ("linear", "patch_scores") if section == "cams" else ("light", "patch_probabilities")
    for late, found, sees, method in ((True, name, "features", learned), (False, own, "images", other)):
        message = (
            f"params.yaml: {section}.method: found {found!r}; expected one for {sees}, from which {learner}.{method} has learned; "
            f"correct it, or select another method of {learner}"
        )
        with pytest.raises(ParamsError) as refused:
            check_slots(params(partial(edit, late=late)))
        assert str(refused.value) == message


@pytest.mark.parametrize(("section", "learner"), [("cams", "classifier"), ("predictions", "segmenter")])
def test_features_are_those_that_were_learned_from(section: str, learner: str) -> None:
    def edit(content: dict[str, Any]) -> None:
        of_features(content)
        content[section]["features"] = "features_second"

    with pytest.raises(ParamsError) as refused:
        check_slots(params(edit))
    assert str(refused.value) == (
        f"params.yaml: {section}.features: found 'features_second'; expected features that {learner} has learned from: features; "
        "correct one of the two"
    )


def test_views_are_features_too_and_only_for_who_learns_from_them() -> None:
    with pytest.raises(
        ParamsError, match=r"params.yaml: segmenter.views: found .*; expected \{\} or 'none' for each, unless the selected method learns"
    ):
        check_slots(params(lambda content: content["segmenter"].update(views={"mirrored": "features_mirrored"})))
    check_slots(params(lambda content: content["segmenter"].update(views={"mirrored": "none"})))

    def edit(content: dict[str, Any]) -> None:
        of_features(content)
        content["segmenter"]["views"] = {"mirrored": "superpixels"}

    with pytest.raises(ParamsError, match=r"params.yaml: segmenter.views: found .*; expected an artifact of the kind features, or 'none'"):
        check_slots(params(edit))


@pytest.mark.parametrize("section", ["classifier", "cams", "segmenter", "predictions"])
def test_features_that_describe_nothing_are_refused_whoever_needs_them(section: str) -> None:
    def edit(content: dict[str, Any]) -> None:
        of_features(content)
        content["superpixels"] |= {"method": "slic", "features": "none", "slic": block("superpixels", "slic")}
        content["features"]["method"] = "none"
        only(content, "dataset", "features", section)

    with pytest.raises(
        ParamsError, match=rf"features.method: found 'none'; expected one that describes images, because {section}\.\w+ needs"
    ):
        check_slots(params(edit))


def test_another_view_is_by_the_same_network_and_has_a_name_that_dvc_can_read() -> None:
    def edit(content: dict[str, Any], *, name: str = "other", **changes: Any) -> None:
        of_features(content)
        content["features_other"] = copy.deepcopy(content["features"]) | changes
        content["cams"]["views"] = {name: "features_other"}

    check_slots(params(partial(edit, scale=2)))
    with pytest.raises(
        ParamsError, match=r"cams.views.other: found 'features_other'; expected other features than features, of the same method"
    ):
        check_slots(params(partial(edit, texture={"patch_size": 8, "num_directions": 8, "reach": 0.5, "texture_weight": 0})))

    def twice(content: dict[str, Any]) -> None:
        of_features(content)
        content["cams"]["views"] = {"other": "features"}

    with pytest.raises(ParamsError, match=r"cams.views.other: found 'features'; expected other features than features"):
        check_slots(params(twice))
    with pytest.raises(ParamsError, match=r"cams.views: found .*; expected names of small letters, digits and _, unlike 'a.b'"):
        check_slots(params(partial(edit, name="a.b")))


@pytest.mark.parametrize(("setting", "value"), [("scale", 0.75), ("mirrored", True)])
def test_how_images_cannot_be_shown_is_told_of_its_own_section(setting: str, value: Any) -> None:
    def edit(content: dict[str, Any]) -> None:
        content["features_other"] = copy.deepcopy(content["features"]) | {setting: value}

    with pytest.raises(ParamsError, match=rf"^params.yaml: features_other.{setting}: found {value}"):
        check_slots(params(edit))
