"""What can be known to fail is told before anything runs, all of it, with its place."""

from __future__ import annotations

import contextlib
import hashlib
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from seedbed.errors import ParamsError
from seedbed.params import Params
from seedbed.run import memory
from seedbed.run.slots import find_wrong_splits
from seedbed.store.artifact import Artifact
from seedbed.tools import preflight
from seedbed.tools.recipe_files import read_block, read_recipe
from seedbed.tools.rounds import add
from tests.stages.miniature import STAGES

Content = dict[str, Any]
Edit = Callable[[Content], object]


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """An empty project, in which the test runs."""
    with contextlib.chdir(tmp_path):
        yield tmp_path


def told(content: Content, *stages: str) -> list[str]:
    """What is said before these stages, or all, run."""
    return [str(one) for one in preflight.find_problems(stages or STAGES, Params(content))]


def mine(content: Content, rows: str = "a.png,cat,train\n") -> None:
    """Let params.yaml name a folder of somebody's own."""
    root = Path("data/raw/mine")
    root.mkdir(parents=True)
    (root / "labels.csv").write_text(f"image,labels,split\n{rows}", encoding="utf-8")
    content["dataset"] |= {"method": "folder", "root": str(root), "folder": {"classes": ["cat", "dog"], "complete": False}}


def refusal(content: Content) -> str:
    """What is said before DVC is asked."""
    with pytest.raises(ParamsError) as refused:
        preflight.check(Params(content))
    return str(refused.value)


@pytest.mark.usefixtures("folder")
def test_nothing_is_said_of_the_project_s_own_parameters(content: Content) -> None:
    assert told(content) == []
    preflight.check(Params(content))
    assert list(preflight.find_shortages(STAGES, Params(content))) == []


# --- What DVC knows ---


@pytest.mark.usefixtures("folder")
def test_a_folder_of_maps_that_is_not_there(content: Content, project: Path) -> None:
    shutil.copy(project / "dvc.yaml", "dvc.yaml")
    content["saliency"] |= {"method": "files", "folder": "maps", "class_maps": "cams"}
    told = "params.yaml: saliency.folder: found 'maps', no such file; expected a folder; put it there, or correct it"
    assert refusal(content) == told
    Path("maps").mkdir()
    preflight.check(Params(content))


@pytest.mark.usefixtures("folder")
def test_a_slot_that_dvc_does_not_know(content: Content, project: Path) -> None:
    shutil.copy(project / "dvc.yaml", "dvc.yaml")
    preflight.check(Params(content))
    content["evaluation"]["labels"]["others"] = "seeds"
    assert refusal(content) == (
        "params.yaml: evaluation.labels.others: found a slot that DVC does not know; expected data/${evaluation.labels.others}.zarr among "
        "the dependencies of evaluation in dvc.yaml; add it there"
    )
    content["evaluation"]["labels"]["others"] = "none"
    preflight.check(Params(content))


@pytest.mark.usefixtures("folder")
def test_a_slot_that_names_what_no_stage_makes(content: Content, project: Path) -> None:
    shutil.copy(project / "dvc.yaml", "dvc.yaml")
    content["cams"]["classifier"] = "classifier_secnd"
    assert refusal(content) == (
        "params.yaml: cams.classifier: found 'classifier_secnd'; expected an artifact that a stage of dvc.yaml makes (nearest: "
        "classifier); correct it, or add the stage with `seedbed round`"
    )


@pytest.mark.usefixtures("folder")
def test_a_slot_of_a_second_stage_that_dvc_does_not_know(project: Path) -> None:
    for name in ("dvc.yaml", "params.yaml"):
        shutil.copy(project / name, name)
    assert [*add("second", ["classifier", "cams", "refinement"])]
    second = Params.read()
    preflight.check(second)
    text = Path("dvc.yaml").read_text(encoding="utf-8")
    Path("dvc.yaml").write_text(text.replace("${cams_second.classifier}", "${cams.classifier}"), encoding="utf-8")
    with pytest.raises(ParamsError) as refused:
        preflight.check(second)
    assert str(refused.value) == (
        "params.yaml: cams_second.classifier: found a slot that DVC does not know; expected data/${cams_second.classifier}.zarr among "
        "the dependencies of cams_second in dvc.yaml; add it there"
    )


