"""Class maps: where in the image the classifier sees each class that the image is known to contain."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from seedbed import methods
from seedbed.methods import parameters
from seedbed.networks.inference import combine_views, estimate_memory, group_by_size
from seedbed.run.slots import Slot
from seedbed.types import ClassMaps, Image, PatchFeatures, Size, cells

SCORES_FEATURES = "the selected method scores features"
SMALLEST_MAXIMUM = 1e-5  # a class map with a lower maximum is only noise and is not scaled to 1


@parameters
class Settings:
    """What class maps are computed with, beside images."""

    classifier: Annotated[str, Slot(("classifier",))]  # which sees the classes
    features: Annotated[str, Slot(("features",), SCORES_FEATURES)]  # that the classifier learned from
    views: Annotated[Mapping[str, str], Slot(("features",), SCORES_FEATURES)]  # the same of the images resized or mirrored, by any name


class Method(methods.Method):
    """From a classifier to maps."""

    needs_features: ClassVar[bool] = False  # then the classifier is a `LinearHead` on features; else a network that sees images
    stride: int  # pixels per cell of the maps

    def extents(self, max_size: Size) -> dict[str, int]:
        """Cells of the largest maps.

        max_size: of images.
        """
        map_y, map_x = cells(max_size, self.stride)
        return {"map_y": map_y, "map_x": map_x}

    @property
    def unread(self) -> tuple[str, ...]:
        return () if self.needs_features else ("features", "views")

    @staticmethod
    def scale(classes: tuple[int, ...], maps: npt.NDArray[np.float32]) -> ClassMaps:
        """Maps of an image's classes, each divided by its maximum; none is negative."""
        return ClassMaps(classes=classes, maps=maps / maps.max(axis=(1, 2), keepdims=True, initial=SMALLEST_MAXIMUM))

    @abstractmethod
    def compute(
        self,
        classifier: Any,
        images: Sequence[Image],
        patches: Sequence[Sequence[PatchFeatures]],
        classes: Sequence[tuple[int, ...]],
        *,
        device: str,
    ) -> list[tuple[ClassMaps, npt.NDArray[np.float32]]]:
        """For every image, maps of its classes at one cell per `stride` pixels, and the probability of every class (0 for background).

        The result for an image does not depend on the others in the batch.

        classifier: what sees the classes; a network is on the device, in evaluation mode.
        patches: features of every image, by each kind; none where the method needs none.
        classes: of every image.
        """


class NetworkMethod(Method):
    """Looks through a network, which sees each image at several scales and mirrored."""

    saves_memory: ClassVar[str] = "lower its scales, or let images be smaller: dataset.max_size, with dataset.larger: shrink"

    scales: tuple[float, ...]  # factors by which the image is resized for the network
    interpolation: Literal["bilinear", "antialiased_cubic"]  # how it is resized
    flip: bool  # whether the network sees its mirror image, too
    over_scales: Literal["sum", "largest"]  # how maps of all scales and mirror images are combined

    @abstractmethod
    def look(self, classifier: Any, images_BCYX: Tensor, classes: Sequence[tuple[int, ...]]) -> tuple[Tensor, Tensor]:
        """Maps (B, K, y, x) of all classes, none negative, and logits (B, K).

        classes: of every image.
        """

    def check_network(self, build: Callable[[], Any]) -> None:
        """Refuse a classifier through which it cannot look.

        build: makes one with random weights.
        """

    def memory(self, extents: Mapping[str, int]) -> int:
        return estimate_memory(extents, scales=self.scales, flip=self.flip)

    @torch.inference_mode()
    def compute(
        self,
        classifier: Any,
        images: Sequence[Image],
        patches: Sequence[Sequence[PatchFeatures]],
        classes: Sequence[tuple[int, ...]],
        *,
        device: str,
    ) -> list[tuple[ClassMaps, npt.NDArray[np.float32]]]:
        made: dict[int, tuple[ClassMaps, npt.NDArray[np.float32]]] = {}
        for places in group_by_size(images, device=device):
            all_maps, all_scores = self._run(classifier, [images[place] for place in places], [classes[place] for place in places], device)
            for place, maps, scores in zip(places, all_maps, all_scores, strict=True):
                present = maps[[one - 1 for one in classes[place]]]
                made[place] = self.scale(classes[place], present), np.concatenate([np.zeros(1, np.float32), scores])
        return [made[place] for place in range(len(images))]

    def _run(
        self, network: Any, images: Sequence[Image], classes: Sequence[tuple[int, ...]], device: str
    ) -> tuple[list[npt.NDArray[np.float32]], npt.NDArray[np.float32]]:
        """Maps and probabilities of all classes, for images of one size."""
        logits: list[Tensor] = []

        def see(images_BCYX: Tensor) -> Tensor:
            maps_BKyx, logits_BK = self.look(network, images_BCYX, [*classes] * (len(images_BCYX) // len(images)))
            logits.append(logits_BK.unflatten(0, (-1, len(images))).mean(dim=0))
            return maps_BKyx

        size = cells((images[0].shape[0], images[0].shape[1]), self.stride)
        maps = combine_views(
            see,
            images,
            scales=self.scales,
            flip=self.flip,
            size=size,
            device=device,
            interpolation=self.interpolation,
            by=torch.add if self.over_scales == "sum" else torch.maximum,
        )
        return list(maps), torch.stack(logits).mean(dim=0).sigmoid().cpu().numpy()
