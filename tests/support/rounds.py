"""A second round: stages of the pipeline once more under other names, as a user writes them into dvc.yaml and params.yaml."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from io import StringIO
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

WORD = "second"
ROUND = ("classifier", "cams", "refinement")
CHARTS = ("confusion_masks.csv", "confusion_masks.png", "errors_masks.png")


def add_round(root: Path, kinds: Sequence[str] = ROUND) -> None:
    """Add stages of some kinds that read each other, without the code that they depend on; the evaluation judges their masks too."""
    yaml = YAML()
    yaml.width = 140
    pipeline, params = (yaml.load(root / file) for file in ("dvc.yaml", "params.yaml"))
    for kind in kinds:
        params[f"{kind}_{WORD}"] = deepcopy(params[kind])
        pipeline["stages"] |= yaml.load(_rename(yaml, kind, pipeline["stages"][kind]))
    params["cams_second"]["classifier"] = "classifier_second"
    params["refinement_second"]["class_maps"] = "cams_second"
    params["evaluation"]["labels"]["masks_second"] = "refinement_second"
    evaluation = pipeline["stages"]["evaluation"]
    evaluation["deps"].append("data/${evaluation.labels.masks_second}.zarr")
    for chart in CHARTS:
        name = f"data/plots/{chart}".replace("_masks", "_masks_second")
        evaluation["plots"].append({name: {"cache": False}} if name.endswith(".csv") else name)
    yaml.dump(pipeline, root / "dvc.yaml")
    yaml.dump(params, root / "params.yaml")


def _rename(yaml: Any, kind: str, stage: Any) -> str:
    """A stage as that of the second round: its own section, artifact and log."""
    text, name = StringIO(), f"{kind}_{WORD}"
    yaml.dump({name: stage}, text)
    own = text.getvalue().replace(f"${{{kind}.", f"${{{name}.").replace(f"- {kind}.", f"- {name}.")
    own = own.replace(f"python -m stages.{kind}", f"python -m stages.{kind} --as {name}")
    own = own.replace(f"- data/{kind}.zarr", f"- data/{name}.zarr").replace(f"plots/{kind}.csv", f"plots/{name}.csv")
    return "".join(line for line in own.splitlines(keepends=True) if not line.strip().startswith(("- seedbed/", "- stages/")))
