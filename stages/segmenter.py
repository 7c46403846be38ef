"""Stage `segmenter`: learns to segment from labels that earlier stages made."""

from seedbed import segmenter
from seedbed.samples import Samples
from seedbed.stage import Run, run_stage
from seedbed.training import fit
from seedbed.weights import state_of


def main(run: Run) -> None:
    """Run the stage."""
    settings = run.params.settings(segmenter.Settings)
    method = run.params.method(segmenter.Method)
    data, labels = run.open("dataset"), run.open(settings.labels)
    pictures = run.images(data)
    samples = Samples(data, pictures, data.split(settings.split), maps={"labels": labels})
    trained = fit(
        lambda: method.learner(method.network(data.num_classes)),
        samples,
        training=method.training,
        augmentation=method.augmentation,
        device=run.device,
        name=run.stage,
    )
    with run.create(method, data, labels, extents={}) as out:
        out.put("loss", trained.losses)
        out.put_weights(state_of(trained.network))


if __name__ == "__main__":
    run_stage(main, "segmenter")
