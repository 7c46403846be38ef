"""What the page is told: images in any order, layers as they are stored, trials as the stages would make them, and nothing else."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PillowImage
from ruamel.yaml import YAML

from seedbed import instances, saliency
from seedbed.params import rebuild
from seedbed.reads import read_class_maps
from seedbed.seeds.superpixel_background import SuperpixelBackground
from seedbed.seeds.threshold import Threshold
from seedbed.store.artifact import open_artifact
from seedbed.types import CellEdges
from seedbed.view.app import Pending
from tests.support.evidence import scored
from tests.view.conftest import CELL, CLASSES, IDS, INSTANCES, KINDS, SALIENCY, SIZE, TRUTHS, Page, make_edges, make_maps, make_regions

Look = Callable[..., Page]
TRIED = ["superpixels", "seeds", "refinement", "instances", "saliency", "evaluation"]


@pytest.fixture
def page(look: Look, finished: Path) -> Page:
    return look(finished)


# --- What there is ---


def test_the_run_is_described(page: Page) -> None:
    run = page.json("run")
    assert run["runs"] == {"a": page.root.name} or len(run["runs"]) == 1
    assert (run["images"], run["classes"], run["splits"]) == (3, ["background", *CLASSES], ["train", "val"])
    assert [f"{one['artifact']}.{one['array']}" for one in run["layers"]] == [
        "superpixels.regions",
        "cams.maps",
        "seeds.labels",
        "edges.boundaries",
        "edges.displacement",
        "refinement.labels",
        "refinement.confidence",
        "instances.things",
        "saliency.saliency",
        "saliency.objects",
        "predictions.probabilities",
        "evaluation.refined",
    ]
    assert run["tried"] == TRIED and run["problems"] == []
    assert len(run["things"]) == 256 and run["things"][1] not in run["palette"]
    assert len(run["palette"]) == 3 and run["palette"][0] == [0, 0, 0]


def ids(page: Page, **asked: object) -> list[str]:
    return [one["id"] for one in page.json("images", **asked)["images"]]


def test_images_are_filtered(page: Page) -> None:
    assert ids(page) == list(IDS)
    assert ids(page, split="val") == [IDS[2]]
    assert ids(page, **{"class": CLASSES[1]}) == [IDS[1]]
    assert ids(page, labelled="yes") == list(IDS[:2]) and ids(page, labelled="no") == [IDS[2]]
    assert ids(page, text="SCRIPT") == [IDS[0]]
    assert ids(page, first=1, count=1) == [IDS[1]]
    assert page.json("images", split="val", **{"class": CLASSES[1]}) == {"total": 0, "first": 0, "images": []}


def test_images_are_sorted_and_those_of_which_nothing_is_known_stand_last(page: Page) -> None:
    found = page.json("images", sort="smallest:seeds")["images"]
    assert [(one["id"], one["value"]) for one in found] == [(IDS[2], 16), (IDS[1], 108), (IDS[0], 128)]
    assert ids(page, sort="smallest:seeds", order="descending") == [IDS[0], IDS[1], IDS[2]]
    assert ids(page, order="descending") == list(reversed(IDS))
    predicted = page.json("images", sort="miou:predictions")["images"]
    assert predicted[0]["id"] == IDS[2] and predicted[0]["value"] is not None and [one["value"] for one in predicted[1:]] == [None, None]
    assert set(page.json("run")["sorts"]) >= {"miou:masks", "ignored:seeds", "violations:masks", "disagreement:masks:predictions"}


def test_an_image_knows_its_neighbours_in_the_list(page: Page) -> None:
    asked = {"sort": "smallest:seeds"}
    assert page.json("images", near=IDS[1], **asked) == {"total": 3, "place": 1, "before": IDS[2], "after": IDS[0]}
    assert page.json("images", near=IDS[2], split="train") == {"total": 2, "place": -1, "before": None, "after": None}


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"sort": "beauty"}, "sort: found 'beauty'; expected one of: "),
        ({"class": "cow"}, "class: found 'cow'; expected one of: background, cat"),
        ({"split": "test"}, "split: found 'test'; expected one of: train, val"),
        ({"first": "-1"}, "first: found '-1'; expected a whole number"),
        ({"count": "9" * 30}, "count: found '99"),
    ],
)
def test_a_question_that_makes_no_sense(page: Page, asked: dict[str, str], said: str) -> None:
    assert page.json("images", **asked)["error"].startswith(said)


# --- Layers ---


def test_an_image_tells_its_layers(page: Page) -> None:
    image = page.json("image", id=IDS[1])
    assert (image["size"], image["labelled"], image["classes"], image["splits"]) == (list(SIZE), True, [1, 2], ["train"])
    layers = {f"{one['artifact']}.{one['array']}": one for one in image["a"]["layers"]}
    assert layers["cams.maps"]["classes"] == [1, 2] and "predictions.probabilities" not in layers
    assert image["a"]["problems"] == [] and "instances.things" not in layers
    layers = {f"{one['artifact']}.{one['array']}": one for one in page.json("image", id=IDS[0])["a"]["layers"]}
    assert layers["instances.things"]["things"] == [[1, 1], [1, 0.5]] and layers["cams.maps"]["things"] == []
    assert image["figures"]["mIoU of masks"] == 1


def test_layers_are_sent_as_they_are(page: Page) -> None:
    asked = {"id": IDS[0], "artifact": "refinement"}
    assert np.array_equal(page.array("layer", **asked, array="labels"), TRUTHS[0])
    assert np.unique(page.array("layer", **asked, array="confidence")).tolist() == [200]
    assert np.array_equal(page.array("layer", id=IDS[0], artifact="superpixels", array="regions"), make_regions())
    assert np.unique(page.array("layer", id=IDS[0], artifact="instances", array="things")[4:12]).tolist() == [0, 1, 2]
    maps = page.array("layer", id=IDS[1], artifact="cams", array="maps", **{"class": 2})
    assert np.abs(maps / 255 - make_maps(1).maps[1]).max() < 0.003 and maps.shape == SIZE
    strongest = page.array("layer", id=IDS[1], artifact="cams", array="maps")
    assert np.abs(strongest / 255 - make_maps(1).maps.max(axis=0)).max() < 0.003
    labels = page.array("layer", id=IDS[2], artifact="predictions", array="probabilities")
    assert np.unique(labels[:, :18]).tolist() == [0] and np.unique(labels[:, 18:]).tolist() == [1]
    assert np.array_equal(page.array("truth", id=IDS[2]), TRUTHS[2])


def test_a_layer_may_be_sent_smaller(page: Page) -> None:
    assert page.array("layer", id=IDS[0], artifact="refinement", array="labels", side=18).shape == (12, 18)
    assert page.array("layer", id=IDS[0], artifact="refinement", array="labels", side=999).shape == SIZE


def test_a_photograph_is_sent_as_the_stages_see_it(page: Page, tmp_path: Path) -> None:
    answer = page.client.get("/api/photo", params={"id": IDS[0], "side": "18"})
    (tmp_path / "a.jpg").write_bytes(answer.content)
    with PillowImage.open(tmp_path / "a.jpg") as opened:
        assert (opened.format, opened.size) == ("JPEG", (18, 12))


# --- Trials ---


def test_a_trial_is_what_the_method_makes(page: Page) -> None:
    tried = page.array("try", stage="seeds", id=IDS[1], set__threshold="0.15")
    maps = read_class_maps(open_artifact("cams", folder=page.root / "data"), IDS[1])
    assert np.array_equal(tried, SuperpixelBackground(threshold=0.15).label(scored(maps, make_regions())))
    assert not np.array_equal(tried, page.array("try", stage="seeds", id=IDS[1]))
    above = page.array("try", stage="evaluation", id=IDS[1], set__threshold="0.5")
    assert np.array_equal(above > 0, maps.maps.max(axis=0) > 0.5)


def test_saliency_and_things_are_tried_as_their_stages_would_make_them(page: Page) -> None:
    maps = read_class_maps(open_artifact("cams", folder=page.root / "data"), IDS[1])
    known = dataclasses.replace(scored(maps, make_regions()), edges=CellEdges(**make_edges(), stride=CELL))
    for adds_above, expected in ((0.8, [0, 1]), (0.4, [1])):  # a quarter of the image has a relative score of 0.5
        correction = {**SALIENCY["correction"], "adds_above": adds_above}
        method = rebuild(saliency.Method, "unsupervised", {**SALIENCY, "correction": correction}, where="test")
        objects = method.find(known, np.zeros(SIZE, np.float32)).objects
        tried = page.array("try", stage="saliency", id=IDS[1], set__correction__adds_above=adds_above)
        assert np.array_equal(tried, 255 * objects) and np.unique(objects).tolist() == expected
    [parted] = rebuild(instances.Method, "irn", {**INSTANCES, "most": 1}, where="test").part([known])
    answer = page.client.get("/api/try", params={"stage": "instances", "id": IDS[1], "set.most": "1"})
    assert np.array_equal(np.frombuffer(answer.content, np.uint8).reshape(SIZE), parted.things) and parted.things.any()
    assert json.loads(answer.headers["x-things"]) == [[2, 1.0]]
    told = {stage: page.json("knobs", stage=stage)["shown"] for stage in TRIED}
    assert told == {**dict.fromkeys(TRIED, "labels"), "superpixels": "regions", "instances": "things", "saliency": "objects"}
    nested = page.json("try", stage="saliency", set__correction__adds_above="0.9")
    assert nested["params"] == "saliency:\n  unsupervised:\n    correction:\n      adds_above: 0.9\n" and nested["runs"] == ["saliency"]


def with_saliency(finished: Path, root: Path, **section: object) -> Path:
    """A copy of a run whose parameters say something else of saliency."""
    shutil.copytree(finished, root)
    yaml = YAML()
    content = yaml.load(root / "params.yaml")
    content["saliency"] |= section
    yaml.dump(content, root / "params.yaml")
    return root


def test_maps_of_a_detector_are_tried_as_they_lie_in_their_folder(finished: Path, tmp_path: Path, look: Look) -> None:
    files = {"threshold": 0.5, "correction": {"adds_above": 1, "doubts_below": 0.15}}
    root = with_saliency(finished, tmp_path / "run", method="files", folder="maps", superpixels="none", files=files)
    page, ramp = look(root), np.linspace(0, 1, SIZE[0] * SIZE[1]).reshape(SIZE)
    file = root / "maps" / f"{IDS[0]}.npy"
    file.parent.mkdir(parents=True)
    with file.open("wb") as out:
        np.lib.format.write_array(out, ramp)
    tried = page.array("try", stage="saliency", id=IDS[0], set__threshold="0.3")
    assert np.array_equal(tried, np.where(ramp > 0.3, np.where(make_regions() == 3, 127, 255), 0))  # where scores are lowest
    assert page.json("try", stage="saliency", id=IDS[1])["error"].startswith(
        f"{root / 'maps'}: found 1 maps that cannot be used: {IDS[1]}: no map"
    )
    assert page.json("try", stage="saliency", id="../params") == {"error": "no image '../params'"}


def test_a_trial_reads_what_the_stage_would_read(finished: Path, tmp_path: Path, look: Look) -> None:
    page = look(with_saliency(finished, tmp_path / "run", class_maps="none"))
    assert page.json("try", stage="saliency", id=IDS[0])["error"].startswith(
        "params.yaml: saliency.class_maps: found 'none'; expected an artifact of the kind cams, because the selected method corrects"
    )
    off = {"set.correction.adds_above": "1", "set.correction.doubts_below": "0"}
    uncorrected = page.array("try", stage="saliency", id=IDS[0], set__threshold="0", **off)
    assert np.array_equal(uncorrected, look(finished).array("try", stage="saliency", id=IDS[0], set__threshold="0", **off))
    assert page.json("try", stage="saliency", id=IDS[0], set__degree="1", **off)["error"].startswith(
        "params.yaml: saliency.features: found 'none'"
    )


def test_a_stage_that_makes_nothing_is_not_tried_and_one_that_is_wrong_says_so(finished: Path, tmp_path: Path, look: Look) -> None:
    assert "saliency" not in look(with_saliency(finished, tmp_path / "none", method="none")).json("run")["tried"]
    page = look(with_saliency(finished, tmp_path / "wrong", method="filez"))
    assert page.json("run")["tried"] == TRIED
    assert "found 'filez'; expected one of: files, none, unsupervised" in page.json("knobs", stage="saliency")["error"]


def test_knobs_have_the_bounds_of_their_parameters(page: Page) -> None:
    found = page.json("knobs", stage="seeds")
    assert found["method"] == "superpixel_background"
    [knob] = found["knobs"]
    assert (knob["address"], knob["value"], knob["whole"], knob["lowest"], knob["highest"]) == ("threshold", 0.8, False, 0, 1)
    assert knob["meaning"].startswith("paper: alpha")
    nested = {one["address"]: one for one in page.json("knobs", stage="refinement")["knobs"]}
    assert nested["crf.iterations"]["whole"] is True


def test_a_trial_says_what_to_write_and_what_would_run(page: Page) -> None:
    told = page.json("try", stage="seeds", set__threshold="0.15")
    assert told["params"] == "seeds:\n  superpixel_background:\n    threshold: 0.15\n"
    assert told["runs"] == ["seeds"] and told["perhaps"] == ["segmenter", "predictions", "evaluation"]
    nested = page.json("try", stage="refinement", set__crf__iterations="3", set__background_power="2")
    assert nested["params"] == "refinement:\n  crf:\n    crf:\n      iterations: 3\n    background_power: 2\n"
    assert page.json("try", stage="seeds") == {"params": "", "runs": [], "perhaps": []}


def test_what_would_run_anyway_is_told_of_the_run_that_is_looked_at(look: Look, finished: Path, worse: Path) -> None:
    page = look(finished, worse, pending=[Pending("cams", "stale", ("made with stride 2", "made by another code"))])
    assert page.json("pending") == {
        "stages": [{"stage": "cams", "verdict": "stale", "reasons": ["made with stride 2", "made by another code"]}]
    }
    assert page.json("pending", run="b") == {"stages": []}


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"stage": "classifier"}, "stage: found 'classifier'; expected one of: superpixels, seeds, refinement, instances, "),
        ({"stage": "seeds", "set__threshold": "2"}, "tried: seeds.superpixel_background.threshold: found 2"),
        ({"stage": "seeds", "set__threshold": "x"}, "seeds.superpixel_background.threshold: found 'x'; expected a number"),
        ({"stage": "seeds", "set__name": "1"}, "seeds.superpixel_background.name: found no number of this method"),
    ],
)
def test_a_trial_that_cannot_be(page: Page, asked: dict[str, str], said: str) -> None:
    assert page.json("try", id=IDS[0], **asked)["error"].startswith(said)


def test_every_superpixel_says_why_it_became_what_it_is(page: Page) -> None:
    regions = page.json("regions", id=IDS[0], artifact="superpixels")["regions"]
    assert [one["pixels"] for one in regions] == [216, 216, 216, 216]
    assert regions[3]["why"].startswith("background: the mean of its strongest scores is 0.1") and regions[3]["seeds"] == {}
    assert regions[0]["why"].startswith("not background: the mean of its strongest scores is ") and regions[0]["seeds"] == {"1": 112}
    assert regions[0]["scores"]["1"] == pytest.approx(0.2 + 0.7 * 112 / 216, abs=2e-3)


def test_a_second_round_is_tried_and_told_by_what_its_slots_name(finished: Path, tmp_path: Path, look: Look) -> None:
    root = tmp_path / "run"
    shutil.copytree(finished, root)
    for kind in ("superpixels", "seeds"):
        shutil.copytree(root / "data" / f"{kind}.zarr", root / "data" / f"{kind}_second.zarr")
    yaml = YAML()
    content = yaml.load(root / "params.yaml")
    content["seeds_second"] = {**content["seeds"], "superpixels": "superpixels_second"}
    block = content["seeds"]["threshold"]
    slots = {"class_maps": "cams", "superpixels": "none", "features": "none", "corrections": "data/none.zarr"}
    content["seeds_third"] = {"method": "threshold", **slots, "threshold": block}
    yaml.dump(content, root / "params.yaml")
    page = look(root)
    assert page.json("run")["tried"] == [*TRIED, "seeds_second", "seeds_third"]
    first, second = (page.array("try", stage=stage, id=IDS[1], set__threshold="0.15") for stage in ("seeds", "seeds_second"))
    assert np.array_equal(first, second)
    maps = read_class_maps(open_artifact("cams", folder=root / "data"), IDS[1])
    third = page.array("try", stage="seeds_third", id=IDS[1], set__foreground="0.6")
    assert np.array_equal(third, Threshold(foreground=0.6, background=0.1).label(scored(maps, make_regions())))
    assert page.json("try", stage="seeds_third", set__foreground="0.6")["params"] == "seeds_third:\n  threshold:\n    foreground: 0.6\n"
    told = page.json("regions", id=IDS[0], artifact="superpixels_second")["regions"]
    assert told == page.json("regions", id=IDS[0], artifact="superpixels")["regions"]


# --- Two runs ---


def test_two_runs_are_sorted_by_gain(look: Look, finished: Path, worse: Path) -> None:
    page = look(finished, worse)
    assert len(page.json("run")["runs"]) == 2
    found = page.json("images", sort="gain:masks", order="descending")["images"]
    assert found[0]["id"] == IDS[0] and found[0]["value"] > 0.2 and [one["value"] for one in found[1:]] == [0, 0]
    asked = {"id": IDS[0], "artifact": "refinement", "array": "labels"}
    assert (page.array("layer", **asked, run="a") != page.array("layer", **asked, run="b")).sum() == 64
    assert page.json("layer", **asked, run="c")["error"].startswith("run: found 'c'; expected a or b")


# --- What is missing or damaged, and what changes meanwhile ---


def test_a_damaged_artifact_is_told_in_its_place(look: Look, finished: Path, tmp_path: Path) -> None:
    root = tmp_path / "run"
    shutil.copytree(finished, root)
    page = look(root)
    assert len(page.json("images")["images"]) == 3
    for file in (root / "data/seeds.zarr/labels").rglob("*"):
        if file.is_file() and file.name != "zarr.json":
            content = bytearray(file.read_bytes())
            content[len(content) // 3] ^= 255
            file.write_bytes(content)
    shutil.rmtree(root / "data/superpixels.zarr/regions")
    layers = {one["artifact"] for one in page.json("image", id=IDS[0])["a"]["layers"]}
    assert layers >= {"cams", "refinement"}
    assert "superpixels.zarr: found no regions" in page.json("image", id=IDS[0])["a"]["problems"][0]
    assert "run `seedbed verify`" in page.json("layer", id=IDS[0], artifact="seeds", array="labels")["error"]


def test_what_a_stage_replaces_is_seen_and_what_it_removes_is_told(look: Look, finished: Path, worse: Path, tmp_path: Path) -> None:
    root = tmp_path / "run"
    shutil.copytree(finished, root)
    page, asked = look(root), {"id": IDS[0], "artifact": "refinement", "array": "labels"}
    before = page.array("layer", **asked)
    shutil.rmtree(root / "data/refinement.zarr")
    assert page.json("layer", **asked)["error"].startswith("refinement: found no such artifact")
    shutil.copytree(worse / "data/refinement.zarr", root / "data/refinement.zarr")
    assert (page.array("layer", **asked) != before).sum() == 64


def test_a_photograph_that_is_another_is_not_sent(look: Look, finished: Path, tmp_path: Path) -> None:
    root = tmp_path / "run"
    shutil.copytree(finished, root)
    file = root / "data/raw/tiny/images/0.png"
    file.unlink()
    (tmp_path / "secret").write_text("secret")
    file.symlink_to(tmp_path / "secret")
    answer = look(root).client.get("/api/photo", params={"id": IDS[0]})
    assert (
        answer.status_code == 409
        and "found another file than the one indexed" in answer.json()["error"]
        and b"secret\n" not in answer.content
    )


# --- Who may ask, and for what ---


@pytest.mark.parametrize("name", ["../../params.yaml", "%2e%2e/app.py", "app.py", "", "..%2f..%2fetc%2fpasswd", "index.html%00"])
def test_only_files_of_the_page_are_served(page: Page, name: str) -> None:
    assert page.client.get(f"/page/{name}").status_code == 404


@pytest.mark.parametrize("name", ["../refinement", "/etc/passwd", "dataset", "raw", "", "refinement.zarr"])
def test_only_artifacts_of_the_run_are_read(page: Page, name: str) -> None:
    answer = page.client.get("/api/layer", params={"id": IDS[0], "artifact": name, "array": "labels"})
    assert answer.status_code in (404, 409) and "error" in answer.json()


@pytest.mark.parametrize("array", ["ids", "size", "labels/c", "../labels", "zarr.json"])
def test_only_arrays_that_can_be_seen_are_sent(page: Page, array: str) -> None:
    assert "error" in page.json("layer", id=IDS[0], artifact="refinement", array=array)


def test_an_unknown_image_is_told(page: Page) -> None:
    for name in ("image", "photo", "truth", "regions"):
        answer = page.client.get(f"/api/{name}", params={"id": "../../etc/passwd", "artifact": "superpixels"})
        assert (answer.status_code, answer.json()) == (404, {"error": "no image '../../etc/passwd'"})


@pytest.mark.parametrize(("name", "missing"), [("image", "id"), ("layer", "artifact"), ("knobs", "stage"), ("truth", "id")])
def test_a_question_that_lacks_something_is_told_what(page: Page, name: str, missing: str) -> None:
    assert page.json(name) == {"error": f"{missing}: found nothing; expected a value in the address; add it"}


def test_nothing_can_be_written(page: Page) -> None:
    for method in ("POST", "PUT", "DELETE", "PATCH"):
        assert page.client.request(method, "/api/images").status_code == 405


def test_the_page_runs_its_own_scripts_alone(page: Page) -> None:
    answer = page.client.get("/")
    assert answer.status_code == 200 and answer.headers["content-type"].startswith("text/html")
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy and "script-src 'self';" in policy and "unsafe" not in policy
    assert answer.headers["referrer-policy"] == "no-referrer" and answer.headers["x-content-type-options"] == "nosniff"


def test_an_address_of_another_name_is_refused(look: Look, finished: Path) -> None:
    page = look(finished, hosts=("127.0.0.1", "localhost"))
    assert page.client.get("/api/run", headers={"host": "evil.example:8888"}).status_code == 403
    assert page.client.get("/api/run", headers={"host": "localhost:8888"}).status_code == 200


def test_a_token_is_asked_for_once(look: Look, finished: Path) -> None:
    page = look(finished, token="se-cret")
    assert page.client.get("/api/run").status_code == 403
    assert page.client.get("/", params={"token": "other"}).status_code == 403
    answer = page.client.get("/", params={"token": "se-cret", "id": "x"}, follow_redirects=False)
    assert answer.status_code == 307 and "token" not in answer.headers["location"] and "id=x" in answer.headers["location"]
    assert "HttpOnly" in answer.headers["set-cookie"] and "samesite=strict" in answer.headers["set-cookie"].lower()


def test_whoever_has_the_token_is_answered(look: Look, finished: Path) -> None:
    page = look(finished, token="secret")
    assert page.client.get("/", params={"token": "secret"}).status_code == 200
    assert page.client.get("/api/run").status_code == 200


def test_every_kind_of_labels_is_judged(page: Page) -> None:
    assert {one.split(":")[1] for one in page.json("run")["sorts"] if one.startswith("miou")} == set(KINDS)
