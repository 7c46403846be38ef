"""Patch features: one vector per square patch, alike where the image shows the same thing."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Annotated, Any, ClassVar

from pydantic import Field

from seedbed import methods
from seedbed.methods import parameters
from seedbed.run.slots import Slot
from seedbed.types import Alignment, Image, PatchFeatures, Size, cells


@parameters
class Settings:
    """What features are computed with, beside images."""

    pretraining: Annotated[str, Slot(("pretraining",), "initial_weights.source is pretraining")]  # whose weights describe patches
    scale: Annotated[float, Field(gt=0, le=16)]  # by which images are resized first: a patch then covers patch_size / scale of their pixels
    mirrored: bool  # whether images are mirrored first; patches lie where they do without


class Method(methods.Method):
    """A frozen description of patches; nothing is trained here."""

    alignment: ClassVar[Alignment]  # how it brings images to whole patches
    patch_size: int  # edge of a patch, in pixels

    @property
    @abstractmethod
    def num_channels(self) -> int:
        """Length of a feature vector."""

    def extents(self, max_size: Size) -> dict[str, int]:
        """The largest grid of patches, and the length of a vector.

        max_size: of images.
        """
        patch_y, patch_x = cells(max_size, self.patch_size)
        return {"patch_y": patch_y, "patch_x": patch_x, "channel": self.num_channels}

    @property
    def pretrained(self) -> bool:
        """Whether the weights of its network are those that the stage `pretraining` made."""
        return False

    @property
    def unread(self) -> tuple[str, ...]:
        return () if self.pretrained else ("pretraining",)

    def network(self) -> Any:
        """What describes patches, if that is a network; it is built once per process.

        It has its weights, unless they are those of `pretraining`: then its part `trunk` is given them.
        """
        return None

    def exportable(self, network: Any, *, scale: float) -> Any:
        """The same within torch alone, as a module from images (B, C, Y, X) to vectors (B, D, y, x); None if it has no such form.

        network: what `network` made; scale: by which images are resized first.
        """
        return None

    @abstractmethod
    def describe(self, images: Sequence[Image], network: Any, *, device: str) -> list[PatchFeatures]:
        """Features of images of any sizes; each is the same whatever other images stand beside it.

        network: what `network` made, on the device.
        """
