"""Stage `pretraining`: a transformer learns from the images alone what belongs together, or nothing is done."""

from seedbed import pretraining
from seedbed.learning.loop import learn
from seedbed.learning.samples import ImageSequence
from seedbed.networks.start import Given
from seedbed.report import export
from seedbed.report.export import PLOTS
from seedbed.run.stage import Run, run_stage


def main(run: Run) -> None:
    """Run the stage."""
    settings = run.params.settings(pretraining.Settings)
    method = run.params.method(pretraining.Method)
    data = run.open("dataset")
    images = ImageSequence(run.images(data), data.split(settings.split) if settings.split else data.usable)
    made = run.training(method, learn, method, run.stage, 0, images, Given())
    export.write_training_log(made, PLOTS / f"{run.stage}.csv")


if __name__ == "__main__":
    run_stage(main, "pretraining")
