"""Which faults the tests would not notice: `make mutants` puts single ones into modules that compute, and runs the tests of each.

Of tools that do the like, mutmut leaves decorated functions and constants of modules alone, which here are most verbs and all presets, and
cosmic-ray edits the checkout; neither exchanges parameters, which is the fault of this field.

    python -m tests.mutants                              # a sample of all modules
    python -m tests.mutants seedbed/algorithms/crf.py --number 20   # of some
    python -m tests.mutants --seed 1 --jobs 4            # another sample, several at a time

A fault is dead when a test fails or does not end. Those that change nothing that could be noticed are in EQUIVALENT, with the reason.
"""

from __future__ import annotations

import argparse
import ast
import importlib
import os
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from seedbed.methods import list_families
from tests.support.faults import PROJECT, Fault, faults

ROOMS, WORDS = ("algorithms", "learning", "networks", "scoring"), ("reads", "types")  # beside methods
OF_STAGES = "tests/stages/test_stages.py"  # for what only stages use
APART = ("laws", "pipeline", "stages")  # tests of the whole, which belong to no module
SLOW = ("torch", "timm", "lightning_fabric", "zarr", "skimage.segmentation", "scipy.ndimage", "hypothesis.extra.numpy", "matplotlib.pyplot")
WITH_GPU = ("superpixels", "refinement", "evaluation")  # families of which the tests of devices are
LONG = "killed"  # a test that starts programs again and again; others notice the same
STANDARD = "standard = np.where(deviation < STILL, 0, (patches - patches.mean(axis=(0, 1))) / np.maximum(deviation, STILL))"
ATTENDS = 'if not (hasattr(network, "blocks") and hasattr(network.blocks[-1], "attn") and network.patch_embed.patch_size):'
KNOWN = "return bool((self.classes != IGNORE).any())"
TABLE = "shape = (int(regions.max()) + 1, int(labels.max(initial=0)) + 1)"
UNMODIFIED = 'unmodified: Any = timm.create_model(name, num_classes=0, global_pool="")'
LOADED = "timm.models.load_pretrained(trunk, num_classes=0, filter_fn=partial(_select_published_state, where=where))"
NO_LOG = 'return {"log": np.zeros((0, 0)), "figures": [], "weights": ()}'
GRID = "rows, columns = images_BCYX.shape[-2] // edge_y, images_BCYX.shape[-1] // edge_x"
SCALAR = '*((np.float64(0).__reduce__()[0], f"numpy.{core}.multiarray.scalar") for core in ("core", "_core")),'
KNOWN_THINGS = "things[index] if known is labels else find_things(known)"
SUMMED = "self.judged.array(name)[there]"
OVERLAPS = 'overlaps, boundaries = (self.judged.array(name)[there].sum(axis=0) for name in ("region_overlap", "region_boundary"))'
COUNTED = "counted = (np.floor(column) == column) & (column >= 0) & (column <= width - 1)"
COVERED = (
    "covered, beyond = _overlap(one, predicted[one.label]) if one.label in predicted else (np.zeros((len(one.pixels), 0)), np.zeros(0))"
)
HIDDEN = "np.asarray(np.where(truth == IGNORE, IGNORE, labels), np.uint8)"
EITHER = f"{HIDDEN} if (truth == IGNORE).any() else labels"
SECOND = "may_be_solarised and "
LOOKED_UP = "tokens = Tokens(self.architecture, patch_size=self.patch_size)"
NO_CROPS = "return np.stack(large), np.stack(small) if small else np.zeros((0, self.small.edge, self.small.edge, 3), np.uint8)"
SAME_SIZE = "if labels is None or size == original:"
MEANING = "return hashlib.sha256(repr(self.meaning).encode()).hexdigest()[:16]"
CODES = "math.prod(spans) * (int(groups.max()) + 1)"
NEAREST = "nearest = torch.floor(elevated / (axes + 1) + 0.5) * (axes + 1)"
RANK = "rank = off.argsort(dim=1, descending=True, stable=True).argsort(dim=1)"
TURNS = "rank = rank + torch.round(nearest.sum(dim=1, keepdim=True) / (axes + 1)).long()"
WEIGHTS = "weights = torch.zeros(number, axes + 2, device=device, dtype=points.dtype)"
CODE = "code = ((corners - low) * torch.tensor(bases, device=corners.device)).sum(dim=-1)"
EITHER_NONE = "smooth is None or colour is None"
SIDES = "sides += np.bincount(np.concatenate(beside), minlength=count)"
START = "start = np.random.default_rng(0).standard_normal(len(weights))  # any will do that is not an eigenvector"
NORM = "bare.filter(bare.norm)"
NORMALISED = f"return cls(splat, gather, neighbours, ({NORM} + TINY).rsqrt())"
GROUPED = "code + math.prod(spans) * groups[:, None]"
ATTRACTING = "attracting = torch.ones(len(images), most, device=device)"
SIGN = 'sign = 1 if first == "lowest" else -1'
SPANS = "spans = (high - low + 1).tolist()"
COMPONENTS = "total, sums, products = 0, np.zeros(0), np.zeros(0)"
EQUIVALENT = {  # fault as it is printed, without its line -> why nobody can notice
    "seedbed/scoring/boundaries.py: 0 -> (1) in `nothing = places[:0]`": "where all is void, the one place more is filled from itself",
    f"seedbed/features/texture.py: deviation < STILL -> (deviation <= STILL) in `{STANDARD}`": "no image varies by just that",
    f"seedbed/scoring/metrics.py: 1 -> (2) in `{TABLE}`": "one region or class more, of no pixel",
    f"seedbed/scoring/boundaries.py: (self.classes != IGNORE).any -> ((self.classes != IGNORE).all) in `{KNOWN}`": "void is all or filled",
    "seedbed/reads.py: 0 -> (1) in `total = np.zeros(artifact.entry(name, slice(0, 0)).shape[1:], np.int64)`": "its shape alone is used",
    f"seedbed/networks/transformer.py: 1 -> (2) in `{ATTENDS}`": "all blocks of a transformer of timm are alike",
    f"seedbed/networks/transformer.py: -1 -> (1) in `{ATTENDS}`": "all blocks of a transformer of timm are alike",
    "seedbed/networks/backbones.py: 1 -> (2) in `return self.maps(images_BCYX, count=1)[-1]`": "the last of two is the last of one",
    f"seedbed/networks/backbones.py: 0 -> (1) in `{UNMODIFIED}`": "a head has no convolution",
    "seedbed/networks/backbones.py: 0 -> (1) in `network = timm.create_model(name, num_classes=0)`": "its head is not looked at",
    "seedbed/networks/backbones.py: 0 -> (1) in `edge = int(network.patch_embed.patch_size[0])`": "patches are square",
    f"seedbed/networks/backbones.py: 0 -> (1) in `{LOADED}`": "what fits is chosen by the filter",
    f"seedbed/networks/transformer.py: -2 -> (2) in `{GRID}`": "of four dimensions, the last but one",
    f"seedbed/networks/weights.py: 0 -> (1) in `{SCALAR}`": "of a number only its type is used",
    f"seedbed/scoring/judgement.py: {KNOWN_THINGS} -> (find_things(known)) in `by_size[index] = measure_by_size({KNOWN_THINGS}, "
    "true, self.size_bounds)`": "found once more, they are the same",
    f"seedbed/scoring/judgement.py: {SUMMED}.sum -> ({SUMMED}.mean) in `{OVERLAPS}`": "only ratios follow",
    f"seedbed/scoring/outlines.py: np.floor -> (np.ceil) in `{COUNTED}`": "of whole numbers both are the number",
    "seedbed/scoring/outlines.py: x0 > x1 -> (x0 >= x1) in `backwards = x0 > x1`": "equal only where both ends are one point",
    f"seedbed/scoring/things.py: np.zeros -> (np.ones) in `{COVERED}`": "an array of no values",
    "seedbed/algorithms/ward.py: heappop(heap) -> pass in `heappop(heap)`": "what is not alive is passed over; elsewhere it is endless",
    "seedbed/algorithms/ward.py: other.discard(older) -> pass in `other.discard(older)`": "what is not alive is passed over, later",
    "seedbed/algorithms/ward.py: other.discard(younger) -> pass in `other.discard(younger)`": "likewise",
    f"seedbed/algorithms/permutohedral.py: high - low + 1 -> (high - low - 1) in `{SPANS}`": "there is room on both sides, for one each",
    f"seedbed/scoring/truth.py: labels is None or size == original -> (labels is None) in `{SAME_SIZE}`": "it stays as it is",
    "seedbed/algorithms/permutohedral.py: 1e-20 -> (1.4999999999999998e-20) in `TINY = 1e-20  # keeps the square root finite`": "both tiny",
    "seedbed/algorithms/permutohedral.py: 62 -> (63) in `LARGEST_CODE = 2**62`": "beyond it pydensecrf gives the same",
    f"seedbed/algorithms/permutohedral.py: {CODES} >= LARGEST_CODE -> ({CODES} > LARGEST_CODE) in `if {CODES} >= LARGEST_CODE:`": "too",
    f"seedbed/algorithms/permutohedral.py: 1 -> (2) in `if {CODES} >= LARGEST_CODE:`": "room for a group more",
    f"seedbed/algorithms/permutohedral.py: {NORM} + TINY -> ({NORM} - TINY) in `{NORMALISED}`": "tiny beside every norm",
    f"seedbed/algorithms/permutohedral.py: {GROUPED} -> ({GROUPED.replace('+', '-')}) in `return {GROUPED}, [`": "in another order",
    f"seedbed/algorithms/permutohedral.py: 0.5 -> (0.75) in `{NEAREST}`": "from another corner, the same simplex is found",
    f"seedbed/algorithms/permutohedral.py: True -> (False) in `{RANK}`": "of equal ones either may come first",
    f"seedbed/algorithms/permutohedral.py: 1 -> (2) in `{TURNS}`": "near enough to be rounded to the same",
    f"seedbed/algorithms/permutohedral.py: 2 -> (3) in `{WEIGHTS}`": "a column more, of nothing",
    f"seedbed/algorithms/permutohedral.py: 1 -> (2) in `{SPANS}`": "room for one more",
    f"seedbed/algorithms/permutohedral.py: corners - low -> (corners + low) in `{CODE}`": "all numbers are moved alike",
    "seedbed/algorithms/permutohedral.py: True -> (False) in `order = rows.argsort(stable=True)`": "only the order of a sum",
    "seedbed/learning/loop.py: 4 -> (5) in `AHEAD = 4  # batches that are read in advance`": "they are the same, whenever they are read",
    f"seedbed/algorithms/mean_field.py: torch.ones -> (torch.zeros) in `{ATTRACTING}`": "labels that an image lacks are impossible",
    f"seedbed/algorithms/mean_field.py: {EITHER_NONE} -> (colour is None) in `if {EITHER_NONE}:`": "places alone are never so far apart",
    "seedbed/algorithms/patch_regions.py: 1 -> (2) in `used, _, _ = relabel_sequential(refined + 1)`": "any that are positive",
    f"seedbed/superpixels/dino.py: 1 -> (2) in `{SIGN}`": "only its sign matters",
    f"seedbed/superpixels/ncut.py: 0 -> (1) in `{START}`": "any will do",
    f"seedbed/scoring/region_scores.py: {SIDES} -> {SIDES.replace('+', '-')} in `{SIDES}`": "their squares are used",
    f"seedbed/scoring/truth.py: 16 -> (17) in `{MEANING}`": "a digit more",
    **{
        f"seedbed/pretraining/dino.py: {drawn} < {share} -> ({drawn} <= {share}) in `if {also}{drawn} < {share}:`": "a draw of just that"
        for also, share in (("", "blur"), ("", "self.flip"), ("", "self.grey"), ("", "self.colours_share"), (SECOND, "self.solarised"))
        for drawn in ("random.random()",)
    },
    f"seedbed/pretraining/dino.py: self.patch_size -> (self.prototypes) in `{LOOKED_UP}`": "only which weights there are is looked up",
    f"seedbed/pretraining/dino.py: self.patch_size -> (1) in `{LOOKED_UP}`": "only which weights there are is looked up",
    f"seedbed/pretraining/dino.py: np.zeros -> (np.ones) in `{NO_CROPS}`": "an array of no values",
    f"seedbed/scoring/things.py: {EITHER} -> ({HIDDEN}) in `return {EITHER}`": "where nothing is void both are the labels",
    "seedbed/networks/deeplab.py: -2 -> (2) in `size = images_BCYX.shape[-2:]`": "of four dimensions, the last two",
    f"seedbed/learning/learner.py: np.zeros -> (np.ones) in `{NO_LOG}`": "an array of no values",
    "seedbed/learning/checkpoints.py: out.flush() -> pass in `out.flush()`": "only a loss of power could tell",
}


