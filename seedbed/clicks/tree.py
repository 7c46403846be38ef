"""Clicks select regions of the merge tree, without a network: what there is at once, and on any machine.

A click takes the largest region around it which no dear merge has made. A click beside what is wanted parts every region that has it: of a
wanted click, the largest part without it is left. Two wanted clicks may select the smallest region that holds both.

Where clicks correct a mask, one beside what is wanted takes a region away from it, found in the same way: the largest around the click that
no dear merge has made and that has no wanted click. What wanted clicks select is added.

Paper: Li et al., "Multi-granularity Interaction Simulation for Unsupervised Interactive Segmentation" (MIS), ICCV 2023, of which are the
trees.

Differs from the paper: there, a network learns from these regions to answer clicks, and is asked alone. This method is ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import islice
from typing import Annotated

import numpy as np
from pydantic import Field

from seedbed import clicks
from seedbed.algorithms.clicks import Answer, Click, ClickTree, Mask
from seedbed.methods import method


@method
class Tree(clicks.Method):
    cost: Annotated[float, Field(ge=0, le=1)]  # ours; of a dear merge: share of the squared error of all features
    joined: bool  # ours; whether the smallest region that holds two wanted clicks is selected, where it has no unwanted one

    def begin(self, seen: clicks.Seen, start: Mask) -> Answer:
        return partial(self.select, seen.regions, start=start)

    def select(self, regions: ClickTree, given: Sequence[Click], *, start: Mask, level: int | None = None) -> Mask:
        """The pixels that some clicks select.

        start: what they correct; level: how many merges the last wanted click goes up at most; no merge is too dear for it then.
        """
        patches = [int(regions.patches[one.row, one.column]) for one in given]
        wanted = [patch for patch, one in zip(patches, given, strict=True) if one.wanted]
        unwanted = [patch for patch, one in zip(patches, given, strict=True) if not one.wanted]
        chosen = [self._take(regions, patch, unwanted) for patch in wanted]
        if wanted and level is not None:
            chosen[-1] = self._climb(regions, wanted[-1], unwanted, level)
        if self.joined:
            chosen += [one for place, patch in enumerate(wanted) for one in self._join(regions, patch, wanted[:place], unwanted)]
        refused = [self._take(regions, patch, wanted) for patch in unwanted]
        selected = (start & ~regions.mask(refused)) | regions.mask(chosen)
        for one in given:  # where a patch has clicks of both kinds, each pixel is as was said of it
            selected[one.row, one.column] = one.wanted
        return selected

    def _take(self, regions: ClickTree, patch: int, others: Sequence[int]) -> int:
        """The largest region around a patch that is neither dear nor has one of the others, which have clicks of the other kind."""
        dear, taken = self.cost * float(np.sum(regions.tree.costs)), patch
        for region in regions.climb(patch):
            if region >= regions.tree.num_vectors and regions.tree.costs[region - regions.tree.num_vectors] > dear:
                break
            if region != patch and regions.holds(region, others).any():
                break
            taken = region
        return taken

    def _climb(self, regions: ClickTree, patch: int, unwanted: Sequence[int], level: int) -> int:
        """The region so many merges above a patch, or the last below it that has no unwanted one."""
        around = [*islice(regions.climb(patch), level + 1)]
        return next((one for one in reversed(around) if not regions.holds(one, unwanted).any()), patch)

    def _join(self, regions: ClickTree, patch: int, others: Sequence[int], unwanted: Sequence[int]) -> list[int]:
        """The smallest region that holds a patch and another one that is wanted, if it has no unwanted one."""
        for region in regions.climb(patch):
            if regions.holds(region, others).any():
                return [] if regions.holds(region, unwanted).any() else [region]
        return []
