"""Stage `refinement`: pseudo masks, a label for every pixel."""

from collections.abc import Iterator, Sequence
from functools import partial

from seedbed import refinement
from seedbed.artifacts import Artifact, Columns
from seedbed.images import Images
from seedbed.stage import Run, run_stage


def refine(method: refinement.Method, data: Artifact, pictures: Images, maps: Artifact, rows: Sequence[int]) -> Iterator[Columns]:
    """Pseudo masks of images."""
    for row in rows:
        labels = method.refine(pictures[row], maps.class_maps(row).resized(data.size(row)))
        yield {**data.identity(row), "labels": labels}


def main(run: Run) -> None:
    """Run the stage."""
    method = run.params.method(refinement.Method)
    data, maps = run.open("dataset"), run.open("cams")
    pictures = run.images(data)
    with run.create(method, data, maps, extents=data.extents) as out:
        for columns in run.each(partial(refine, method, data, pictures, maps), range(len(data))):
            out.append(columns)


if __name__ == "__main__":
    run_stage(main, "refinement")
