"""params.yaml: everything that can be wrong with it is said in one line that names the place."""

from __future__ import annotations

import dataclasses
import importlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from annotated_types import Ge, Gt, Le, Lt
from ruamel.yaml import YAML

from seedbed import classifier, dataset, methods, seeds, segmenter, superpixels
from seedbed.errors import MethodError, ParamsError, SeedbedError
from seedbed.methods import identity
from seedbed.params import Params, rebuild
from seedbed.store.schemas import find_kind
from seedbed.superpixels.dino import Dino
from seedbed.tools.dependencies import list_kinds


def refusal(act: Callable[[], object]) -> str:
    """The message of the error that something raises."""
    with pytest.raises(SeedbedError) as raised:
        act()
    message = str(raised.value)
    assert "\n" not in message
    return message


def read(folder: Path, text: str) -> Params:
    """Parameters from a file with this text."""
    path = folder / "params.yaml"
    path.write_text(text, encoding="utf-8")
    return Params.read(path)


# --- The file as a whole ---


def test_the_project_s_own_files_are_right(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sections = set()
    for file in (project / "params.yaml", *project.glob("pipelines/*/params.yaml")):
        monkeypatch.chdir(file.parent)
        read_params = Params.read(file)
        read_params.check()
        kinds = {find_kind(one) for one in read_params.sections()}
        assert kinds == list_kinds(file.with_name("dvc.yaml"))
        sections |= kinds
    assert sections == set(methods.list_families())


def test_every_method_has_a_complete_block_in_the_project_s_file(original: dict[str, Any]) -> None:
    for family in methods.list_families():
        for name in methods.list_available(family):
            assert list(original[family][name]) == methods.read_declaration(family, name).names(), f"{family}.{name}"


def test_numbers_are_read_as_dvc_reads_them(original: dict[str, Any], tmp_path: Path) -> None:
    block = original["superpixels"]["dino"] | {"threshold": 0.125}
    path = tmp_path / "params.yaml"
    YAML().dump({"superpixels": {"method": "dino", "dino": block}}, path)
    path.write_text(path.read_text(encoding="utf-8").replace("0.125", "1e-4"), encoding="utf-8")
    dino = Params.read(path).method(superpixels.Method)
    assert isinstance(dino, Dino)
    assert dino.threshold == 0.0001


def test_on_is_a_word_and_not_a_truth_value(content: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    content["classifier"]["split"] = "SPLIT"
    YAML().dump(content, path)
    path.write_text(path.read_text(encoding="utf-8").replace("SPLIT", "on"), encoding="utf-8")
    assert Params.read(path).settings(classifier.Settings).split == "on"


def test_a_missing_file_says_what_to_do(tmp_path: Path) -> None:
    message = refusal(lambda: Params.read(tmp_path / "params.yaml"))
    assert message == (
        f"{tmp_path}/params.yaml: found no such file; expected the parameters of the pipeline; run this in the project's folder"
    )


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("dataset: [1\nfeatures: 2\n", ["params.yaml, line 2, column", "found a mistake in the YAML", "correct that line"]),
        ("dataset:\n\tmethod: shapes\n", ["params.yaml, line 2, column 1", "\\t"]),
        ("dataset: {}\ndataset: {}\n", ["params.yaml, line 2, column 1", 'duplicate key "dataset"']),
        ("dataset:\n  method: shapes\n  method: folder\n", ["params.yaml, line 3, column 3", 'duplicate key "method"']),
        ("dataset: !!python/object:os.system x\n", ["params.yaml, line 1", "python/object"]),
        ("dataset: \x01\n", ["params.yaml:", "#x0001"]),
        ("", ["params.yaml: found None", "expected a mapping of names to values"]),
        ("- dataset\n", ["params.yaml: found ['dataset']", "expected a mapping of names to values"]),
        ("1: 2\n", ["params.yaml: found the key 1", "expected names", "put it in quotes"]),
        ("dataset: shapes\n", ["params.yaml: dataset: found 'shapes'", "expected a mapping of names to values"]),
        ("dataset:\n", ["params.yaml: dataset: found None", "expected a mapping of names to values"]),
    ],
)
def test_text_that_is_not_a_mapping_of_sections_is_refused_with_its_place(tmp_path: Path, text: str, parts: list[str]) -> None:
    message = refusal(lambda: read(tmp_path, text))
    assert all(part in message for part in parts), message


