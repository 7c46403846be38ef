"""Stage `segmenter`: learns to segment from labels that earlier stages made."""

from functools import partial
from pathlib import Path

from seedbed import segmenter
from seedbed.learning.batches import Batch
from seedbed.learning.checkpoints import Checkpoints
from seedbed.learning.learner import collect_columns
from seedbed.learning.loop import Sampling, fit
from seedbed.learning.samples import Samples
from seedbed.networks.start import InitialTrunk
from seedbed.report import export
from seedbed.report.export import PLOTS
from seedbed.run.machine import Machine
from seedbed.run.slots import check_start
from seedbed.run.stage import Run, run_stage
from seedbed.store.schemas import Columns


def learn(
    method: segmenter.Method, num_classes: int, samples: Samples, start: InitialTrunk, *, machine: Machine, checkpoint: Path, seconds: float
) -> Columns:
    """Train a network."""
    build, view = partial(method.learner, num_classes, start=start.state()), method.augmentation.view
    way = Sampling(method.training, view, Batch.of)
    return collect_columns(
        fit(build, samples, way, machine=machine, name="segmenter", checkpoints=Checkpoints(checkpoint, seconds=seconds))
    )


def main(run: Run) -> None:
    """Run the stage."""
    settings = run.params.settings(segmenter.Settings)
    method = run.params.method(segmenter.Method)
    data = run.open("dataset")
    maps = run.maps(method.wanted_maps, settings.maps)
    samples = Samples(data, run.images(data), data.learnable(settings.split), maps=maps)
    check_start("segmenter", method.backbone.initial_weights.source, settings.start)
    start = InitialTrunk(method.backbone, run.open(settings.start))
    made = run.training(method, learn, method, data.num_classes, samples, start)
    export.training_log(made, PLOTS / "segmenter.csv")


if __name__ == "__main__":
    run_stage(main, "segmenter")
