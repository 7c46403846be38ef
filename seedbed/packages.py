"""The third-party packages that our code computes with, and their versions. Results are stored under both, as under our own code."""

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
# They change no value: they check parameters, or read and write weights as they are. A test holds this.
COMPUTE_NOTHING = frozenset({"pydantic", "safetensors"})


def select_computing(imported: Iterable[str], *, ours: Iterable[str]) -> set[str]:
    """Third-party packages among imported names, except those that compute nothing."""
    first = {name.partition(".")[0] for name in imported}
    return first - sys.stdlib_module_names - set(ours) - COMPUTE_NOTHING - {""}


def versions(packages: Iterable[str]) -> dict[str, str]:
    """Installed versions of packages, by the names that pip has for them; an empty version if one is not installed.

    What follows a plus sign is left out: it says for which processor a package was built.
    """
    changed = _last_change()
    found = (_find_installed(package, changed) for package in packages)
    return {name: version.partition("+")[0] for name, version in sorted(found)}


def _last_change() -> tuple[int, ...]:
    """When a package was last installed or removed."""
    times = []
    for folder in sys.path:
        with suppress(OSError):  # folders on the path need not exist
            times.append(os.stat(folder or ".").st_mtime_ns)  # noqa: PTH116 (asked for after every shard)
    return tuple(times)


@lru_cache(maxsize=64)
def _find_installed(package: str, changed: tuple[int, ...]) -> tuple[str, str]:
    """Name and version of a package.

    changed: part of the cache's key, because an installation may change the version.
    """
    name = INSTALLED_AS.get(package, package)
    try:
        return name, importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        others = _distributions(changed).get(package, [])  # as of OpenCV, which comes in several packages
        return (min(others), importlib.metadata.version(min(others))) if others else (name, "")


@lru_cache(maxsize=1)
def _distributions(changed: tuple[int, ...]) -> dict[str, list[str]]:
    """Packages by the modules that they install. It takes a fifth of a second, so it is used only if the name is not enough."""
    del changed
    return {name: list(found) for name, found in importlib.metadata.packages_distributions().items()}