def test_bytes_that_are_not_utf8_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_bytes(b"dataset: \xff\n")
    assert "not UTF-8" in refusal(lambda: Params.read(path))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("2020-13-45", "month must be in 1..12"),
        ("!!bool maybe", "'maybe'"),
        ("!!int ''", "string index out of range"),
        ("9" * 5000, "Exceeds the limit"),
    ],
)
def test_a_value_that_is_none_is_refused(tmp_path: Path, text: str, found: str) -> None:
    message = refusal(lambda: read(tmp_path, f"dataset: {text}\n"))
    assert message.startswith(f"{tmp_path}/params.yaml: found a value that cannot be read: {found}")
    assert message.endswith("; expected YAML; correct the file")


def test_a_file_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object, **__: object) -> str:
        raise PermissionError(13, "Permission denied")

    (tmp_path / "params.yaml").touch()
    monkeypatch.setattr(Path, "read_bytes", refused)
    message = refusal(lambda: Params.read(tmp_path / "params.yaml"))
    assert message.endswith("found that it cannot be read: Permission denied; expected the parameters of the pipeline; see who may read it")


@pytest.mark.parametrize(
    "text", ["[" * 1000, "[" * 1000 + "]" * 1000, "{a: " * 1000, "".join(f"{' ' * depth}a:\n" for depth in range(1000))]
)
def test_blocks_without_end_are_refused(tmp_path: Path, text: str) -> None:
    message = refusal(lambda: read(tmp_path, text))
    expected = "found blocks within blocks without end; expected at most 20, one within another; correct the file"
    assert message == f"{tmp_path}/params.yaml: {expected}"


def test_blocks_that_lie_too_deep_are_refused_with_their_place(tmp_path: Path) -> None:
    message = refusal(lambda: read(tmp_path, "dataset: " + "[" * 30 + "]" * 30))
    address = "dataset" + ".0" * 20
    assert message == f"{tmp_path}/params.yaml: {address}: found blocks within blocks; expected at most 20, one within another; " + ALIASES


ALIASES = "write out what is meant"


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("dataset: &a\n  method: *a\n", "dataset.method"),
        ("dataset: &a\n  folder: *a\n", "dataset.folder"),
        ("dataset:\n  folder: {classes: &a [cat, *a]}\n", "dataset.folder.classes.1"),
    ],
)
def test_an_alias_to_what_it_stands_in_is_refused(tmp_path: Path, text: str, address: str) -> None:
    message = refusal(lambda: read(tmp_path, text))
    assert message == f"{tmp_path}/params.yaml: {address}: found an alias to what it stands in; expected an end; {ALIASES}"


def test_few_lines_that_mean_very_many_values_are_refused(tmp_path: Path) -> None:
    doubled = "".join(f"  k{number}: &a{number} [{', '.join([f'*a{number - 1}'] * 10)}]\n" for number in range(1, 12))
    message = refusal(lambda: read(tmp_path, f"dataset:\n  k0: &a0 [x, x]\n{doubled}"))
    assert message.endswith(f": found more than 100,000 values, many of them by aliases; expected fewer; {ALIASES}")


def test_an_alias_to_something_else_is_what_it_means(content: dict[str, Any], tmp_path: Path) -> None:
    text = "dataset: {classes: &names [cat, dog], folder: {classes: *names, complete: true}}\n"
    assert read(tmp_path, text).sections() == ["dataset"]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("2020-01-02", "datetime.date(2020, 1, 2)"),
        ("!!binary aGFsbG8=", "b'hallo'"),
        ("!!set {a}", "{'a'}"),
    ],
)
def test_what_yaml_can_say_and_no_parameter_is(tmp_path: Path, text: str, found: str) -> None:
    message = refusal(lambda: read(tmp_path, f"dataset:\n  folder: {{classes: [cat, {text}]}}\n"))
    address = f"{tmp_path}/params.yaml: dataset.folder.classes.1"
    assert message == f"{address}: found {found}; expected numbers, text, true, false and lists; correct it"


