"""Stage `refinement`: pseudo masks, a label for every pixel."""

from collections.abc import Iterator, Sequence

from seedbed import refinement
from seedbed.algorithms.cell_pairs import find_radius
from seedbed.reads import AllEvidence, Edges, Maps, Patches, Pictures, Regions
from seedbed.run.machine import Place
from seedbed.run.slots import check_edges, check_slots
from seedbed.run.stage import Run, run_stage
from seedbed.store.schemas import Columns


def refine(method: refinement.Method, known: AllEvidence, place: Place, images: Sequence[str]) -> Iterator[Columns]:
    """Pseudo masks of images."""
    for group in place.group(images):
        for made in method.refine([known[image] for image in group], device=place.device):
            yield {"labels": made.labels, "confidence": made.confidence}


def main(run: Run) -> None:
    """Run the stage."""
    settings = run.params.settings(refinement.Settings)
    method = run.params.method(refinement.Method)
    check_slots(run.stage, settings, method)
    data, maps = run.open("dataset"), run.open(settings.class_maps)
    regions, patches = Regions(run.open_slot(settings.superpixels)), Patches(run.open_slot(settings.features))
    edges = run.open_slot(settings.edges)
    if edges is not None:
        compared = find_radius(edges.lengths["pair"])
        check_edges(run.stage, method, edges.name, found_by=edges.made_by.method, compared=compared)
    known = AllEvidence(data, Pictures(run.images(data)), Maps(maps), regions, patches, Edges(edges))
    run.per_image(method, refine, method, known, run.place(method), image_ids=data.labelled)


if __name__ == "__main__":
    run_stage(main, "refinement")