@pytest.mark.usefixtures("folder")
def test_a_stage_that_reads_what_is_made_from_it(content: Content, project: Path) -> None:
    shutil.copy(project / "dvc.yaml", "dvc.yaml")
    content["classifier"]["method"] = "amn"
    content["classifier"]["amn"] = dict(read_block("classifier.amn", folder=project / "recipes").plain()["classifier"]["amn"])
    content["classifier"]["maps"]["labels"] = "seeds"
    assert refusal(content) == (
        "params.yaml: classifier.maps.labels: found 'seeds', which is made from this stage: classifier -> cams -> seeds -> classifier; "
        "expected an artifact that is made without classifier; correct it; `seedbed round` adds stages that learn from the first ones"
    )


@pytest.mark.usefixtures("folder")
def test_a_stage_without_a_section(content: Content, project: Path) -> None:
    shutil.copy(project / "dvc.yaml", "dvc.yaml")
    del content["seeds"]
    with pytest.raises(ParamsError, match=r"^params.yaml: seeds: found nothing; expected a section for this stage; restore it"):
        preflight.check(Params(content))


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("text", ["stages: [", "stages: 3", "[]", ""])
def test_of_a_pipeline_that_cannot_be_read_dvc_speaks(content: Content, text: str) -> None:
    Path("dvc.yaml").write_text(text, encoding="utf-8")
    preflight.check(Params(content))


# --- The data set ---


@pytest.mark.usefixtures("folder")
def test_a_folder_that_is_not_there(content: Content) -> None:
    content["dataset"] |= {"method": "folder", "root": "data/raw/nobody"}
    do = "put it there, or correct dataset.root in params.yaml"
    assert told(content) == [f"data/raw/nobody: found no such folder; expected a folder with the raw data; {do}"]


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("method", "missing", "do"),
    [
        ("folder", "labels.csv", "write it, or labels.jsonl; `seedbed init` makes a start"),
        ("voc", "JPEGImages", "let dataset.root be the folder VOC2012 of the devkit"),
        ("coco", "annotations", "unpack the annotations there"),
    ],
)
def test_a_folder_without_what_its_layout_begins_with(content: Content, method: str, missing: str, do: str) -> None:
    Path("data/raw/mine").mkdir(parents=True)
    content["dataset"] |= {"method": method, "root": "data/raw/mine"}
    assert told(content) == [f"data/raw/mine: found no {missing}; expected a folder with {missing}; {do}"]


@pytest.mark.usefixtures("folder")
def test_a_folder_of_somebody_else_in_the_place_of_a_drawn_world(content: Content) -> None:
    Path("data/raw/shapes/holiday").mkdir(parents=True)
    (message,) = told(content)
    assert message.startswith("data/raw/shapes: found files that do not belong to a drawn world: holiday; expected an empty folder")


@pytest.mark.usefixtures("folder")
def test_an_unknown_class(content: Content) -> None:
    content["dataset"]["classes"] = ["cow", "fihs"]
    assert told(content) == [
        "params.yaml: dataset.classes: found 'fihs' (nearest: fish); expected some of: fish, lizard, bee, tiger, cow, snail; correct it"
    ]
    content["dataset"]["classes"] = ["cow", "cow"]
    assert told(content)[0].startswith("params.yaml: dataset.classes: found 'cow' twice; expected some of: ")


@pytest.mark.usefixtures("folder")
def test_what_was_indexed_is_not_asked_for_again(content: Content) -> None:
    content["dataset"] |= {"method": "folder", "root": "data/raw/nobody"}
    assert told(content, "features", "superpixels") == []


# --- Splits ---

CORRECT = "correct it, or let some belong to it"


@pytest.mark.usefixtures("folder")
def test_a_split_that_nothing_belongs_to(content: Content) -> None:
    mine(content)
    content["classifier"]["split"] = "trian"
    assert told(content) == [
        f"params.yaml: classifier.split: found 'trian', to which no image belongs; expected one of: train (nearest: train); {CORRECT}",
        f"params.yaml: predictions.split: found 'val', to which no image belongs; expected one of: train; {CORRECT}",
    ]


