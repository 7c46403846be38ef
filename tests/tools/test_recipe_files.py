"""A recipe that is based on another: what it says itself, and what it takes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from seedbed.errors import ParamsError
from seedbed.store.schemas import find_kind
from seedbed.tools.recipe_files import BASED_ON, BLOCKS, read_block, read_recipe
from tests.support.recipes import FILES, RECIPES, recipe, values

BASED = [name for name in RECIPES if BASED_ON in YAML(typ="safe").load(FILES / f"{name}.yaml")]

BASE = """\
# Base
# next: feed the cat
seeds:
  method: superpixel_background
  superpixel_background: {threshold: 0.5}
superpixels:
  method: dino
  dino: &own
    threshold: 0.25
    first: lowest
    crf_certainty: 0.7
    crf: {preset: own, smooth_distance: 10, smooth_weight: 10, colour_distance: 20, colour_difference: 5, colour_weight: 10, iterations: 5}
cams:
  multiscale: {scales: [1, 2], interpolation: bilinear, flip: true, over_scales: sum, stride: 4}
segmenter:
  maps: {labels: seeds, regions: superpixels}
"""


def keep_maps_whole(section: dict[str, Any]) -> dict[str, Any]:
    """A section in which maps and labels count as one value each, because a recipe gives all of it."""
    return {key: sorted(value.items()) if key in ("maps", "labels") else value for key, value in section.items()}


@pytest.mark.parametrize("name", BASED)
def test_a_recipe_says_only_what_its_base_does_not(name: str) -> None:
    content = YAML(typ="safe").load(FILES / f"{name}.yaml")
    head = [key for key in content if key in (BASED_ON, BLOCKS)]
    assert list(content)[: len(head)] == head
    own = {section: keep_maps_whole(values) for section, values in content.items() if section not in head}
    there = read_recipe(content[BASED_ON], folder=FILES).plain()
    base = {section: keep_maps_whole(there.get(section, there[find_kind(section)])) for section in own}
    for address in content.get(BLOCKS, []):
        section, _, method = address.partition(".")
        block = read_block(f"{find_kind(section)}.{method}", folder=FILES).plain()[find_kind(section)][method]
        assert base.setdefault(section, {}).get(method) != block
        base[section][method] = block
    said = values(base)
    assert not [address for address, value in values(own).items() if address in said and said[address] == value]


def based(text: str, *, base: str = BASE) -> dict[str, Any]:
    """What a recipe says that is based on another."""
    Path("recipes/base.yaml").write_text(base)
    Path("recipes/own.yaml").write_text(f"based_on: base\n{text}")
    return read_recipe("own").plain()


def test_blocks_are_merged_and_values_replaced(checkout: Path) -> None:
    said = based(
        "superpixels: {dino: {crf: {iterations: 1}}}\ncams: {multiscale: {scales: [3]}}\nsegmenter: {maps: {labels: seeds}}\n"
        "evaluation: {pictures: 3}\n"
    )
    expected = YAML(typ="safe").load(BASE)
    expected["superpixels"]["dino"]["crf"]["iterations"] = 1
    expected["cams"]["multiscale"]["scales"] = [3]
    expected["segmenter"]["maps"] = {"labels": "seeds"}
    expected["evaluation"] = {"pictures": 3}
    assert said == expected and list(said) == list(expected)


def test_another_method_leaves_nothing_of_the_bases(checkout: Path) -> None:
    said = based("seeds: {method: threshold, threshold: {foreground: 0.5, background: 0.1}}\n")
    assert said["seeds"] == {"method": "threshold", "threshold": {"foreground": 0.5, "background": 0.1}}
    said = based("seeds: {method: threshold, threshold: {foreground: 0.5, background: 0.1}, superpixel_background: {threshold: 0.6}}\n")
    assert said["seeds"]["superpixel_background"] == {"threshold": 0.6}


def test_a_block_that_the_base_has_for_the_other_method_is_taken(checkout: Path) -> None:
    two = BASE.replace("seeds:\n", "seeds:\n  threshold: {foreground: 0.5, background: 0.1}\n", 1)
    said = based("seeds: {method: threshold, threshold: {background: 0.2}}\n", base=two)
    assert said["seeds"] == {"threshold": {"foreground": 0.5, "background": 0.2}, "method": "threshold"}


def test_blocks_of_methods_lie_over_the_base_and_below_what_is_said(checkout: Path) -> None:
    said = based(
        "blocks: [seeds.threshold, cams_second.attention]\n"
        "seeds: {method: threshold, threshold: {background: 0.2}}\ncams_second: {method: attention, attention: {stride: 16}}\n"
    )
    blocks = {address: read_block(address).plain() for address in ("seeds.threshold", "cams.attention")}
    threshold, attention = blocks["seeds.threshold"]["seeds"]["threshold"], blocks["cams.attention"]["cams"]["attention"]
    assert said["seeds"] == {"method": "threshold", "threshold": {**threshold, "background": 0.2}}
    assert said["cams_second"] == {"method": "attention", "attention": {**attention, "stride": 16}}
    assert set(said["cams"]) == {"multiscale"}


def test_an_alias_of_the_base_is_changed_in_one_place(checkout: Path) -> None:
    both = BASE.replace("crf: {", "crf: &crf {") + "evaluation: {standard: {crf: *crf}}\n"
    said = based("evaluation: {standard: {crf: {iterations: 9}}}\n", base=both)
    assert (said["superpixels"]["dino"]["crf"]["iterations"], said["evaluation"]["standard"]["crf"]["iterations"]) == (5, 9)


def test_what_to_do_is_the_recipes_own_or_else_its_bases(checkout: Path) -> None:
    based("cams: {multiscale: {stride: 2}}\n")
    assert "next: feed the cat\n" in recipe("own").output
    Path("recipes/own.yaml").write_text("# Own\n# next: feed the dog\nbased_on: base\n")
    said = recipe("own").output
    assert "next: feed the dog\n" in said and "the cat" not in said


def test_a_paper_is_the_recipes_own_or_else_its_bases_and_other_facts_are_its_own(checkout: Path) -> None:
    facts = '# paper: Roe et al., "What is it?", CVPR 2021\n# published: mIoU 12.3 val\n# needs: a GPU\n'
    based("cams: {multiscale: {stride: 2}}\n", base=BASE.replace("# next", f"{facts}# next"))
    base, own = read_recipe("base"), read_recipe("own")
    assert (base.paper, base.published, base.needs) == ('Roe et al., "What is it?", CVPR 2021', "mIoU 12.3 val", "a GPU")
    assert (own.paper, own.published, own.needs) == (base.paper, "", "")
    Path("recipes/own.yaml").write_text('# Own\n# paper: Doe, "It", 1999; Roe, "That", PAMI 2000\n# published: 1\nbased_on: base\n')
    own = read_recipe("own")
    assert (own.paper, own.published, own.needs) == ('Doe, "It", 1999; Roe, "That", PAMI 2000', "1", "")


@pytest.mark.parametrize(
    ("facts", "problem"),
    [
        ("# published: 1\n# published: 2\n", "published: found '1' and '2'; expected one line; correct it"),
        ("# needs:\n", "needs: found ''; expected something, or no such line; correct it"),
        ("# paper: Roe 2021\n", "paper: found 'Roe 2021'; expected authors, \"title\", where and in which year; "),
        ('# paper: Roe, "What is it?", 2021; Doe\n', 'paper: found \'Roe, "What is it?", 2021; Doe\'; expected authors, "title", wh'),
        ('# paper: Roe, "The year 2021", CVPR\n', 'paper: found \'Roe, "The year 2021", CVPR\'; expected authors, "title", where and '),
    ],
)
def test_facts_that_cannot_be(checkout: Path, facts: str, problem: str) -> None:
    Path("recipes/own.yaml").write_text(f"# Own\n{facts}{BASE}")
    with pytest.raises(ParamsError) as error:
        read_recipe("own")
    assert str(error.value).startswith(f"recipes/own.yaml, # {problem}")


def test_a_base_of_a_base(checkout: Path) -> None:
    based("cams: {multiscale: {stride: 2}}\n")
    Path("recipes/third.yaml").write_text("based_on: own\nseeds: {superpixel_background: {threshold: 0.75}}\n")
    said = read_recipe("third").plain()
    assert said["cams"]["multiscale"]["stride"] == 2 and said["seeds"]["superpixel_background"]["threshold"] == 0.75
    assert read_recipe("third").tasks == ("feed the cat",)


@pytest.mark.parametrize(
    ("base", "problem"),
    [
        (
            "based_on: vc12_superpixels\n",
            "own.yaml: based_on: found 'vc12_superpixels'; expected one of: base, coco14_crf, coco14_fbr, coco14_fbr_saliency, coco",
        ),
        ("based_on: own\n", "own.yaml: based_on: found a cycle: own -> own; expected a recipe that is not based on this one; break it"),
        ("based_on: base\n", "base.yaml: based_on: found a cycle: own -> base -> own; expected a recipe that is not based on this one"),
        ("based_on: base\nblocks: seeds.psa\n", "own.yaml: blocks: found 'seeds.psa'; expected a list such as [seeds.psa]; correct it"),
        ("based_on: quick\nblocks: [seeds.pza]\n", "own.yaml: blocks: found 'seeds.pza'; expected one of: affinity.irn, affinity.psa"),
        ("based_on: [base]\n", "own.yaml: based_on: found ['base']; expected the name of a recipe; correct it"),
        ("seeds: {treshold: 1}\n", "own.yaml: seeds.treshold: found a name that nothing reads; expected one of: "),
    ],
)
def test_a_base_that_cannot_be(checkout: Path, base: str, problem: str) -> None:
    before = checkout.read_text()
    Path("recipes/base.yaml").write_text("based_on: own\n")
    Path("recipes/own.yaml").write_text(base)
    done = recipe("own")
    assert done.exit_code == 2 and done.stderr.count("\n") == 1 and checkout.read_text() == before
    assert done.stderr.startswith(f"error: recipes/{problem}")


def test_a_mistake_is_told_of_the_file_that_has_it(checkout: Path) -> None:
    with pytest.raises(ParamsError, match=r"^recipes/base.yaml: cams.multiscale.strid: found a name that nothing reads"):
        based("cams: {multiscale: {stride: 2}}\n", base=BASE.replace("stride", "strid"))
