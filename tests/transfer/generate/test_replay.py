from pathlib import Path

import pytest
import torch
from tests.transfer.generate.fakes import settings_for, source_for, student_for
from torch.nn.functional import kl_div

from limbeck.data.views import augmentation
from limbeck.errors import UserError
from limbeck.transfer.generate.homogenise import Homogeniser
from limbeck.transfer.generate.pruning import pruning_for
from limbeck.transfer.generate.replay import PrioritisedReplay, gaps, learned
from limbeck.transfer.generate.repository import Repository
from limbeck.transfer.generate.settings import GenerateSettings, Homogenise, Replay


def test_the_gap_is_the_divergence() -> None:
    teacher, student = torch.randn(2, 9, 5, generator=torch.Generator().manual_seed(0)) * 4
    expected = kl_div(student.log_softmax(1), teacher.log_softmax(1), log_target=True, reduction="none").sum(1)
    torch.testing.assert_close(gaps(teacher, student), expected)
    assert gaps(teacher, teacher + 3).abs().max() < 1e-5
    assert bool(gaps(teacher * 1e3, student * 1e3).isfinite().all())


def test_those_who_agree_best_leave() -> None:
    divergences = torch.tensor([0.3, 0.1, 0.9, 0.1, 0.0])
    assert learned(divergences, 3).tolist() == [4, 1]
    assert learned(divergences, 5).tolist() == learned(divergences, 9).tolist() == []
    assert learned(divergences, 0).tolist() == [4, 1, 3, 0, 2]
    assert learned(torch.empty(0), 3).tolist() == []


def test_message() -> None:
    with pytest.raises(UserError, match=r"`student_logits` must be \[2, 3\], as the teacher's, got \[2, 4\]"):
        gaps(torch.rand(2, 3), torch.rand(2, 4))


def filled(folder: Path, count: int = 300, embedding: int = 0) -> Repository:
    random = torch.Generator().manual_seed(0)
    kept = Repository(folder, shape=(1, 4, 4), num_classes=3, embedding=embedding)
    images = torch.randint(256, (count, 1, 4, 4), dtype=torch.uint8, generator=random)
    features = torch.randn(count, embedding, generator=random) ** 3
    kept.append(images, logits=torch.randn(count, 3, generator=random), embedding=features, round=0, call=0)
    return kept


def test_a_full_repository_keeps_what_the_student_has_not_learned(tmp_path: Path) -> None:
    kept, student = filled(tmp_path), student_for()
    left = PrioritisedReplay(Replay(images=260)).leaving(kept, student)
    with torch.no_grad():
        divergences = gaps(kept.column("logits"), student(kept.column("images")).logits)
    assert len(left) == 40
    assert divergences[left].tolist() == pytest.approx(divergences.sort().values[:40].tolist(), abs=1e-5)
    assert PrioritisedReplay(Replay(images=298)).leaving(kept, None).tolist() == [0, 1], "the oldest"
    assert PrioritisedReplay(Replay(images=300)).leaving(kept, student).tolist() == []


def test_the_student_is_asked_about_the_views_that_the_teacher_saw(tmp_path: Path) -> None:
    views = augmentation({"pad-crop-flip": {"padding": 2}})
    draws = views.draw(torch.arange(300), seed=0, view=1)
    random, student = torch.Generator().manual_seed(0), student_for()
    kept = Repository(tmp_path, shape=(1, 4, 4), num_classes=3)
    images = torch.randint(256, (300, 1, 4, 4), dtype=torch.uint8, generator=random)
    with torch.no_grad():
        logits = student(views.render(images, draws)).logits
    logits[:100] += torch.randn(100, 3, generator=random)
    kept.append(images, logits=logits, view=draws, round=0, call=0)
    left = PrioritisedReplay(Replay(images=150), views).leaving(kept, student)
    assert left.min() >= 100, "those on which a student agrees with the teacher in the teacher's view"


def test_outliers_leave_first_and_then_what_is_too_many(tmp_path: Path) -> None:
    kept, student = filled(tmp_path, embedding=4), student_for()
    settings = GenerateSettings(budget=400, batch_size=30, replay=Replay(images=250), homogenise=Homogenise(most=4))
    both = pruning_for(settings, 3)
    assert both is not None
    outliers = Homogeniser(Homogenise(most=4), num_classes=3, batch_size=30).leaving(kept)
    left = both.leaving(kept, student)
    assert left[: len(outliers)].tolist() == outliers.tolist()
    assert len(left) == len(left.unique()) == 50
    kept.remove(left)
    assert 0 < len(both.leaving(kept, student)) <= 12, "outliers leave one that is not full, too"
    again = pruning_for(settings, 3)
    assert again is not None
    again.load_state_dict(both.state_dict())
    assert torch.equal(again.leaving(kept, student), both.leaving(kept, student))


def test_parts_by_settings() -> None:
    def kind(**options: object) -> str:
        return type(pruning_for(GenerateSettings.model_validate({"budget": 400, **options}), 10)).__name__

    assert kind(method="fast") == "NoneType"
    assert kind() == "Homogeniser"
    assert kind(method="fast", replay={"images": 300}) == "PrioritisedReplay"
    assert kind(replay={"images": 300}) == "Both"


def test_a_source_with_replay_stays_small(tmp_path: Path) -> None:
    settings = settings_for(replay={"images": 20}, warmup_rounds=1)
    source = source_for(tmp_path, settings, count=20, pruning=lambda _: PrioritisedReplay(Replay(images=20)))
    for number in range(5):
        source.refresh(number, student_for())
    assert [row.held for row in source.history] == [8, 16, 20, 20, 20, 20]
    assert [row.removed for row in source.history] == [0, 0, 4, 8, 8, 8]
    rounds = torch.as_tensor(source.images(4).provenance["round"])
    assert len(rounds.unique()) > 3, "not only the latest"
