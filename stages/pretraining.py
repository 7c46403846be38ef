"""Stage `pretraining`: a transformer learns from the images alone what belongs together, or nothing is done."""

from seedbed import pretraining
from seedbed.report import export
from seedbed.report.export import PLOTS
from seedbed.run.stage import Run, run_stage
from seedbed.store.artifact import Artifact


def main(run: Run) -> None:
    """Run the stage."""
    settings = run.params.settings(pretraining.Settings)
    method = run.params.method(pretraining.Method)
    data = run.open("dataset")
    made = run.training(method, None) if method.makes_nothing else train(run, method, data, settings.split)
    export.write_training_log(made, PLOTS / f"{run.stage}.csv")


def train(run: Run, method: pretraining.Method, data: Artifact, split: str) -> Artifact:
    """Train the transformer."""
    from seedbed.learning.loop import learn  # with torch, for which nobody pays where nothing is learned
    from seedbed.learning.samples import ImageSequence
    from seedbed.networks.start import Given

    images = ImageSequence(run.images(data), data.split(split) if split else data.usable)
    return run.training(method, learn, method, run.stage, 0, images, Given())


if __name__ == "__main__":
    run_stage(main, "pretraining")
