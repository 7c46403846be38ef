"""A linear classifier on features that are computed already: the mean of an image's patches tells which classes it contains.

It is solved to convergence in seconds, and no network runs. Since a linear layer and a mean can change places, the same layer gives each
patch scores, whose mean are those of the image: `cams.patch_scores` makes class maps of them. Of several weight decays, the one is taken
that foretells best the labels of images which are held out, so no pixel label is needed to choose it.

Features must not be centred, for then the mean of every image is the same.

Paper: none; it is the arrangement of Zhou et al., "Learning Deep Features for Discriminative Localization", CVPR 2016, with a network that
does not learn.

Differs from the paper: not applicable.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from seedbed import classifier
from seedbed.algorithms.logistic_regression import choose_weight_decay, measure_held_out, solve
from seedbed.errors import TrainingError
from seedbed.learning.contract import SolvedMethod
from seedbed.learning.learner import Solved
from seedbed.learning.samples import Described
from seedbed.methods import method

ALIKE = 1e-3  # means that vary less than so much of the patches' own length are all the same


@method
class Linear(classifier.Method, SolvedMethod[Described]):
    needs_features: ClassVar[bool] = True

    weight_decays: Annotated[tuple[Annotated[float, Field(gt=0, le=1e6)], ...], Field(min_length=1)]  # inferred; to choose from
    folds: Annotated[int, Field(ge=2, le=1000)]  # inferred; parts of the images, each of which is held out once to compare weight decays
    standardised: bool  # inferred; whether channels are brought to a deviation of 1 first, so that all decay alike
    seed: Annotated[int, Field(ge=0, lt=2**32)]  # of the division into parts

    def solve(self, num_classes: int, samples: Sequence[Described]) -> Solved:
        means, length = [], 0.0
        for sample in samples:
            values = sample.patches.values.astype(np.float64)
            means.append(values.mean(axis=(0, 1)))
            length += float(np.sqrt((values**2).sum(axis=-1).mean())) / len(samples)
        vectors, labels = np.stack(means), np.stack([sample.labels[1:] for sample in samples])
        if np.linalg.norm(vectors - vectors.mean(axis=0), axis=1).max() <= ALIKE * length:
            raise TrainingError(
                "classifier.linear",
                found="features whose mean is the same in every image",
                expected="means that tell images apart",
                do="let the features not be centred in params.yaml",
            )
        losses = [
            measure_held_out(
                vectors,
                labels,
                weight_decay=weight_decay,
                standardised=self.standardised,
                folds=min(self.folds, len(vectors)),
                random=np.random.default_rng(self.seed),
            )
            for weight_decay in self.weight_decays
        ]
        best = choose_weight_decay(self.weight_decays, losses)
        head = solve(vectors, labels, weight_decay=best, standardised=self.standardised)
        return Solved({"weight": head.weight, "offset": head.offset}, {"loss": losses, "weight_decay": self.weight_decays})
