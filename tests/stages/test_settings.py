"""Every setting of a family is alive: it changes alone, and so does what the stage leaves. Settings are found, not listed.

A stage that refuses leaves a message, which is a result too: some settings only say again, for DVC, what a method's parameters say.
"""

from __future__ import annotations

import hashlib
import importlib
import shutil
from pathlib import Path
from typing import Any

import pytest

from seedbed import methods
from seedbed.corrections import Corrected, write_lines
from seedbed.errors import SeedbedError
from seedbed.store.artifact import open_artifact
from tests.stages.miniature import Project, tree
from tests.support import layouts
from tests.support.leaves import Plain, Trial

EXCUSED = {
    "clicks.wanted": "no image here has two things of a class; tests/stages/test_trees.py tells them apart",
    "dataset.root": "where the raw data lie; which they are is said by their digests",
}
SLOW = ("pretraining", "clicker", "clicks")  # that take long; tests of their stages see each setting change something
OTHER_VALUES: dict[str, list[Any]] = {
    "affinity.maps": [{"maps": {"labels": "refinement"}}],
    "affinity.split": ["val"],
    "affinity.start": ["classifier"],
    "cams.classifier": ["classifier_second"],
    "cams.features": ["features"],
    "cams.views": [{"views": {"other": "features"}}],
    "classifier.features": ["features"],
    "classifier.maps": [{"maps": {"labels": "none", "regions": "superpixels", "objects": "none"}}],
    "classifier.split": ["val"],
    "dataset.classes": [["cat"], ["dog"], ["dog", "cat"]],
    "dataset.root": ["data/raw/copy"],
    "edges.affinity": ["affinity"],
    "evaluation.split": ["val"],
    "evaluation.class_maps": ["none"],
    "evaluation.labels": [{"labels": one} for one in ({"seeds": "seeds", "masks": "none"}, {"seeds": "seeds", "others": "refinement"})],
    "evaluation.superpixels": ["none"],
    "evaluation.instances": ["instances"],
    "evaluation.saliency": ["saliency"],
    "evaluation.predictions": ["none"],
    "features.mirrored": [True],
    "features.pretraining": ["pretraining"],
    "features.scale": [2.0],
    "instances.class_maps": ["cams"],
    "instances.edges": ["edges"],
    "instances.superpixels": ["superpixels"],
    "predictions.features": ["features"],
    "predictions.views": [{"views": {"other": "features"}}],
    "predictions.segmenter": ["segmenter_second"],
    "predictions.split": ["train"],
    "pretraining.split": ["train"],
    "refinement.class_maps": ["cams_second"],
    "refinement.edges": ["edges"],
    "refinement.features": ["features"],
    "refinement.superpixels": ["superpixels"],
    "seeds.class_maps": ["cams_second"],
    "seeds.corrections": ["corrections.jsonl"],
    "seeds.features": ["features"],
    "seeds.superpixels": ["none"],
    "segmenter.features": ["features"],
    "saliency.class_maps": ["cams"],
    "saliency.features": ["features"],
    "saliency.folder": ["data/raw"],
    "saliency.superpixels": ["superpixels"],
    "segmenter.classifier": ["classifier"],
    "segmenter.maps": [{"maps": {"labels": "refinement", "regions": "superpixels", "confidence": "none", "objects": "none"}}],
    "segmenter.split": ["val"],
    "segmenter.start": ["classifier"],
    "segmenter.views": [{"views": {"other": "features"}}],
    "superpixels.features": ["none"],
    "clicks.split": ["train"],
    "clicks.start": ["data/refinement.zarr", "data/predictions.zarr"],
    "clicks.trees": ["trees"],
    "clicks.clicker": ["clicker_second"],
    "clicker.split": ["val"],
    "clicker.trees": ["trees_second"],
    "trees.features": ["features_second"],
}
SITUATIONS: dict[str, list[Plain]] = {
    "dataset": [{"max_size": [40, 32]}],  # some images are larger
    "clicks": [{"depth": 0.5}],  # off the middle
}


@pytest.mark.usefixtures("blank_charts")
def test_settings_of_the_family_change_what_its_stage_leaves(finished: Project, tmp_path: Path, family: str) -> None:
    project = finished.copy_to(tmp_path / "project")
    content = project.params()
    if family == "dataset":
        content["dataset"] |= {"method": "folder", "root": "data/raw/folder", "max_size": [48, 64], "allow_broken": 1}
        raw = project.data / "raw" / "folder"
        layouts.folder(raw)
        (raw / "images" / "one.png").write_bytes((raw / "images" / "one.png").read_bytes()[:200])
        shutil.copytree(raw, raw.with_name("copy"))
    if family == "pretraining":
        content["pretraining"]["method"] = "dino"
    if family == "affinity":
        content["affinity"] |= {"method": "psa", "maps": {"labels": "seeds"}}
    if family == "seeds":
        size = open_artifact("dataset", folder=project.data).size("train_0000")
        write_lines(project.root / "corrections.jsonl", [Corrected(image="train_0000", size=size, complete=True, things=[])])
    if family in ("clicker", "clicks"):
        project.run("trees", "clicker")
    settings = importlib.import_module(f"seedbed.{family}").Settings
    section = content[family]
    declared = methods.read_settings_declaration(family)
    assert declared is not None

    def left(made: Any) -> dict[str, str]:
        """What the stage leaves, with some settings."""
        given = {name: getattr(made, name) for name in declared.names()}
        section.update({name: list(one) if isinstance(one, tuple) else one for name, one in given.items()})
        project.write_params(content)
        try:
            project.run(family)
        except SeedbedError as error:
            return {"refused": str(error).replace(section.get("root", " "), "")}
        left_by_it = (project.data / folder for folder in (f"{family}.zarr", "metrics", "plots"))
        return {f"{folder}/{name}": hashlib.sha256(file).hexdigest() for folder in left_by_it for name, file in tree(folder).items()}

    trial = Trial(
        of=family,
        kind=settings,
        usual={name: section[name] for name in declared.names()},
        compute=left,
        situations={"Settings": SITUATIONS.get(family, [])},
        other_values=OTHER_VALUES,
        excused=EXCUSED,
    )
    complaints = list(trial.complaints())
    assert not complaints, "\n".join(complaints)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    families = [family for family in methods.list_families() if methods.read_settings_declaration(family)]
    metafunc.parametrize("family", [pytest.param(one, marks=pytest.mark.slow) if one in SLOW else one for one in families])