@pytest.mark.parametrize(("letters", "found"), [("\\0", "'a\\x00'"), ("\\ud800", "'a\\ud800'"), ("\\n", "'a\\n'")])
def test_letters_that_are_none_are_refused(tmp_path: Path, letters: str, found: str) -> None:
    message = refusal(lambda: read(tmp_path, f'dataset: {{root: "a{letters}"}}\n'))
    assert message == f"{tmp_path}/params.yaml: dataset.root: found {found}; expected letters that can be read; correct it"


def test_a_key_that_is_no_name_is_refused_wherever_it_is(tmp_path: Path) -> None:
    message = refusal(lambda: read(tmp_path, "segmenter: {maps: {labels: {1: x}}}\n"))
    assert message == f"{tmp_path}/params.yaml: segmenter.maps.labels: found the key 1; expected names; put it in quotes"


def test_a_long_value_is_cut_short(content: dict[str, Any]) -> None:
    content["dataset"]["classes"] = [[str(number)] for number in range(1000)]
    content["cams"]["multiscale"]["flip"] = ["x" * 1000]
    message = refusal(lambda: Params(content).check())
    assert len(message) < 400 and "xxx..." in message


# --- Names ---


def set_at(content: dict[str, Any], address: str, value: object) -> None:
    """Set the entry at a dotted address."""
    *parents, last = address.split(".")
    for parent in parents:
        content = content[parent]
    content[last] = value


@pytest.mark.parametrize(
    ("address", "allowed", "near"),
    [
        ("supperpixels", ["superpixels", "dataset"], "superpixels"),
        ("classifier.splitt", ["method", "split", "cam"], "split"),
        ("superpixels.dinoo", ["method", "dino"], "dino"),
        ("superpixels.dino.treshold", ["threshold", "first", "crf_certainty", "crf"], "threshold"),
        ("superpixels.dino.crf.iteration", ["smooth_distance", "iterations"], "iterations"),
        ("segmenter.pseudo_masks.training.epoch", ["seed", "epochs"], "epochs"),
        ("dataset.folder.class", ["classes"], "classes"),  # a method that is not selected
    ],
)
def test_an_unknown_name_is_refused_with_its_address_what_is_allowed_and_the_nearest(
    content: dict[str, Any], address: str, allowed: list[str], near: str
) -> None:
    assert content["dataset"]["method"] != "folder"
    set_at(content, address, {})
    message = refusal(lambda: Params(content))
    assert message.startswith(f"params.yaml: {address}: found a name that nothing reads; expected one of: ")
    expected = message.split("; ")[1]
    assert all(name in expected for name in allowed)
    assert f"(nearest: {near})" in expected
    assert "`seedbed methods`" in message


def test_an_unknown_name_that_resembles_nothing_has_no_nearest(content: dict[str, Any]) -> None:
    content["zzzzzz"] = {}
    message = refusal(lambda: Params(content))
    assert "params.yaml: zzzzzz: found a name that nothing reads" in message
    assert "nearest" not in message


def test_a_block_that_is_no_mapping_is_refused(content: dict[str, Any]) -> None:
    content["superpixels"]["dino"]["crf"] = 3
    assert refusal(lambda: Params(content)).startswith("params.yaml: superpixels.dino.crf: found 3; expected a mapping of names to values")


def test_the_file_s_own_name_is_in_the_message(content: dict[str, Any]) -> None:
    content["superpixels"]["dino"]["treshold"] = 1
    assert refusal(lambda: Params(content, source="elsewhere.yaml")).startswith("elsewhere.yaml: superpixels.dino.treshold: ")


# --- What is selected ---


def test_a_missing_value_of_the_selected_method_is_named(content: dict[str, Any]) -> None:
    del content["superpixels"]["dino"]["crf"]["iterations"]
    message = refusal(lambda: Params(content).method(superpixels.Method))
    assert message.startswith("params.yaml: superpixels.dino.crf.iterations: found nothing; expected a value; add it")


