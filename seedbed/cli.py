"""The command `seedbed`: looking at methods, the machine, what a run would do and what runs left. Runs themselves are `dvc repro`.

Nothing heavy is imported before it is needed, so that `--help` answers at once.
"""

from __future__ import annotations

import io
import os
import shutil
import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Annotated, ParamSpec

import typer

from seedbed.errors import USER_ERROR, SeedbedError, of_system
from seedbed.run import interruption
from seedbed.run.interruption import Interrupted

P = ParamSpec("P")
MARKS = {True: "[green]ok[/]", False: "[red]!![/]"}

From = Annotated[str, typer.Option("--from", help="The artifact: seeds, refinement, predictions, ...")]
InArray = Annotated[str, typer.Option("--array", help="Which of its arrays; the first that fits, if none.")]
InSplit = Annotated[str, typer.Option("--split", help="Only images of this split.")]
InRun = Annotated[str, typer.Option("--run", help="Another run: a folder, a git revision, or an experiment.")]
AtHost = Annotated[str, typer.Option("--host", help="Where to listen. Others than this machine need the address with its token.")]
AtPort = Annotated[int, typer.Option("--port", min=0, max=65535, help="0 takes one that is free.")]
ToFolder = Annotated[Path, typer.Argument(help="A new folder, or one that was exported to before.")]


def _announce(address: str) -> None:
    """Say where the page is served."""
    print(f"Open {address} - Ctrl-C ends it.", flush=True)


app = typer.Typer(help="Semantic segmentation from image-level labels. Run the pipeline with `dvc repro`.", no_args_is_help=True)


def one_line_errors(command: Callable[P, None]) -> Callable[P, None]:
    """Print errors that the user can fix, and interruptions, as one line without a traceback."""

    @wraps(command)
    def wrapped(*arguments: P.args, **options: P.kwargs) -> None:
        try:
            with interruption.heed_signals():
                command(*arguments, **options)
        except SeedbedError as error:
            print(f"error: {error}", file=sys.stderr)
            raise typer.Exit(USER_ERROR) from None
        except OSError as error:
            if (known := of_system(error)) is None:
                raise
            print(f"error: {known}", file=sys.stderr)
            raise typer.Exit(USER_ERROR) from None
        except Interrupted as interrupted:
            print("interrupted; run it again", file=sys.stderr)
            raise typer.Exit(interrupted.status) from None

    return wrapped


@app.command()
@one_line_errors
def methods(family: Annotated[str, typer.Argument(help="Show one family, with every parameter.")] = "") -> None:
    """List the methods that each stage can use, and their parameters."""
    from rich.console import Console

    from seedbed.tools import documentation

    console = Console(soft_wrap=True)
    for line in documentation.list_methods(family):
        console.print(line, highlight=False)


@app.command()
@one_line_errors
def init(path: Annotated[Path, typer.Argument(help="A folder with images: your own, VOC's devkit, or COCO.")]) -> None:
    """Look at a folder of images, write a table of labels if there is none, and enter the folder in params.yaml."""
    from seedbed.tools import init as starting

    start = starting.begin(path)
    for line in start.done:
        print(f"wrote {line}")
    for line in starting.inspect(start):
        print(line)


@app.command()
@one_line_errors
def recipe(name: Annotated[str, typer.Argument(help="One of recipes/, or stage.method; without it, all are listed.")] = "") -> None:
    """Lay a file of settings over params.yaml, or add the parameters of a method, and say what that changes."""
    if name:
        from seedbed.tools.recipe import lay

        for line in lay(name):
            print(line)
        return
    from rich.console import Console

    from seedbed.tools.recipe_listing import EXPLAINED, describe_blocks, tabulate_recipes

    console = Console()
    for table in tabulate_recipes():
        console.print(table, "")
    console.print(EXPLAINED, highlight=False)
    print()
    for line in describe_blocks():
        print(line)


@app.command(name="round")
@one_line_errors
def add_round(
    word: Annotated[str, typer.Argument(help="What the round is called: any word.")],
    stages: Annotated[list[str] | None, typer.Argument(help="Which stages it has: classifier, cams, seeds, ...")] = None,
    remove: Annotated[bool, typer.Option("--remove", help="Take the round out again.")] = False,
) -> None:
    """Add stages once more under other names, which read one another, to params.yaml and dvc.yaml: classifier_WORD, cams_WORD, ..."""
    from seedbed.tools import rounds

    for line in rounds.remove(word) if remove else rounds.add(word, stages or []):
        print(line)


