"""Stage `features`: one vector per patch of every image."""

from collections.abc import Iterator, Sequence
from functools import partial

from seedbed import features
from seedbed.artifacts import Artifact, Columns
from seedbed.images import Images
from seedbed.stage import Run, run_stage
from seedbed.types import cells


def describe(method: features.Method, data: Artifact, pictures: Images, rows: Sequence[int]) -> Iterator[Columns]:
    """Features of images."""
    for row, described in zip(rows, method.describe([pictures[row] for row in rows]), strict=True):
        yield {**data.identity(row), "patches": described.values}


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