@pytest.mark.parametrize(
    ("family", "name", "contract", "do"),
    [
        ("superpixels", "dino", superpixels.Method, "restore them from params.yaml in git"),
        ("segmenter", "pseudo_masks", segmenter.Method, "run `seedbed recipe segmenter.pseudo_masks`"),
    ],
)
def test_a_missing_block_of_the_selected_method_says_how_to_get_it(
    content: dict[str, Any], family: str, name: str, contract: type[methods.Method], do: str
) -> None:
    content[family]["method"] = name
    content[family].pop(name, None)
    message = refusal(lambda: Params(content).method(contract))
    assert message == f"params.yaml: {family}.{name}: found nothing; expected the parameters of the selected method; {do}"


def test_a_method_that_is_not_selected_may_be_incomplete_or_absent(content: dict[str, Any]) -> None:
    del content["dataset"]["shapes"]["num_train"]
    content["dataset"]["method"] = "folder"
    Params(content).check()
    del content["dataset"]["shapes"]
    Params(content).check()


def test_what_is_given_for_a_method_that_is_not_selected_must_be_right_all_the_same(content: dict[str, Any]) -> None:
    content["dataset"]["method"] = "folder"
    content["dataset"]["shapes"] = {"num_train": "many"}
    message = refusal(Params(content).check)
    assert message.startswith("params.yaml: dataset.shapes.num_train: found 'many'; expected a valid integer")


def test_an_unknown_method_is_answered_with_those_that_there_are(content: dict[str, Any]) -> None:
    content["superpixels"]["method"] = "dinos"
    with pytest.raises(MethodError) as raised:
        Params(content).method(superpixels.Method)
    message = str(raised.value)
    assert message.startswith("params.yaml: superpixels.method: found 'dinos'; expected one of: ")
    assert "(nearest: dino)" in message
    assert message.endswith("run `seedbed methods` to see what there is")


@pytest.mark.parametrize(("value", "found"), [(None, "nothing"), (["dino"], "['dino']"), (3, "3")])
def test_a_section_must_say_its_method(content: dict[str, Any], value: object, found: str) -> None:
    content["superpixels"]["method"] = value
    message = refusal(lambda: Params(content).method(superpixels.Method))
    assert message.startswith(f"params.yaml: superpixels.method: found {found}; expected one of: ")
    assert "dino" in message


def test_a_missing_mask_of_method_is_named(content: dict[str, Any]) -> None:
    del content["superpixels"]["method"]
    assert refusal(Params(content).check).startswith("params.yaml: superpixels.method: found nothing; expected one of: ")


@pytest.mark.parametrize("family", methods.list_families())
def test_a_missing_section_is_named_when_its_stage_asks_for_it(content: dict[str, Any], family: str) -> None:
    del content[family]
    contract = importlib.import_module(f"seedbed.{family}").Method
    message = refusal(lambda: Params(content).method(contract))
    assert message == f"params.yaml: {family}: found nothing; expected a section for this stage; restore it from params.yaml in git"


# --- Values ---


@pytest.mark.parametrize(
    ("address", "value", "expected"),
    [
        ("superpixels.dino.threshold", "high", "a valid number"),
        ("superpixels.dino.threshold", 1.5, "less than or equal to 1"),
        ("superpixels.dino.crf.iterations", 2.5, "a valid integer"),
        ("superpixels.dino.crf.iterations", -1, "greater than or equal to 0"),
        ("superpixels.dino.crf.iterations", True, "a valid integer"),
        ("superpixels.dino.crf.iterations", None, "a valid integer"),
        ("superpixels.dino.crf_certainty", 1, "less than 1"),
        ("classifier.cam.backbone.output_stride", 0, "greater than or equal to 1"),
        ("classifier.cam.backbone.initial_weights.source", "web", "'none', 'hub', 'file', 'pretraining' or 'classifier'"),
        ("classifier.cam.backbone.network", 50, "a valid string"),
        ("cams.multiscale.flip", "on", "a valid boolean"),
        ("cams.multiscale.scales", 1.0, "a valid array"),
        ("classifier.cam.training.batch_size", {"size": 2}, "a valid integer"),
    ],
)
def test_a_wrong_value_is_refused_with_address_what_was_found_and_what_is_allowed(
    content: dict[str, Any], address: str, value: object, expected: str
) -> None:
    set_at(content, address, value)
    family = address.split(".")[0]
    contract = importlib.import_module(f"seedbed.{family}").Method
    for act in (lambda: Params(content).method(contract), lambda: Params(content).check()):
        message = refusal(act)
        assert message.startswith(f"params.yaml: {address}: found {value!r}; expected "), message
        assert expected in message


