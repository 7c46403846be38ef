"""No edges."""

from __future__ import annotations

from seedbed.edges.none import Nothing


def test_nothing_is_found_and_nothing_read() -> None:
    method = Nothing()
    assert method.makes_nothing and method.unread == ("affinity",)
    assert method.find(None, [], device="cpu") == []
