"""The report: one file that asks for nothing outside it, with all names as they are, whatever of a run is missing or damaged."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import subprocess
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest
from typer.testing import CliRunner

from seedbed import cli
from seedbed.report import export
from seedbed.scoring import judgement
from seedbed.scoring.judgement import Scores
from seedbed.store.artifact import open_artifact
from seedbed.tools.report import write_report
from seedbed.tools.summary import list_files_to_open
from tests.support.drawings import Drawing
from tests.view.conftest import CLASSES, IDS, write_run

EMPTY = ("meta", "img", "br")
ADDRESSES = ("src", "href", "action", "data", "poster", "srcset", "background", "style")


class Parsed(HTMLParser):
    """A page: its text by section, its elements, and whether they are closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.raw = text
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.sections: dict[str, str] = {}
        self._open: list[str] = []
        self._section = ""
        self.feed(text)
        self.close()
        assert not self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag == "section":
            self._section = str(dict(attrs)["id"])
        if tag not in EMPTY:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag
        if tag == "section":
            self._section = ""

    def handle_data(self, data: str) -> None:
        self.sections[self._section] = self.sections.get(self._section, "") + data + "\n"

    def all(self, name: str) -> list[dict[str, str | None]]:
        """Attributes of all elements of a name."""
        return [attributes for tag, attributes in self.elements if tag == name]


