"""Normalised views in the loop, between each network's normalisation and the network; and learned rates."""

from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from tests.training.conftest import Run
from tests.training.sources import Growing
from tests.training.stopping import stop_at
from tests.training.tiny import CLASSES, network, same, settings, stripes, weights
from torch import Tensor, nn

from limbeck.data.image_set import ImageSet
from limbeck.data.normalised_views import normalised_views
from limbeck.data.transfer_set import TransferSet
from limbeck.data.views import augmentation
from limbeck.errors import UserError
from limbeck.models import Classifier
from limbeck.objectives import weighted_sum
from limbeck.training import Interrupted, RunFolder
from limbeck.training.batches import BatchStream
from limbeck.training.schedule import with_rate

DSA = settings(steps=6, views="none", normalised_views="dsa", precision="fp32", channels_last=False)
BRIEF = settings(steps=4, validations=0, precision="fp32", channels_last=False)
PLAIN = settings(precision="fp32", validations=0)
CE = weighted_sum("ce")
CPU = torch.device("cpu")


def stream(images: ImageSet, **changes: Any) -> BatchStream:
    arguments: dict[str, Any] = {"augmentation": augmentation("none"), "batch_size": 8, "seed": 0, "device": CPU}
    return BatchStream(images, **{**arguments, "normalised_views": normalised_views("dsa"), **changes})


def noting(classifier: Classifier, seen: list[Tensor], count: int = 8) -> Classifier:
    """Records the batches of `count` images that its network, or a copy of it, is given."""
    classifier.network.register_forward_pre_hook(
        lambda module, args: seen.append(args[0].clone()) if len(args[0]) == count else None
    )
    return classifier


def linear() -> Classifier:
    """A linear network: quick, and the same every time."""
    layer = nn.Linear(64, 2)
    nn.init.constant_(layer.weight, 0.1)
    nn.init.zeros_(layer.bias)
    return Classifier(nn.Sequential(nn.Flatten(), layer), num_classes=2, channels=1)


@pytest.mark.parametrize("spec", [{"ce": 0.1, "kd": 0.9}, {"ce": 1, "at": 1}], ids=str)
def test_each_network_is_shown_the_same_views_in_its_own_space(teach: Run, spec: dict[str, float]) -> None:
    """Whether its logits alone are used or also earlier outputs."""
    learning, teaching = [], []
    student, net = noting(network(), learning), network(9)
    space: dict[str, Any] = {"num_classes": 2, "input_size": 32, "channels": 1, "mean": [0.1], "std": [0.7]}
    teacher = noting(Classifier(net.network, taps=net.taps, **space), teaching)
    steps = DSA.model_copy(update={"steps": 3})
    result = teach(student=student, teacher=teacher, settings=steps, objective=weighted_sum(spec), validation=None)
    assert result.teacher_passes == 3 * 8
    assert result.teacher_passes_saved == 0
    assert result.view_cache is None
    assert len(learning) == len(teaching) == 3
    plain, views = stream(stripes(40), normalised_views=None), normalised_views("dsa")
    for step, (mine, theirs) in enumerate(zip(learning, teaching, strict=True)):
        images, draw = plain[step].images, views.draw(8, seed=0, step=step)
        for classifier, shown in ((student, mine), (teacher, theirs)):
            torch.testing.assert_close(shown, views.apply(classifier.prepare(images), draw))


def test_held_out_images_are_shown_as_they_are(teach: Run) -> None:
    judged: list[Tensor] = []
    teach(student=noting(linear(), judged, count=20), teacher=None, objective=CE, settings=DSA)
    assert len(judged) == 3
    torch.testing.assert_close(judged[0], linear().prepare(stripes(20, seed=1).tensor()))


def test_shares_of_processes_are_parts_of_the_batch() -> None:
    whole, parts = stream(stripes(40)), [stream(stripes(40), process=process, processes=2) for process in range(2)]
    inputs = torch.randn(8, 1, 8, 8)
    for step in range(4):
        changes = [batches[step].input_transform for batches in (whole, *parts)]
        assert all(change is not None for change in changes)
        of_whole, first, second = (lambda images, apply=apply: apply(images) for apply in changes)  # pyright: ignore
        assert torch.equal(of_whole(inputs), torch.cat([first(inputs[:4]), second(inputs[4:])]))


def test_rounds_have_views_of_their_own(teach: Run) -> None:
    """The first step of each round shows the same image here, in another view."""
    inputs: list[Tensor] = []
    teach(student=noting(linear(), inputs), settings=DSA, source=Same(3), teacher=None, objective=CE, validation=None)
    assert len(inputs) == 6
    assert not torch.equal(inputs[0], inputs[3])


