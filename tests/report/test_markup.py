"""Markup: names are shown as they are, whatever is in them."""

from __future__ import annotations

import base64

import cv2
import numpy as np
import pytest

from seedbed.report.markup import Markup, element, embed_drawing, embed_photo, escape, join, shorten


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("<script>alert('1')</script>", "&lt;script&gt;alert(&#x27;1&#x27;)&lt;/script&gt;"),
        ('"quoted" & more', "&quot;quoted&quot; &amp; more"),
        ("猫 كلب", "猫 كلب"),
        ("a\x00b\x1b", "a\ufffdb\ufffd"),
        ("not text: \udce9", "not text: \\udce9"),  # as Python has a file name that is not UTF-8
    ],
)
def test_a_name_is_shown_as_it_is(name: str, written: str) -> None:
    assert escape(name) == written
    assert element("b", {"title": name}, name) == f'<b title="{written}">{written}</b>'
    escape(name).encode()


def test_markup_is_not_escaped_again() -> None:
    assert join("<", element("br", {}), Markup("&amp;")) == "&lt;<br>&amp;"


def test_numbers_are_short() -> None:
    assert [shorten(value) for value in (3, 2.0, 0.125, 1 / 3)] == ["3", "2", "0.12", "0.33"]
    assert element("rect", {"x": 2.50, "rx": 2}) == '<rect x="2.5" rx="2"></rect>'


def test_pictures_are_inside_their_address() -> None:
    image = np.zeros((2, 3, 3), np.uint8)
    image[..., 0] = 200
    kind, _, content = embed_drawing(image).partition(";base64,")
    decoded = cv2.imdecode(np.frombuffer(base64.b64decode(content), np.uint8), cv2.IMREAD_COLOR)
    assert kind == "data:image/png"
    assert decoded is not None and np.array_equal(decoded[..., ::-1], image)
    assert embed_photo(image).startswith("data:image/jpeg;base64,/9j/")
