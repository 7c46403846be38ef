"""Stage `classifier`: learns from image-level labels which classes an image contains."""

from functools import partial

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
    maps = run.maps(method.maps, settings.maps)
    samples = Samples(data, run.images(data), data.split(settings.split), maps=maps)
    build = partial(method.learner, data.num_classes)
    trained = fit(build, samples, training=method.training, view=method.augmentation.view, device=run.device, name=run.stage)
    with run.create(method, data, *maps.values()) as out:
        out.put("loss", trained.losses)
        out.put_weights(state_of(trained.network))


if __name__ == "__main__":
    run_stage(main, "classifier")
