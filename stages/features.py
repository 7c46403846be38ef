"""Stage `features`: one vector per patch of every image."""

from functools import partial
from typing import Any

from seedbed import features
from seedbed.artifacts import Artifact
from seedbed.images import Images
from seedbed.stage import Run, run_stage
from seedbed.types import cells


def describe(method: features.Method, data: Artifact, pictures: Images, row: int) -> dict[str, Any]:
    """Features of one image."""
    [described] = method.describe([pictures[row]])
    return {**data.identity(row), "patches": described.values}


def main(run: Run) -> None:
    """Run the stage."""
    method = run.params.method(features.Method)
    data = run.open("dataset")
    pictures = run.images(data)
    patch_y, patch_x = cells(data.max_size, method.patch_size)
    with run.create(method, data, extents={"patch_y": patch_y, "patch_x": patch_x, "channel": method.num_channels}) as out:
        out.put("patch_size", method.patch_size)
        for columns in run.each(partial(describe, method, data, pictures), range(len(data))):
            out.append(columns)


if __name__ == "__main__":
    run_stage(main, "features")
