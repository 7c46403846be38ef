"""A small run to look at: three images with odd ids, all artifacts, and what evaluation counts of them."""

from __future__ import annotations

import dataclasses
import hashlib
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image as PillowImage
from ruamel.yaml import YAML
from starlette.testclient import TestClient

from seedbed import clicker
from seedbed.algorithms import ward
from seedbed.params import rebuild
from seedbed.scoring.boundaries import Boundaries
from seedbed.scoring.judgement import Judge
from seedbed.store.artifact import Artifact, MadeBy, open_artifact
from seedbed.store.runs import open_run
from seedbed.types import ClassMaps, LabelMap
from seedbed.view.app import Pending, Viewer, make_app
from seedbed.view.library import Library
from tests.support.publishing import published, published_network
from tests.support.small import shrunk

PROJECT = Path(__file__).parents[2]
SIZE = (24, 36)
CELL, GRID = 2, (12, 18)
IDS = ("a/<script>", "猫 & 'كلب'", 'plain "one"')
CLASSES = ("cat", "<b>dog</b>")
KINDS = ("class_maps", "seeds", "masks", "predictions", "predictions_crf")
SALIENCY: dict[str, Any] = {
    "border": 1,
    "degree": 0,
    "contrast": 0,
    "threshold": 0.5,
    "correction": {"adds_above": 0.8, "doubts_below": 0.3},
}
INSTANCES: dict[str, Any] = {
    "steps": 3,
    "weak_displacement": 0.9,
    "walk": {"over": "cells", "radius": 2, "power": 2, "squarings": 1},
    "background": 0.5,
    "smallest": 0.01,
    "most": 5,
}
TRUTHS = [np.zeros(SIZE, np.uint8) for _ in IDS]
TRUTHS[0][4:12, 4:20] = 1
TRUTHS[1][2:20, 3:9] = 2
TRUTHS[2][10:14, 30:34] = 1
LABELS = [((1,)), ((1, 2)), ((1,))]


def make_regions() -> np.ndarray[Any, np.dtype[np.int32]]:
    regions = np.zeros(SIZE, np.int32)
    regions[:, 18:] = 1
    regions[12:, :] += 2
    return regions


def make_maps(number: int) -> ClassMaps:
    maps = np.zeros((len(LABELS[number]), *SIZE), np.float32)
    for index, label in enumerate(LABELS[number]):
        maps[index] = 0.2 + 0.7 * (TRUTHS[number] == label) - 0.1 * (make_regions() == 3)
    return ClassMaps(classes=LABELS[number], maps=maps)


