"""Stage `segmenter`: learns to segment from labels that earlier stages made."""

from functools import partial
from pathlib import Path

from seedbed import segmenter
from seedbed.artifacts import Columns
from seedbed.samples import Samples
from seedbed.stage import Run, run_stage
from seedbed.training import fit
from seedbed.weights import Checkpoints, state_of


def learn(method: segmenter.Method, num_classes: int, samples: Samples, *, device: str, checkpoint: Path, seconds: float) -> Columns:
    """Train a network."""
    build, view = partial(method.learner, num_classes), method.augmentation.view
    checkpoints = Checkpoints(checkpoint, seconds=seconds)
    trained = fit(build, samples, training=method.training, view=view, device=device, name="segmenter", checkpoints=checkpoints)
    return {"loss": trained.losses, "weights": state_of(trained.network)}


def main(run: Run) -> None:
    """Run the stage."""
    settings = run.params.settings(segmenter.Settings)
    method = run.params.method(segmenter.Method)
    data = run.open("dataset")
    maps = run.maps(method.maps, settings.maps)
    samples = Samples(data, run.images(data), data.learnable(settings.split), maps=maps)
    run.training(method, learn, method, data.num_classes, samples)


if __name__ == "__main__":
    run_stage(main, "segmenter")