@app.command()
@one_line_errors
def doctor() -> None:
    """Check the machine: packages, GPU, DVC, disk. Exit status 2 if something will not work."""
    from rich.console import Console

    from seedbed.tools.doctor import examine

    findings = examine()
    console = Console(soft_wrap=True)
    for finding in findings:
        console.print(f"{MARKS[finding.good]} [bold]{finding.what}[/]: {finding.found}", highlight=False)
        if finding.advice:
            console.print(f"   {finding.advice}", highlight=False)
    if not all(finding.good for finding in findings):
        raise typer.Exit(USER_ERROR)


@app.command()
@one_line_errors
def plan() -> None:
    """Check params.yaml and the data; say which stages `dvc repro` would run, why, and how long. Exit status 2 if one is known to fail."""
    from rich.console import Console

    from seedbed.params import Params
    from seedbed.tools import preflight
    from seedbed.tools.plan import (
        advise,
        describe_first_run,
        estimate_cost,
        has_never_run,
        list_remarks,
        plan_stages,
        summarise_costs,
        tabulate_costs,
        tabulate_plan,
    )

    params, console = Params.read(), Console()
    preflight.check(params)
    plan = plan_stages(params)
    if has_never_run(plan):
        console.print(describe_first_run(plan, params), highlight=False)
    else:
        costs = {one.stage: estimate_cost(one.stage, params) for one in plan}
        console.print(tabulate_plan(plan))
        console.print()
        console.print(tabulate_costs(costs))
        console.print()
        console.print(summarise_costs(plan, costs), highlight=False)
    for line in (*advise(plan), *list_remarks(plan, params)):
        console.print(line, highlight=False)
    waiting = [one.stage for one in plan if one.verdict != "nothing to do"]
    problems = list(preflight.find_problems(waiting, params))
    for line in () if problems else preflight.find_shortages(waiting, params):
        print(line, file=sys.stderr)
    for problem in problems:
        print(f"error: {problem}", file=sys.stderr)
    if problems:
        raise typer.Exit(USER_ERROR)


@app.command()
@one_line_errors
def summary() -> None:
    """Show the figures of the last run, and name what to open."""
    from rich.console import Console

    from seedbed.tools.summary import figures_table, list_files_to_open

    console = Console(soft_wrap=True)
    console.print(figures_table())
    console.print(list_files_to_open(), highlight=False)


@app.command()
@one_line_errors
def compare(
    before: Annotated[str, typer.Argument(help="A revision of git, an experiment of DVC, a folder, or `workspace`.")] = "HEAD",
    after: Annotated[str, typer.Argument(help="Likewise; what lies here, if none.")] = "workspace",
    kind: Annotated[str, typer.Option("--kind", help="Labels whose images and classes are listed; else the last that differ.")] = "",
    resamples: Annotated[int, typer.Option("--resamples", min=1, help="Of images, for intervals.")] = 1000,
    level: Annotated[float, typer.Option("--level", min=0.5, max=0.999, help="Share of resamples within an interval.")] = 0.95,
    as_json: Annotated[bool, typer.Option("--json", help="Print all of it as JSON.")] = False,
) -> None:
    """Show what differs between two runs: parameters, stages and why, figures with intervals, images that gained or lost.

    Checks nothing out: artifacts of revisions are read from DVC's cache. Intervals tell how much the choice of images may matter, by a
    paired bootstrap, and nothing of other seeds.
    """
    import json

    from rich.console import Console

    from seedbed.store.runs import open_run
    from seedbed.tools import comparison_tables as tables
    from seedbed.tools.bootstrap import Resampling
    from seedbed.tools.compare import compare as compare_runs

    with open_run(before) as first, open_run(after) as second:
        comparison = compare_runs(first, second, Resampling(resamples, level), kind=kind)
    if as_json:
        print(json.dumps(tables.comparison_as_json(comparison), indent=2, ensure_ascii=False))
    else:
        Console().print(tables.show_comparison(comparison), highlight=False)


@app.command()
@one_line_errors
def runs(
    number: Annotated[int, typer.Option("--number", "-n", min=1, help="So many of the latest runs.")] = 20,
    kind: Annotated[list[str] | None, typer.Option("--kind", help="Whose figures to show; may be given several times.")] = None,
    each: Annotated[bool, typer.Option("--each", help="A row for every run; else runs that differ in seeds alone share one.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print all of it as JSON.")] = False,
) -> None:
    """List commits and experiments that have figures of their own: what was changed, and what came of it."""
    import json

    from rich.console import Console

    from seedbed.tools import runs as listing

    found = listing.list_runs(number=number)
    settings = [listing.Setting([one]) for one in found] if each else listing.put_together(found)
    if as_json:
        print(json.dumps(listing.runs_as_json(settings), indent=2, ensure_ascii=False))
    else:
        Console().print(listing.runs_table(settings, kinds=kind or (), each=each), highlight=False)