# Tests.


def modules() -> list[str]:
    """Methods but readers of data sets, and what they compute with."""
    folders = [*(one for one in list_families() if one != "dataset"), *ROOMS]
    files = [file for folder in folders for file in sorted((PROJECT / "seedbed" / folder).glob("*.py")) if file.stem[0] != "_"]
    return [str(file.relative_to(PROJECT)) for file in (*files, *(PROJECT / "seedbed" / f"{word}.py" for word in WORDS))]


@cache
def imported(file: Path) -> frozenset[str]:
    """Modules of ours that a file imports."""
    found = set[str]()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("seedbed"):
            found |= {str(node.module), *(f"{node.module}.{alias.name}" for alias in node.names)}
    return frozenset(found)


def belonging(module: str) -> list[str]:
    """Tests that belong to a module: its own, those that import it, and those of methods that use it."""
    file, dotted = Path(module), module.removesuffix(".py").replace("/", ".")
    families = list_families()
    methods = [one for one in sorted((PROJECT / "seedbed").glob("*/*.py")) if one.parent.name in families and one.stem[0] != "_"]
    methods = [PROJECT / file] if file.parent.name in families else [one for one in methods if dotted in imported(one)]
    tests = [one for one in sorted((PROJECT / "tests").rglob("test_*.py")) if one.relative_to(PROJECT).parts[1] not in APART]
    own = [one for one in tests if one.stem == f"test_{file.stem}" and one.parent.name in (file.parent.name, "tests")]
    using = [one for one in tests if dotted in imported(one) and one.name != "test_alive.py"]
    of_methods = [PROJECT / "tests" / one.parent.name / f"test_{one.stem}.py" for one in methods]
    contracts = [PROJECT / "tests" / "contracts" / f"test_{one.parent.name}.py" for one in methods]
    contracts += [PROJECT / "tests" / "contracts" / "test_devices.py" for one in methods if one.parent.name in WITH_GPU]
    alive = [f"tests/contracts/test_alive.py::test_every_parameter_changes_the_result[{one.parent.name}-{one.stem}]" for one in methods]
    files = [str(one.relative_to(PROJECT)) for one in (*own, *of_methods, *contracts, *using) if one.is_file()]
    if not files and not alive:  # a part of something else, by way of which it is tested
        whole = [one for one in modules() if dotted in imported(PROJECT / one)]
        return [*dict.fromkeys(test for one in whole for test in belonging(one))] or [OF_STAGES]
    return [*dict.fromkeys(files), *alive]


