"""Stage `segmenter`: learns to segment from labels that earlier stages made."""

from seedbed import segmenter
from seedbed.learning.loop import learn
from seedbed.learning.samples import Samples
from seedbed.networks.start import Given
from seedbed.report import export
from seedbed.report.export import PLOTS
from seedbed.run.slots import check_slots
from seedbed.run.stage import Run, run_stage


def main(run: Run) -> None:
    """Run the stage."""
    settings = run.params.settings(segmenter.Settings)
    method = run.params.method(segmenter.Method)
    check_slots(run.stage, settings, method)
    data = run.open("dataset")
    maps = run.maps(method.wanted_maps, settings.maps)
    samples = Samples(data, run.images(data), data.learnable(settings.split), maps=maps)
    given = Given.start(method.backbone, run.open_slot(settings.start))
    made = run.training(method, learn, method, run.stage, data.num_classes, samples, given)
    export.write_training_log(made, PLOTS / f"{run.stage}.csv")


if __name__ == "__main__":
    run_stage(main, "segmenter")
