"""What it costs to keep predictions small: mIoU with and without the CRF, from probabilities of several strides and types.

The measure of all is what the network says at full resolution in float32. Of each image the network runs once per view; whatever
stride is asked for, the stage's own method makes it from those answers, and the stage's own evaluation judges it.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import zarr
from torch import Tensor
from zarr.storage import MemoryStore

sys.path.insert(0, str(Path(__file__).parents[1]))
from seedbed import evaluation, predictions
from seedbed.images import Images
from seedbed.networks.contracts import SegmentationNetwork
from seedbed.params import Params
from seedbed.predictions.multiscale import Multiscale
from seedbed.reads import read_entry, read_probabilities
from seedbed.scoring import metrics
from seedbed.scoring.metrics import Counts
from seedbed.scoring.truth import Truth
from seedbed.store.artifact import Artifact, open_artifact
from seedbed.store.layout import compressor
from seedbed.tools.predict import open_segmenter
from seedbed.types import Image, Probabilities, Size, cells

CHECKOUT = Path(__file__).parents[1]
STORED = "as it is stored"


@dataclass(frozen=True)
class Way:
    """How probabilities could be kept."""

    stride: int
    dtype: str  # uint8: as artifacts have them, in 255ths

    def __str__(self) -> str:
        return f"stride {self.stride}, {self.dtype}"

    def kept(self, answer: Probabilities) -> npt.NDArray[Any]:
        """What would be on disk."""
        return answer.parts if self.dtype == "uint8" else answer.maps.astype(self.dtype)

    def read(self, kept: npt.NDArray[Any]) -> Probabilities:
        """What would be read of it."""
        return Probabilities.of_parts(kept) if self.dtype == "uint8" else Probabilities(maps=kept.astype(np.float32))

    def kilobytes(self, kept: npt.NDArray[Any], largest: Size) -> float:
        """Of an image, padded to the largest and packed."""
        padded = np.zeros((len(kept), *cells(largest, self.stride)), kept.dtype)
        padded[:, : kept.shape[1], : kept.shape[2]] = kept
        packed = zarr.create_array(MemoryStore(), shape=padded.shape, dtype=padded.dtype, chunks=padded.shape, compressors=compressor())
        packed[...] = padded
        return packed.nbytes_stored() / 1000


WHOLE = Way(1, "float32")
WAYS = (
    WHOLE,
    *(Way(1, "float16"), Way(2, "float16"), Way(4, "float16"), Way(8, "float16")),
    *(Way(1, "uint8"), Way(2, "uint8"), Way(3, "uint8"), Way(4, "uint8")),
)


class Remembering(SegmentationNetwork):
    """A network that knows what it said of every view of one image, which it tells by its size."""

    def __init__(self, network: SegmentationNetwork) -> None:
        super().__init__()
        self.network = network
        self.answers: dict[tuple[int, ...], Tensor] = {}

    def forward(self, images_BCYX: Tensor) -> Tensor:
        """Logits (B, 1 + K, y, x)."""
        size = tuple(images_BCYX.shape)
        if size not in self.answers:
            self.answers[size] = self.network(images_BCYX)
        return self.answers[size]


@dataclass
class Tally:
    """What was counted of one way."""

    counts: dict[str, Counts]  # by kind of labels
    kilobytes: list[float]

    def miou(self, kind: str) -> float:
        """Over all images."""
        return metrics.mean(metrics.intersection_over_union(metrics.overlap(self.counts[kind])))


@dataclass(frozen=True)
class Inquiry:
    """What is needed to try ways of keeping predictions."""

    method: Multiscale
    judge: evaluation.Method
    network: SegmentationNetwork
    data: Artifact
    stored: Artifact
    pictures: Images
    truth: Truth

    @classmethod
    def here(cls) -> Inquiry:
        """Of the pipeline in the current folder."""
        if not Path("data/predictions.zarr").is_dir():
            raise SystemExit("no finished pipeline here: run `make demo`, or name a folder of one")
        params, data, stored = Params.read(), open_artifact("dataset"), open_artifact("predictions")
        method, judge = params.method(predictions.Method), params.method(evaluation.Method)
        assert isinstance(method, Multiscale), "another method, if there is one, wants ways of its own"
        pictures, network = Images(params.raw_root(), data), open_segmenter(params, "cpu")[0].load()
        return cls(method, judge, network, data, stored, pictures, Truth.of_images(pictures))

    def tried(self, images: Sequence[str]) -> dict[str, Tally]:
        """Every way's counts, by name."""
        tallies: dict[str, Tally] = {}
        for number, image in enumerate(images):
            picture, network = self.pictures[image], Remembering(self.network)
            for way in WAYS:
                method = dataclasses.replace(self.method, stride=way.stride)
                [answer] = method.predict(network, [picture], [()], device="cpu")
                kept = way.kept(answer)
                self._count(tallies, str(way), image, picture, way.read(kept), way.kilobytes(kept, self.data.max_size))
            kept = read_entry(self.stored, "probabilities", image)
            size = Way(self.method.stride, str(kept.dtype)).kilobytes(kept, self.data.max_size)
            self._count(tallies, STORED, image, picture, read_probabilities(self.stored, image), size)
            print(f"\r{1 + number} of {len(images)} images", end="", file=sys.stderr, flush=True)
        print(file=sys.stderr)
        return tallies

    def _count(self, tallies: dict[str, Tally], name: str, image: str, picture: Image, answer: Probabilities, kilobytes: float) -> None:
        truth = self.truth[image]
        assert truth is not None, "images without one were left out"
        tally = tallies.setdefault(name, Tally({}, []))
        [made] = self.judge.from_probabilities([picture], [answer.resize(self.data.size(image))])
        for kind, labels in made.items():
            counts = metrics.confusion(truth, labels, num_classes=self.data.num_classes)
            tally.counts[kind] = tally.counts.get(kind, np.zeros_like(counts)) + counts
        tally.kilobytes.append(kilobytes)


def tell(tallies: Mapping[str, Tally]) -> None:
    """Print what every way loses against full resolution, in points of mIoU, and its size."""
    whole = tallies[str(WHOLE)]
    kinds = list(whole.counts)
    print(f"{'':20}" + "".join(f"{kind:>18}{'loss':>8}" for kind in kinds) + f"{'kB per image':>16}")
    for name, tally in tallies.items():
        figures = ((100 * tally.miou(kind), 100 * whole.miou(kind)) for kind in kinds)
        columns = "".join(f"{kept:18.3f}{full - kept:+8.3f}" for kept, full in figures)
        print(f"{name:20}{columns}{np.mean(tally.kilobytes):16.1f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, default=CHECKOUT, help="of a pipeline that has run")
    parser.add_argument("--images", type=int, default=0, help="so many of the predicted ones, evenly spread; 0 takes all")
    options = parser.parse_args()
    with contextlib.chdir(options.folder):
        inquiry = Inquiry.here()
        known = [image for image in inquiry.stored.ids if inquiry.truth[image] is not None]
        chosen = known if options.images == 0 else known[:: max(1, len(known) // options.images)][: options.images]
        print(f"{len(chosen)} images, {inquiry.method}")
        tell(inquiry.tried(chosen))