def test_a_wrong_entry_of_a_list_is_named_by_its_position(content: dict[str, Any]) -> None:
    content["cams"]["multiscale"]["scales"] = [1.0, -0.5]
    message = refusal(Params(content).check)
    assert message.startswith("params.yaml: cams.multiscale.scales.1: found -0.5; expected greater than 0")


def test_an_empty_list_is_refused_where_one_entry_is_needed(content: dict[str, Any]) -> None:
    content["cams"]["multiscale"]["scales"] = []
    assert "params.yaml: cams.multiscale.scales: found []" in refusal(Params(content).check)


def test_a_whole_number_will_do_for_a_fraction(content: dict[str, Any]) -> None:
    content["superpixels"]["dino"]["threshold"] = 0
    dino = Params(content).method(superpixels.Method)
    assert isinstance(dino, Dino) and dino.threshold == 0


def test_values_that_contradict_each_other_are_refused(content: dict[str, Any]) -> None:
    content["dataset"]["shapes"] |= {"min_side": 90, "max_side": 80}
    message = refusal(lambda: Params(content).method(dataset.Method))
    assert message.startswith("params.yaml: dataset.shapes: found ")
    assert "expected max_side above min_side, which is 90" in message


@pytest.mark.parametrize("value", [float("inf"), float("nan")])
def test_numbers_must_be_finite(content: dict[str, Any], value: float) -> None:
    content["classifier"]["cam"]["training"]["epochs"] = value
    assert "classifier.cam.training.epochs" in refusal(Params(content).check)


@pytest.mark.parametrize(
    ("address", "value", "expected"),
    [
        ("classifier.cam.augmentation.crop", 1_000_000, "less than or equal to 20000"),
        ("classifier.cam.augmentation.largest_scale", 1e6, "less than or equal to 16"),
        ("cams.multiscale.scales", [1, 1e6], "less than or equal to 16"),
        ("predictions.multiscale.scales", [1e6], "less than or equal to 16"),
        ("segmenter.region_growing.scales", [1e6], "less than or equal to 16"),
        ("evaluation.standard.sweep.count", 10**8, "less than or equal to 10000"),
        ("evaluation.pictures", 10**8, "less than or equal to 1000"),
        ("segmenter.pseudo_masks.descent.learning_rate", 1e300, "less than or equal to 1000"),
        ("pretraining.dino.learning_rate", 1e300, "less than or equal to 1000"),
        ("classifier.cam.training.batch_size", 10**9, "less than or equal to 100000"),
        ("classifier.cam.training.epochs", 1e300, "less than or equal to 100000"),
        ("segmenter.pseudo_masks.rates", [1, 10**6], "less than or equal to 1024"),
        ("superpixels.dino.crf.colour_distance", 1e-30, "greater than or equal to 0.01"),
        ("superpixels.dino.crf.smooth_weight", 1e300, "less than or equal to 100000"),
        ("features.texture.reach", 1e300, "less than or equal to 64"),
    ],
)
def test_values_that_no_machine_can_serve_are_refused(content: dict[str, Any], address: str, value: Any, expected: str) -> None:
    set_at(content, address, value)
    message = refusal(Params(content).check)
    place, found = (f"{address}.{len(value) - 1}", value[-1]) if isinstance(value, list) else (address, value)
    assert message.startswith(f"params.yaml: {place}: found {found!r}; expected {expected}; ")


@pytest.mark.parametrize("family", methods.list_families())
def test_every_number_has_a_bound_on_either_side(family: str) -> None:
    """Whatever is larger or smaller is a slip of the hand, and better told than waited for."""
    for name in methods.list_available(family):
        for address, field in numbers(methods.load(family, name)):
            bounds = [one for one in field.metadata if isinstance(one, Ge | Gt | Le | Lt)]
            upper, lower = (any(isinstance(one, kind) for one in bounds) for kind in (Le | Lt, Ge | Gt))
            assert upper and lower, f"{family}.{name}.{address} needs le or lt, and ge or gt"