def report(root: Path, *, images: int = 8) -> Parsed:
    """The report of a run in a folder."""
    file = root / "report.html"
    size = write_report(str(root), file, images=images)
    content = file.read_bytes()
    assert len(content) == size
    return Parsed(content.decode())


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that nobody changes, with figures and tables."""
    root = tmp_path_factory.mktemp("reported")
    write_run(root)
    shorten(root)
    data, judged = open_artifact("dataset", folder=root / "data"), open_artifact("evaluation", folder=root / "data")
    scores = Scores(judged, data.class_names)
    classifier = judgement.judge_classifier(open_artifact("cams", folder=root / "data"), data, [IDS[2]])
    export.write_figures({"classifier": classifier, **scores.figures}, root / "data/metrics/evaluation.json")
    plots = root / "data/plots"
    for kind in ("seeds", "masks", "predictions"):
        rows = judgement.tabulate_confusion(scores.confusions[kind], data.class_names)
        export.write_table(("true", "predicted", "share", "pixels"), rows, plots / f"confusion_{kind}.csv")
    export.write_table(("threshold", "miou", "mark"), scores.curve(), plots / "thresholds.csv")
    export.write_table(("step", "loss", "learning_rate"), [(1, 0.7, 0.1), (2, 0.35, 0.05)], plots / "classifier.csv")
    export.write_table(("step", "loss"), [], plots / "pretraining.csv")
    return root


def shorten(root: Path) -> None:
    """Leave out of params.yaml and dvc.yaml what no report shows, since reading them takes longest."""
    texts = {name: (root / name).read_text(encoding="utf-8") for name in ("params.yaml", "dvc.yaml")}
    pipeline = re.sub(r"^      - (seedbed|stages)/.*\n", "", texts["dvc.yaml"], flags=re.M)
    pipeline = re.sub(r"^    params:\n(      - .*\n)+", "", pipeline, flags=re.M)
    params = re.sub(r"^  (shapes|voc|coco|cam|region_growing|vit):.*\n(    .*\n)+", "", texts["params.yaml"], flags=re.M)
    (root / "dvc.yaml").write_text(pipeline, encoding="utf-8")
    (root / "params.yaml").write_text(params, encoding="utf-8")


@pytest.fixture(scope="module")
def page(finished: Path) -> Parsed:
    """Its report."""
    return report(finished)


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    """A copy to do harm to."""
    return Path(shutil.copytree(finished, tmp_path / "run"))


# --- One file, safe to open ---


def test_nothing_outside_the_file_is_asked_for(page: Parsed) -> None:
    for _, attributes in page.elements:
        for name in ADDRESSES:
            assert (attributes.get(name) or "#").startswith(("data:image/", "#")), attributes
        assert not any(name.startswith("on") for name in attributes)
    assert not {tag for tag, _ in page.elements} & {"script", "link", "iframe", "object", "embed", "base", "form", "use", "image"}
    assert "url(" not in page.raw and "@import" not in page.raw
    assert set(re.findall(r"https?://[^\"' <]*", page.raw)) == {"http://www.w3.org/2000/svg"}


def test_the_policy_lets_nothing_be_loaded_or_run(page: Parsed) -> None:
    [policy] = [meta["content"] for meta in page.all("meta") if meta.get("http-equiv") == "Content-Security-Policy"]
    assert policy is not None and re.fullmatch(
        r"default-src 'none'; img-src data:; style-src 'sha256-[\w+/]{43}='; base-uri 'none'; form-action 'none'", policy
    )


def test_names_are_shown_as_they_are(page: Parsed) -> None:
    for image_id in IDS[:2]:
        assert image_id in page.sections["training-images"]
    assert IDS[2] in page.sections["predictions"]
    assert CLASSES[1] == "<b>dog</b>" and CLASSES[1] in page.sections["classes"] and CLASSES[1] in page.sections["confusion"]
    assert "<script" not in page.raw and "<b>dog" not in page.raw


def test_every_drawing_is_sound(page: Parsed) -> None:
    drawings = re.findall(r"<svg .*?</svg>", page.raw, re.S)
    assert len(drawings) > 20
    for one in drawings:
        Drawing(one)


def test_links_lead_to_sections(page: Parsed) -> None:
    assert [str(link["href"]) for link in page.all("a")] == [f"#{section['id']}" for section in page.all("section")]


# --- What it shows ---


def test_the_head_says_what_was_run_on_what(page: Parsed) -> None:
    head = " ".join(page.sections[""].split())
    assert "tiny 3 images (train 2; val 1, 0 of them labelled) of 2 classes" in head
    assert "predictions 0." in head and "masks 1.000 mIoU over 3 images, the last labels" in head


def test_stages_read_what_slots_name(page: Parsed) -> None:
    told = " ".join(page.sections["stages"].split())
    assert "evaluation test dataset, cams, seeds, refinement, superpixels, predictions 3" in told
    assert "segmenter region_growing dataset, seeds, superpixels it never ran here" in told
    assert "reads images on disk dataset" in told, "nobody knows how long they took"
    assert "none" not in told.split()[: told.split().index("stage")]


def test_figures_curves_and_sizes_are_there(page: Parsed) -> None:
    assert "class maps" in page.sections["figures"] and "1.000" in page.sections["figures"]
    assert "best" in page.sections["thresholds"] and "declared" in page.sections["thresholds"]
    assert "below 0.05 of the image" in page.sections["object-size"] and "1 thing\n" in page.sections["object-size"]
    assert "Nothing was trained." in page.sections["trainings"] and "0.35 at the end" in page.sections["trainings"]
    assert "average precision of the classifier" in page.sections["superpixels-and-classifier"]
    assert "boundary recall" in page.sections["superpixels-and-classifier"]
    assert "seeds.superpixel_background.threshold\n" in page.sections["parameters"]
    assert "seeds.threshold" not in page.sections["parameters"], "that of a method that is not selected"


def test_galleries_have_a_legend_and_every_layer(page: Parsed) -> None:
    training = page.sections["training-images"].splitlines()
    assert {"background", *CLASSES, "no label"} <= set(training)
    assert {"image", "superpixels", "class maps", "seeds", "masks", "masks: confidence", "truth"} <= set(training)
    assert {"predictions", "after the CRF", "truth"} <= set(page.sections["predictions"].splitlines())
    worst = page.sections["worst-images"]
    assert "missed: no label, or background where a class is" in worst and "mIoU 1.000" in worst and "errors" in worst


def test_galleries_have_as_many_images_as_are_wanted(finished: Path, tmp_path: Path) -> None:
    write_report(str(finished), tmp_path / "one.html", images=1)
    few = Parsed((tmp_path / "one.html").read_text(encoding="utf-8"))
    assert IDS[0] in few.sections["training-images"] and IDS[1] not in few.sections["training-images"]


def test_time_and_reuse_are_those_of_the_last_computation(run: Path) -> None:
    notes = run / "data/.work/seeds/runs.jsonl"
    notes.write_text('{"computed": 3, "seconds": 9}\n{"computed": 1, "seconds": 2.5}\n', encoding="utf-8")
    told = " ".join(report(run).sections["stages"].split())
    assert "images last computation computed reused on disk" in told
    assert re.search(r"seeds test dataset, cams, superpixels 3 2\.5 s 1 2 [\d.]+ kB", told)


def test_parameters_that_differ_from_git_are_marked(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def git(*arguments: str) -> None:
        subprocess.run(["git", "-c", "user.name=a", "-c", "user.email=a@b", *arguments], cwd=run, check=True, capture_output=True)

    git("init")
    git("add", "params.yaml")
    git("commit", "-m", "first")
    file = run / "params.yaml"
    file.write_text(file.read_text(encoding="utf-8").replace("background_power: 12", "background_power: 4"), encoding="utf-8")
    monkeypatch.chdir(run)
    write_report("", Path("report.html"), images=1)
    told = Parsed(Path("report.html").read_text(encoding="utf-8")).sections["parameters"]
    assert "refinement.crf.background_power\n4\n12 in git\n" in told
    assert told.count("in git") == 1 and told.count("1 changed") == 1


# --- What is missing or damaged ---


def remove(*names: str) -> Callable[[Path], None]:
    """Remove things of a run."""

    def do(root: Path) -> None:
        for name in names:
            path = root / name
            shutil.rmtree(path) if path.is_dir() else path.unlink()

    return do


def write(name: str, content: str | bytes) -> Callable[[Path], None]:
    """Let a file of a run have another content."""
    return lambda root: void((root / name).write_bytes(content if isinstance(content, bytes) else content.encode()))


def void(_: object) -> None:
    """Nothing."""


THINGS = {
    "images": 4,
    "images_with_truth": 3,
    "things": 9,
    "true_things": 7,
    "ap": 0.31,
    "ap50": 0.5,
    "ap75": None,
    "ap50_by_class": {"cat": 0.5, "dog": None},
}


def without_truth(root: Path) -> None:
    """Remove masks, and the figures that need them."""
    shutil.rmtree(root / "data/raw/tiny/masks")
    figures = {"masks": {"images": 2, "images_with_truth": 0, "coverage": 1.0}, "predictions": {"images": 1, "images_with_truth": 0}}
    (root / "data/metrics/evaluation.json").write_text(json.dumps(figures), encoding="utf-8")
    for name in ("confusion_masks", "confusion_seeds", "confusion_predictions"):
        export.write_table(("true", "predicted", "share", "pixels"), [], root / f"data/plots/{name}.csv")
    export.write_table(("threshold", "miou", "mark"), [], root / "data/plots/thresholds.csv")


@pytest.mark.parametrize(
    ("harms", "said"),
    [
        (
            [without_truth],
            {
                "": "1 images, none with a truth",
                "classes": "No image has a truth",
                "object-size": "No image has a truth",
                "confusion": "No image has a truth",
                "thresholds": "no class maps were held against a truth",
                "worst-images": "No image has a truth",
            },
        ),
        (
            [write("data/metrics/evaluation.json", json.dumps({"instances": THINGS}))],
            {
                "superpixels-and-classifier": "things that are told apart AP 0.310, AP50 0.500, AP75 -; 9 things, 7 true ones, 3 images",
                "figures": "There are no figures",
            },
        ),
        (
            [write("data/metrics/evaluation.json", json.dumps({"saliency": {"images": 4, "object_iou": 0.71, "unknown": 0.05}}))],
            {
                "superpixels-and-classifier": "saliency 4 images IoU of objects 0.710 unknown, share of the pixels 0.050",
                "figures": "There are no figures",
            },
        ),
        (
            [
                remove("data/predictions.zarr"),
                write("data/plots/classifier.csv", "step,loss\n1,x\n"),
                write("data/plots/thresholds.csv", "a\n1\n"),
            ],
            {
                "stages": "it never ran here",
                "predictions": "data/predictions.zarr: found nothing",
                "trainings": "in the column 'loss' what is no number",
                "thresholds": "no column 'threshold'",
            },
        ),
        (
            [
                write("data/predictions.zarr/zarr.json", "{"),
                write("data/plots/classifier.csv", b"\xff\xfe"),
                write("data/plots/confusion_masks.csv", "true,predicted,share\na,b,1\n"),
            ],
            {
                "": "found something that Seedbed did not write",
                "stages": "found something that Seedbed did not write",
                "predictions": "found something that Seedbed did not write",
                "trainings": "found bytes that are not UTF-8",
                "confusion": "found the class 'a', which is true alone",
            },
        ),
        (
            [remove("data/cams.zarr/maps", "data/evaluation.zarr"), write("dvc.yaml", "stages: [")],
            {
                "": "dvc.yaml of",
                "stages": "data/cams.zarr: found no maps/",
                "training-images": "data/cams.zarr: found no maps/",
                "predictions": "data/evaluation.zarr: found nothing",
                "worst-images": "data/evaluation.zarr: found nothing",
            },
        ),
        (
            [write("data/metrics/evaluation.json", "{"), write("params.yaml", "a: [")],
            {
                "": "params.yaml of",
                "figures": "There are no figures",
                "parameters": "There is no params.yaml",
                "training-images": "found what cannot be read",
            },
        ),
        (
            [write("data/metrics/evaluation.json", '{"masks": {"miou": "x", "iou": 3}, "a": []}'), remove("params.yaml", "dvc.yaml")],
            {
                "figures": "masks ? ?",
                "classes": "No image has a truth",
                "stages": "refinement",
                "trainings": "No training has left a table",
                "parameters": "There is no params.yaml",
            },
        ),
        (
            [remove("data/metrics/evaluation.json", "data/raw")],
            {
                "": "There are no figures",
                "figures": "There are no figures",
                "training-images": "images/0.png",
                "predictions": "images/2.png",
            },
        ),
        (
            [remove("data/dataset.zarr")],
            {"": "data/dataset.zarr: found nothing", "training-images": "data/dataset.zarr: found nothing", "classes": "mIoU 1.000"},
        ),
    ],
)
def test_what_is_not_there_is_said_where_it_would_stand(run: Path, harms: list[Callable[[Path], None]], said: dict[str, str]) -> None:
    for harm in harms:
        harm(run)
    page = report(run, images=1)
    for section, text in said.items():
        assert text in " ".join(page.sections[section].split())


def test_a_second_stage_of_a_kind_shows_up_by_its_schema(run: Path) -> None:
    shutil.copytree(run / "data/seeds.zarr", run / "data/seeds_more.zarr")
    assert "seeds more" in report(run, images=1).sections["training-images"].splitlines()


# --- The command ---


def test_the_command_writes_where_it_is_told_and_says_so(run: Path) -> None:
    with contextlib.chdir(run):
        done = CliRunner().invoke(cli.app, ["report", "--to", "new/<b>.html", "--images", "1"])
    assert done.exit_code == 0, done.output
    assert re.fullmatch(r"new/<b>\.html: 0\.\d MB; open it in a browser\n", done.stdout)
    assert "tiny" in (run / "new/<b>.html").read_text(encoding="utf-8")


def test_the_command_in_an_empty_folder_says_what_is_missing(tmp_path: Path) -> None:
    with contextlib.chdir(tmp_path):
        done = CliRunner().invoke(cli.app, ["report"])
    assert done.exit_code == 2
    assert done.stderr == "error: data: found no run: neither artifacts nor figures; expected what `dvc repro` leaves; run `dvc repro`\n"
    assert not (tmp_path / "report.html").exists()


def test_the_summary_names_it_first(run: Path) -> None:
    with contextlib.chdir(run):
        Path("report.html").touch()
        assert list_files_to_open().splitlines()[2].split()[0] == "report.html"


def test_the_demo_ends_with_it() -> None:
    makefile = (Path(__file__).parents[2] / "Makefile").read_text(encoding="utf-8")
    assert "\tseedbed summary\n\tseedbed report\n\n" in makefile
