"""`seedbed recipe` without a name: what it says of every recipe."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from seedbed.tools.recipe_files import list_recipes
from seedbed.tools.recipe_listing import tabulate_recipes
from tests.conftest import PROJECT
from tests.support.recipes import RECIPES, recipe

LEARNS = "training: {epochs: 4}, augmentation: {crop: 96}"
OWN = """\
# Pets by stars, and by [weights]: of mine
# next: feed the cat
# paper: Roe et al., "What is it?", CVPR 2021; van der Doe, "That", 2022 (arXiv 2201.01234)
# published: mIoU 12.3 val
# needs: a GPU
dataset: {root: data/raw/pets}
classifier: {method: cam, cam: {backbone: {network: resnet50.tv_in1k, initial_weights: {source: hub, file: ""}}, training: {epochs: 4}}}
cams: {method: multiscale, multiscale: {scales: [1, 2], flip: true}}
saliency: {method: files}
"""
OTHER = """\
# Pets by moons
# next: nothing
dataset: {root: data/raw/pets}
classifier: {method: cam, cam: {backbone: {network: resnet38, initial_weights: {source: file, file: data/weights/own.pth}}}}
"""
SHOWN = """\
Pets by (data/raw/pets)
 recipe  what it is, whose, and published         what it needs, and costs
 other   moons                                    weights (file)
 own     stars, and by [weights]                  a GPU, saliency, weights (hub)
         Roe 2021, van der Doe 2022               1 training, 4 passes
         mIoU 12.3 val                            4 views of an image
"""


def listed(width: int = 100) -> str:
    """The listing in a terminal of that width, without spaces at the ends of lines."""
    console = Console(width=width, file=io.StringIO())
    for table in tabulate_recipes():
        console.print(table)
    assert isinstance(console.file, io.StringIO)
    return "".join(f"{line.rstrip()}\n" for line in console.file.getvalue().splitlines())


@pytest.fixture
def own(checkout: Path) -> Path:
    """A project with two recipes of its own and no others. Returns its params.yaml."""
    for file in Path("recipes").glob("*.yaml"):
        file.unlink()
    Path("recipes/own.yaml").write_text(OWN)
    Path("recipes/other.yaml").write_text(OTHER)
    return checkout


def test_every_recipe_is_listed_by_data_set(checkout: Path) -> None:
    text = listed()
    assert all(text.count(f"\n {name} ") == 1 for name in RECIPES)
    assert max(map(len, text.splitlines())) <= 100
    assert (
        """\
PASCAL VOC 2012 (data/raw/voc)
 voc12_crf             with masks by a CRF                      a GPU, weights (hub)
                       Zhou 2016, Krähenbühl 2011               2 trainings, 20 passes of 448-512 px
                                                                11 views of an image
 voc12_fbr             by FBR on AMN                            a GPU, weights (hub)
                       Yin 2024                                 4 trainings, 28 passes of 448-512 px
                       mIoU 73.1 of masks of train, 71.8 val,   21 views of an image
                       73.2 test
 voc12_fbr_saliency    by FBR with saliency                     a GPU, saliency, weights (hub, file)
"""
        in text
    )
    assert (
        """\
 voc6_masking          by image masking                         saliency, weights (hub)
                       Kim 2022                                 2 trainings, 7 passes of 160-240 px
                                                                5 views of an image
"""
        in text
    )
    assert (
        """\
data/raw/photographs
 quick                 Your own photographs in minutes,         weights (hub)
                       without a GPU                            1 training on features
                                                                1 view of an image
"""
        in text
    )


def test_what_is_said_of_a_recipe(own: Path) -> None:
    assert listed() == SHOWN
    Path("data/weights").mkdir(parents=True)
    Path("data/weights/own.pth").touch()
    assert " other   moons                                    nothing\n" in listed()


def test_recipes_of_no_data_set_and_none_at_all(own: Path) -> None:
    Path("recipes/other.yaml").write_text("# Moons\ncams: {multiscale: {stride: 2}}\n")
    text = listed()
    assert text.startswith("no data set\n recipe  what ") and "\n other   Moons " in text
    assert "\ndata/raw/pets\n own     Pets by stars, and by [weights]" in text
    for name in ("own", "other"):
        Path(f"recipes/{name}.yaml").unlink()
    assert listed() == ""


def test_the_time_that_a_recipe_takes_here_is_said_where_it_has_run(own: Path) -> None:
    Path("recipes/own.yaml").write_text("# Mine\ndataset: {root: data/raw/pets}\nclassifier: {method: cam, cam: {pooled_above: 0.5}}\n")
    own.write_text("dataset: {root: data/raw/pets}\nclassifier: {method: cam, cam: {pooled_above: 0.5, training: {epochs: 4}}}\ncams: {}\n")
    before = listed()
    assert "here" not in before
    runs = Path("data/.work/classifier/runs.jsonl")
    runs.parent.mkdir(parents=True)
    assert listed() == before
    runs.write_text("".join(json.dumps({"computed": 8, "seconds": seconds}) + "\n" for seconds in (9, 300)))
    assert "here 5 min, and what never ran\n" in listed()
    own.write_text(own.read_text().replace("0.5", "0.6"))
    assert listed() == before, "params.yaml has other parameters"


def test_the_command_lists_recipes_then_blocks(checkout: Path) -> None:
    said = recipe().output
    assert said.startswith("COCO 2014 (data/raw/coco)") and "\nseeds.threshold: Seeds by two thresholds" in said
    assert said.index("\nPublished figures are as the sources state them.") > said.index(" voc6_usage_deit ")


def test_a_pipeline_of_its_own_lists_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(PROJECT / "pipelines" / "mis")
    text = listed()
    assert [line.split()[0] for line in text.splitlines() if "_" in line.split()[0]] == list_recipes()
    assert "clicks on SBD to an IoU of 0.85: 6.91," in text and "Li 2023" in text and "1 training, 55 passes of 448 px" in text


def test_a_listing_loads_no_networks(checkout: Path) -> None:
    asked = "import sys; from seedbed.tools.recipe_listing import tabulate_recipes as asked; list(asked()); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True, env=None)
    assert not {"torch", "timm", "zarr", "dvc", "cv2", "scipy"} & set(done.stdout.split())
