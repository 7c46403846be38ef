"""Times, sizes and counts in words."""

from __future__ import annotations

UNITS = ("B", "kB", "MB", "GB", "TB")


def format_count(number: float, singular: str, plural: str = "") -> str:
    """A number with its noun.

    plural: where an s does not make it.
    """
    return f"{number:.15g} {singular if number == 1 else plural or f'{singular}s'}"


def format_duration(seconds: float | None) -> str:
    """Time for people."""
    if seconds is None:
        return ""
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds >= 1 else f"{1000 * seconds:.1f} ms"
    minutes, hours = seconds / 60, seconds / 3600
    return f"{minutes:.0f} min" if hours < 2 else f"{hours:.1f} h" if hours < 48 else f"{hours / 24:.1f} days"


def format_amount(size: int | None) -> str:
    """Bytes for people."""
    if size is None:
        return ""
    value, unit = float(size), 0
    while value >= 1000 and unit < len(UNITS) - 1:
        value, unit = value / 1000, unit + 1
    return f"{value:.0f} {UNITS[unit]}" if unit == 0 or value >= 100 else f"{value:.1f} {UNITS[unit]}"
