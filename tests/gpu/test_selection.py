"""Selection by a teacher that computes on the GPU."""

from pathlib import Path

import pytest
import torch
from tests.gpu.conftest import CPU, settled_on
from tests.transfer.conftest import natural

from limbeck.models import Classifier, create
from limbeck.transfer.select import CRITERIA, select

pytestmark = pytest.mark.gpu
ASKING = sorted(name for name, criterion in CRITERIA.items() if criterion.needs_teacher)


@pytest.fixture
def teacher() -> Classifier:
    return create("resnet8", num_classes=4, channels=1, seed=1, input_size=8)


@pytest.mark.parametrize("criterion", ASKING)
def test_what_asks_a_teacher_repeats_itself(
    criterion: str, device: torch.device, teacher: Classifier, tmp_path: Path
) -> None:
    images = natural(60)
    options = {"budget": 20, "teacher": teacher, "precision": "fp32"}
    first = select(images, criterion=criterion, **options)
    assert len(first.ids.unique()) == 20
    assert first.scores.isfinite().all()
    assert torch.equal(select(images, criterion=criterion, **options).ids, first.ids)
    teacher.to(device)  # the teacher computes where its weights are
    assert torch.equal(select(images, criterion=criterion, **options).ids.sort().values, first.ids.sort().values)


def test_scores_by_teacher_logits_are_those_of_the_cpu(device: torch.device, teacher: Classifier) -> None:
    images = natural(60)
    options = {"criterion": ASKING[0], "budget": 20, "teacher": teacher, "precision": "fp32"}
    on_device = select(images, **options)
    with settled_on(CPU):
        on_cpu = select(images, **options)
    common = set(on_device.ids.tolist()) & set(on_cpu.ids.tolist())
    assert len(common) >= 18, "near ties alone may fall otherwise"