class Same(Growing):
    """A source with the same image in all rounds."""

    def images(self, round: int) -> TransferSet:
        pixels = torch.arange(64, dtype=torch.uint8).view(1, 1, 8, 8)
        return TransferSet(ImageSet(pixels, torch.zeros(1, dtype=torch.int64), classes=CLASSES))


def test_an_interrupted_run_resumes_to_the_same_bits(teach: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    changed: dict[str, Any] = {
        "settings": DSA.model_copy(update={"normalised_views": ["dsa", {"crop-scale-rotate": {"rotate": 10}}]}),
        "teacher": linear(),
    }
    whole = teach("whole", student=linear(), **changed)
    stop_at(3, monkeypatch)
    with pytest.raises(Interrupted):
        teach(student=linear(), **changed)
    monkeypatch.undo()
    assert same(weights(teach(student=linear(), resume=True, **changed).student), weights(whole.student))


def test_without_them_all_is_as_it_was(teach: Run) -> None:
    """The teacher's outputs are cached, too."""
    plain = teach("plain", student=linear(), teacher=linear(), settings=PLAIN)
    again = teach(
        "again", student=linear(), teacher=linear(), settings=PLAIN.model_copy(update={"normalised_views": "none"})
    )
    assert same(weights(plain.student), weights(again.student))
    assert again.view_cache is not None
    assert again.teacher_passes_saved == 12 * 8
    for spec in (None, "none", [], {"none": None}):
        assert stream(stripes(8), normalised_views=normalised_views(spec))[0].input_transform is None


def test_they_go_with_soft_labels_views_mixtures_and_half_precision(teach: Run) -> None:
    soft = TransferSet(stripes(40), torch.full((40, 2), 0.5))
    objective = weighted_sum({"kd": 1.0})
    teach("soft", student=linear(), source=soft, teacher=None, settings=DSA, objective=objective, validation=None)
    mixed = settings(
        steps=4, views=["pad-crop", "mixup"], normalised_views="dsa", precision="bf16", channels_last=False
    )
    student = teach("mixed", student=linear(), teacher=linear(), settings=mixed).student
    assert all(parameter.isfinite().all() for parameter in student.parameters())


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("das", "unknown normalised view 'das'; did you mean 'dsa'"),
        ({"dsa": {"shift": 2}}, "`shift` of normalised view 'dsa' must be from 0 to 1, got 2"),
        (7, "normalised views must be a name, a mapping from name to options, or a list of these, got 7"),
    ],
)
def test_what_is_misspelt_is_refused_before_training(spec: Any, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        settings(normalised_views=spec)


def rates(folder: Path) -> list[float]:
    return [entry["learning_rate"] for entry in RunFolder(folder).metrics() if entry["kind"] == "train"]


@pytest.mark.parametrize(("use", "rate"), [({"training": {"learning_rate": 0.034}}, 0.034), ({}, 0.01), (None, 0.01)])
def test_the_learned_rate_is_that_of_the_set(teach: Run, tmp_path: Path, use: Any, rate: float) -> None:
    same_for_both: dict[str, Any] = {"teacher": None, "objective": CE, "validation": None}
    learned = BRIEF.model_copy(update={"learning_rate": "learned"})
    written = BRIEF.model_copy(update={"learning_rate": rate})
    carried = TransferSet(stripes(40), use=use)
    result = teach("learned", student=linear(), source=carried, settings=learned, **same_for_both)
    other = teach("written", student=linear(), settings=written, **same_for_both)
    assert rates(tmp_path / "learned")[0] == rate
    assert same(weights(result.student), weights(other.student))


@pytest.mark.parametrize("rate", [0, -0.1, True, "fast", None, [0.1]])
def test_a_rate_that_is_none_is_refused(rate: Any) -> None:
    carried = TransferSet(stripes(4), use={"training": {"learning_rate": rate}})
    with pytest.raises(UserError, match=r"the learning rate that the transfer set carries.* number > 0, got .*; set"):
        with_rate(settings(learning_rate="learned"), carried)


def test_rates_are_numbers_or_learned() -> None:
    for wrong in (True, "lerned", 0):
        with pytest.raises(ValidationError, match="learning_rate"):
            settings(learning_rate=wrong)
    with pytest.raises(ValidationError, match="must be a number, got True"):
        settings(learning_rate=True)