# Runs.


def load() -> None:
    """Import what is slow to import, so that processes have it that are forked from this one."""
    importlib.import_module("seedbed.networks.repaired")
    for name in SLOW:
        importlib.import_module(name)


@dataclass(frozen=True)
class Copy:
    """A copy of the checkout, to put faults into."""

    root: Path

    @classmethod
    def made(cls, root: Path) -> Copy:
        listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard", "-z"], cwd=PROJECT, capture_output=True, check=True)
        for name in filter(None, listed.stdout.decode().split("\0")):
            if (PROJECT / name).is_file():
                (root / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(PROJECT / name, root / name)
        return cls(root)

    def begin(self, tests: Sequence[str], *, seconds: int, fault: Fault | None = None) -> int:
        """Run tests, perhaps with a fault, in a process of their own; its number."""
        assert tests, f"no tests belong to {fault.module if fault else 'these modules'}"
        process = os.fork()
        if process:
            return process
        status = 1
        try:
            if fault:
                file = self.root / fault.module
                file.write_bytes(fault.put_into((PROJECT / fault.module).read_bytes()))
            status = self._run(tests, seconds)
        finally:
            os._exit(status)

    def _run(self, tests: Sequence[str], seconds: int) -> int:
        for name in [one for one in sys.modules if one.partition(".")[0] in ("seedbed", "stages", "tests", "benchmarks")]:
            del sys.modules[name]
        sys.path[:] = [str(self.root), *(one for one in sys.path if one and Path(one).resolve() != PROJECT)]
        sys.dont_write_bytecode = True
        os.environ |= {"PYTHONPATH": str(self.root), "PYTHONDONTWRITEBYTECODE": "1"}
        os.chdir(self.root)
        output = os.open(self.output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(output, 1)
        os.dup2(output, 2)
        resource.setrlimit(resource.RLIMIT_CPU, (5 * seconds, 5 * seconds))  # where not even Python gets to say that it takes too long
        flags = ["-x", "-q", "-p", "no:cacheprovider", "-m", "not slow", "-k", f"not {LONG}", f"--timeout={seconds}"]
        return int(pytest.main([*flags, f"--basetemp={self.root}/.tests", *tests]))

    @property
    def output(self) -> Path:
        """What tests have said."""
        return self.root / ".output"

    def mend(self, fault: Fault) -> None:
        """Take a fault out again."""
        shutil.copy(PROJECT / fault.module, self.root / fault.module)

    def outcome(self, status: int) -> bool:
        """Whether all tests passed; tests that cannot even be collected have not."""
        code = os.waitstatus_to_exitcode(status)
        if code == pytest.ExitCode.NO_TESTS_COLLECTED:
            raise RuntimeError(f"no tests: {self.output.read_text()[-1000:]}")
        return code == 0


def survivors_of(chosen: Sequence[Fault], copies: Sequence[Copy], *, seconds: int) -> Iterator[Fault]:
    """Faults that no test notices, as they are found."""
    free, waiting, running = list(copies), deque(chosen), dict[int, tuple[Fault, Copy]]()
    while waiting or running:
        while waiting and free:
            fault, place = waiting.popleft(), free.pop()
            running[place.begin(belonging(fault.module), seconds=seconds, fault=fault)] = fault, place
        process, status = os.wait()
        fault, place = running.pop(process)
        place.mend(fault)
        free.append(place)
        print(f"{len(chosen) - len(waiting) - len(running)} of {len(chosen)}", end="\r", file=sys.stderr, flush=True)
        if place.outcome(status):
            yield fault


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("modules", nargs="*", help="files, relative to the project; all that compute where none is named")
    parser.add_argument("--number", type=int, default=150, help="faults, drawn by chance; 0: all")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=1, help="faults at a time")
    parser.add_argument("--seconds", type=int, default=120, help="that a test may take before it counts as failed")
    parser.add_argument("--list", action="store_true", help="name the faults and run nothing")
    options = parser.parse_args()
    every = [one for module in options.modules or modules() for one in faults(module)]
    known = {str(one) for one in every}
    if gone := [name for name in EQUIVALENT if name.partition(":")[0] in {one.module for one in every} and name not in known]:
        sys.exit(f"in EQUIVALENT, but no longer among the faults: {gone}")
    chosen = random.Random(options.seed).sample(every, min(options.number or len(every), len(every)))
    chosen = [one for one in sorted(chosen, key=lambda one: (one.module, one.line)) if str(one) not in EQUIVALENT]
    if options.list:
        print(*(f"{one.line}: {one}" for one in chosen), f"{len(chosen)} of {len(every)}", sep="\n")
        return
    started, found = time.monotonic(), 0
    load()
    with tempfile.TemporaryDirectory() as folder:
        copies = [Copy.made(Path(folder) / str(number)) for number in range(options.jobs)]
        copies[0].begin([*dict.fromkeys(test for one in chosen for test in belonging(one.module))], seconds=options.seconds)
        if not copies[0].outcome(os.wait()[1]):
            sys.exit(f"a test fails without any fault:\n{copies[0].output.read_text()[-3000:]}")
        for fault in survivors_of(chosen, copies, seconds=options.seconds):
            found += 1
            print(f"survived, line {fault.line} of {fault}", flush=True)
    share = 1 - found / max(1, len(chosen))
    print(f"{len(chosen)} of {len(every)} faults, {share:.3f} of them dead, in {time.monotonic() - started:.0f} s")


if __name__ == "__main__":
    main()
