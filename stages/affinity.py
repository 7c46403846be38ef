"""Stage `affinity`: learns which neighbouring cells of an image belong together, or nothing."""

from seedbed import affinity
from seedbed.report import export
from seedbed.report.export import PLOTS
from seedbed.run.slots import check_slots
from seedbed.run.stage import Run, run_stage
from seedbed.store.artifact import Artifact


def main(run: Run) -> None:
    """Run the stage."""
    settings = run.params.settings(affinity.Settings)
    method = run.params.method(affinity.Method)
    check_slots(run.stage, settings, method)
    data, start = run.open("dataset"), run.open_slot(settings.start)
    maps = run.maps(method.wanted_maps, settings.maps)
    made = run.training(method, None) if method.makes_nothing else train(run, method, data, start, maps, settings.split)
    export.write_training_log(made, PLOTS / f"{run.stage}.csv")


def train(run: Run, method: affinity.Method, data: Artifact, start: Artifact | None, maps: dict[str, Artifact], split: str) -> Artifact:
    """Train the network."""
    from seedbed.learning.loop import learn  # with torch, for which nobody pays where nothing is learned
    from seedbed.learning.samples import Samples
    from seedbed.networks.start import Given

    samples = Samples(data, run.images(data), data.learnable(split), maps=maps)
    return run.training(method, learn, method, run.stage, 0, samples, Given.start(method.trunk, start))


if __name__ == "__main__":
    run_stage(main, "affinity")
