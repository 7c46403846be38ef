"""Samples: an image with its labels and maps, matched by id."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PillowImage

from seedbed import images
from seedbed.artifacts import Artifact, MadeBy, Writer, open_artifact
from seedbed.images import Images
from seedbed.samples import Samples

SIZES = {"a": (20, 30), "b": (16, 25), "c": (40, 17)}


@pytest.fixture
def samples(tmp_path: Path, write_dataset: Callable[..., Artifact]) -> Samples:
    """Images a and c of three, with seeds and regions whose artifacts have another order than the data set."""
    data = write_dataset(tmp_path / "data", sizes=SIZES, labels={"a": (1,), "b": (2,), "c": (1, 2)})
    (tmp_path / "images").mkdir()
    digests = []
    for number, (image_id, size) in enumerate(SIZES.items()):
        file = tmp_path / "images" / f"{image_id}.png"
        PillowImage.fromarray(np.full((*size, 3), 10 * number, np.uint8)).save(file)
        digests.append(images.digest(file.read_bytes()))
    maps = {}
    for name, array in (("seeds", "labels"), ("superpixels", "regions")):
        with Writer(name, MadeBy(name, "test", {}), extents=data.extents, folder=tmp_path / "data") as out:
            for number, image_id in enumerate(["c", "b", "a"]):
                columns = {"ids": image_id, "size": SIZES[image_id], array: np.full(SIZES[image_id], number)}
                out.append(columns | ({"region_count": 1} if name == "superpixels" else {}))
        maps[array] = open_artifact(name, folder=tmp_path / "data")
    pictures = Images(tmp_path, [str(one) for one in data.whole("file")], digests)
    return Samples(data, pictures, [0, 2], maps=maps)


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
