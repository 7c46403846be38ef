"""Stage `classifier`: learns from image-level labels which classes an image contains."""

from seedbed import classifier
from seedbed.samples import Samples
from seedbed.stage import Run, run_stage
from seedbed.training import fit
from seedbed.weights import state_of


def main(run: Run) -> None:
    """Run the stage."""
    settings = run.params.settings(classifier.Settings)
    method = run.params.method(classifier.Method)
    data = run.open("dataset")
    samples = Samples(data, run.images(data), data.split(settings.split), maps={})
    trained = fit(
        lambda: method.learner(method.network(data.num_classes)),
        samples,
        training=method.training,
        augmentation=method.augmentation,
        device=run.device,
        name=run.stage,
    )
    with run.create(method, data, extents={}) as out:
        out.put("loss", trained.losses)
        out.put_weights(state_of(trained.network))


if __name__ == "__main__":
    run_stage(main, "classifier")