def numbers(kind: Any, address: str = "") -> Iterator[tuple[str, Any]]:
    """Fields of a block of parameters that are numbers, and those of blocks within it."""
    for name, field in kind.__pydantic_fields__.items():
        annotation = field.annotation
        if dataclasses.is_dataclass(annotation):
            yield from numbers(annotation, f"{address}{name}.")
        elif annotation in (int, float) and f"{address}{name}" not in UNBOUNDED:
            yield f"{address}{name}", field


UNBOUNDED = ("seed",)  # of a world; any number is as good


# --- A family's own settings ---


def test_settings_are_what_stands_beside_the_methods(content: dict[str, Any]) -> None:
    content["segmenter"] |= {"split": "all", "maps": {"labels": "seeds"}}
    settings = Params(content).settings(segmenter.Settings)
    assert (settings.split, settings.maps) == ("all", {"labels": "seeds"})


def test_a_missing_setting_is_named(content: dict[str, Any]) -> None:
    del content["segmenter"]["split"]
    message = refusal(lambda: Params(content).settings(segmenter.Settings))
    assert message.startswith("params.yaml: segmenter.split: found nothing; expected a value")


def test_a_wrong_setting_is_refused(content: dict[str, Any]) -> None:
    content["segmenter"]["maps"] = {"labels": 3}
    message = refusal(Params(content).check)
    assert message.startswith("params.yaml: segmenter.maps.labels: found 3; expected a valid string")


@pytest.mark.parametrize("value", [0, -1])
def test_at_least_one_picture_is_drawn(content: dict[str, Any], value: int) -> None:
    content["evaluation"]["pictures"] = value
    message = refusal(Params(content).check)
    assert message.startswith(f"params.yaml: evaluation.pictures: found {value}; expected greater than or equal to 1")


def test_an_image_size_has_two_numbers_in_their_range(content: dict[str, Any]) -> None:
    content["dataset"]["max_size"] = [40, 60]
    assert Params(content).settings(dataset.Settings).max_size == (40, 60)
    content["dataset"]["max_size"] = [40]
    assert refusal(lambda: Params(content).settings(dataset.Settings)).startswith("params.yaml: dataset.max_size.1: found nothing")
    content["dataset"]["max_size"] = [40, 60, 3]
    assert refusal(lambda: Params(content).settings(dataset.Settings)).startswith("params.yaml: dataset.max_size: found [40, 60, 3]")
    content["dataset"]["max_size"] = [40, 8]
    message = refusal(lambda: Params(content).settings(dataset.Settings))
    assert message.startswith("params.yaml: dataset.max_size.1: found 8; expected greater than or equal to 16")


def test_splits_are_those_that_settings_name(content: dict[str, Any]) -> None:
    content["predictions"]["split"] = "test"
    expected = {"classifier": "train", "segmenter": "train", "predictions": "test", "evaluation": "train"}
    expected |= {"clicker": "train", "clicks": "val", "clicks_tree": "val"}
    assert Params(content).splits() == expected
    content["predictions"]["split"] = ["val"]
    assert "predictions" not in Params(content).splits()


def test_the_raw_data_lies_where_the_file_says(content: dict[str, Any]) -> None:
    content["dataset"]["root"] = "data/raw/mine"
    assert Params(content).raw_root() == Path("data/raw/mine")


@pytest.mark.parametrize("root", ["", " ", ".", "data", "..", "/", None, 7])
def test_a_root_that_is_none(content: dict[str, Any], root: object) -> None:
    content["dataset"]["root"] = root
    found = "nothing" if root is None else repr(root)
    expected = f"params.yaml: dataset.root: found {found}; expected a folder below the project; correct it"
    assert refusal(lambda: Params(content).raw_root()) == refusal(lambda: Params(content).check()) == expected


def test_raw_data_that_dvc_would_wait_for(content: dict[str, Any], tmp_path: Path) -> None:
    content["dataset"]["root"] = str(tmp_path)
    os.mkfifo(tmp_path / "labels.csv")
    expected = f"{tmp_path}: found 1 paths that DVC cannot read: labels.csv: a pipe; expected only readable files and folders; "
    assert refusal(lambda: Params(content).check()).startswith(expected)


