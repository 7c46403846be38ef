"""The packages of others that our code computes with, and their versions: results are kept under them, as under our code."""

from __future__ import annotations

import importlib.metadata
import os
import sys
from collections.abc import Iterable
from contextlib import suppress
from functools import lru_cache

# Packages whose import name is not what pip calls them.
INSTALLED_AS = {
    "cv2": "opencv-contrib-python-headless",
    "lightning_fabric": "lightning-fabric",
    "PIL": "pillow",
    "pydensecrf": "pydensecrf2",
    "ruamel": "ruamel.yaml",
    "skimage": "scikit-image",
    "yaml": "pyyaml",
}
# They change no value: parameters are checked, weights taken as they are. A test says where.
COMPUTE_NOTHING = frozenset({"pydantic", "safetensors"})


def select_computing(imported: Iterable[str], *, ours: Iterable[str]) -> set[str]:
    """Packages of others among imported names that compute something."""
    first = {name.partition(".")[0] for name in imported}
    return first - sys.stdlib_module_names - set(ours) - COMPUTE_NOTHING - {""}


def versions(packages: Iterable[str]) -> dict[str, str]:
    """What is installed now of some packages, by the names that pip has for them; empty where one is not installed.

    Without what is written behind a plus sign, which says for which processor it was built.
    """
    changed = _last_change()
    found = (_find_installed(package, changed) for package in packages)
    return {name: version.partition("+")[0] for name, version in sorted(found)}


def _last_change() -> tuple[int, ...]:
    """When something was last installed or removed."""
    times = []
    for folder in sys.path:
        with suppress(OSError):  # it need not be there
            times.append(os.stat(folder or ".").st_mtime_ns)  # noqa: PTH116 (asked for after every shard)
    return tuple(times)


@lru_cache(maxsize=64)
def _find_installed(package: str, changed: tuple[int, ...]) -> tuple[str, str]:
    """Name and version.

    changed: when that may have become another.
    """
    name = INSTALLED_AS.get(package, package)
    try:
        return name, importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        others = _distributions(changed).get(package, [])  # as of OpenCV, which comes in several packages
        return (min(others), importlib.metadata.version(min(others))) if others else (name, "")


@lru_cache(maxsize=1)
def _distributions(changed: tuple[int, ...]) -> dict[str, list[str]]:
    """Packages by what they let one import. Takes a fifth of a second, so only where a name is not enough."""
    del changed
    return {name: list(found) for name, found in importlib.metadata.packages_distributions().items()}
