"""Merge trees: neighbouring patches join, those first whose union adds least to the squared error of their features (Ward).

Regions are connected, so a tree holds what a person may want to select by a click, at every size.

Paper: Li et al., "Multi-granularity Interaction Simulation for Unsupervised Interactive Segmentation" (MIS), ICCV 2023.

Differs from the paper: patch features may come from any source; the paper uses output tokens of DINO ViT-S/8, which are not brought to a
length of 1.
"""

from __future__ import annotations

from collections.abc import Mapping

from seedbed import trees
from seedbed.algorithms import ward
from seedbed.methods import method
from seedbed.types import PatchFeatures


@method
class Ward(trees.Method):
    def memory(self, extents: Mapping[str, int]) -> int:
        return extents["patch_y"] * extents["patch_x"] * extents["channel"] * 4 * 8  # two links of a patch, means

    def merge(self, patches: PatchFeatures) -> ward.MergeTree:
        rows, columns, channels = patches.values.shape
        return ward.merge(patches.values.reshape(-1, channels), ward.link_grid((rows, columns)))
