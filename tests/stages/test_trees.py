"""The stage `trees`, which another pipeline than the first has."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from seedbed.algorithms import ward
from seedbed.reads import read_entry, read_patches
from seedbed.report.layers import REGIONS, list_layers, read_layer
from seedbed.store.artifact import open_artifact
from seedbed.trees.ward import Ward
from tests.stages.miniature import Project
from tests.stages.surviving import change_params, heard


@pytest.fixture(scope="module")
def grown(finished: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project with trees."""
    project = finished.copy_to(tmp_path_factory.mktemp("grown") / "project")
    project.run("trees")
    return project


def test_every_image_has_the_tree_of_its_patches(grown: Project) -> None:
    made, features = (open_artifact(name, folder=grown.data) for name in ("trees", "features"))
    assert made.ids == features.ids and made.made_by.inputs.keys() == {"dataset", "features"}
    for image_id in made.ids:
        expected = Ward().merge(read_patches(features, image_id))
        tree = ward.read_from_grid(read_entry(made, "children", image_id), read_entry(made, "costs", image_id))
        assert tree.num_vectors == expected.num_vectors
        assert np.array_equal(tree.children, expected.children) and np.allclose(tree.costs, expected.costs, rtol=1e-6)


def test_the_last_regions_are_seen(grown: Project) -> None:
    made = open_artifact("trees", folder=grown.data)
    image_id = made.ids[0]
    [layer] = list_layers(made, image_id)
    regions = read_layer(made, layer, image_id)
    assert (layer.shown, regions.shape) == ("merges", made.size(image_id))
    assert np.array_equal(np.unique(regions), np.arange(REGIONS))


def test_trees_are_kept_where_larger_images_are_allowed(grown: Project, tmp_path: Path) -> None:
    project = grown.copy_to(tmp_path / "project")
    assert "(0 computed, 9 reused, 0 removed)" in heard(project, "trees")
    made = open_artifact("trees", folder=project.data)
    before = {one: read_entry(made, "children", one) for one in made.ids}
    change_params(project, "dataset", max_size=[90, 96])
    project.run("dataset", "features")
    assert "(0 computed, 9 reused, 0 removed)" in heard(project, "trees")
    after = open_artifact("trees", folder=project.data)
    assert after.lengths["patch_y"] > before[after.ids[0]].shape[1]
    assert all(np.array_equal(read_entry(after, "children", one), before[one]) for one in before)
