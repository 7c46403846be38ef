"""Recipes of pipelines that have a folder of their own: they give every value, and their networks exist."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
import torch

from seedbed import clicker
from seedbed.store.schemas import find_kind
from seedbed.tools.recipe_files import list_recipes, read_recipe
from tests.conftest import PROJECT
from tests.support.recipes import recipe, values

PIPELINE = PROJECT / "pipelines" / "mis"
RECIPES = list_recipes(PIPELINE / "recipes")


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_gives_every_value_of_what_it_selects_and_dvc_finds_it(name: str) -> None:
    read = read_recipe(name, folder=PIPELINE / "recipes")
    params = read.params()
    assert {find_kind(section) for section in params.sections()} == {"dataset", "features", "trees", "clicker", "clicks"}
    params.check()
    asked = set(re.findall(r"\$\{(\w+)\.([\w.]+)\}", (PIPELINE / "dvc.yaml").read_text()))
    assert not [f"{family}.{address}" for family, address in asked if address not in values(read.plain()[family])]


@pytest.mark.parametrize("name", RECIPES)
def test_its_network_exists(name: str) -> None:
    params = read_recipe(name, folder=PIPELINE / "recipes").params()
    with torch.device("meta"):  # names and shapes alone
        assert params.of_stage("clicker").method(clicker.Method).network() is not None


def test_it_is_laid_over_the_pipeline_s_params(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(PIPELINE, tmp_path / "mis", ignore=shutil.ignore_patterns("data"))
    monkeypatch.chdir(tmp_path / "mis")
    done = recipe("davis16_tree")
    assert done.exit_code == 0, done.output
    assert "dataset.method: shapes -> davis" in done.output and "next: let data/raw/davis here be the folder" in done.output
    assert "seedbed plan" not in done.output  # it would ask for a split to learn from
    assert re.search(r"^  davis:\n    folder: 480p\n    every: 10\n", (tmp_path / "mis" / "params.yaml").read_text(), re.MULTILINE)
