"""Places compared with prototypes, backgrounds and other classes."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from seedbed.learning import contrast as room
from seedbed.learning.bank import Bank
from seedbed.learning.contrast import (
    Contrast,
    Doubt,
    Seen,
    average_by_class,
    average_tops,
    compare_places,
    draw_others,
    find_doubtful,
    gather_backgrounds,
    relate,
)

DOUBT = Doubt(floor=0.1, surest=0.5, clearest=0.2, background_clear=True)
CONTRAST = Contrast(
    width=6,
    background=0.3,
    foreground=0.7,
    apart=0.0,
    temperature=0.4,
    negatives=11,
    tops=5,
    centroids=3,
    rounds=4,
    capacity=20,
    doubt=DOUBT,
)


def features(*, seed: int = 0) -> Tensor:
    """Features of the places of three images."""
    return torch.randn(3, 6, 4, 5, generator=torch.Generator().manual_seed(seed)).abs()


def seen(*, seed: int = 0) -> Seen:
    """Two of three classes in one image, one of them alone in the next, none in the last."""
    scores = torch.rand(3, 4, 4, 5, generator=torch.Generator().manual_seed(seed))
    scores[:, 0] = 0.45
    scores *= torch.tensor([[1.0, 1, 0, 1], [1, 0, 0, 1], [1, 0, 0, 0]])[:, :, None, None]
    return Seen(scores, (3 * scores).softmax(dim=1), scores.argmax(dim=1))


def changed(**changes: Any) -> Contrast:
    return dataclasses.replace(CONTRAST, **changes)


# --- Which places ask ---


def test_places_that_ask_show_a_class_and_the_surer_a_class_must_be_the_fewer_do_not() -> None:
    known, counts = seen(), []
    for surest in (0.0, 0.3, 0.6, 0.9, 1.0):
        asks = find_doubtful(known, dataclasses.replace(DOUBT, surest=surest, clearest=0.0, background_clear=False))
        assert (known.labels_Byx[asks] > 0).all()
        counts.append(int(asks.sum()))
    assert counts == sorted(counts) and counts[0] < counts[-1]


def test_where_a_class_is_sure_and_where_it_is_clear() -> None:
    """One image, one class, whose scores are known; all is said by a loop over places."""
    scores = torch.tensor([[0.9, 0.5, 0.7, 0.3, 0.2, 0.6]])
    probabilities = torch.tensor([[0.95, 0.55, 0.8, 0.6, 0.1, 0.7]])
    known = Seen(
        torch.stack([torch.full((1, 6), 0.25), scores])[None],
        torch.stack([1 - probabilities, probabilities])[None],
        torch.tensor([[[1, 1, 1, 1, 0, 1]]]),
    )
    # Scores above 0.35, in order: 0.5, 0.6, 0.7, 0.9; half of them: 0.7 is the bound, so 0.9 alone is sure.
    doubt = Doubt(floor=0.35, surest=0.5, clearest=0.0, background_clear=True)
    assert find_doubtful(known, doubt).tolist() == [[[False, True, True, True, False, True]]]
    # The bound of entropy is 0, of background, unless that counts as it is: then the lowest is that of 0.95.
    assert find_doubtful(known, dataclasses.replace(doubt, surest=1.0)).tolist() == [[[True, True, True, True, False, True]]]
    open_eyed = dataclasses.replace(doubt, surest=1.0, background_clear=False)
    assert find_doubtful(known, open_eyed).tolist() == [[[False, True, True, True, False, True]]]
    assert find_doubtful(known, dataclasses.replace(open_eyed, clearest=0.5)).tolist() == [[[False, True, False, True, False, True]]]
    # Nothing above the floor is sure.
    assert find_doubtful(known, dataclasses.replace(doubt, floor=0.95)).sum() == 5


# --- Prototypes ---


def test_a_prototype_is_the_feature_of_its_top_place_or_lies_among_those_of_several() -> None:
    places, known = features().movedim(1, -1).flatten(0, 2), seen()
    classes = torch.tensor([1, 3])
    single = average_tops(places, known.scores_BKyx, classes, 20)
    for number, label in enumerate((1, 3)):
        assert torch.allclose(single[number], places[known.scores_BKyx[:, label].flatten().argmax()])
    several = average_tops(places, known.scores_BKyx, classes, 4)  # of five places each
    for number, label in enumerate((1, 3)):
        scores = known.scores_BKyx[:, label].flatten()
        highest = scores.argsort(descending=True)[:5]
        expected = sum(scores[place] * places[place] for place in highest) / scores[highest].sum()
        assert torch.allclose(several[number], expected, atol=1e-6)
        assert (several[number] <= places[highest].amax(dim=0)).all() and (several[number] >= places[highest].amin(dim=0)).all()


def test_low_places_change_no_prototype() -> None:
    places, known, classes = features().movedim(1, -1).flatten(0, 2), seen(), torch.tensor([1])
    low = known.scores_BKyx[:, 1].flatten() < 0.5
    other = torch.where(low[:, None], 7 * places, places)
    assert torch.equal(average_tops(places, known.scores_BKyx, classes, 4), average_tops(other, known.scores_BKyx, classes, 4))


# --- Others ---


def test_a_class_is_compared_with_those_that_are_like_it_and_never_with_itself() -> None:
    prototypes = torch.tensor([[1.0, 0.0], [2.0, 2.0], [0.0, 3.0]])
    graph = relate(prototypes, 0.5)
    assert torch.allclose(graph.sum(dim=1), torch.ones(3)) and graph.diagonal().tolist() == [0, 0, 0]
    near, far = math.exp(math.sqrt(0.5) / 0.5), 1.0
    assert graph[0].tolist() == pytest.approx([0, near / (near + far), far / (near + far)], rel=1e-5)


def test_others_are_drawn_as_often_as_the_graph_says_and_any_place_of_a_class_as_often() -> None:
    torch.manual_seed(0)
    graph = relate(torch.tensor([[1.0, 0.0], [2.0, 2.0], [0.0, 3.0]]), 0.5)
    classes = torch.tensor([2, 0, 1, 1, 2, 2, 2, 0])
    for label in range(3):
        drawn = draw_others(graph[[label] * 2], classes, 5000)
        assert drawn.shape == (2, 5000)
        shares = torch.bincount(classes[drawn].flatten(), minlength=3) / 10_000
        assert torch.allclose(shares, graph[label], atol=0.02) and shares[label] == 0
        for other in range(3):
            counts = torch.bincount(drawn.flatten(), minlength=8)[classes == other]
            assert (counts - counts.float().mean()).abs().max() <= 0.1 * counts.max()


def test_backgrounds_are_centroids_of_where_no_class_is_seen_image_by_image() -> None:
    torch.manual_seed(0)
    shown, known = features(), seen()
    labels = known.labels_Byx.clone()
    labels[1] = 3  # no background at all
    labels[0] = 1
    labels[0, 2, 3] = labels[0, 0, 1] = 0  # fewer than centroids
    found = gather_backgrounds(shown, labels, CONTRAST)
    assert len(found) == 2 + 0 + 3
    assert torch.equal(found[:2], torch.stack([shown[0, :, 0, 1], shown[0, :, 2, 3]]))
    own = shown[2].flatten(1)
    assert (found[2:] <= own.amax(dim=1)).all() and (found[2:] >= own.amin(dim=1)).all()


# --- The losses ---


def cross_entropy(query: Tensor, positive: Tensor, negatives: Tensor, temperature: float) -> Tensor:
    """Of one place, from the definition."""
    logits = torch.stack([functional.cosine_similarity(query, one, dim=0) for one in [positive, *negatives]]) / temperature
    assert len(logits) == 1 + len(negatives)
    return torch.logsumexp(logits, dim=0) - logits[0]


def test_the_losses_are_those_of_a_plain_transcription(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(3)
    shown, known, bank = features().requires_grad_(), seen(), Bank(20, 6)
    drawn: dict[str, Tensor] = {}
    draw, others = Bank.draw, draw_others

    def keep_drawn(self: Bank, *shape: int) -> Tensor:
        return drawn.setdefault("background", draw(self, *shape))

    def keep_others(*given: Any) -> Tensor:
        return drawn.setdefault("foreground", others(*given))

    monkeypatch.setattr(Bank, "draw", keep_drawn)
    monkeypatch.setattr(room, "draw_others", keep_others)
    terms = compare_places(shown, features(seed=1), known, CONTRAST, bank)

    asks = find_doubtful(known, DOUBT)
    places = [(image, y, x) for image in range(3) for y in range(4) for x in range(5)]
    others_of = [place for place in places if known.labels_Byx[place] > 0]
    totals = {"background": torch.zeros(()), "foreground": torch.zeros(())}
    queries = [place for place in places if asks[place]]
    for label in (1, 3):
        flat = known.scores_BKyx[:, label].flatten()
        highest = flat.argsort(descending=True)[: 20 // 5]
        prototype = sum(flat[place] * shown[places[place][0], :, places[place][1], places[place][2]] for place in highest)
        assert isinstance(prototype, Tensor)
        prototype = (prototype / flat[highest].sum()).detach()
        mine = [(number, place) for number, place in enumerate(queries) if known.labels_Byx[place] == label]
        for number, (image, y, x) in mine:
            query = shown[image, :, y, x]
            others_here = [others_of[other] for other in drawn["foreground"][number]]
            assert {int(known.labels_Byx[place]) for place in others_here} == {4 - label}
            negatives = torch.stack([shown[place[0], :, place[1], place[2]] for place in others_here]).detach()
            totals["foreground"] = totals["foreground"] + cross_entropy(query, prototype, negatives, 0.4) / len(mine) / 2
            totals["background"] = totals["background"] + cross_entropy(query, prototype, drawn["background"][number], 0.4) / len(mine) / 2
    assert terms["background"].item() == pytest.approx(0.3 * totals["background"].item(), rel=1e-4)
    assert terms["foreground"].item() == pytest.approx(0.7 * totals["foreground"].item(), rel=1e-4)

    for name, weight in (("background", 0.3), ("foreground", 0.7)):
        ours, theirs = (torch.autograd.grad(one, shown, retain_graph=True)[0] for one in (terms[name], weight * totals[name]))
        assert torch.allclose(ours, theirs, atol=1e-6)
        assert (ours.abs().sum(dim=1) > 0).equal(asks)  # places that ask learn, from both losses, and no others


def test_a_place_like_its_prototype_and_unlike_all_others() -> None:
    """Known values: other places at right angles, then the same as it."""
    shown = torch.zeros(1, 2, 1, 4)
    shown[0, 0, 0, :3] = 1  # three places of one class
    shown[0, 1, 0, 3] = 1  # and one of background
    scores = torch.tensor([[[[0.1, 0.1, 0.1, 0.1]], [[1.0, 0.9, 0.8, 0.0]]]])
    known = Seen(scores, scores.softmax(dim=1), torch.tensor([[[1, 1, 1, 0]]]))
    chosen = changed(background=1.0, temperature=0.5, negatives=9, tops=4)
    apart = compare_places(shown, shown, known, chosen, Bank(20, 2))
    assert apart["background"].item() == pytest.approx(math.log(1 + 9 * math.exp(-2)), rel=1e-5)
    alike = torch.tensor([1.0, 0.0])[None, :, None, None].expand(1, 2, 1, 4)
    same = compare_places(shown, alike, known, chosen, Bank(20, 2))
    assert same["background"].item() == pytest.approx(math.log(10), rel=1e-5)
    assert apart["foreground"].item() == 0  # one class alone


def test_without_background_or_without_doubt_there_is_nothing_to_learn() -> None:
    known, bank = seen(), Bank(20, 6)
    full = Seen(known.scores_BKyx, known.probabilities_BKyx, torch.full_like(known.labels_Byx, 3))
    terms = compare_places(features(), features(), full, CONTRAST, bank)
    assert len(bank) == 0 and terms["background"].item() == terms["foreground"].item() == 0
    empty = Seen(known.scores_BKyx, known.probabilities_BKyx, torch.zeros_like(known.labels_Byx))
    assert all(one.item() == 0 for one in compare_places(features(), features(), empty, CONTRAST, bank).values())
    assert len(bank) == 9


def test_each_contrast_can_be_off() -> None:
    assert list(compare_places(features(), features(), seen(), changed(background=0.0), None)) == ["foreground"]
    assert list(compare_places(features(), features(), seen(), changed(foreground=0.0), Bank(20, 6))) == ["background"]
    assert changed(background=0.0, foreground=0.0).off and not changed(background=0.0, foreground=0.0, apart=0.1).off
    assert not changed(foreground=0.0).off


def test_a_mean_over_classes_counts_those_without_any() -> None:
    assert average_by_class(torch.tensor([1.0, 3.0, 8.0]), torch.tensor([0, 0, 2]), 4).item() == pytest.approx((2 + 0 + 8 + 0) / 4)
