"""Stage `dataset`: an index of the raw images, which every later stage trusts."""

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from seedbed import dataset, images
from seedbed.artifacts import Columns
from seedbed.images import RawFiles
from seedbed.stage import Run, run_stage
from seedbed.types import BACKGROUND_COLOUR, BACKGROUND_NAME


def inspect(files: RawFiles, ids: Sequence[str]) -> Iterator[Columns]:
    """Look at image files."""
    for image in ids:
        size, problem = files.inspect(image)
        yield {"size": size, "problem": problem}


def main(run: Run) -> None:
    """Run the stage."""
    settings = run.params.settings(dataset.Settings)
    method = run.params.method(dataset.Method)
    root = Path(settings.root)
    with run.alone():  # a reader may draw or unpack what it reads
        index = method.read(root)
    files = RawFiles.of(root, {entry.id: entry.file for entry in index.entries})
    whole = {
        "max_size": settings.max_size,
        "class_names": [BACKGROUND_NAME, *index.class_names],
        "palette": [BACKGROUND_COLOUR, *index.palette],
        "split_names": index.split_names,
        "file": [entry.file for entry in index.entries],
        "image_digest": [files.digests[entry.id] for entry in index.entries],
        "labels": [index.labels(entry) for entry in index.entries],
        "splits": [index.splits(entry) for entry in index.entries],
    }
    review = partial(images.review, list(files.files.values()), settings.max_size, allowed=settings.allow_broken, where=settings.root)
    run.per_image(method, inspect, files, images=list(files.files), whole=whole, review=review)


if __name__ == "__main__":
    run_stage(main, "dataset")
