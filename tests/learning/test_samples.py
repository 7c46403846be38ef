"""Samples: an image with its labels and maps, matched by id."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PillowImage

from seedbed import images
from seedbed.images import Images
from seedbed.learning.samples import Samples
from seedbed.store.artifact import Artifact, MadeBy
from tests.support.publishing import published

SIZES = {"a": (20, 30), "b": (16, 25), "c": (40, 17)}
LABELS = {"a": (1,), "b": (2,), "c": (1, 2)}
COLOURS = {"a": 0, "b": 10, "c": 20}
VALUES = {"a": 2, "b": 1, "c": 0}  # of every pixel of a map


@dataclass(frozen=True)
class World:
    """Where samples are made that differ in one thing or another."""

    folder: Path
    write_dataset: Callable[..., Artifact]

    def samples(
        self,
        ids: Sequence[str] = ("a", "c"),
        *,
        name: str = "data",
        colours: Mapping[str, int] = COLOURS,
        labels: Mapping[str, tuple[int, ...]] = LABELS,
        values: Mapping[str, int] = VALUES,
        maps: Sequence[str] = ("labels", "regions"),
        order: Sequence[str] = ("c", "b", "a"),
        made_by: str = "test",
    ) -> Samples:
        """Samples with seeds and regions whose artifacts have another order than the data set."""
        folder, digests = self.folder / name, {}
        (folder / "images").mkdir(parents=True)
        for image, size in SIZES.items():
            file = folder / "images" / f"{image}.png"
            PillowImage.fromarray(np.full((*size, 3), colours[image], np.uint8)).save(file)
            digests[image] = images.digest(file.read_bytes())
        data = self.write_dataset(folder / "data", sizes=SIZES, labels=labels, digests=digests)
        artifacts = {}
        for stage, array in (("seeds", "labels"), ("superpixels", "regions")):
            more = {"region_count": 1} if stage == "superpixels" else {}
            rows = [{"ids": one, "size": SIZES[one], array: np.full(SIZES[one], values[one]), **more} for one in order]
            artifacts[array] = published(stage, folder / "data", rows, extents=data.extents, made_by=MadeBy(stage, made_by, {}))
        return Samples(data, Images(folder, data), list(ids), maps={array: artifacts[array] for array in maps})


@pytest.fixture
def world(tmp_path: Path, write_dataset: Callable[..., Artifact]) -> World:
    return World(tmp_path, write_dataset)


@pytest.fixture
def samples(world: World) -> Samples:
    """Images a and c of three."""
    return world.samples()


def test_image_labels_and_maps_belong_together(samples: Samples) -> None:
    assert len(samples) == 2
    for index, (size, colour, labels, number) in enumerate([((20, 30), 0, [1, 1, 0], 2), ((40, 17), 20, [1, 1, 1], 0)]):
        sample = samples[index]
        assert sample.image.shape == (*size, 3) and (sample.image == colour).all()
        assert sample.labels.tolist() == [bool(one) for one in labels]
        for array in ("labels", "regions"):
            assert sample.maps[array].shape == size and (sample.maps[array] == number).all()


def test_maps_are_padded_as_their_artifact_says(samples: Samples) -> None:
    assert samples[0].padding == {"labels": 255, "regions": -1}


def test_some_samples_are_samples_too(samples: Samples) -> None:
    rest = samples[1:]
    assert len(rest) == 1
    assert rest[0].image.shape == (40, 17, 3)


def test_samples_end(samples: Samples) -> None:
    assert len(list(samples)) == 2
    with pytest.raises(IndexError):
        samples[2]


# --- Their identity: a training is not repeated while it is the same ---


def test_the_identity_is_that_of_all_samples_whatever_image_is_asked_for(samples: Samples) -> None:
    assert samples.key("a") == samples.key("b") == samples.key("")


def test_the_identity_of_some_samples_is_another(world: World, samples: Samples) -> None:
    rest = samples[1:]
    assert isinstance(rest, Samples)
    assert rest.key("") == world.samples(["c"], name="alone").key("") != samples.key("")


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"colours": {**COLOURS, "c": 21}}, id="an image"),
        pytest.param({"labels": {**LABELS, "c": (1,)}}, id="labels"),
        pytest.param({"values": {**VALUES, "c": 1}}, id="a map"),
        pytest.param({"maps": ["labels"]}, id="one map less"),
        pytest.param({"ids": ["c", "a"]}, id="order"),
        pytest.param({"ids": ["a"]}, id="one image less"),
        pytest.param({"ids": ["a", "c", "b"]}, id="one image more"),
        pytest.param({"ids": ["a", "c", "c"]}, id="an image twice"),
    ],
)
def test_whatever_is_learned_from_is_part_of_the_identity(world: World, samples: Samples, change: dict[str, object]) -> None:
    assert world.samples(name="changed", **change).key("") != samples.key("")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({}, id="place"),
        pytest.param({"colours": {**COLOURS, "b": 11}}, id="another image"),
        pytest.param({"labels": {**LABELS, "b": ()}}, id="labels of another image"),
        pytest.param({"values": {**VALUES, "b": 3}}, id="a map of another image"),
        pytest.param({"order": ["a", "c"]}, id="what else the artifacts hold"),
        pytest.param({"made_by": "another method"}, id="who made the maps"),
    ],
)
def test_nothing_else_is(world: World, samples: Samples, change: dict[str, object]) -> None:
    assert world.samples(name="changed", **change).key("") == samples.key("")  # type: ignore[arg-type]


def test_a_map_that_is_taken_for_another_is_something_else(world: World) -> None:
    swapped = world.samples(maps=["labels"]), world.samples(name="changed", maps=["regions"])
    assert swapped[0].key("") != swapped[1].key("")