@app.command()
@one_line_errors
def view(
    run: Annotated[str, typer.Argument(help="What to look at: the workspace, a folder, a git revision, or an experiment.")] = "",
    against: Annotated[str, typer.Option("--against", help="Another run, to see beside it.")] = "",
    host: AtHost = "127.0.0.1",
    port: AtPort = 8888,
) -> None:
    """Look at every cached mask in the browser: layers over each image, what a parameter would change, one run against another.

    Reads and never writes. Ctrl-C ends it.
    """
    from seedbed.tools.view import look

    look(run, against, host=host, port=port, announce=_announce)


@app.command()
@one_line_errors
def click(
    image: Annotated[str, typer.Argument(help="The id of an image.")],
    section: Annotated[str, typer.Option("--by", help="What answers: clicks, or clicks_WORD; the first of params.yaml, if none.")] = "",
    corrections: Annotated[Path, typer.Option("--corrections", help="The file in which corrections are kept.")] = Path("corrections.jsonl"),
    host: AtHost = "127.0.0.1",
    port: AtPort = 8888,
) -> None:
    """Select things of an image by clicks in the browser, save their masks, or keep them as corrections of seeds.

    Clicks are answered as in the stage `clicks`, from what the cache has of the image. Ctrl-C ends it.
    """
    from seedbed.tools.view import look_by_clicks

    look_by_clicks(image, section, corrections, host=host, port=port, announce=_announce)


@app.command()
@one_line_errors
def replay(
    file: Annotated[Path, typer.Argument(help="A file of corrections.")] = Path("corrections.jsonl"),
    write: Annotated[bool, typer.Option("--write", help="Let the file say what is selected now.")] = False,
) -> None:
    """Answer the clicks of a file of corrections once more, and show where other pixels are selected than were kept.

    They are, where the regions, the network or the labels are others than those that answered first.
    """
    from rich.console import Console

    from seedbed.tools import replay as replaying

    Console().print(replaying.describe(replaying.replay(file, write=write), file, write=write), highlight=False)


@app.command()
@one_line_errors
def report(
    run: Annotated[str, typer.Argument(help="What to report of: the workspace, a folder, a git revision, or an experiment.")] = "",
    file: Annotated[Path, typer.Option("--to", help="The HTML file to write.")] = Path("report.html"),
    images: Annotated[int, typer.Option("--images", min=1, max=200, help="So many images in each gallery.")] = 8,
) -> None:
    """Write all that a run has to show into one HTML file, which opens from disk and can be sent to others."""
    from seedbed.tools.report import write_report

    size = write_report(run, file, images=images)
    print(f"{file}: {size / 1e6:.1f} MB; open it in a browser")


@app.command()
@one_line_errors
def show(
    artifact: Annotated[str, typer.Argument(help="superpixels, cams, seeds, refinement, predictions, ...")],
    image: Annotated[str, typer.Argument(help="The id of an image.")],
    file: Annotated[Path | None, typer.Option("--to", help="A .png file; else it is shown in the terminal.")] = None,
    array: Annotated[str, typer.Option("--array", help="Which of its arrays; the first that can be seen, if none.")] = "",
    class_name: Annotated[str, typer.Option("--class", help="Show the map of one class alone.")] = "",
    plain: Annotated[bool, typer.Option("--plain", help="Without the photograph.")] = False,
    run: InRun = "",
) -> None:
    """Show what an artifact holds of an image, over the photograph: in the terminal, or as a picture in a file."""
    from seedbed.report import terminal
    from seedbed.store import files
    from seedbed.tools.show import Wanted, draw_picture

    if file:
        files.check(file)
    else:
        terminal.check_colours(os.environ, is_terminal=sys.stdout.isatty(), encoding=sys.stdout.encoding)
    drawn = draw_picture(Wanted(artifact, image, run=run, array=array, class_name=class_name, plain=plain))
    if file:
        files.write(drawn.encode(), file)
        print(f"wrote {file}")
    else:
        for line in terminal.draw_blocks(drawn.picture, shutil.get_terminal_size().columns):
            print(line)
        print(terminal.draw_names(drawn.legend))
    for remark in drawn.remarks:
        print(terminal.clean(remark), file=sys.stderr)


