"""Stage `superpixels`: one region map per image."""

from collections.abc import Iterator, Sequence
from functools import partial

from seedbed import superpixels
from seedbed.artifacts import Artifact, Columns
from seedbed.images import Images
from seedbed.stage import Run, run_stage


def segment(method: superpixels.Method, data: Artifact, pictures: Images, patches: Artifact, rows: Sequence[int]) -> Iterator[Columns]:
    """Regions of images."""
    for row in rows:
        regions = method.partition(pictures[row], patches.patches(row))
        yield {**data.identity(row), "regions": regions, "region_count": regions.max() + 1}


def main(run: Run) -> None:
    """Run the stage."""
    method = run.params.method(superpixels.Method)
    data, patches = run.open("dataset"), run.open("features")
    pictures = run.images(data)
    with run.create(method, data, patches, extents=data.extents) as out:
        for columns in run.each(partial(segment, method, data, pictures, patches), range(len(data))):
            out.append(columns)


if __name__ == "__main__":
    run_stage(main, "superpixels")
