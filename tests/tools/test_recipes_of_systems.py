"""Every published system has a recipe for every data set, each of them of the same work."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from shutil import copytree
from typing import Any

import pytest
from ruamel.yaml import YAML

from benchmarks.systems import DATA, SYSTEMS
from seedbed.methods import list_available
from seedbed.store.schemas import find_kind
from seedbed.tools.recipe_files import read_recipe
from tests.support.recipes import FILES, RECIPES, values

EVERY = [f"{data}_{system}" for data in DATA for system in SYSTEMS]
NEVER_PUBLISHED = ("voc6", "shapes")  # data sets of which nobody else has figures


@pytest.mark.parametrize("name", EVERY)
def test_there_is_a_recipe(name: str) -> None:
    assert name in RECIPES


@pytest.mark.parametrize("system", SYSTEMS)
def test_all_recipes_of_a_system_name_its_work(system: str) -> None:
    papers = {name: read_recipe(name, folder=FILES).paper for name in EVERY if name.endswith(f"_{system}")}
    assert papers[f"voc12_{system}"] and set(papers.values()) == {papers[f"voc12_{system}"]}


@pytest.mark.parametrize("name", [name for name in RECIPES if name.startswith(NEVER_PUBLISHED)])
def test_no_figures_are_published_of_what_only_we_have(name: str) -> None:
    assert read_recipe(name, folder=FILES).published == ""


@pytest.mark.parametrize("name", [name for name in EVERY if name.startswith("coco14")])
def test_of_coco_the_data_set_alone_differs(name: str) -> None:
    own = read_recipe(name, folder=FILES)
    said, expected = own.plain(), read_recipe(name.replace("coco14", "voc12"), folder=FILES).plain()
    assert all(list(section) == ["split"] for family, section in own.own.items() if family != "dataset")
    for section in expected.values():
        if section.get("split") == "train_aug":
            section["split"] = "train"
    assert said.pop("dataset") != expected.pop("dataset") and said == expected


@pytest.mark.parametrize("name", [f"voc6_{system}" for system in SYSTEMS])
def test_six_classes_are_learned_in_short_trainings_of_small_views_without_a_gpu(name: str) -> None:
    read = read_recipe(name, folder=FILES)
    blocks = [section[section["method"]] for section in read.plain().values()]
    assert read.needs == "" and read.plain()["dataset"] == read_recipe("voc6_crf", folder=FILES).plain()["dataset"]
    assert all(block["training"]["epochs"] <= 8 and block["augmentation"]["crop"] <= 240 for block in blocks if "training" in block)


def test_recipes_say_only_what_differs_from_their_base(tmp_path: Path) -> None:
    yaml, folder = YAML(typ="safe"), tmp_path / "recipes"
    copytree(FILES, folder)
    for name in RECIPES:
        own = yaml.load(FILES / f"{name}.yaml")
        if "based_on" not in own:
            continue
        methods = {section: {"method": said.pop("method")} for section, said in own.items() if "method" in said}
        inherited = {"based_on": own.pop("based_on"), "blocks": own.pop("blocks", [])}
        yaml.dump(inherited, folder / "without.yaml")
        before = read_recipe("without", folder=folder).plain()
        assert not [section for section, said in methods.items() if before.get(section, {}).get("method") == said["method"]], name
        yaml.dump(inherited | methods, folder / "without.yaml")
        without = read_recipe("without", folder=folder).plain()
        assert not [address for section, said in own.items() for address in repeated(section, said, without.get(section, {}))], name


def repeated(section: str, said: dict[str, Any], base: dict[str, Any]) -> Iterator[str]:
    """Addresses of what a section says as its base does: values of a method's block, and mappings that are values as a whole."""
    for key, value in said.items():
        if key in list_available(find_kind(section)):
            below = values(base.get(key))
            yield from (f"{section}.{key}.{name}" for name, inner in values(value).items() if name in below and below[name] == inner)
        elif key in base and base[key] == value:
            yield f"{section}.{key}"


def test_what_comes_with_the_code_is_the_recipe_of_superpixels() -> None:
    recipe, content = read_recipe("shapes_superpixels", folder=FILES).plain(), YAML(typ="safe").load(FILES.parent / "params.yaml")
    selected = {name: {key: section[key] for key in recipe[name]} for name, section in content.items()}
    assert list(content) == list(recipe) and selected == recipe
