"""Wherever work runs, its results are the same and come in order."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import pytest

from seedbed import executor
from seedbed.errors import DataError, MachineError
from seedbed.images import Images

ROWS = [*range(37, 0, -1), 5, 5]  # more than one run, in no natural order
NEGATED: Callable[[Sequence[int]], Iterator[int]] = partial(map, operator.neg)  # can travel, unlike a function of a test


@pytest.fixture
def missing(tmp_path: Path) -> Callable[[Sequence[int]], Iterator[object]]:
    """Work of which every piece fails as a user's error."""
    return partial(map, Images(tmp_path, [f"{number}.png" for number in range(40)], [""] * 40).__getitem__)


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    """The address of a dask cluster in this process."""
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(n_workers=1, threads_per_worker=1, processes=False, dashboard_address=None) as started:
        yield f"inproc://{started.scheduler_address.removeprefix('inproc://')}"


def test_in_this_process() -> None:
    assert list(executor.mapped(NEGATED, ROWS, workers=1, scheduler="")) == [-row for row in ROWS]


def test_in_two_processes() -> None:
    assert list(executor.mapped(NEGATED, ROWS, workers=2, scheduler="")) == [-row for row in ROWS]


def test_on_a_cluster(cluster: str) -> None:
    assert list(executor.mapped(NEGATED, ROWS, workers=1, scheduler=cluster)) == [-row for row in ROWS]


@pytest.mark.parametrize("workers", [1, 2])
def test_nothing_to_do(workers: int) -> None:
    assert list(executor.mapped(NEGATED, [], workers=workers, scheduler="")) == []


@pytest.mark.parametrize("workers", [1, 2])
def test_an_error_arrives_as_it_was_raised(missing: Callable[[Sequence[int]], Iterator[object]], workers: int, tmp_path: Path) -> None:
    with pytest.raises(DataError) as raised:
        list(executor.mapped(missing, range(20), workers=workers, scheduler=""))
    expected = "found no such file; expected the image that was indexed; restore it, or run `dvc repro dataset`"
    assert str(raised.value) == f"{tmp_path}/0.png: {expected}"


def test_an_error_arrives_from_a_cluster(missing: Callable[[Sequence[int]], Iterator[object]], cluster: str, tmp_path: Path) -> None:
    with pytest.raises(DataError) as raised:
        list(executor.mapped(missing, range(20), workers=1, scheduler=cluster))
    assert str(raised.value).startswith(f"{tmp_path}/0.png: found no such file; expected ")


def test_only_a_bounded_number_of_runs_is_under_way_in_this_process() -> None:
    asked: list[int] = []

    def compute(run: Sequence[int]) -> Iterator[int]:
        for row in run:
            asked.append(row)
            yield row

    results = executor.mapped(compute, range(1000), workers=1, scheduler="")
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    assert asked == list(range(executor.RUN_LENGTH))


@pytest.mark.slow
def test_nobody_at_the_address_of_the_scheduler() -> None:
    pytest.importorskip("distributed")
    with pytest.raises(MachineError) as raised:
        list(executor.mapped(NEGATED, ROWS, workers=1, scheduler="tcp://127.0.0.1:1"))
    expected = "--scheduler: found nobody at tcp://127.0.0.1:1; expected a dask scheduler; start one, or leave it out"
    assert str(raised.value) == expected


def test_an_address_that_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("distributed")
    with pytest.raises(MachineError, match=r"--scheduler: found "):
        list(executor.mapped(NEGATED, ROWS, workers=1, scheduler="not an address"))
