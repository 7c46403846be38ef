"""`seedbed predict` and `seedbed export-model`: the trained segmenter, used outside the pipeline."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from seedbed import drawing, evaluation, export, images, predictions, segmenter
from seedbed.artifacts import Artifact, open_artifact
from seedbed.errors import DataError, WeightsError
from seedbed.inference import TrainedNetwork
from seedbed.networks import SegmentationNetwork
from seedbed.params import Params, rebuilt
from seedbed.types import LabelMap, Size

CLOSE = 1e-3  # how far logits of an exported model may be from the network's


def trained_segmenter(device: str) -> TrainedNetwork[SegmentationNetwork]:
    """The network that the pipeline has trained."""
    data, artifact = open_artifact("dataset"), open_artifact("segmenter")
    made_by = artifact.made_by
    method = rebuilt(segmenter.Method, made_by.method, made_by.parameters, where=str(artifact.path))
    return TrainedNetwork(method, data.num_classes, artifact, device)


def segmented(
    files: Sequence[Path], folder: Path, *, params: Params, with_crf: bool, overlay: bool, device: str
) -> Iterator[tuple[Path, dict[str, float]]]:
    """Segment pictures and write a mask for each. Yields the mask's file, and the share of pixels of each class that is there.

    with_crf: whether a dense CRF, the evaluation's, has the last word.
    overlay: whether pictures are written beside the masks, for people.
    """
    names = [file.stem for file in files]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise DataError(
            twice[0], found="two pictures of that name", expected="names that differ", do="give them one folder after the other"
        )
    method, judge = params.method(predictions.Method), params.method(evaluation.Method)
    data = open_artifact("dataset")
    trained = trained_segmenter(device)
    network = trained.loaded()
    for file in files:
        if not file.is_file():
            raise DataError(str(file), found="no such file", expected="a picture", do="correct the path")
        image = images.decode(file.read_bytes(), where=str(file))
        [answer] = method.predict(network, [image], device=device)
        answer = answer.resized((image.shape[0], image.shape[1]))
        labels = judge.from_probabilities(image, answer)["predictions_crf"] if with_crf else answer.maps.argmax(axis=0).astype(np.uint8)
        made = folder / f"{file.stem}.png"
        export.mask(labels, data.whole("palette"), made)
        if overlay:
            export.picture(drawing.overlay(image, labels, data.whole("palette")), folder / f"{file.stem}_overlay.png")
        yield made, _shares(labels, data)


def _shares(labels: LabelMap, data: Artifact) -> dict[str, float]:
    counts = np.bincount(labels.ravel(), minlength=1 + data.num_classes)
    return {name: float(count / labels.size) for name, count in zip(data.class_names, counts, strict=False) if count}


class Exported(nn.Module):
    """A segmenter from pixels as they are to the logits of every pixel."""

    def __init__(self, network: SegmentationNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, images_BCYX: Tensor) -> Tensor:
        """Logits (B, 1 + K, Y, X).

        images_BCYX: RGB in [0, 1].
        """
        logits = self.network(images_BCYX)
        return nn.functional.interpolate(logits, size=images_BCYX.shape[-2:], mode="bilinear", align_corners=False)


def exported(network: SegmentationNetwork, file: Path, *, size: Size | None) -> float:
    """Write a segmenter as a program of torch.export. Returns how far its answers are off, at most.

    size: height and width of the only images that it will take; None: it takes any.
    """
    whole = Exported(network).eval()
    torch.manual_seed(0)
    examples = [torch.rand(2, 3, *(size or (96, 128))), torch.rand(1, 3, *(size or (161, 115)))]
    batch, free = torch.export.Dim("batch"), torch.export.Dim.AUTO
    sizes = {0: batch} if size else {0: batch, 2: free, 3: free}
    file.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=file.parent) as folder:  # what cannot be used leaves nothing, and what was there stays
        made = Path(folder) / file.name
        try:
            program = torch.export.export(whole, (examples[0],), dynamic_shapes=(sizes,), strict=False)
            torch.export.save(program, made)
            again = torch.export.load(made).module()
            with torch.inference_mode():
                furthest = max(float((again(one) - whole(one)).abs().max()) for one in examples)
        except (RuntimeError, ValueError, AssertionError) as error:  # what torch.export refuses with, each in its place
            found = f"a network that torch.export cannot write ({type(error).__name__})"
            do = "use another backbone" if size else "name one size, as with --size 480 640"
            raise WeightsError(str(file), found=found, expected="one that it can, for images of any size", do=do) from error
        if furthest > CLOSE:
            found = f"a model whose logits are up to {furthest:.2g} from the network's"
            raise WeightsError(str(file), found=found, expected=f"at most {CLOSE}", do="use another backbone, and report it")
        made.replace(file)
    return furthest
