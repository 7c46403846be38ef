"""What methods share that describe patches with a frozen network: whole patches, one image at a time, centred and reduced vectors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal, Protocol, Self

import cv2
import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional

from seedbed.algorithms.principal_components import PrincipalComponents
from seedbed.errors import ParamsError
from seedbed.methods import LOCATION, parameters
from seedbed.networks.inference import group_by_size
from seedbed.networks.pinned_files import check_unused
from seedbed.networks.weights import load_components
from seedbed.types import Alignment, Image, PatchFeatures, cells


@parameters
class Reduction:
    """Principal components that vectors are reduced to, which saves space and time."""

    count: Annotated[int, Field(ge=0, le=10_000)]  # number of components; 0 keeps the vectors as they are
    fit: Literal["image", "file"]  # image: fitted to each image's own patches; file: fitted once, by `seedbed components`
    file: Annotated[str, LOCATION]  # that `seedbed components` wrote; empty unless fit is file
    sha256: str  # of the file, so that the same parameters always mean the same components; empty unless fit is file

    @model_validator(mode="after")
    def _check_use(self) -> Self:
        if self.fit != "file":
            check_unused(file=self.file, sha256=self.sha256, setting="fit")
        return self

    def check_file(self) -> None:
        """Refuse a file that is missing, has another digest, or holds no components."""
        if self.count and self.fit == "file":
            load_components(self.file, self.sha256)

    def load(self, width: int) -> PrincipalComponents | None:
        """Components that were fitted beforehand; None where there are none.

        width: of the vectors.
        """
        if not self.count or self.fit == "image":
            return None
        components = load_components(self.file, self.sha256)
        if components.directions.shape != (self.count, width):
            raise ParamsError(
                "params.yaml: components.count",
                found=f"{self.count} of {width} channels, but the file has {components.directions.shape}",
                expected="the count that the file was fitted with",
                do="correct it, or run `seedbed components` again",
            )
        return components

    def reduce(self, values: npt.NDArray[np.float32], fitted: PrincipalComponents | None) -> npt.NDArray[np.float32]:
        """Vectors of an image (patch_y, patch_x, channel) with fewer channels, if any are to go."""
        if not self.count:
            return np.asarray(values, np.float32)
        flat = values.reshape(-1, values.shape[-1])
        return (fitted or PrincipalComponents.fit([flat], self.count)).project(flat).reshape(*values.shape[:2], self.count)


class PatchNetwork(Protocol):
    """A network that gives a vector (B, y, x, D) for each patch of images (B, C, Y, X) whose sides are multiples of the patch size."""

    components: PrincipalComponents | None  # to reduce its vectors with, if they were fitted beforehand

    def __call__(self, images_BCYX: Tensor, /) -> Tensor: ...


def describe_patches(
    images: Sequence[Image], network: PatchNetwork, *, patch_size: int, centred: bool, components: Reduction, device: str
) -> list[PatchFeatures]:
    """Features of images of any sizes, which are resized to whole patches.

    network: on the device, in evaluation mode.
    """
    described: dict[int, npt.NDArray[np.float32]] = {}
    views = [_resize(image, patch_size) for image in images]
    for places in group_by_size(views, device=device):
        batch = torch.from_numpy(np.stack([views[place] for place in places])).to(device).permute(0, 3, 1, 2).float() / 255
        with torch.inference_mode():
            values = network(batch).float().cpu().numpy()
        described |= dict(zip(places, values, strict=True))
    vectors = [described[place] for place in range(len(images))]
    if centred:
        vectors = [values - values.mean(axis=(0, 1)) for values in vectors]
    reduced = [components.reduce(values, network.components) for values in vectors]
    return [PatchFeatures(values=values, patch_size=patch_size, alignment=Alignment.RESIZED) for values in reduced]


class PatchVectors(nn.Module):
    """The same within torch alone, for networks that are exported: vectors (B, D, y, x) of images (B, C, Y, X) of any size."""

    origin: Tensor
    directions: Tensor

    def __init__(self, network: PatchNetwork, *, patch_size: int, scale: float, centred: bool) -> None:
        """scale: by which images are resized first; a patch covers a whole number of their pixels."""
        super().__init__()
        self.network, self.patch_size, self.covered, self.centred = network, patch_size, max(1, round(patch_size / scale)), centred
        if network.components is not None:
            self.register_buffer("origin", torch.from_numpy(network.components.mean))
            self.register_buffer("directions", torch.from_numpy(network.components.directions))

    def forward(self, images_BCYX: Tensor) -> Tensor:
        """Vectors of an image's patches."""
        rows, columns = cells((images_BCYX.shape[-2], images_BCYX.shape[-1]), self.covered)
        size = rows * self.patch_size, columns * self.patch_size
        smooth = self.covered != self.patch_size  # as where images are resized before they are described
        resized = functional.interpolate(images_BCYX, size=size, mode="bicubic", align_corners=False, antialias=smooth).clamp(0, 1)
        values_ByxD: Tensor = self.network(resized)
        if self.centred:
            values_ByxD = values_ByxD - values_ByxD.mean(dim=(1, 2), keepdim=True)
        if self.network.components is not None:
            values_ByxD = (values_ByxD - self.origin) @ self.directions.T
        return values_ByxD.permute(0, 3, 1, 2)


def export_vectors(network: PatchNetwork, *, patch_size: int, scale: float, centred: bool, components: Reduction) -> PatchVectors | None:
    """The module that describes as `describe_patches` does; None where components are those of each image by itself."""
    if components.count and network.components is None:
        return None
    return PatchVectors(network, patch_size=patch_size, scale=scale, centred=centred)


def _resize(image: Image, patch_size: int) -> Image:
    rows, columns = cells((image.shape[0], image.shape[1]), patch_size)
    size = columns * patch_size, rows * patch_size
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_CUBIC), np.uint8)  # of its own size, it stays as it is