@pytest.mark.usefixtures("folder")
def test_a_split_without_labels_to_learn_from_or_to_judge_by(content: Content) -> None:
    mine(content, "a.png,cat,train\nb.png,,val\nc.png,,new\n")
    content["evaluation"]["split"] = "new"
    content["pretraining"]["split"] = "new"
    do = "correct it, or label some images"
    assert told(content) == [f"params.yaml: evaluation.split: found 'new', of which no image has labels; expected some with labels; {do}"]


@pytest.mark.usefixtures("folder")
def test_splits_of_other_layouts(content: Content) -> None:
    lists, annotations = Path("data/raw/voc/ImageSets/Segmentation"), Path("data/raw/coco/annotations")
    for part in (lists, annotations, Path("data/raw/voc/JPEGImages")):
        part.mkdir(parents=True)
    Path("data/raw/voc/JPEGImages/a.jpg").touch()
    (lists / "train.txt").write_text("a\n", encoding="utf-8")
    (lists / "val.txt").write_text("", encoding="utf-8")
    (annotations / "instances_val2017.json").touch()
    content["dataset"] |= {"method": "voc", "root": "data/raw/voc"}
    assert [one.partition(";")[0] for one in told(content)] == ["params.yaml: predictions.split: found 'val', to which no image belongs"]
    content["dataset"] |= {"method": "coco", "root": "data/raw/coco"}
    assert [one.partition(";")[0] for one in told(content)] == [
        f"params.yaml: {stage}.split: found 'train', to which no image belongs" for stage in ("classifier", "segmenter", "evaluation")
    ]


@pytest.mark.usefixtures("folder")
def test_the_index_tells_where_it_is_up_to_date(content: Content, write_dataset: Callable[..., Artifact]) -> None:
    write_dataset(Path("data"), sizes={"a": (5, 7), "b": (6, 4)}, problems={"b": "broken"})
    others = [stage for stage in STAGES if stage != "dataset"]
    expected = f"params.yaml: predictions.split: found 'val', to which no image belongs; expected one of: train; {CORRECT}"
    assert told(content, *others) == [expected]
    assert told(content, "features") == []


def test_only_pretraining_may_leave_the_split_out() -> None:
    (error,) = find_wrong_splits({"pretraining": "", "predictions": ""}, {"train": True, "val": False})
    assert str(error).startswith("params.yaml: predictions.split: found '', to which no image belongs; expected one of: train, val; ")


# --- Networks and their weights ---


def backbone(content: Content, stage: str, **values: Any) -> None:
    """Change the network of a training."""
    content[stage][content[stage]["method"]]["backbone"] |= values


def weights(source: str, file: str = "", sha256: str = "") -> Content:
    """Initial weights."""
    return {"source": source, "file": file, "sha256": sha256}


@pytest.mark.usefixtures("folder")
def test_a_network_that_timm_does_not_have(content: Content) -> None:
    backbone(content, "segmenter", network="resnet51")
    (message,) = told(content)
    assert message.startswith("params.yaml: segmenter.region_growing.backbone.network: found 'resnet51'; expected a network of timm ")
    assert "(nearest: resnet" in message
    assert told(content, "classifier") == []


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("network", "stride", "expected"),
    [
        (
            "test_resnet",
            7,
            "network: found 'test_resnet', which does not support the output stride 7; expected a convolutional network of timm",
        ),
    ],
)
def test_an_output_stride_that_the_network_does_not_have(content: Content, network: str, stride: int, expected: str) -> None:
    backbone(content, "classifier", network=network, output_stride=stride)
    (message,) = told(content)
    assert message.startswith(f"params.yaml: classifier.cam.backbone.{expected}")


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"architecture": "test_resnet"}, "architecture: found 'test_resnet', which is not a plain vision transformer"),
        ({"architecture": "vit_of_mine"}, "architecture: found 'vit_of_mine'; expected a transformer of timm"),
        ({"block": 99}, "block: found 99; expected 1..6, counted from the end; correct it"),
    ],
)
def test_a_transformer_that_does_not_exist(content: Content, values: Content, expected: str) -> None:
    content["features"] |= {"method": "vit"}
    content["features"]["vit"] |= {"architecture": "test_vit", "patch_size": 16, **values}
    (message,) = told(content)
    assert message.startswith(f"params.yaml: features.vit.{expected}")


