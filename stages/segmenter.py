"""Stage `segmenter`: learns to segment from labels that earlier stages made."""

from seedbed import classifier, segmenter
from seedbed.learning.loop import learn
from seedbed.learning.samples import ChannelStatistics, DescribedSamples, Samples
from seedbed.networks.contracts import ClassifierNetwork
from seedbed.networks.inference import TrainedNetwork
from seedbed.networks.start import Given
from seedbed.report import export
from seedbed.report.export import PLOTS
from seedbed.run.slots import check_judge, check_slots, join_views
from seedbed.run.stage import Run, run_stage


def main(run: Run) -> None:
    """Run the stage."""
    settings = run.params.settings(segmenter.Settings)
    method = run.params.method(segmenter.Method)
    check_slots(run.stage, settings, method)
    data, start = run.open("dataset"), run.open_slot(settings.start)
    views = join_views(run.stage, run.open_slot(settings.features), run.open_slots(settings.views))
    maps, images = run.maps(method.wanted_maps, settings.maps), data.learnable(settings.split)
    judge: TrainedNetwork[ClassifierNetwork] | None = None
    if (trained := run.open_slot(settings.classifier)) is not None:
        judge = TrainedNetwork(run.rebuild_trained(classifier.Method, trained), (data.num_classes,), trained, "cpu")
        check_judge(run.stage, trained.name, judge.method)
    given = Given({"features": ChannelStatistics(views[0], images)}) if views else Given.start(method.trunk, start, judge)
    samples = DescribedSamples(data, views, images, maps=maps) if views else Samples(data, run.images(data), images, maps=maps)
    made = run.training(method, learn, method, run.stage, data.num_classes, samples, given)
    export.write_training_log(made, PLOTS / f"{run.stage}.csv")


if __name__ == "__main__":
    run_stage(main, "segmenter")
