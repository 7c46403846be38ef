"""Stage `pretraining`: a transformer learns from the images alone what belongs together, or nothing is done."""

from pathlib import Path

from seedbed import pretraining
from seedbed.learning.checkpoints import Checkpoints
from seedbed.learning.learner import collect_columns
from seedbed.learning.samples import ImageSequence
from seedbed.report import export
from seedbed.report.export import PLOTS
from seedbed.run.machine import Machine
from seedbed.run.stage import Run, run_stage
from seedbed.store.schemas import Columns


def learn(method: pretraining.Method, pixels: ImageSequence, *, machine: Machine, checkpoint: Path, seconds: float) -> Columns:
    """Train a network, if one is to be trained."""
    return collect_columns(method.learn(pixels, machine=machine, checkpoints=Checkpoints(checkpoint, seconds=seconds)))


def main(run: Run) -> None:
    """Run the stage."""
    settings = run.params.settings(pretraining.Settings)
    method = run.params.method(pretraining.Method)
    data = run.open("dataset")
    made = run.training(
        method, learn, method, ImageSequence(run.images(data), data.split(settings.split) if settings.split else data.usable)
    )
    export.training_log(made, PLOTS / "pretraining.csv")


if __name__ == "__main__":
    run_stage(main, "pretraining")
