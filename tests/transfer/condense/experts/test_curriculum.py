"""PAD's curriculum: easy images come first, and the easiest are dropped before the end."""

from pathlib import Path

import pytest
import torch
from tests.transfer.condense.experts.tiny_experts import IMAGES, all_of, make, whole

from limbeck.data.image_set import ImageSet
from limbeck.errors import UserError
from limbeck.transfer.condense.expert_settings import Curriculum
from limbeck.transfer.condense.experts.curriculum import CurriculumPasses, share_shown
from limbeck.transfer.condense.experts.intervals import Intervals

SCORES = torch.randn(40, generator=torch.Generator().manual_seed(0)).double()
SHORT = {"score": "variance", "first": 0.5, "whole_from": 2, "drops": [[3, 0.25]]}


def test_shares_are_the_published_ones() -> None:
    shares = [share_shown(Curriculum(), epoch) for epoch in (0, 4, 19, 20, 40, 41, 60, 61, 99)]
    expected = [(0, 0.75), (0, 0.8), (0, 0.9875), (0, 1), (0, 1), (0.1, 1), (0.1, 1), (0.2, 1), (0.2, 1)]
    assert shares == [pytest.approx(share) for share in expected]


def test_experts_of_another_curriculum_are_not_taken_for_these(tmp_path: Path) -> None:
    """Such as those that dropped images an epoch earlier."""
    make(tmp_path, snapshots=2, curriculum={"score": "variance", "drops": [[40, 0.1], [60, 0.2]]}, judges=0, epochs=1)
    with pytest.raises(UserError, match=r"they differ in `experts.curriculum` \(.*\[\[40, 0.1\]"):
        make(tmp_path, snapshots=2, curriculum={"score": "variance"}, judges=0, epochs=1)


def test_each_class_is_shown_from_easy_to_hard() -> None:
    passes = CurriculumPasses(Curriculum(**SHORT), SCORES, IMAGES)
    assert IMAGES.labels is not None
    assert [len(passes(number)) for number in range(6)] == [20, 30, 40, 30, 30, 30]
    for epoch, (easiest, hardest) in enumerate([(0, 10), (0, 15), (0, 20), (5, 20)]):
        shown = passes(epoch)
        for label in range(2):
            rows = (IMAGES.labels == label).nonzero().squeeze(1)
            by_ease = rows[SCORES[rows].argsort()]
            assert sorted(shown[IMAGES.labels[shown] == label].tolist()) == sorted(by_ease[easiest:hardest].tolist())


@pytest.mark.parametrize("counts", [(1, 1), (2, 50), (3, 7)])
def test_no_class_is_left_empty(counts: tuple[int, int]) -> None:
    """The reference implementation assumes 5,000 images in every class."""
    labels = torch.repeat_interleave(torch.arange(2), torch.tensor(counts))
    images = ImageSet(torch.zeros(len(labels), 1, 8, 8, dtype=torch.uint8), labels, classes=("a", "b"))
    passes = CurriculumPasses(Curriculum(first=0.01, whole_from=3, drops=((4, 0.99),)), torch.rand(len(labels)), images)
    for epoch in range(6):
        assert labels[passes(epoch)].unique().tolist() == [0, 1]


def test_equal_scores_go_by_id_whatever_the_order() -> None:
    turned = IMAGES.subset(IMAGES.ids.flip(0))
    passes, flipped = (CurriculumPasses(Curriculum(**SHORT), torch.zeros(40), images) for images in (IMAGES, turned))
    assert sorted(IMAGES.ids[passes(0)].tolist()) == sorted(turned.ids[flipped(0)].tolist())


def test_epochs_end_with_the_passes_that_they_are() -> None:
    passes = CurriculumPasses(Curriculum(**SHORT), SCORES, IMAGES)
    intervals = Intervals(passes.sizes(), batch_size=8)
    assert [intervals.step(number) for number in range(6)] == [0, 3, 7, 12, 15, 19]  # 20, 50, 90, 120, 150 images


def test_epochs_of_steps() -> None:
    """Epochs of 24 images each; a pass shows the images of the epoch in which it begins."""
    passes = CurriculumPasses(Curriculum(**SHORT), SCORES, IMAGES, interval=24)
    assert [passes.epoch(number) for number in range(6)] == [
        0,
        0,
        1,
        2,
        4,
        5,
    ]  # passes begin at 0, 20, 40, 70, 110, 140
    assert [len(passes(number)) for number in range(6)] == [20, 20, 30, 40, 30, 30]


def test_experts_are_taught_by_it(tmp_path: Path) -> None:
    store = make(tmp_path, snapshots=4, curriculum=SHORT, judges=0)
    assert store.losses(0)[-1].step == 12
    assert (all_of(store).diff(dim=1).norm(dim=2) > 0).all()
    assert not torch.equal(store.theta(0, 1), whole("float16").theta(0, 1))
    scores = (tmp_path / "curriculum.safetensors").read_bytes()
    make(tmp_path, snapshots=5, curriculum=SHORT, judges=0, epochs=4)
    assert (tmp_path / "curriculum.safetensors").read_bytes() == scores
