"""Stage `dataset`: an index of the raw images, which every later stage trusts."""

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from seedbed import dataset, images
from seedbed.images import RawFiles
from seedbed.run.stage import Run, run_stage
from seedbed.scoring.instance_truth import InstanceTruth
from seedbed.scoring.truth import Truth
from seedbed.store.schemas import Columns
from seedbed.types import BACKGROUND_NAME


def inspect(files: RawFiles, truth: Truth, things: InstanceTruth, bound: tuple[int, ...], ids: Sequence[str]) -> Iterator[Columns]:
    """Look at image files, and whether their masks can be used, those of classes and those of things.

    bound: height and width that larger images are shrunk to; none where they are not.
    """
    for image in ids:
        original, problem = files.inspect(image)
        size = images.fit_size(original, (bound[0], bound[1])) if bound and not problem else original
        mask_problem = "" if problem else truth.problem(image, original) or things.problem(image, original)
        yield {"size": size, "original_size": original, "problem": problem, "mask_problem": mask_problem}


def main(run: Run) -> None:
    """Run the stage."""
    settings = run.params.settings(dataset.Settings)
    method = run.params.method(dataset.Method)
    index, root = run.read_raw(method.read), Path(settings.root)
    index = index.restrict(settings.classes) if settings.classes else index
    if not index.entries:
        index.check(root)
    files = RawFiles.of(root, {entry.id: entry.file for entry in index.entries})
    truth = Truth.of(method.name, root, files.files, index.meaning)
    things = InstanceTruth.of(truth, method.name)
    whole = {
        "max_size": settings.max_size,
        "class_names": [BACKGROUND_NAME, *index.class_names],
        "mask_meaning": index.meaning,
        "split_names": index.split_names,
        "file": [entry.file for entry in index.entries],
        "image_digest": [files.digests[entry.id] for entry in index.entries],
        "labels": np.array([index.labels(entry) for entry in index.entries]),
        "labelled": [entry.labels is not None for entry in index.entries],
        "splits": np.array([index.splits(entry) for entry in index.entries]),
    }
    listed = [*index.problems, *(f"{file}: a mask that belongs to no image" for file in truth.strays())]
    listed += [f"{file}: an instance mask that belongs to no image" for file in things.strays()]
    review = partial(images.review, str(root), list(files.files.values()), settings.max_size, settings.allow_broken, listed)
    bound = settings.max_size if settings.larger == "shrink" else ()
    run.per_image(method, inspect, files, truth, things, bound, image_ids=list(files.files), whole=whole, review=review)
    run.say_wrong_splits(index.splits_labelled)


if __name__ == "__main__":
    run_stage(main, "dataset")
