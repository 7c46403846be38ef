"""`seedbed components`: fits principal components to features and writes them to a file."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from seedbed.algorithms.principal_components import PrincipalComponents
from seedbed.errors import ParamsError
from seedbed.reads import read_patches
from seedbed.store import files
from seedbed.store.artifact import Artifact
from seedbed.tools.weights import save_entries


def write_components(features: Artifact, count: int, file: Path, *, images: int) -> str:
    """Fit components to features and write them. Returns the line for params.yaml.

    images: how many to fit to, evenly spread over the data set.
    """
    if not features.ids:
        raise ParamsError(
            "seedbed components", found="no features", expected="features to fit to", do="select a method of features in params.yaml"
        )
    width = read_patches(features, features.ids[0]).values.shape[-1]
    if count > width:
        raise ParamsError(
            "seedbed components", found=f"{count}", expected=f"at most the {width} channels of the features", do="ask for less"
        )
    files.check(file)
    places = np.unique(np.linspace(0, len(features) - 1, min(images, len(features))).round().astype(int))
    fitted = PrincipalComponents.fit((read_patches(features, features.ids[place]).values.reshape(-1, width) for place in places), count)
    return f'components: {{count: {count}, fit: file, file: "{file}", sha256: "{save_components(fitted, file)}"}}'


def save_components(components: PrincipalComponents, file: Path) -> str:
    """Write principal components to a file. Returns its SHA-256."""
    return save_entries({"mean": components.mean, "directions": components.directions}, file)
