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
from seedbed.learning.samples import ChannelStatistics, DescribedSamples, Samples
from seedbed.reads import read_patches
from seedbed.store.artifact import Artifact, MadeBy
from seedbed.types import cells
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


def test_some_samples_can_be_asked_for(samples: Samples) -> None:
    assert [one.image.shape for one in samples[1:]] == [(40, 17, 3)] == [samples[-1].image.shape]


def test_samples_end(samples: Samples) -> None:
    assert len(list(samples)) == 2
    with pytest.raises(IndexError):
        samples[2]


# --- Their identity: a training is not repeated while it is the same ---


def test_the_identity_is_that_of_all_samples_whatever_image_is_asked_for(samples: Samples) -> None:
    assert samples.key("a") == samples.key("b") == samples.key("")


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


# --- Features in place of images ---


@dataclass(frozen=True)
class Described:
    """A data set, features of its images, and labels."""

    data: Artifact
    features: Artifact
    labels: Artifact

    def samples(self, *more: Artifact, ids: Sequence[str] = ("a", "c"), with_labels: bool = True) -> DescribedSamples:
        return DescribedSamples(self.data, [self.features, *more], ids, maps={"labels": self.labels} if with_labels else {})


@pytest.fixture
def describe(tmp_path: Path, write_dataset: Callable[..., Artifact]) -> Callable[..., Described]:
    """Makes a world with features of some values, labels of images and of pixels."""

    def make(name: str, *, seed: int = 0, labels: Mapping[str, tuple[int, ...]] = LABELS, values: Mapping[str, int] = VALUES) -> Described:
        folder = tmp_path / name
        data = write_dataset(folder, sizes=SIZES, labels=labels, digests={one: one for one in SIZES})
        rows, of_pixels = [], []
        for number, (image, size) in enumerate(SIZES.items()):
            vectors = np.random.default_rng([seed, number]).standard_normal((*cells(size, 8), 3)).astype(np.float16)
            rows.append({"ids": image, "patches": vectors, "patch_grid": cells(size, 8), "size": size})
            of_pixels.append({"ids": image, "size": size, "labels": np.full(size, values[image])})
        extents = {**data.extents, "patch_y": 5, "patch_x": 4, "channel": 3}
        features = published("features", folder, rows, extents=extents, whole={"patch_size": 8, "alignment": "padded", "mirrored": False})
        return Described(data, features, published("seeds", folder, of_pixels, extents=data.extents))

    return make


def test_features_labels_and_maps_belong_together(describe: Callable[..., Described]) -> None:
    made = describe("one")
    samples = made.samples()
    assert len(samples) == 2
    for place, image in enumerate(("a", "c")):
        assert np.array_equal(samples[place].patches.values, read_patches(made.features, image).values)
        assert samples[place].labels.tolist() == [True, *(one in LABELS[image] for one in (1, 2))]
        assert list(samples[place].maps) == ["labels"] and samples[place].maps["labels"].shape == SIZES[image]
        assert (samples[place].maps["labels"] == VALUES[image]).all()
    assert made.samples(with_labels=False)[0].maps == {}
    with pytest.raises(IndexError):
        samples[2]


def test_an_image_is_a_sample_by_each_kind_of_features(describe: Callable[..., Described]) -> None:
    made, other = describe("one"), describe("other", seed=1)
    samples = made.samples(other.features)
    assert len(samples) == 4
    expected = [read_patches(one, image).values for image in ("a", "c") for one in (made.features, other.features)]
    assert all(np.array_equal(sample.patches.values, values) for sample, values in zip(samples, expected, strict=True))


def test_whatever_is_learned_from_is_part_of_the_identity_of_features_too(describe: Callable[..., Described]) -> None:
    made, again = describe("one"), describe("again")
    usual = made.samples().key("")
    assert usual == again.samples().key("a")
    others = [
        describe("features", seed=1).samples(),
        describe("labels", labels={**LABELS, "c": (1,)}).samples(),
        describe("maps", values={**VALUES, "c": 1}).samples(),
        made.samples(with_labels=False),
        made.samples(ids=("c", "a")),
        made.samples(ids=("a",)),
        made.samples(again.features),
    ]
    assert len({usual, *(one.key("") for one in others)}) == 8


def test_statistics_are_those_of_all_patches_of_the_images(describe: Callable[..., Described]) -> None:
    made = describe("one")
    found = ChannelStatistics(made.features, ("a", "c"))
    patches = np.concatenate([read_patches(made.features, one).values.reshape(-1, 3) for one in ("a", "c")]).astype(np.float64)
    state = found.state()
    assert state["mean"].numpy() == pytest.approx(patches.mean(axis=0), abs=1e-6)
    assert state["deviation"].numpy() == pytest.approx(patches.std(axis=0), rel=1e-5)
    assert found.key("a") == ChannelStatistics(describe("again").features, ("a", "c")).key("")
    others = ChannelStatistics(made.features, ("a",)), ChannelStatistics(describe("other", seed=1).features, ("a", "c"))
    assert len({found.key(""), *(one.key("") for one in others)}) == 3
