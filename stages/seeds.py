"""Stage `seeds`: labels for the pixels of which one can be sure."""

from collections.abc import Iterator, Sequence
from functools import partial

from seedbed import seeds
from seedbed.artifacts import Artifact, Columns
from seedbed.stage import Run, run_stage


def label(method: seeds.Method, data: Artifact, maps: Artifact, regions: Artifact, rows: Sequence[int]) -> Iterator[Columns]:
    """Seeds of images."""
    for row in rows:
        labels = method.label(maps.class_maps(row).resized(data.size(row)), regions.read("regions", row))
        yield {**data.identity(row), "labels": labels}


def main(run: Run) -> None:
    """Run the stage."""
    method = run.params.method(seeds.Method)
    data, maps, regions = run.open("dataset"), run.open("cams"), run.open("superpixels")
    with run.create(method, data, maps, regions, extents=data.extents) as out:
        for columns in run.each(partial(label, method, data, maps, regions), range(len(data))):
            out.append(columns)


if __name__ == "__main__":
    run_stage(main, "seeds")
