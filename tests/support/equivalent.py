"""Faults that change nothing which could be noticed, with the reason."""

from __future__ import annotations

STANDARD = "standard = np.where(deviation < STILL, 0, (patches - patches.mean(axis=(0, 1))) / np.maximum(deviation, STILL))"
ATTENDS = 'if not hasattr(network.blocks[-1], "attn"):'
KNOWN = "return bool((self.classes != IGNORE).any())"
TABLE = "shape = (int(regions.max()) + 1, int(labels.max(initial=0)) + 1)"
UNMODIFIED = 'unmodified: Any = timm.create_model(name, num_classes=0, global_pool="")'
LOADED = "timm.models.load_pretrained(trunk, num_classes=0, filter_fn=partial(_select_published_state, where=where))"
LYING = "lying = PatchFeatures(np.zeros((*grid, 0), np.float32), patch_size, alignment)"
NO_LOG = 'NOT_TRAINED: Columns = {"log": np.zeros((0, 0)), "figures": [], "weights": ()}'
GRID = "rows, columns = images_BCYX.shape[-2] // edge_y, images_BCYX.shape[-1] // edge_x"
SCALAR = '*((np.float64(0).__reduce__()[0], f"numpy.{core}.multiarray.scalar") for core in ("core", "_core")),'
SUMMED = "self.judged.array(name)[there]"
OVERLAPS = 'overlaps, boundaries = (self.judged.array(name)[there].sum(axis=0) for name in ("region_overlap", "region_boundary"))'
COUNTED = "counted = (np.floor(column) == column) & (column >= 0) & (column <= width - 1)"
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
OLDER = "older = [(cost, other) for other, cost in links[region].items() if other < region]"
WITHIN_REACH = "np.hypot(between[:, None], between)"
WITHIN = f"within = ({WITHIN_REACH} < reach).astype(np.uint8)"
MOST_NEEDED = "node = np.argmax(np.where(colours < 0, taken.sum(axis=1) * len(neighbours) + degrees, -1))"
FURTHEST = "furthest = min(int(np.ceil(reach / cell)), max(covered.shape[1:]))"
COVERED_CELLS = "covered[labels, np.arange(height)[:, None] // cell, np.arange(width) // cell] = 1"
KNOWN_VECTOR = "known = np.sqrt(degrees / degrees.sum())"
KNOWN_LONGER = ("degrees / degrees.sum() -> (degrees * degrees.sum())", "degrees.sum -> (degrees.mean)")
TOLERATED = "TOLERANCE = 1e-9  # of eigenvalues; at most 1"
ABOVE = "chosen > chosen.mean()"
FOLLOWING = "return Cut(side=side, value=measure_cut(weights, side), following=solutions[:, -1])"
SPANS = "spans = (high - low + 1).tolist()"
DRAWN = "torch.manual_seed(0)  # without weights they are random, but the same in every process"
LEAST_DEVIATION = "STILL = 1e-3  # a channel that varies less than this within an image says nothing: what is left of it is rounding"
FETCHED = "BUFFERED = 20  # steps whose figures stay on the device: to fetch each at once would make a GPU wait"
COLUMN = "column = (np.where(after < before, after, after - 1) + 0.5) / LARGER - 0.5"
NO_COUNTS = "if min(counts, default=0) < 0 or sum(counts) != height * width:  # by Python, whose sums have no bound"
LONGEST = "LONGEST = 10_000_000  # points of a border, which no outline of a thing has"
WHOLE_PATCHES = "size = (images_BCYX.shape[-2] // self.patch_size, images_BCYX.shape[-1] // self.patch_size)"
GATHERED = "losses_BYX = -logs_BKYX.gather(1, torch.where(known_BYX, labels_BYX, 0)[:, None])[:, 0]"
ABSENT = "means_RK = means_RK.masked_fill(~present_BK.repeat_interleave(count, dim=0), -1.0)"
WARMED = "return first + (then - first) * min(1.0, progress / self.method.teacher_warmup if self.method.teacher_warmup else 1.0)"
COSINES = "functional.normalize(self.head(features_ND), dim=-1), functional.normalize(self.prototypes.weight, dim=-1)"
BETWEEN_STEPS = 'self.register_buffer("answers", torch.zeros(method.prototypes), persistent=False)  # of the teacher, mean over a step'
TEACHER = "return copy.deepcopy(network).requires_grad_(False)"
GRADIENT = "GRADIENT = 1e-7  # largest entry of the gradient at which the solution is taken for found"
VARY = "np.linalg.norm(vectors - vectors.mean(axis=0), axis=1).max()"
NO_DEVIATION = "STILL = 1e-12  # deviation of a channel that does not vary"
ENOUGH = "MOST = 10_000  # iterations, of which some hundreds are needed"
LEAST = "ALIKE * length"
SIGNED = "directions * np.sign(largest)"
UNSEEN = "self.look(build(), torch.empty(1, 3, SMALL, SMALL), [()])"
RANDOM = "torch.rand(shape, device=features.device)"
SPAN = "highest_BK11 - lowest_BK11"
STRETCHED = f"classes_BKyx = (positive_BKyx - lowest_BK11 - SMALLEST).clamp(min=0) / ({SPAN} + SMALLEST)"
EQUIVALENT = {  # fault as it is printed, without its line -> why nobody can notice
    "seedbed/classifier/ssc.py: 2 -> (3) in `count = int(regions_PYX.max()) + 2`": "a group more, without any pixel",
    f"seedbed/cams/attention.py: 1 -> (2) in `{UNSEEN}`": "any image will do to see whether there is attention",
    "seedbed/cams/attention.py: 64 -> (65) in `SMALL = 64  # edge of an image of which nothing is computed`": "likewise",
    f"seedbed/networks/dropped.py: {RANDOM} >= share -> ({RANDOM} > share) in `kept = {RANDOM} >= share`": "none is drawn that is it",
    f"seedbed/classifier/fbr.py: {SPAN} + SMALLEST -> ({SPAN} - SMALLEST) in `{STRETCHED}`": "last digits; a flat map has 0",
    "seedbed/classifier/ssc.py: 1 -> (2) in `self.network(1)`": "any number of classes will do to see whether the network can be built",
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
    "seedbed/networks/click_network.py: 0 -> (1) in `self.patch_size = int(tokens.trunk.patch_embed.patch_size[0])`": "patches are square",
    f"seedbed/networks/backbones.py: 0 -> (1) in `{LOADED}`": "what fits is chosen by the filter",
    f"seedbed/networks/transformer.py: -2 -> (2) in `{GRID}`": "of four dimensions, the last but one",
    f"seedbed/networks/weights.py: 0 -> (1) in `{SCALAR}`": "of a number only its type is used",
    f"seedbed/scoring/judgement.py: {SUMMED}.sum -> ({SUMMED}.mean) in `{OVERLAPS}`": "only ratios follow",
    f"seedbed/scoring/outlines.py: np.floor -> (np.ceil) in `{COUNTED}`": "of whole numbers both are the number",
    "seedbed/scoring/outlines.py: y0 > y1 -> (y0 >= y1) in `backwards = y0 > y1`": "never equal, since a side is steep there",
    "seedbed/scoring/outlines.py: across >= down -> (across > down) in `if across >= down:`": "a diagonal is the same either way",
    f"seedbed/scoring/outlines.py: width - 1 -> (width + 1) in `{COUNTED}`": "what lies beyond is cut off",
    f"seedbed/scoring/outlines.py: after < before -> (after <= before) in `{COLUMN}`": "they are never equal",
    f"seedbed/scoring/outlines.py: 0 -> (1) in `{NO_COUNTS}`": "of no counts the sum is wrong",
    "seedbed/scoring/outlines.py: 60 -> (61) in `MOST_BITS = 60  # of a run length`": "more than any has",
    f"seedbed/scoring/outlines.py: 10_000_000 -> (10000001) in `{LONGEST}`": "likewise",
    "seedbed/scoring/things.py: 1 -> (2) in `height, width = 1 + len(true.pixels), 1 + len(made.pixels)`": "one thing more, of no pixel",
    "seedbed/scoring/outlines.py: x0 > x1 -> (x0 >= x1) in `backwards = x0 > x1`": "equal only where both ends are one point",
    "seedbed/algorithms/ward.py: heappop(heap) -> pass in `heappop(heap)`": "what is not alive is passed over; elsewhere it is endless",
    f"seedbed/algorithms/ward.py: other < region -> (other <= region) in `{OLDER}`": "no region is its own neighbour",
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
    f"seedbed/algorithms/label_channels.py: {WITHIN_REACH} < reach -> ({WITHIN_REACH} <= reach) in `{WITHIN}`": "no cells are just so far",
    f"seedbed/algorithms/label_channels.py: 1 -> (2) in `{MOST_NEEDED}`": "any that is negative",
    "seedbed/algorithms/label_channels.py: 1 -> (2) in `colours = np.full(len(neighbours), -1)`": "likewise",
    "seedbed/algorithms/label_channels.py: 1 -> (2) in `taken = np.zeros((len(neighbours), int(degrees.max()) + 1), bool)`": "one more",
    "seedbed/algorithms/label_channels.py: 1 -> (2) in `numbered = np.empty(int(nearest.max()) + 1, np.int32)`": "likewise",
    f"seedbed/algorithms/label_channels.py: reach / cell -> (reach * cell) in `{FURTHEST}`": "farther cells are beyond the reach",
    f"seedbed/algorithms/label_channels.py: 1 -> (2) in `{COVERED_CELLS}`": "any that is positive",
    "seedbed/algorithms/label_channels.py: 8 -> (9) in `SMALLEST_CELL = 8  # pixels`": "how finely distances are measured moves no label",
    **{
        f"seedbed/algorithms/normalised_cut.py: {fault} in `{KNOWN_VECTOR}`": "it is taken away from the largest all the same"
        for fault in KNOWN_LONGER
    },
    "seedbed/algorithms/normalised_cut.py: count > DENSE -> (count >= DENSE) in `if count > DENSE:`": "both ways solve the same",
    "seedbed/algorithms/normalised_cut.py: 32 -> (33) in `DENSE = 32  # a graph of so many nodes is solved as a whole`": "likewise",
    f"seedbed/algorithms/normalised_cut.py: 1e-9 -> (1.5000000000000002e-09) in `{TOLERATED}`": "both tiny",
    **{
        f"seedbed/algorithms/normalised_cut.py: {ABOVE} -> ({ABOVE.replace('>', other)}) in `side = {ABOVE}`": "turned; none is equal"
        for other in ("<", ">=")
    },
    f"seedbed/algorithms/normalised_cut.py: -1 -> (1) in `{FOLLOWING}`": "the last of two",
    f"seedbed/algorithms/principal_components.py: {SIGNED} -> ({SIGNED.replace('*', '/')}) in `return np.asarray({SIGNED})`": "by 1 or -1",
    **{f"seedbed/features/{name}.py: 0 -> (1) in `{DRAWN}`": "any seed will do" for name in ("cnn", "vit")},
    "seedbed/features/none.py: 1 -> (2) in `patch_size = 1`": "of patches that there are none of",
    f"seedbed/features/texture.py: 1e-3 -> (0.0015) in `{LEAST_DEVIATION}`": "no image varies by just that",
    f"seedbed/learning/log.py: 20 -> (21) in `{FETCHED}`": "when they are fetched changes none",
    f"seedbed/networks/convolutional.py: -2 -> (2) in `{WHOLE_PATCHES}`": "of four dimensions, the last but one",
    f"seedbed/algorithms/label_growing.py: 0 -> (1) in `{GATHERED}`": "pixels without a label are left out",
    f"seedbed/algorithms/label_growing.py: 1.0 -> (1.5) in `{ABSENT}`": "less than any probability",
    "seedbed/algorithms/label_growing.py: 1 -> (2) in `count = int(regions_BYX.max()) + 1`": "one more, of no pixel",
    "seedbed/networks/repaired.py: torchvision_repair.apply() -> pass in `torchvision_repair.apply()`": "what tries faults has done so",
    "seedbed/pretraining/dino.py: progress < method.warmup -> (progress <= method.warmup) in `if progress < method.warmup:`": "1 there",
    f"seedbed/pretraining/dino.py: 1.0 -> (1.5) in `{WARMED}`": "no more than 1",
    "seedbed/pretraining/dino.py: -1 -> (1) in `-(target * log).sum(dim=-1).mean()`": "of two dimensions, the last",
    f"seedbed/pretraining/dino.py: -1 -> (1) in `{COSINES}`": "likewise",
    f"seedbed/pretraining/dino.py: False -> (True) in `{BETWEEN_STEPS}`": "between steps they are 0",
    f"seedbed/learning/running_mean.py: False -> (True) in `{TEACHER}`": "it answers where no gradients are kept",
    f"seedbed/algorithms/logistic_regression.py: 1e-7 -> (1.5e-07) in `{GRADIENT}`": "both tiny",
    f"seedbed/algorithms/logistic_regression.py: 1e-12 -> (1.5e-12) in `{NO_DEVIATION}`": "both tiny",
    f"seedbed/algorithms/logistic_regression.py: 10_000 -> (10001) in `{ENOUGH}`": "both enough",
    f"seedbed/classifier/linear.py: {VARY} <= {LEAST} -> ({VARY} < {LEAST}) in `if {VARY} <= {LEAST}:`": "none vary by just that",
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
    "seedbed/networks/deeplab.py: -2 -> (2) in `size = images_BCYX.shape[-2:]`": "of four dimensions, the last two",
    f"seedbed/run/stage.py: np.zeros -> (np.ones) in `{NO_LOG}`": "an array of no values",
    "seedbed/algorithms/clicks.py: 0 -> (1) in `firsts, sizes = [0] * len(self.sizes), self.sizes.tolist()`": "all places are one farther",
    f"seedbed/algorithms/clicks.py: 0 -> (1) in `{LYING}`": "how patches lie, whatever describes them",
    "seedbed/learning/checkpoints.py: out.flush() -> pass in `out.flush()`": "only a loss of power could tell",
}
