"""The training images of a data set with whatever maps are learned along with them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import overload

from seedbed.artifacts import SCHEMAS, Artifact
from seedbed.augmentation import Sample
from seedbed.images import Images


class Samples(Sequence[Sample]):
    """Reads one sample at a time."""

    def __init__(self, data: Artifact, pictures: Images, rows: Sequence[int], *, maps: Mapping[str, Artifact]) -> None:
        """maps: array of pixels -> the artifact that holds it."""
        self._data, self._pictures, self._rows, self._maps = data, pictures, rows, maps

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, index: int) -> Sample: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Sample]: ...
    def __getitem__(self, index: int | slice) -> Sample | Sequence[Sample]:
        if isinstance(index, slice):
            return Samples(self._data, self._pictures, self._rows[index], maps=self._maps)
        row = self._rows[index]
        image_id = self._data.ids[row]
        return Sample(
            image=self._pictures[row],
            labels=self._data.whole("labels")[row],
            maps={name: artifact.read(name, artifact.row(image_id)) for name, artifact in self._maps.items()},
            padding={name: int(SCHEMAS[artifact.name].arrays[name].fill) for name, artifact in self._maps.items()},
        )