@pytest.mark.usefixtures("folder")
def test_a_file_of_weights_that_is_missing_or_another(content: Content) -> None:
    Path("w.safetensors").write_bytes(b"weights")
    right = hashlib.sha256(b"weights").hexdigest()
    backbone(content, "classifier", initial_weights=weights("file", "nowhere.pth"))
    backbone(content, "segmenter", initial_weights=weights("file", "w.safetensors", "abc"))
    content["features"] |= {"method": "vit"}
    content["features"]["vit"]["components"] = {"count": 3, "fit": "file", "file": "", "sha256": ""}
    correct = "correct initial_weights.file in params.yaml"
    assert told(content) == [
        "params.yaml: features.vit.components.file: found no such file; expected what `seedbed components` wrote; "
        "correct components.file in params.yaml",
        f"params.yaml: classifier.cam.backbone.initial_weights: nowhere.pth: found no such file; expected initial weights; {correct}",
        f"params.yaml: segmenter.region_growing.backbone.initial_weights: w.safetensors: found sha256 {right}; expected abc; "
        "set initial_weights.sha256 to what was found, if this is the right file",
    ]
    backbone(content, "segmenter", initial_weights=weights("file", "w.safetensors", right))
    assert told(content, "segmenter") == []


@pytest.mark.usefixtures("folder")
def test_weights_that_timm_does_not_have(content: Content) -> None:
    backbone(content, "classifier", network="resnet18", initial_weights=weights("hub"))
    assert told(content) == []
    backbone(content, "classifier", network="seresnet18", output_stride=32)
    assert told(content) == [
        "params.yaml: classifier.cam.backbone.initial_weights.source: found hub, but timm has no weights for this network; "
        "expected a network that timm has weights for; see timm.list_pretrained(), or use source: file"
    ]


@pytest.mark.usefixtures("folder")
def test_weights_of_a_stage_that_nothing_here_reads(content: Content) -> None:
    backbone(content, "classifier", initial_weights=weights("pretraining"))
    assert told(content) == [
        "params.yaml: classifier.cam.backbone.initial_weights.source: found 'pretraining'; expected none, hub or file, because only "
        "`features.vit` can start from the weights of that stage; correct it"
    ]


def test_features_of_a_pretraining_that_is_none(content: Content) -> None:
    content["features"] |= {"method": "vit"}
    content["features"]["vit"] |= {"architecture": "test_vit", "patch_size": 4, "initial_weights": weights("pretraining")}
    because = "because features.vit.initial_weights.source is pretraining"
    expected = "expected an artifact of the kind pretraining, because initial_weights.source is pretraining; correct one of the two"
    with pytest.raises(ParamsError, match=f"features.pretraining: found 'none'; {expected}"):
        preflight.check_slots(Params(content))
    content["features"]["pretraining"] = "pretraining"
    with pytest.raises(ParamsError) as refused:
        preflight.check_slots(Params(content))
    assert (
        str(refused.value) == f"params.yaml: pretraining.method: found 'none'; expected one that trains, {because}; correct one of the two"
    )
    content["pretraining"]["method"] = "dino"
    preflight.check_slots(Params(content))
    content["features"]["vit"]["patch_size"] = 16
    with pytest.raises(ParamsError, match=r"features.vit.patch_size: found 16; expected 4, that of pretraining, because initial_weights"):
        preflight.check_slots(Params(content))


# --- Memory ---


def at(address: str, value: Any) -> Edit:
    """Set the value at a dotted address."""

    def edit(content: Content) -> None:
        *parents, last = address.split(".")
        for parent in parents:
            content = content[parent]
        content[last] = value

    return edit


