"""What clicks on an image select, as the stage `clicks` answers them, kept click by click: one more asks once, one fewer asks nothing."""

from __future__ import annotations

import copy
import hashlib
from collections import OrderedDict
from collections.abc import Sequence
from threading import RLock
from typing import Any

import numpy as np
import numpy.typing as npt

from seedbed import clicks
from seedbed.algorithms.clicks import Answer, Click, Mask
from seedbed.errors import ParamsError, join_names
from seedbed.merge_trees import Trees
from seedbed.params import Params, rebuild
from seedbed.reads import PixelLabels
from seedbed.run.slots import NO_PATH, check_data_set, check_images, check_slots
from seedbed.store.schemas import NONE, find_kind
from seedbed.view.library import Library

KIND = "clicks"
MOST_ANSWERS = 300  # that are kept
MOST_IMAGES = 4


def list_sections(params: Params) -> list[str]:
    """Sections of params.yaml that say what answers clicks."""
    return [name for name in params.sections() if find_kind(name) == KIND]


class Clicking:
    """Answers to clicks on images of a run."""

    def __init__(self, library: Library) -> None:
        self._library = library
        self._lock = RLock()  # the server answers in several threads
        self._seen: OrderedDict[tuple[str, ...], clicks.Seen] = OrderedDict()
        self._answers: OrderedDict[tuple[Any, ...], tuple[Answer, Mask]] = OrderedDict()

    def select(
        self, params: Params, section: str, image_id: str, given: Sequence[Click], *, start: str = "", level: int | None = None
    ) -> Mask:
        """The pixels that some clicks on an image select, in their order.

        start: a class; what labels call so that the section names is what clicks correct. Empty: they begin with nothing.
        level: see `measure_levels`; of the region that the last wanted click takes, where there are regions.
        """
        with self._lock:
            height, width = self._library.data.size(image_id)
            if not all(one.row < height and one.column < width for one in given):
                places = str([(one.row, one.column) for one in given])
                raise ParamsError("clicks", found=places, expected="some within the image", do="correct them")
            method, seen, key = self._open(params, section, image_id)
            begun = self._begin(params, section, image_id, start)
            if level is not None:
                selected: Mask = self._tree(method, section).select(seen.regions, given, start=begun, level=level)
                return selected
            key = (*key, start, hashlib.sha256(begun.tobytes()).hexdigest())
            done = next((count for count in range(len(given), 0, -1) if (*key, *given[:count]) in self._answers), 0)
            answer = copy.copy(self._answers[(*key, *given[:done])][0]) if done else method.begin(seen, begun)
            for count in range(done + 1, len(given) + 1):
                selected = answer(given[:count])
                self._answers[(*key, *given[:count])] = copy.copy(answer), selected
            while len(self._answers) > MOST_ANSWERS + len(given):
                self._answers.popitem(last=False)
            return self._answers[(*key, *given)][1] if given else begun

    def measure_levels(self, params: Params, section: str, image_id: str, click: Click) -> npt.NDArray[np.int32]:
        """How many merges it takes until a region around a click has each pixel: the region of level 3 has all up to 3."""
        with self._lock:
            method, seen, _ = self._open(params, section, image_id)
            self._tree(method, section)
            levels = np.zeros(seen.regions.tree.num_vectors, np.int32)
            patches = np.arange(len(levels))
            for level, region in enumerate(seen.regions.climb(int(seen.regions.patches[click.row, click.column]))):
                levels[~seen.regions.holds(region, patches)] = level + 1
            return levels[seen.regions.patches]

    def _begin(self, params: Params, section: str, image_id: str, start: str) -> Mask:
        """What clicks correct."""
        data = self._library.data
        size = data.size(image_id)
        if not start:
            return np.zeros(size, np.bool_)
        where = f"params.yaml: {section}.start"
        path = params.of_stage(section).settings(clicks.Settings).start
        if path == NO_PATH:
            raise ParamsError(where, found=repr(path), expected="labels that clicks can correct", do="name an artifact that has them")
        if start not in data.class_names:
            raise ParamsError("start", found=repr(start), expected=f"one of: {join_names(data.class_names)}", do="choose one")
        labels = self._library.run.artifact_at(path)
        check_data_set(labels, data)
        check_images(where, labels, [image_id])
        return np.asarray(PixelLabels(labels).of(image_id, size) == data.class_names.index(start))

    def _tree(self, method: clicks.Method, section: str) -> Any:
        if method.needs_network:
            raise ParamsError(
                f"{section}.method", found=repr(method.name), expected="one that selects regions, which have levels", do="choose another"
            )
        return method

    def _open(self, params: Params, section: str, image_id: str) -> tuple[clicks.Method, clicks.Seen, tuple[str, ...]]:
        """The method, what it is shown of an image, and the identity of both."""
        known = list_sections(params)
        if section not in known:
            raise ParamsError("section", found=repr(section), expected=f"one of: {join_names(known)}", do="choose one")
        params = params.of_stage(section)
        settings, method = params.settings(clicks.Settings), params.method(clicks.Method)
        check_slots(section, settings, method)
        trees, learned = (None if name == NONE else self._library.artifact(name) for name in (settings.trees, settings.clicker))
        data = self._library.data
        key = (repr(method), *(one.digest for one in (data, trees, learned) if one is not None), image_id)
        if key not in self._seen:
            data.row(image_id)
            image = self._library.photo(image_id)
            regions = Trees(trees).of(image_id, (image.shape[0], image.shape[1]))
            self._seen[key] = clicks.Seen(image, regions, None if learned is None else _open_network(method, section, learned))
            while len(self._seen) > MOST_IMAGES:
                self._seen.popitem(last=False)
        self._seen.move_to_end(key)
        return method, self._seen[key], key


def _open_network(method: clicks.Method, section: str, learned: Any) -> Any:
    from seedbed import clicker  # with torch, for which nobody pays who asks no network
    from seedbed.networks.inference import TrainedNetwork

    made_by = learned.made_by
    trainer = rebuild(clicker.Method, made_by.method, made_by.parameters, where=str(learned.path))
    method.check_network(section, trainer)
    trained: TrainedNetwork[Any] = TrainedNetwork(trainer, (), learned, "cpu")
    return trained.load()
