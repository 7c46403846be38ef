"""Pictures made of half blocks."""

from __future__ import annotations

import numpy as np
import pytest

from seedbed.errors import MachineError
from seedbed.report.lettering import Entry
from seedbed.report.terminal import check_colours, clean, draw_blocks, draw_names

ELSE = "expected colours; name a file, as with --to picture.png"


def test_a_place_holds_two_pixels() -> None:
    picture = np.array([[[1, 2, 3], [1, 2, 3]], [[4, 5, 6], [7, 8, 9]], [[9, 9, 9], [0, 0, 0]]], np.uint8)
    assert list(draw_blocks(picture, 2)) == [
        "\x1b[38;2;1;2;3m\x1b[48;2;4;5;6m▀\x1b[38;2;1;2;3m\x1b[48;2;7;8;9m▀\x1b[0m",
        "\x1b[38;2;9;9;9m▀\x1b[38;2;0;0;0m▀\x1b[0m",
    ]


def test_a_picture_is_as_wide_as_the_terminal() -> None:
    for width in (4, 10, 40):
        lines = list(draw_blocks(np.zeros((10, 20, 3), np.uint8), width))
        assert {line.count("▀") for line in lines} == {width} and len(lines) == -(-width // 4)


def test_names_stand_beside_their_colour_and_command_nothing() -> None:
    assert draw_names([Entry("猫", (1, 2, 3)), Entry("\x1b[2Jdog", (4, 5, 6))]) == (
        "\x1b[38;2;1;2;3m██\x1b[0m 猫  \x1b[38;2;4;5;6m██\x1b[0m \\x1b[2Jdog"
    )
    assert clean("a\nb كلب") == "a\\nb كلب"


@pytest.mark.parametrize(
    ("environment", "terminal", "encoding", "found"),
    [
        ({"NO_COLOR": "1"}, True, "utf-8", "NO_COLOR, which asks for none"),
        ({"TERM": "dumb"}, True, "utf-8", "a terminal without any: TERM=dumb"),
        ({}, False, "utf-8", "output that is no terminal"),
        ({"NO_COLOR": "1", "FORCE_COLOR": "1"}, True, "utf-8", "NO_COLOR, which asks for none"),
        ({}, True, "latin-1", "a terminal of latin-1, which has no blocks"),
    ],
)
def test_a_terminal_without_colours_is_refused(environment: dict[str, str], terminal: bool, encoding: str, found: str) -> None:
    with pytest.raises(MachineError) as raised:
        check_colours(environment, is_terminal=terminal, encoding=encoding)
    assert str(raised.value) == f"seedbed show: found {found}; {ELSE}"


def test_others_are_taken() -> None:
    check_colours({"TERM": "xterm-256color", "NO_COLOR": ""}, is_terminal=True, encoding="utf-8")
    check_colours({"FORCE_COLOR": "1"}, is_terminal=False, encoding="UTF-8")
