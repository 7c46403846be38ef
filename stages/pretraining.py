"""Stage `pretraining`: a transformer learns from the images alone what belongs together, or nothing is done."""

from pathlib import Path

from seedbed import export, pretraining
from seedbed.artifacts import Columns
from seedbed.export import PLOTS
from seedbed.machine import Machine
from seedbed.samples import Pixels
from seedbed.stage import Run, run_stage
from seedbed.training import columns
from seedbed.weights import Checkpoints


def learn(method: pretraining.Method, pixels: Pixels, *, machine: Machine, checkpoint: Path, seconds: float) -> Columns:
    """Train a network, if one is to be trained."""
    return columns(method.learn(pixels, machine=machine, checkpoints=Checkpoints(checkpoint, seconds=seconds)))


def main(run: Run) -> None:
    """Run the stage."""
    settings = run.params.settings(pretraining.Settings)
    method = run.params.method(pretraining.Method)
    data = run.open("dataset")
    made = run.training(method, learn, method, Pixels(run.images(data), data.split(settings.split) if settings.split else data.usable))
    export.training_log(made, PLOTS / "pretraining.csv")


if __name__ == "__main__":
    run_stage(main, "pretraining")
