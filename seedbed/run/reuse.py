"""Republishes the last result of a stage without importing any network, if nothing that it follows from has changed.

DVC reruns a stage after an edit of a comment, with --force, or when an input was remade with the same content. Such a run would spend most
of its time on importing networks that it does not use. So a stage leaves, beside the store, links to everything that it made and a note of
what the result follows from. Its next run compares that first, and imports the code that computes only if something differs.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seedbed.errors import SeedbedError
from seedbed.packages import versions
from seedbed.run import fingerprint
from seedbed.run.listing import Listing
from seedbed.store.lock import hold_lock, put_in_place
from seedbed.store.records import FOLDER, WORK, files_below, misfits, record_of, sha256

if TYPE_CHECKING:
    from seedbed.run.inputs import Inputs

KEPT, NOTE, LEFT = "published", "follows_from.json", "left"
MODULE = "stages."
PARAMS, PIPELINE = Path("params.yaml"), Path("dvc.yaml")


def leave_if_unchanged(arguments: Sequence[str]) -> None:
    """End this process if it is a stage with nothing to compute, started without flags but its name.

    arguments: Python's own, with which this process was started.
    """
    if (stage := _find_stage(arguments)) and (said := republish(stage)):
        print(said, file=sys.stderr)
        sys.exit(0)


def _find_stage(arguments: Sequence[str]) -> str:
    """The stage that arguments run which end with `-m stages.<kind>`, or with that and `--as <name>`; empty for any others."""
    match list(arguments):
        case [*_, "-m", module] if module.startswith(MODULE):
            return module.removeprefix(MODULE)
        case [*_, "-m", module, "--as", name] if module.startswith(MODULE) and name.startswith(f"{module.removeprefix(MODULE)}_"):
            return name if name.isidentifier() else ""
    return ""


def republish(stage: str, *, data: Path = FOLDER) -> str:
    """Put the last result of a stage in place, if a run would only make it again. Returns what to print; empty if the stage must run."""
    kept, begun = place_of(stage, data), _cheap_digest(stage, data)
    if (note := _unchanged(stage, kept, data)) is None:
        return ""
    try:
        with hold_lock(data.absolute() / WORK / stage / "lock", stage=stage, wait=False):
            if _cheap_digest(stage, data) != begun or _is_damaged(kept, note):
                return ""
            for name in note["outs"]:
                _put(kept / LEFT / name, data.absolute().parent / name)
            if _cheap_digest(stage, data) != begun:  # DVC reads these files next, and assumes that the result was made with them
                return ""
            with suppress(OSError):
                for entry in json.loads((kept.parent.parent / stage / "last.json").read_text(encoding="utf-8"))["entries"]:
                    os.utime(kept.parent.parent / stage / entry)  # the time of its last use, for `seedbed gc`
    except (SeedbedError, OSError, ValueError):  # another process holds the lock, or the disk refuses: the run itself will report it
        return ""
    return str(note["said"])


def keep(inputs: Inputs, *, said: str, data: Path = FOLDER) -> None:
    """Keep a stage's outputs and what they follow from. Files are hard links, which take no space; without links nothing is kept.

    said: what the next run prints if it has nothing to do.
    """
    kept, outs = place_of(inputs.stage, data), _outs(inputs.stage)
    project = data.absolute().parent
    if not outs or not all((project / name).exists() for name in outs):
        return
    kept.parent.mkdir(parents=True, exist_ok=True)
    built = Path(tempfile.mkdtemp(prefix=f".{inputs.stage}-", dir=kept.parent))
    try:
        for name in outs:
            _put(project / name, built / LEFT / name, linked_only=True)
        files = {name: [file.stat().st_size, sha256(file)] for name, file in _all_files(built / LEFT)}
        texts = {"params": sha256(PARAMS), "pipeline": sha256(PIPELINE), "sources": fingerprint.present_digest()}
        inputs.check()  # so that these digests, too, are of what the run began with
        note = {**_follows_from(inputs), **texts, "outs": outs, "files": files, "said": said}
        (built / NOTE).write_text(json.dumps(note), encoding="utf-8")
        put_in_place(built, kept)
    except OSError:  # a file system without hard links, or a full disk
        pass  # the next run is slower, but does the same
    finally:
        shutil.rmtree(built, ignore_errors=True)


def _follows_from(inputs: Inputs) -> dict[str, Any]:
    """Everything that a stage's result follows from, as plain data."""
    return {
        "settings": inputs.select(inputs.params),
        "inputs": {str(artifact.path): artifact.digest for artifact in inputs.artifacts.values()},
        "code": [[code.modules, code.whole, dict(code.packages)] for code in sorted(inputs.codes)],
        "raw": {str(root): _digest(listing) for root, listing in inputs.raw.items()},
    }