def make_edges() -> dict[str, np.ndarray[Any, np.dtype[np.float32]]]:
    """No boundaries; each cell of the upper half goes to one middle, those below to another."""
    middles = np.array([(2 if row < GRID[0] // 2 else 9, 9) for row, _ in np.ndindex(GRID)]).T.reshape(2, *GRID)
    displacement = (middles - np.indices(GRID)).astype(np.float32)
    return {"boundaries": np.zeros(GRID, np.float32), "displacement": displacement, "distances": np.zeros((0, *GRID), np.float32)}


def write_run(root: Path, *, worse: bool = False) -> None:
    """Everything that a run leaves, in a folder of its own.

    worse: masks of the first image lack a part.
    """
    folder, raw = root / "data", root / "data" / "raw" / "tiny"
    images = [np.random.default_rng(number).integers(0, 256, (*SIZE, 3), np.uint8) for number in range(len(IDS))]
    digests = []
    for number, (image, truth) in enumerate(zip(images, TRUTHS, strict=True)):
        for kind, pixels in (("images", image), ("masks", truth)):
            (raw / kind).mkdir(parents=True, exist_ok=True)
            PillowImage.fromarray(pixels).save(raw / kind / f"{number}.png")
        digests.append(hashlib.sha256((raw / "images" / f"{number}.png").read_bytes()).hexdigest())
    write_params(root)
    rows: list[dict[str, Any]] = [{"ids": one, "size": SIZE} for one in IDS]
    padded = {"y": SIZE[0], "x": SIZE[1]}
    named = {"class": 3, "predicted": 4}
    write_dataset(folder, digests)
    published("superpixels", folder, [{**row, "regions": make_regions(), "region_count": 4} for row in rows], extents=padded)
    maps = [
        {
            **row,
            "scores": [0, 0.9, 0.1],
            "present": np.isin(np.arange(3), LABELS[number]),
            "map_size": SIZE,
            "maps": make_maps(number).spread(2),
        }
        for number, row in enumerate(rows)
    ]
    published("cams", folder, maps, extents={**named, "map_y": SIZE[0], "map_x": SIZE[1]})
    masks = [truth.copy() for truth in TRUTHS]
    if worse:
        masks[0][4:12, 12:20] = 0
    seeds = [np.where(truth > 0, truth, 255).astype(np.uint8) for truth in TRUTHS]
    published("seeds", folder, [{**row, "labels": one} for row, one in zip(rows, seeds, strict=True)], extents=padded)
    refined = [{**row, "labels": one, "confidence": np.full(SIZE, 200, np.uint8)} for row, one in zip(rows, masks, strict=True)]
    published("refinement", folder, refined, extents=padded)
    things = np.zeros(SIZE, np.uint8)
    things[4:12, 4:12], things[4:12, 12:20] = 1, 2
    told = {"things": things, "thing_count": 2, "classes": [1, 1, 0], "scores": [1, 0.25 if worse else 0.5, 0]}
    published("instances", folder, [{**rows[0], **told}], extents={**padded, "instance": 3})
    objects = np.select([things == 1, things == 2], [1, 255])
    published("saliency", folder, [{**rows[0], "saliency": np.full(SIZE, 60), "objects": objects}], extents=padded)
    parts = np.zeros((3, *SIZE), np.uint8)
    parts[0], parts[1, :, 18:] = 100, 155
    predicted = [{**rows[2], "map_size": SIZE, "probabilities": parts}]
    published("predictions", folder, predicted, extents={**named, "map_y": SIZE[0], "map_x": SIZE[1]})
    edges = [{**row, "map_size": GRID, **make_edges()} for row in rows]
    published("edges", folder, edges, whole={"cell_size": CELL}, extents={"map_y": GRID[0], "map_x": GRID[1], "pair": 0})
    write_evaluation(folder, rows, masks, seeds, parts.argmax(axis=0).astype(np.uint8))


def write_params(root: Path) -> None:
    yaml = YAML()
    content = yaml.load(PROJECT / "params.yaml")
    content["dataset"] |= {"root": "data/raw/tiny", "method": "folder", "max_size": list(SIZE)}
    content["seeds"] |= {"method": "superpixel_background", "superpixel_background": {"threshold": 0.8}}
    content["saliency"] |= {"method": "unsupervised", "class_maps": "cams", "superpixels": "superpixels", "unsupervised": SALIENCY}
    content["instances"] |= {"method": "irn", "class_maps": "cams", "edges": "edges", "irn": INSTANCES}
    yaml.dump(content, root / "params.yaml")
    shutil.copy(PROJECT / "dvc.yaml", root)
    (root / ".dvc").mkdir()
    (root / ".dvc" / "config").write_text("[core]\n    no_scm = true\n")


def write_dataset(folder: Path, digests: list[str]) -> Artifact:
    rows = [
        {
            "ids": one,
            "size": SIZE,
            "original_size": SIZE,
            "file": f"images/{number}.png",
            "image_digest": digests[number],
            "labels": np.isin(np.arange(3), [0, *LABELS[number]]),
            "splits": [number < 2, number == 2],
            "labelled": number < 2,
            "problem": "",
            "mask_problem": "",
        }
        for number, one in enumerate(IDS)
    ]
    whole = {
        "max_size": SIZE,
        "class_names": ["background", *CLASSES],
        "split_names": ["train", "val"],
        "mask_meaning": [0, 1, 2, *[-1] * 252, 255],
    }
    return published("dataset", folder, rows, whole=whole, extents={"class": 3, "split": 2}, made_by=MadeBy("dataset", "folder", {}))


def write_evaluation(folder: Path, rows: list[dict[str, Any]], masks: list[LabelMap], seeds: list[LabelMap], predicted: LabelMap) -> None:
    judge = Judge(KINDS, 2, Boundaries(distance=2, share=0.02), np.array([0.1, 0.5]), (0.05,), 0)
    columns = []
    for number, row in enumerate(rows):
        kinds = {"class_maps": TRUTHS[number], "seeds": seeds[number], "masks": masks[number]}
        if number == 2:
            kinds |= {"predictions": predicted, "predictions_crf": predicted}
        contained = LABELS[number] if number < 2 else None
        counted = judge.columns(
            TRUTHS[number],
            kinds,
            size=SIZE,
            contained=contained,
            class_maps=make_maps(number),
            regions=make_regions(),
            objects=None,
            instances=None,
            true_instances=None,
            corrected=False,
        )
        columns.append({**row, **counted})
    extents = {
        "class": 3,
        "predicted": 4,
        "kind": len(KINDS),
        "other_kind": len(KINDS),
        "threshold": 2,
        "thing_size": 2,
        "size_bound": 1,
        "instance": 0,
    }
    whole = {"kinds": KINDS, "thresholds": [0.1, 0.5], "threshold": 0.3, "size_bounds": [0.05]}
    published("evaluation", folder, columns, whole=whole, extents={**extents, "y": SIZE[0], "x": SIZE[1]})


@dataclasses.dataclass(frozen=True)
class Page:
    """The server without a socket."""

    client: TestClient
    root: Path

    def json(self, name: str, **asked: object) -> Any:
        answer = self.client.get(f"/api/{name}", params={key.replace("__", "."): str(value) for key, value in asked.items()})
        assert answer.headers["content-type"] == "application/json", answer.text
        return answer.json()

    def array(self, name: str, **asked: object) -> np.ndarray[Any, np.dtype[Any]]:
        answer = self.client.get(f"/api/{name}", params={key.replace("__", "."): str(value) for key, value in asked.items()})
        assert answer.status_code == 200, answer.text
        return np.frombuffer(answer.content, answer.headers["x-type"]).reshape(*map(int, answer.headers["x-shape"].split(",")))


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that nobody changes."""
    root = tmp_path_factory.mktemp("run")
    write_run(root)
    return root


@pytest.fixture(scope="session")
def worse(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with worse masks."""
    root = tmp_path_factory.mktemp("worse")
    write_run(root, worse=True)
    return root


@pytest.fixture(scope="session")
def clickable(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with trees of the photographs and a network that has learned nothing, which answer clicks."""
    root = tmp_path_factory.mktemp("clickable") / "run"
    shutil.copytree(finished, root)
    yaml = YAML()
    content, other = yaml.load(root / "params.yaml"), yaml.load(PROJECT / "pipelines" / "mis" / "params.yaml")
    mis = {
        **shrunk(other["clicker"]["mis"]),
        "patch_size": 8,
        "augmentation": {**shrunk(other["clicker"]["mis"]["augmentation"]), "crop": 32},
    }
    zoom = {**other["clicks"]["learned"]["zoom"], "side": 16, "smallest": 8}
    content |= {name: other[name] for name in ("trees", "clicker", "clicks", "clicks_tree")}
    content["clicker"]["mis"], content["clicks"]["learned"]["zoom"] = mis, zoom
    yaml.dump(content, root / "params.yaml")
    folder, rows = root / "data", []
    for number, image_id in enumerate(IDS):
        image = np.random.default_rng(number).integers(0, 256, (*SIZE, 3), np.uint8)
        colours = image.reshape(GRID[0], CELL, GRID[1], CELL, 3).mean(axis=(1, 3), dtype=np.float32).reshape(-1, 3)
        children, costs = ward.write_on_grid(ward.merge(colours, ward.link_grid(GRID)), GRID)
        rows.append({"ids": image_id, "size": SIZE, "children": children, "costs": costs, "patch_grid": GRID})
    whole = {"patch_size": CELL, "alignment": "padded"}
    published("trees", folder, rows, whole=whole, extents={"patch_y": GRID[0], "patch_x": GRID[1]})
    with torch.random.fork_rng():
        torch.manual_seed(3)
        network = rebuild(clicker.Method, "mis", mis, where="params.yaml").network()
    state = {name: one.numpy() for name, one in network.state_dict().items()}
    published_network("clicker", folder, state, made_by=MadeBy("clicker", "mis", mis))
    return root


@pytest.fixture(scope="session")
def correcting(clickable: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with labels that clicks on regions can correct: the truth, but for the left of each image."""
    root = tmp_path_factory.mktemp("correcting") / "run"
    shutil.copytree(clickable, root)
    yaml = YAML()
    content = yaml.load(root / "params.yaml")
    content["clicks_tree"]["start"] = "other/seeds.zarr"
    yaml.dump(content, root / "params.yaml")
    rows = [{"ids": image_id, "size": SIZE, "labels": make_labels(number)} for number, image_id in enumerate(IDS)]
    made_by = MadeBy("seeds", "threshold", {}, {"dataset": open_artifact("dataset", folder=root / "data").digest})
    published("seeds", root / "other", rows, extents={"y": SIZE[0], "x": SIZE[1]}, made_by=made_by)
    return root


def make_labels(number: int) -> LabelMap:
    labels = TRUTHS[number].copy()
    labels[:, :6] = 0
    return labels


@pytest.fixture
def look() -> Callable[..., Page]:
    """Look at a run, and perhaps at another beside it."""

    def at(
        root: Path, other: Path | None = None, *, pending: Sequence[Pending] = (), corrections: Path | None = None, **options: Any
    ) -> Page:
        folders = [root] if other is None else [root, other]
        libraries = [Library(open_run(str(one)), one / "data/raw/tiny") for one in folders]
        return Page(TestClient(make_app(Viewer(*libraries, find_pending=lambda: pending, corrections=corrections), **options)), root)

    return at