exports = typer.Typer(
    help="Write what artifacts hold for other programs: masks, results, maps, what labelling tools import.", no_args_is_help=True
)
app.add_typer(exports, name="export")


@exports.command("voc")
@one_line_errors
def export_voc(folder: ToFolder, artifact: From, array: InArray = "", split: InSplit = "", run: InRun = "") -> None:
    """Masks as PNG files with a palette, and lists of images, in the layout of Pascal VOC."""
    from seedbed.tools import export_masks
    from seedbed.tools.export_source import Wanted

    print(f"{folder}: {export_masks.export_voc(Wanted(artifact, run, array, split), folder)}")


@exports.command("test-server")
@one_line_errors
def export_test_server(
    file: Annotated[Path, typer.Argument(help="A new .tar.gz file.")],
    artifact: From,
    array: InArray = "",
    split: InSplit = "",
    run: InRun = "",
    competition: Annotated[int, typer.Option("--competition", min=5, max=6, help="5, where a network learned from VOC alone, or 6.")] = 6,
) -> None:
    """The archive that VOC's test server takes."""
    from seedbed.tools import export_masks
    from seedbed.tools.export_source import Wanted

    print(f"{file}: {export_masks.export_test_server(Wanted(artifact, run, array, split), file, competition=competition)}")


@exports.command("coco")
@one_line_errors
def export_coco(folder: ToFolder, artifact: From, array: InArray = "", split: InSplit = "", run: InRun = "") -> None:
    """Results in COCO's JSON with packed run lengths, which pycocotools reads: one for each class of each image, or for each thing."""
    from seedbed.tools import export_coco as results
    from seedbed.tools.export_source import Wanted

    print(f"{folder}: {results.export_coco(Wanted(artifact, run, array, split), folder)}")


@exports.command("npy")
@one_line_errors
def export_maps(
    folder: ToFolder,
    artifact: From,
    array: InArray = "",
    split: InSplit = "",
    run: InRun = "",
    full_size: Annotated[bool, typer.Option("--full-size", help="Maps at the size of the image's file; else as they are stored.")] = False,
) -> None:
    """Class maps, probabilities or features as .npy files of float32, and which classes each has."""
    from seedbed.tools import export_maps as maps
    from seedbed.tools.export_source import Wanted

    print(f"{folder}: {maps.export_maps(Wanted(artifact, run, array, split), folder, full_size=full_size)}")


@exports.command("labelling")
@one_line_errors
def export_labelling(
    folder: ToFolder,
    artifact: From,
    array: InArray = "",
    split: InSplit = "",
    run: InRun = "",
    tolerance: Annotated[
        float, typer.Option("--tolerance", min=0, help="So many pixels may polygons be off, to have fewer corners; 0: none.")
    ] = 1.0,
) -> None:
    """Masks and polygons that CVAT and Label Studio import, to correct them there."""
    from seedbed.tools import export_labelling as labelling
    from seedbed.tools.export_source import Wanted

    print(f"{folder}: {labelling.export_labelling(Wanted(artifact, run, array, split), folder, tolerance=tolerance)}")


@app.command()
@one_line_errors
def predict(
    pictures: Annotated[list[Path], typer.Argument(help="Image files.")],
    folder: Annotated[
        Path, typer.Option("--to", help="Folder for the masks. Only files that `predict` wrote are ever overwritten.")
    ] = Path("predicted"),
    with_crf: Annotated[bool, typer.Option("--crf", help="Refine the labels with the evaluation's dense CRF.")] = False,
    overlay: Annotated[bool, typer.Option("--overlay", help="Also write pictures with their labels over them.")] = False,
    size: Annotated[
        int | None,
        typer.Option("--size", help="Longest side at which the network sees a picture; by default dataset.max_size."),
    ] = None,
    device: Annotated[str, typer.Option("--device", help="auto, cpu or cuda.")] = "auto",
) -> None:
    """Segment new pictures with the trained model. Masks are PNG files of class numbers, shown in the classes' colours.

    Pictures that cannot be used are listed at the end, with exit status 2.
    """
    from seedbed.params import Params
    from seedbed.run.stage import Run
    from seedbed.tools import predict as predicting

    params, unusable = Params.read(), []
    place = Run("predictions", params, device_wanted=device).device
    wanted = predicting.Request(folder, with_crf=with_crf, overlay=overlay, longest_side=size)
    for one in predicting.segment_pictures(pictures, wanted, params=params, device=place):
        if isinstance(one, SeedbedError):
            unusable.append(one)
        else:
            print(f"{one.mask}: " + ", ".join(f"{name} {share:.1%}" for name, share in one.shares.items()), flush=True)
    for error in unusable:
        print(f"error: {error}", file=sys.stderr)
    if unusable:
        raise typer.Exit(USER_ERROR)


