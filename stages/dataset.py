"""Stage `dataset`: an index of the raw images, which every later stage trusts."""

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from seedbed import dataset, images
from seedbed.stage import Run, run_stage
from seedbed.types import BACKGROUND_COLOUR, BACKGROUND_NAME


def inspect(root: Path, files: Sequence[str], settings: dataset.Settings, rows: Sequence[int]) -> Iterator[images.Inspected]:
    """Look at image files."""
    for row in rows:
        yield images.inspect(root / files[row], max_size=settings.max_size)


def main(run: Run) -> None:
    """Run the stage."""
    settings = run.params.settings(dataset.Settings)
    method = run.params.method(dataset.Method)
    root = Path(settings.root)
    index = method.read(root)
    files = [entry.file for entry in index.entries]
    found = list(run.each(partial(inspect, root, files, settings), range(len(files))))
    images.refuse(found, where=settings.root)
    names = index.split_names
    with run.create(method, extents={"class": 1 + len(index.class_names), "split": len(names)}) as out:
        out.put("max_size", settings.max_size)
        out.put("class_names", [BACKGROUND_NAME, *index.class_names])
        out.put("palette", [BACKGROUND_COLOUR, *index.palette])
        out.put("split_names", names)
        for entry, one in zip(index.entries, found, strict=True):
            columns = {"ids": entry.id, "file": entry.file, "size": one.size, "digest": one.digest}
            out.append({**columns, "labels": index.labels(entry), "splits": index.splits(entry)})


if __name__ == "__main__":
    run_stage(main, "dataset")