# --- What an artifact was made with ---


def test_a_method_is_rebuilt_from_the_parameters_that_it_had(original: dict[str, Any]) -> None:
    made = rebuild(superpixels.Method, "dino", original["superpixels"]["dino"], where="data/superpixels.zarr")
    assert isinstance(made, Dino)
    assert made == Params(original).method(superpixels.Method)


def test_parameters_that_no_longer_fit_name_the_artifact(original: dict[str, Any]) -> None:
    old = {"tau": 0.3, **original["superpixels"]["dino"]}
    message = refusal(lambda: rebuild(superpixels.Method, "dino", old, where="data/superpixels.zarr"))
    assert message.startswith("data/superpixels.zarr: superpixels.dino.tau: found 0.3")


# --- Sections of second rounds ---


def test_a_stage_reads_the_section_that_is_called_like_it(content: dict[str, Any]) -> None:
    content["seeds_second"] = content["seeds"] | {"method": "threshold", "threshold": {"foreground": 0.6, "background": 0.2}}
    read_params = Params(content)
    read_params.check()
    assert read_params.of_stage("seeds").method(seeds.Method) == read_params.method(seeds.Method)
    assert identity(read_params.of_stage("seeds_second").method(seeds.Method)) == content["seeds_second"]["threshold"]
    assert read_params.of_stage("seeds_second").method(superpixels.Method) == read_params.method(superpixels.Method), "another family's"
    assert read_params.select("seeds_second")["seeds_second.threshold.foreground"] == 0.6
    content["predictions_second"] = content["predictions"] | {"split": "train"}
    splits = Params(content).splits()
    assert (splits["predictions"], splits["predictions_second"]) == ("val", "train")


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("seeds_second", {"methd": "threshold"}, "seeds_second.methd: found a name that nothing reads; expected one of: method, "),
        ("seeds_second", {"threshold": {"foregrund": 1}}, "seeds_second.threshold.foregrund: found a name that nothing reads"),
        (
            "seeds_second",
            {"method": "kmeans"},
            "seeds_second.method: found 'kmeans'; expected one of: irn, psa, superpixel_background, superpixel_means, threshold",
        ),
        ("seeds_second", {"threshold": {"foreground": 2}}, "seeds_second.threshold.foreground: found 2; expected"),
        ("seed_second", {}, "seed_second: found a name that nothing reads; expected one of: "),
        ("second", {}, "second: found a name that nothing reads; expected one of: "),
        ("none", {}, "none: found a name that nothing reads; expected one of: "),
    ],
)
def test_a_section_of_a_second_round_is_checked_as_those_of_its_family(
    content: dict[str, Any], name: str, change: dict[str, Any], message: str
) -> None:
    content[name] = content["seeds"] | change
    assert refusal(lambda: Params(content).check()).startswith(f"params.yaml: {message}")


@pytest.mark.parametrize("family", ["dataset", "evaluation"])
def test_of_some_families_there_is_one_section(content: dict[str, Any], family: str) -> None:
    content[f"{family}_second"] = content[family]
    assert refusal(lambda: Params(content)) == (
        f"params.yaml: {family}_second: found a second section of {family}; expected {family} alone, of which there is one; remove it"
    )


def test_a_section_of_a_second_round_is_missed_when_its_stage_needs_it(content: dict[str, Any]) -> None:
    with pytest.raises(ParamsError) as missing:
        Params(content).check(needed=[*content, "cams_second", "report"])
    assert str(missing.value) == "params.yaml: cams_second: found nothing; expected a section for this stage; add it"


def test_a_missing_block_of_a_second_round_says_nothing_of_recipes(content: dict[str, Any]) -> None:
    content["seeds_second"] = {"method": "threshold"}
    assert refusal(lambda: Params(content).of_stage("seeds_second").method(seeds.Method)) == (
        "params.yaml: seeds_second.threshold: found nothing; expected the parameters of the selected method; "
        "add them, or run `seedbed methods` to see every method and its parameters"
    )
