"""Stage `clicker`: a network learns from regions of images what clicks select."""

from seedbed import clicker
from seedbed.learning.loop import learn
from seedbed.learning.tree_samples import TreeSamples
from seedbed.merge_trees import Trees
from seedbed.networks.start import Given
from seedbed.report import export
from seedbed.report.export import PLOTS
from seedbed.run.slots import check_slots
from seedbed.run.stage import Run, run_stage


def main(run: Run) -> None:
    """Run the stage."""
    settings = run.params.settings(clicker.Settings)
    method = run.params.method(clicker.Method)
    check_slots(run.stage, settings, method)
    data, grown = run.open("dataset"), run.open(settings.trees)
    samples = TreeSamples(run.images(data), Trees(grown), data.split(settings.split) if settings.split else data.usable)
    made = run.training(method, learn, method, run.stage, 0, samples, Given())
    export.write_training_log(made, PLOTS / f"{run.stage}.csv")


if __name__ == "__main__":
    run_stage(main, "clicker")