@app.command()
@one_line_errors
def export_model(
    file: Annotated[Path, typer.Argument(help="Where to write it: a .pt2 file.")],
    size: Annotated[
        tuple[int, int] | None, typer.Option("--size", help="Height and width of the images that it accepts; by default any.")
    ] = None,
) -> None:
    """Write the trained segmenter as a torch.export program, which runs without Seedbed, and check its outputs."""
    from seedbed.params import Params
    from seedbed.tools import export_model as program
    from seedbed.tools.predict import open_segmenter

    trained, describers = open_segmenter(Params.read(), "cpu")
    program.check(file, size)
    furthest = program.export(program.join(trained.load(), describers), file, size=size)
    print(f"{file}: from RGB in [0, 1] (batch, 3, height, width) to logits of every pixel, within {furthest:.1g} of the network's")
    if len(describers) > 1:
        print(f"of {len(describers)} views of an image, which `seedbed predict` averages, it has the first")


@app.command()
@one_line_errors
def weights(
    stage: Annotated[str, typer.Argument(help="pretraining, classifier or segmenter.")],
    file: Annotated[Path, typer.Argument(help="Where to write them: a .safetensors file.")],
) -> None:
    """Write the weights that a stage has trained to a file, and print the line for params.yaml that starts from them."""
    from seedbed.tools.weights import open_trained, save_state

    artifact = open_trained(stage)
    print(f'initial_weights: {{source: file, file: "{file}", sha256: "{save_state(artifact, file)}"}}')


@app.command()
@one_line_errors
def components(
    count: Annotated[int, typer.Argument(min=1, help="Number of components.")],
    file: Annotated[Path, typer.Argument(help="Where to write them: a .safetensors file.")],
    images: Annotated[int, typer.Option("--images", min=1, help="Number of images to fit to, evenly spread over the data set.")] = 1000,
) -> None:
    """Fit principal components to data/features.zarr, and print the line for params.yaml that reduces features with them."""
    from seedbed.store.artifact import open_artifact
    from seedbed.tools.components import write_components

    print(write_components(open_artifact("features"), count, file, images=images))


@app.command()
@one_line_errors
def verify(
    artifacts: Annotated[list[str] | None, typer.Argument(help="Stages whose artifacts to check; by default all.")] = None,
    raw: Annotated[bool, typer.Option("--raw", help="Also compare every raw image file with its digest.")] = False,
    store: Annotated[bool, typer.Option("--store", help="Also check the entries in data/.work.")] = False,
) -> None:
    """Check what is on disk: files, checksums, what made it, and content image by image. Exit status 2 if something is wrong."""
    from seedbed.params import Params
    from seedbed.tools import verify as checking

    names = checking.select_artifacts(artifacts or ())
    params = Params.read() if raw or Path("params.yaml").is_file() else None
    root = params.raw_root() if raw and params else None
    reports = []
    for report in checking.verify_all(names, params=params, root=root, store=store):
        print(report, flush=True)
        reports.append(report)
    for line in checking.give_advice(reports):
        print(line)
    if not all(report.sound for report in reports):
        raise typer.Exit(USER_ERROR)


@app.command()
@one_line_errors
def gc(
    delete: Annotated[bool, typer.Option("--delete", help="Delete; without it, only show what can go.")] = False,
    keep: Annotated[int, typer.Option("--keep", min=0, help="Old generations to keep of each stage, the most recently used ones.")] = 0,
    stage: Annotated[list[str] | None, typer.Option("--stage", help="Only this stage; may be given several times.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Current results too, so that all is recomputed. Artifacts stay.")] = False,
) -> None:
    """Show what data/.work keeps of earlier parameters, code and images, and delete it. Exit status 2 if a stage is running."""
    from rich.console import Console

    from seedbed.tools import gc as garbage

    choice, console = garbage.Choice(tuple(stage or ()), keep, everything), Console()
    generations = garbage.survey(choice)
    console.print(garbage.table(generations))
    if not delete:
        print(garbage.give_advice(choice, generations))
        return
    for what in garbage.collect(choice):
        print(garbage.describe_done(*what))
    if everything:
        print("Artifacts stay as they are; `dvc repro --force` recomputes them.")


def main() -> None:
    """Entry point."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # names of files need not be text
    app()


if __name__ == "__main__":
    main()