LARGEST = at("dataset.max_size", [20_000, 20_000])
SMALLER = "let images be smaller: dataset.max_size, with dataset.larger: shrink"


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("stage", "edits", "do"),
    [
        ("classifier", [at("classifier.cam.augmentation.crop", 20_000)], "raise the micro_batches of its training"),
        ("segmenter", [at("segmenter.region_growing.training.batch_size", 10_000)], "raise the micro_batches of its training"),
        (
            "pretraining",
            [at("pretraining.method", "dino"), at("pretraining.dino.large.edge", 8192)],
            "raise the micro_batches of its training",
        ),
        ("superpixels", [at("dataset.max_size", [2000, 3000])], "choose features with larger patches"),
        ("cams", [LARGEST, at("cams.multiscale.scales", [1, 4])], "lower its scales"),
        ("predictions", [LARGEST, at("predictions.multiscale.scales", [4])], "lower its scales"),
        ("refinement", [LARGEST], SMALLER),
        ("evaluation", [LARGEST], SMALLER),
    ],
)
def test_more_memory_than_there_is(content: Content, stage: str, edits: list[Edit], do: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "measure_available", lambda device: 10 * 10**9)
    assert list(preflight.find_shortages([stage], Params(content))) == []
    for edit in edits:
        edit(content)
    (said,) = preflight.find_shortages([stage], Params(content))
    assert said.startswith(f"{stage}: warning: needs about ") and f" of memory, but there are 10.0 GB: {do}" in said


@pytest.mark.usefixtures("folder")
def test_a_sweep_that_fills_the_memory(content: Content, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "measure_available", lambda device: 10**6)
    at("dataset.max_size", [16, 16])(content)
    assert list(preflight.find_shortages(["evaluation"], Params(content))) == []
    at("evaluation.standard.sweep.count", 10_000)(content)
    (said,) = preflight.find_shortages(["evaluation"], Params(content))
    assert said == f"evaluation: warning: needs about 2.2 MB of memory, but there are 1.0 MB: {SMALLER}"


def test_affinities_edges_and_walks_that_do_not_fit_together(content: Content) -> None:
    content["affinity"] |= {"method": "psa", "maps": {"labels": "seeds"}, "start": "classifier"}
    content["edges"] |= {"method": "irn", "affinity": "affinity"}
    with pytest.raises(ParamsError, match=r"edges.method: found 'irn'; expected 'psa', as which affinity has learned"):
        preflight.check_slots(Params(content))
    content["edges"]["method"] = "psa"
    content["refinement"] |= {"method": "irn", "edges": "edges"}
    with pytest.raises(ParamsError, match=r"refinement.method: found 'irn'; expected 'psa', for which edges is made"):
        preflight.check_slots(Params(content))
    content["refinement"]["method"] = "psa"
    preflight.check_slots(Params(content))
    content["affinity"]["psa"]["radius"] = 4
    with pytest.raises(
        ParamsError, match=r"refinement.psa.walk.radius: found 5; expected at most 4, within which affinity has compared cells;"
    ):
        preflight.check_slots(Params(content))
    content["affinity"]["maps"] = {"labels": "none"}
    with pytest.raises(ParamsError, match=r"affinity.maps.labels: found 'none'; expected an artifact with `labels`"):
        preflight.check_slots(Params(content))


def test_things_that_edges_do_not_tell_apart(content: Content) -> None:
    content["affinity"] |= {"method": "psa", "maps": {"labels": "seeds"}, "start": "classifier"}
    content["edges"] |= {"method": "psa", "affinity": "affinity"}
    content["instances"] |= {"method": "irn", "class_maps": "cams"}
    with pytest.raises(ParamsError) as refused:
        preflight.check_slots(Params(content))
    assert str(refused.value) == (
        "params.yaml: instances.edges: found 'none'; expected an artifact of the kind edges, because the selected method follows their "
        "displacement; correct one of the two"
    )
    content["instances"]["edges"] = "edges"
    with pytest.raises(ParamsError, match=r"instances.edges: found 'edges', found by 'psa'; expected edges found by 'irn', because others"):
        preflight.check_slots(Params(content))
    content["affinity"]["method"] = content["edges"]["method"] = "irn"
    preflight.check_slots(Params(content))
    content["instances"]["superpixels"] = "superpixels"
    with pytest.raises(
        ParamsError, match=r"superpixels: found 'superpixels'; expected 'none', unless the selected method walks between them"
    ):
        preflight.check_slots(Params(content))
    content["instances"]["irn"]["walk"]["over"] = "superpixels"
    preflight.check_slots(Params(content))


