"""HTML and SVG, put together from elements. Every text and every attribute goes through `escape`, so that names are shown as they are."""

from __future__ import annotations

import base64
import html
import re
from collections.abc import Mapping
from typing import TypeAlias

import cv2

from seedbed.types import Image

Attributes: TypeAlias = Mapping[str, str | float]
UNPRINTABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ufffe\uffff]")  # of which XML allows none
EMPTY = ("br", "img", "meta")  # elements of HTML that have no end
QUALITY = 85  # of photographs, in percent


class Markup(str):
    """Text that is markup already."""

    __slots__ = ()


def escape(text: str) -> Markup:
    """Text as markup that shows it as it is; of names of files that are no text, what cannot be shown is spelled out."""
    if isinstance(text, Markup):
        return text
    spelled = UNPRINTABLE.sub("\ufffd", text.encode("utf-8", "backslashreplace").decode("utf-8"))
    return Markup(html.escape(spelled, quote=True))


def element(name: str, attributes: Attributes, *content: str) -> Markup:
    """An element. Content that is not markup is escaped."""
    named = "".join(f' {key}="{escape(value if isinstance(value, str) else shorten(value))}"' for key, value in attributes.items())
    if name in EMPTY:
        return Markup(f"<{name}{named}>")
    return Markup(f"<{name}{named}>{join(*content)}</{name}>")


def join(*content: str) -> Markup:
    """Content in a row. What is not markup is escaped."""
    return Markup("".join(map(escape, content)))


def shorten(value: float) -> str:
    """A number with as many digits as a place on a page needs."""
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)


def embed_photo(image: Image) -> str:
    """The address of a photograph that has all of it inside."""
    return _embed(image, ".jpg", "image/jpeg", [cv2.IMWRITE_JPEG_QUALITY, QUALITY])


def embed_drawing(image: Image) -> str:
    """The address of a picture of few colours that has all of it inside."""
    return _embed(image, ".png", "image/png", [cv2.IMWRITE_PNG_COMPRESSION, 9])


def _embed(image: Image, ending: str, kind: str, how: list[int]) -> str:
    _, encoded = cv2.imencode(ending, cv2.cvtColor(image, cv2.COLOR_RGB2BGR), how)
    return f"data:{kind};base64,{base64.b64encode(encoded.tobytes()).decode('ascii')}"
