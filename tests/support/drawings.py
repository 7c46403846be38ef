"""Drawings as a browser reads them."""

from __future__ import annotations

import xml.etree.ElementTree as ET

SPACE = "{http://www.w3.org/2000/svg}"


class Drawing:
    """An SVG, parsed."""

    def __init__(self, markup: str) -> None:
        self.root = ET.fromstring(markup)

    def all(self, name: str, style: str = "") -> list[dict[str, str]]:
        """Attributes of elements of a name and a class."""
        found = self.root.iter(f"{SPACE}{name}")
        return [one.attrib for one in found if not style or style in one.get("class", "").split()]

    @property
    def texts(self) -> list[str]:
        """Everything that is written, without what only hovering shows."""
        return [(one.text or "") + "".join(child.tail or "" for child in one) for one in self.root.iter(f"{SPACE}text")]

    @property
    def titles(self) -> list[str]:
        """What hovering shows."""
        return [one.text or "" for one in self.root.iter(f"{SPACE}title")]

    def place(self, text: str) -> tuple[float, float]:
        """Where a text stands."""
        found = dict(zip(self.texts, self.root.iter(f"{SPACE}text"), strict=True))
        return float(found[text].attrib["x"]), float(found[text].attrib["y"])