def test_an_affinity_that_starts_from_another_network_than_the_classifier_s(content: Content) -> None:
    content["affinity"] |= {"method": "psa", "maps": {"labels": "seeds"}, "start": "classifier"}
    content["affinity"]["psa"]["backbone"] |= {"network": "test_byobnet", "initial_weights": weights("classifier")}
    with pytest.raises(ParamsError, match=r"affinity.psa.backbone.network: found 'test_byobnet'; expected 'test_resnet', the classifier's"):
        preflight.check_slots(Params(content))


def test_a_classifier_that_sees_features_cannot_look_at_masked_images(content: Content) -> None:
    objects = {"labels": "none", "regions": "none", "confidence": "none", "objects": "saliency"}
    content["segmenter"] |= {"method": "masking", "maps": objects, "classifier": "none"}
    with pytest.raises(ParamsError, match=r"segmenter.classifier: found 'none'; expected an artifact of the kind classifier, because the"):
        preflight.check_slots(Params(content))
    content["segmenter"]["classifier"] = "classifier"
    preflight.check_slots(Params(content))
    content["classifier"] |= {"method": "linear", "features": "features"}
    content["cams"] |= {"method": "patch_scores", "features": "features"}
    with pytest.raises(ParamsError) as caught:
        preflight.check_slots(Params(content))
    assert str(caught.value) == (
        "params.yaml: segmenter.classifier: found 'classifier', by linear, which sees features; expected a classifier that sees images; "
        "select another method of classifier, or of segmenter"
    )


def test_class_maps_by_attention_need_a_transformer(content: Content) -> None:
    content["cams"]["method"] = "attention"
    with pytest.raises(
        ParamsError, match=r"^params\.yaml: cams\.method: found attention, of a classifier that has none; expected multiscale"
    ):
        preflight.check_slots(Params(content))
    content["classifier"]["method"] = "usage"
    with pytest.raises(ParamsError, match=r"^params\.yaml: cams\.method: found a network without a class token and plain attention"):
        preflight.check_slots(Params(content))
    content["classifier"]["usage"]["backbone"] |= {"network": "test_vit", "output_stride": 16}
    with pytest.raises(ParamsError, match=r"^params\.yaml: cams\.attention\.class_layers: found 3; expected 0, unless classifier\.usage"):
        preflight.check_slots(Params(content))
    content["classifier"]["usage"]["class_tokens"] = True
    preflight.check_slots(Params(content))


def test_a_folder_of_maps_is_named_where_they_are_read(content: Content) -> None:
    content["saliency"] |= {"method": "files"}
    with pytest.raises(
        ParamsError, match=r"saliency.class_maps: found 'none'; expected an artifact of the kind cams, because the selected"
    ):
        preflight.check_slots(Params(content))
    content["saliency"]["class_maps"] = "cams"
    with pytest.raises(ParamsError, match=r"saliency.folder: found 'data/none.zarr'; expected a folder of maps, one for each image"):
        preflight.check_slots(Params(content))
    content["saliency"]["folder"] = "data/raw/maps"
    preflight.check_slots(Params(content))


def test_edges_have_room_for_the_cells_and_pairs_of_their_network() -> None:
    content = read_recipe("voc12_irn").plain()
    found = preflight.find_own_extents("edges", Params(content), (30, 41))
    assert found == {"map_y": 8, "map_x": 11, "pair": 0}
    content["edges"]["affinity"] = "none"
    assert preflight.find_own_extents("edges", Params(content), (30, 41)) == {"map_y": 1, "map_x": 1, "pair": 0}


def test_an_evaluation_has_room_for_the_things_that_it_judges() -> None:
    content = read_recipe("voc12_irn").plain()
    assert preflight.find_own_extents("evaluation", Params(content), (30, 40))["instance"] == content["instances"]["irn"]["most"] == 100
    content["evaluation"]["instances"] = "none"
    assert preflight.find_own_extents("evaluation", Params(content), (30, 40))["instance"] == 0
