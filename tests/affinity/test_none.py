"""No affinity."""

from __future__ import annotations

from seedbed.affinity.none import Nothing


def test_nothing_is_learned_and_nothing_read() -> None:
    method = Nothing()
    assert method.makes_nothing and method.trunk is None and method.wanted_maps == () and method.unread == ("start",)
    assert method.extents((7, 9))["pair"] == method.num_pairs == 0
