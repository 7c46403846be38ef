"""`seedbed recipe family.method`: every block is whole, and is laid into params.yaml beside what is there."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from seedbed import methods
from seedbed.params import Params
from seedbed.tools.recipe_files import read_block
from tests.conftest import PROJECT
from tests.support.recipes import BLOCKS, FILES, recipe, values


def test_every_method_has_a_block() -> None:
    known: dict[str, Any] = {}
    for file in (*PROJECT.glob("pipelines/*/params.yaml"), PROJECT / "params.yaml"):
        known |= YAML(typ="safe").load(file)
    there = {f"{family}.{name}" for family in known for name in methods.list_available(family) if name in known[family]}
    every = {f"{family}.{name}" for family in methods.list_families() for name in methods.list_available(family)}
    assert there | set(BLOCKS) == every


@pytest.mark.parametrize("address", BLOCKS)
def test_a_block_is_that_of_its_method_with_all_parameters(address: str) -> None:
    block, (family, _, name) = read_block(address, folder=FILES), address.partition(".")
    sections = block.plain()
    sections[family]["method"] = name
    Params(sections).method(importlib.import_module(f"seedbed.{family}").Method)
    known = YAML(typ="safe").load(PROJECT / "params.yaml")
    assert known[family].get(name, sections[family][name]) == sections[family][name], "params.yaml has other values"
    assert known[family]["method"] != name, "params.yaml selects it"
    assert block.title and len(block.title) < 130


@pytest.mark.parametrize(
    "address", [one if place % 4 == 0 else pytest.param(one, marks=pytest.mark.slow) for place, one in enumerate(BLOCKS)]
)
def test_a_block_is_laid_in_with_its_comments_and_selects_nothing(checkout: Path, address: str) -> None:
    family, _, name = address.partition(".")
    content = YAML(typ="safe").load(checkout)
    text = "".join(lines_without(checkout.read_text(), family, name))
    checkout.write_text(text)
    before = YAML(typ="safe").load(checkout)
    done = recipe(address)
    assert done.exit_code == 0, done.output
    after = YAML(typ="safe").load(checkout)
    block = read_block(address).plain()[family][name]
    assert after[family].pop(name) == block and after == before
    assert name not in before[family] and list(content) == list(after)
    added = [line for line in Path(f"recipes/methods/{address}.yaml").read_text().splitlines() if line.startswith(" ")]
    assert "\n".join(["", *added, ""]) in checkout.read_text()
    assert "".join(lines_without(checkout.read_text(), family, name)) == text
    said = done.output.splitlines()
    assert said[: len(values(block))] == [
        f"{'.'.join(filter(None, (family, name, key)))}: nothing -> {written(value)}" for key, value in values(block).items()
    ]
    assert said[len(values(block))] == f"next: to select it, set {family}.method: {name}"
    assert said[-1] == "next: run `seedbed plan`, then `dvc repro`"


def written(value: Any) -> str:
    """A value as YAML has it."""
    if isinstance(value, list):
        return f"[{', '.join(map(written, value))}]"
    return str(value).lower() if isinstance(value, bool) else str(value) or '""'


def lines_without(text: str, family: str, name: str) -> Iterator[str]:
    """Lines of params.yaml but those of a block."""
    section = block = ""
    for line in text.splitlines(keepends=True):
        if re.match(r"\w", line):
            section, block = line.partition(":")[0], ""
        elif not line.startswith("   "):
            block = line.strip().partition(":")[0]
        if (section, block) != (family, name):
            yield line


def test_a_block_that_is_there(checkout: Path) -> None:
    text = checkout.read_text()
    assert recipe("seeds.threshold").output == (
        "seeds.threshold: in params.yaml already, with these values\n"
        "next: to select it, set seeds.method: threshold\n"
        "next: let seeds.superpixels be none\n"
        "next: run `seedbed plan`, then `dvc repro`\n"
    )
    assert checkout.read_text() == text
    selected = text.replace("method: superpixel_background", "method: threshold")
    checkout.write_text(selected.replace("background: 0.1", "background: 0.3"))
    assert recipe("seeds.threshold").output == (
        "seeds.threshold.background: 0.3 -> 0.1\nnext: let seeds.superpixels be none\nnext: run `seedbed plan`, then `dvc repro`\n"
    )
    assert checkout.read_text() == selected


@pytest.mark.parametrize("section", ["seeds: {method: superpixel_background, superpixel_background: {threshold: 0.7}}\n", ""])
def test_a_block_is_laid_into_whatever_layout(checkout: Path, section: str) -> None:
    text = checkout.read_text()
    begin, end = text.index("seeds:\n"), text.index("refinement:\n")
    checkout.write_text(text[:begin] + (section or "seeds:\n    method: superpixel_background # mine\n\n# the rest\n") + text[end:])
    before = YAML(typ="safe").load(checkout)
    assert recipe("seeds.threshold").exit_code == 0
    after = YAML(typ="safe").load(checkout)
    assert after["seeds"].pop("threshold") == {"foreground": 0.5, "background": 0.1} and after == before


def test_weights_and_what_else_a_block_needs_are_said(checkout: Path) -> None:
    said = recipe("features.vit").output
    assert "next: weights are downloaded when they are first used: vit_base_patch8_224.dino; docs/weights.md says" in said
    said = recipe("segmenter.pseudo_masks").output
    assert "\nnext: let segmenter.maps be {labels: refinement, regions: none, confidence: none, objects: none}" in said
    assert "\nseeds.threshold: Seeds by two thresholds" in recipe().output


def test_an_unknown_block(checkout: Path) -> None:
    done = recipe("seeds.treshold")
    assert done.exit_code == 2 and done.stderr == (
        f"error: seedbed recipe seeds.treshold: found no such block; expected one of: {', '.join(BLOCKS)} (nearest: seeds.threshold); "
        "run `seedbed recipe` to see what each is\n"
    )


def test_a_file_that_is_not_its_methods_block(checkout: Path) -> None:
    Path("recipes/methods/seeds.threshold.yaml").write_text("seeds: {method: threshold, threshold: {}}\n")
    done = recipe("seeds.threshold")
    assert done.exit_code == 2 and done.stderr == (
        "error: recipes/methods/seeds.threshold.yaml: found seeds.method, seeds.threshold; "
        "expected the block seeds.threshold alone; correct it\n"
    )
