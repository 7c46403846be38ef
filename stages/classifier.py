"""Stage `classifier`: learns from image-level labels which classes an image contains."""

from functools import partial
from pathlib import Path

from seedbed import classifier
from seedbed.learning.batches import Batch
from seedbed.learning.checkpoints import Checkpoints
from seedbed.learning.learner import collect_columns
from seedbed.learning.loop import Sampling, fit
from seedbed.learning.samples import Samples
from seedbed.report import export
from seedbed.report.export import PLOTS
from seedbed.run.machine import Machine
from seedbed.run.stage import Run, run_stage
from seedbed.store.schemas import Columns


def learn(method: classifier.Method, num_classes: int, samples: Samples, *, machine: Machine, checkpoint: Path, seconds: float) -> Columns:
    """Train a network."""
    build, view = partial(method.learner, num_classes), method.augmentation.view
    way = Sampling(method.training, view, Batch.of)
    return collect_columns(
        fit(build, samples, way, machine=machine, name="classifier", checkpoints=Checkpoints(checkpoint, seconds=seconds))
    )


def main(run: Run) -> None:
    """Run the stage."""
    settings = run.params.settings(classifier.Settings)
    method = run.params.method(classifier.Method)
    data = run.open("dataset")
    maps = run.maps(method.maps, settings.maps)
    samples = Samples(data, run.images(data), data.learnable(settings.split), maps=maps)
    made = run.training(method, learn, method, data.num_classes, samples)
    export.training_log(made, PLOTS / "classifier.csv")


if __name__ == "__main__":
    run_stage(main, "classifier")
