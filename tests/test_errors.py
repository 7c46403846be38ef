"""Messages of one line that keep all their parts, in whatever process they arise."""

from __future__ import annotations

import copy
import errno

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seedbed.errors import DataError, SeedbedError, join_names, list_problems, nearest, of_system, shorten


def test_a_message_says_where_what_was_found_what_was_expected_and_what_to_do() -> None:
    error = SeedbedError("labels.csv, line 3", found="'catt'", expected="cat or dog", do="correct that line")
    assert str(error) == "labels.csv, line 3: found 'catt'; expected cat or dog; correct that line"


@given(st.text(), st.text(), st.text(), st.text())
def test_a_message_is_one_line_whatever_it_quotes(where: str, found: str, expected: str, do: str) -> None:
    assert len(str(SeedbedError(where, found=found, expected=expected, do=do)).splitlines()) <= 1


def test_an_error_survives_the_way_by_which_processes_send_it() -> None:
    error = DataError("a.png", found="nothing", expected="an image", do="restore it")
    arrived = copy.copy(error)  # by the same __reduce__
    assert type(arrived) is DataError
    assert str(arrived) == str(error)


def test_nearest_names_what_resembles() -> None:
    assert nearest("dinos", ["slic", "dino"]) == " (nearest: dino)"
    assert nearest("zzz", ["slic", "dino"]) == ""


def test_listed_says_so_when_there_is_nothing() -> None:
    assert join_names(["b", "a"]) == "b, a"
    assert join_names([]) == "nothing"


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(errno.ENOSPC, ""), "data/: found a full disk: No space left on device; expected free space; free some (see `seedbed gc`)"),
        (OSError(errno.EDQUOT, "", "data/a"), "data/a: found a full disk: Disk quota exceeded; expected free space; free some"),
        (
            OSError(errno.EACCES, "", "data/a"),
            "data/a: found permission denied; expected access to it; check what it is and who owns",
        ),
        (
            OSError(errno.EISDIR, "", "data/a"),
            "data/a: found is a directory; expected access to it; check what it is and who owns it",
        ),
    ],
)
def test_what_the_system_refuses_is_one_line(error: OSError, said: str) -> None:
    assert str(of_system(error)).startswith(said)


@pytest.mark.parametrize("error", [OSError(errno.ENOENT, "", "data/a"), OSError(errno.EACCES, ""), OSError("of our own")])
def test_what_may_be_our_own_mistake_stays_as_it_is(error: OSError) -> None:
    assert of_system(error) is None


def test_a_name_that_is_not_utf_8_can_be_printed_and_kept() -> None:
    error = DataError("masks/k\udcf6ttur.png", found="\ud800", expected="a mask", do="rename it")
    assert str(error) == "masks/k\\udcf6ttur.png: found \\ud800; expected a mask; rename it"
    assert str(error).encode() and error.where.encode()


def test_what_is_quoted_is_no_longer_than_a_message_may_be() -> None:
    assert shorten("a" * 300) == "a" * 300
    assert list_problems(["b", "a" * 100_000]) == f"b; {'a' * 300}... (100,000 letters)"
