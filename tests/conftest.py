"""What several tests share: the project's parameters, small versions of its methods, and the smallest data set."""

from __future__ import annotations

import contextlib
import copy
import importlib
import json
import os
import signal
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import hypothesis
import numpy as np
import pytest
from ruamel.yaml import YAML

from seedbed import params
from seedbed.errors import MethodError
from seedbed.store.artifact import Artifact, MadeBy
from seedbed.tools.recipe_files import find_block, list_blocks
from tests.support.publishing import published
from tests.support.small import shrunk

PROJECT = Path(__file__).parents[1]

# Tests share cores with each other and with programs that they start; threads of torch that wait for a core cost a hundredfold.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# Whoever runs the tests in the background may let them ignore Ctrl-C; the programs that they start and interrupt must not.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# The same examples on every machine and no time limit, since machines are slow now and then.
hypothesis.settings.register_profile("seedbed", deadline=None, derandomize=True, max_examples=30)
hypothesis.settings.load_profile("seedbed")


@pytest.fixture(scope="session", autouse=True)
def yaml_is_parsed_once() -> Iterator[None]:
    """Keep what YAML says: the same parameters and pipelines are read again and again, by a parser that is written in Python.

    What is JSON too, as tests write parameters, need not go through it at all.
    """
    load, kept = YAML.load, dict[tuple[Any, ...], Any]()

    def load_once(yaml: YAML, stream: Any) -> Any:
        text = stream.read_text(encoding="utf-8") if isinstance(stream, Path) else stream
        if not isinstance(text, str):
            return load(yaml, stream)
        key = (*yaml.typ, yaml.preserve_quotes, text)
        if key not in kept:
            kept[key] = parse(yaml, text)
        return copy.deepcopy(kept[key])

    def parse(yaml: YAML, text: str) -> Any:
        if yaml.typ == ["safe"] and text.startswith("{\n"):
            with contextlib.suppress(ValueError):
                return json.loads(text)
        return load(yaml, text)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(YAML, "load", load_once)
        yield


@pytest.fixture(scope="session")
def project() -> Path:
    """The checkout."""
    return PROJECT


@pytest.fixture(scope="session")
def original() -> dict[str, Any]:
    """params.yaml as DVC reads it, with the blocks of recipes/methods that it lacks, and sections of other pipelines; not to be changed."""
    content: dict[str, Any] = {}
    for file in (*PROJECT.glob("pipelines/*/params.yaml"), PROJECT / "params.yaml"):
        content |= YAML(typ="safe").load(file)
    for address in list_blocks(PROJECT / "recipes"):
        family, _, name = address.partition(".")
        content[family][name] = find_block(content, address, folder=PROJECT / "recipes")
    return content


@pytest.fixture
def content(original: dict[str, Any]) -> dict[str, Any]:
    """A copy of the project's parameters to do harm to."""
    return copy.deepcopy(original)


@pytest.fixture(scope="session")
def small_method(original: dict[str, Any]) -> Callable[[str, str], Any]:
    """Any method of any family, with the project's parameters, but fast."""

    def build(family: str, name: str) -> Any:
        block = original[family].get(name)
        assert block is not None, f"no block {family}.{name} in params.yaml or recipes/methods, from which its tests take parameters"
        contract = importlib.import_module(f"seedbed.{family}").Method
        try:
            return params.rebuild(contract, name, shrunk(block), where="params.yaml")
        except MethodError as error:
            pytest.skip(str(error))

    return build


@pytest.fixture(scope="session")
def write_dataset() -> Callable[..., Artifact]:
    """Publish the index of a data set with the classes cat and dog, of images that need not exist, by turns in train and val."""

    def write(
        folder: Path,
        *,
        sizes: Mapping[str, tuple[int, int]],
        labels: Mapping[str, tuple[int, ...]] | None = None,
        problems: Mapping[str, str] | None = None,
        digests: Mapping[str, str] | None = None,
    ) -> Artifact:
        rows = [
            {
                "ids": image,
                "size": size,
                "original_size": size,
                "file": f"images/{image}.png",
                "image_digest": (digests or {}).get(image, f"digest of {image}"),
                "labels": np.isin(np.arange(3), [0, *(labels or {}).get(image, (1,))]),
                "splits": [number % 2 == 0, number % 2 == 1],
                "labelled": True,
                "problem": (problems or {}).get(image, ""),
                "mask_problem": "",
            }
            for number, (image, size) in enumerate(sizes.items())
        ]
        whole = {
            "max_size": (40, 48),
            "class_names": ["background", "cat", "dog"],
            "split_names": ["train", "val"],
            "mask_meaning": [0, 1, 2, *[-1] * 252, 255],
        }
        return published("dataset", folder, rows, whole=whole, extents={"class": 3, "split": 2}, made_by=MadeBy("dataset", "folder", {}))

    return write
