"""Stage `classifier`: learns from image-level labels which classes an image contains."""

from seedbed import classifier
from seedbed.learning.loop import learn
from seedbed.learning.samples import DescribedSamples, Samples
from seedbed.networks.start import Given
from seedbed.report import export
from seedbed.report.export import PLOTS
from seedbed.run.slots import check_slots
from seedbed.run.stage import Run, run_stage


def main(run: Run) -> None:
    """Run the stage."""
    settings = run.params.settings(classifier.Settings)
    method = run.params.method(classifier.Method)
    check_slots(run.stage, settings, method)
    data = run.open("dataset")
    maps, features = run.maps(method.wanted_maps, settings.maps), run.open_slot(settings.features)
    images = data.learnable(settings.split)
    samples = (
        Samples(data, run.images(data), images, maps=maps) if features is None else DescribedSamples(data, [features], images, maps={})
    )
    made = run.training(method, learn, method, run.stage, data.num_classes, samples, Given())
    export.write_training_log(made, PLOTS / f"{run.stage}.csv")


if __name__ == "__main__":
    run_stage(main, "classifier")