def _unchanged(stage: str, kept: Path, data: Path) -> dict[str, Any] | None:
    """The note beside a kept result, if everything is still as it says; else None."""
    try:
        note: dict[str, Any] = json.loads((kept / NOTE).read_text(encoding="utf-8"))
        same_code = note["sources"] == fingerprint.present_digest()
        same = (
            note["pipeline"] == sha256(PIPELINE)
            and (note["params"] == sha256(PARAMS) or note["settings"] == _settings(stage, with_root=bool(note["raw"])))
            and all(_is_sound(data.parent / path, digest) for path, digest in note["inputs"].items())
            and all(same_code or fingerprint.whole_digest(modules) == whole for modules, whole, _ in note["code"])
            and all((versions(found) if same_code else fingerprint.packages(modules)) == found for modules, _, found in note["code"])
            and all(_digest(Listing.of(Path(root))) == digest for root, digest in note["raw"].items())
        )
    except (SeedbedError, OSError, ValueError, KeyError, TypeError, ModuleNotFoundError, SyntaxError):
        return None
    return note if same else None


def _settings(stage: str, *, with_root: bool) -> Any:
    """A stage's settings in params.yaml, in the form of a note."""
    from seedbed.params import Params  # a slow import, needed only if the file has changed

    params = Params.read()
    roots = {"dataset.root": str(params.raw_root())} if with_root else {}
    return json.loads(json.dumps({**params.select(stage), **roots}))


def _cheap_digest(stage: str, data: Path) -> str:
    """Identity of what can be read quickly: parameters, pipeline, the note, sources, and records of artifacts."""
    note = place_of(stage, data) / NOTE
    texts = [PARAMS, PIPELINE, note, *_list_records(note, data)]
    texts = [one for one in texts if one.parent != data / f"{stage}.zarr"]
    content = hashlib.sha256(fingerprint.present_digest().encode())
    for file in texts:
        with suppress(OSError):
            content.update(f"{file} {sha256(file)}".encode())
    return content.hexdigest()


def _list_records(note: Path, data: Path) -> list[Path]:
    """Records of artifacts: of all that are here, and of what a note names, which may be in another pipeline."""
    records = {*data.glob("*.zarr/zarr.json")}
    with suppress(OSError, ValueError, KeyError, TypeError):
        records |= {data.parent / path / "zarr.json" for path in json.loads(note.read_text(encoding="utf-8"))["inputs"]}
    return sorted(records)


def _is_sound(path: Path, digest: str) -> bool:
    """Whether an artifact is complete and has this digest."""
    record = record_of(path)
    return record.get("digest") == digest and not any(misfits(path, record))


def _is_damaged(kept: Path, note: dict[str, Any]) -> bool:
    """Whether kept files have changed."""
    found = {name: [file.stat().st_size, sha256(file)] for name, file in _all_files(kept / LEFT)}
    return bool(found != note["files"])


def _all_files(folder: Path) -> Iterator[tuple[str, Path]]:
    yield from ((f"{file.relative_to(folder)}", file) for file in sorted(folder.rglob("*")) if file.is_file())


def _put(source: Path, target: Path, *, linked_only: bool = False) -> None:
    """Put a file or an artifact in place, all at once. Files of an artifact are never modified, so they are hard links."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if not source.is_dir():
        aside = target.with_name(f".{target.name}.unfinished")
        shutil.copyfile(source, aside)
        aside.replace(target)
        return
    built = Path(tempfile.mkdtemp(prefix="new-", dir=target.parent if linked_only else target.parent / WORK / target.stem))
    try:
        built.chmod(0o755)
        for name, file in [*files_below(source), ("zarr.json", source / "zarr.json")]:
            (built / name).parent.mkdir(parents=True, exist_ok=True)
            os.link(file, built / name)
        put_in_place(built, target)
    finally:
        shutil.rmtree(built, ignore_errors=True)


def _outs(stage: str) -> list[str]:
    """Outputs of a stage according to dvc.yaml; empty if there is no such file."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        section = YAML(typ="safe").load(PIPELINE)["stages"][stage]
    except (OSError, YAMLError, KeyError, TypeError):
        return []
    listed = [one for kind in ("outs", "metrics", "plots") for one in section.get(kind, [])]
    return [next(iter(one)) if isinstance(one, dict) else one for one in listed]


def place_of(stage: str, data: Path) -> Path:
    """Where the last result of a stage is kept."""
    return data.absolute() / WORK / KEPT / stage


def _digest(listing: Listing) -> str:
    return hashlib.sha256(json.dumps(sorted(listing.files.items())).encode()).hexdigest()
