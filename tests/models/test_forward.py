"""The shared forward pass: its device, type and number of passes; nothing of the caller's is changed."""

import copy
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from tests.training.tiny import network, same, stripes, weights
from torch import Tensor, nn

from limbeck.autotune import Fastest
from limbeck.data.image_set import ImageSet
from limbeck.data.storage import TensorStorage
from limbeck.errors import UserError
from limbeck.evaluation import evaluate, predict
from limbeck.models import forward
from limbeck.models.classifier import Classifier
from limbeck.models.forward import FrozenTeacher, device_for, device_of, outputs_over, resolve_computing, whole_outputs
from limbeck.precision import Precision

CPU = torch.device("cpu")
OTHER = torch.device("cpu", 0)
"""A device that torch tells apart from `CPU` but that computes alike: it stands for a GPU."""


class Noted(nn.Module):
    """Returns its input and records which copy of itself got it; all copies share the record."""

    def __init__(self) -> None:
        super().__init__()
        self.notes: list[tuple[int, Tensor]] = []

    def __deepcopy__(self, memo: dict[int, object]) -> "Noted":
        tensor = Noted()
        tensor.notes = self.notes
        return tensor

    def forward(self, images: Tensor) -> Tensor:
        self.notes.append((id(self), images))
        return images


def noted() -> tuple[Classifier, Noted]:
    first = Noted()
    classifier = network()
    classifier.network = nn.Sequential(first, classifier.network)
    return classifier, first


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("limbeck.device.default_device", lambda: OTHER)


@pytest.mark.usefixtures("gpu")
def test_a_classifier_on_the_cpu_is_copied_to_the_gpu_and_stays() -> None:
    classifier, first = noted()
    classifier.train()
    before, places = weights(classifier), [parameter.data_ptr() for parameter in classifier.parameters()]
    logits = predict(classifier, stripes(20))
    assert {copy for copy, _ in first.notes}.isdisjoint({id(first)})
    assert logits.device == CPU
    assert same(weights(classifier), before)
    assert [parameter.data_ptr() for parameter in classifier.parameters()] == places
    assert all(part.training for part in classifier.modules())
    assert torch.equal(logits, predict(classifier, stripes(20), device="cpu"))
    assert first.notes[-1][0] == id(first), "a device that is named takes the classifier itself"


@pytest.mark.usefixtures("gpu")
def test_what_cannot_be_copied_computes_where_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    classifier, first = noted()
    monkeypatch.setattr(Noted, "__deepcopy__", lambda *_: copy.deepcopy(torch.rand(2, requires_grad=True) * 2))
    assert predict(classifier, stripes(20)).shape == (20, 2)
    assert {copy for copy, _ in first.notes} == {id(first)}


def test_a_classifier_on_a_gpu_computes_there(monkeypatch: pytest.MonkeyPatch) -> None:
    classifier = network()
    monkeypatch.setattr(forward, "device_of", lambda _: torch.device("cuda", 3))
    assert device_for(classifier) == torch.device("cuda", 3)
    assert device_for(classifier, "cpu") == CPU


def test_a_device_that_is_named_keeps_the_classifier(monkeypatch: pytest.MonkeyPatch) -> None:
    classifier, moves = network(), []
    monkeypatch.setattr(classifier, "to", lambda device: (moves.append(device), classifier)[1])
    predict(classifier, stripes(6), device="cpu")
    assert moves == [CPU]
    with pytest.raises(UserError, match="`device` must be 'auto' or one of torch's devices"):
        predict(classifier, stripes(6), device="tpu7")


def test_teacher_and_student_are_evaluated_where_they_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    student, teacher, devices = network(), network(3), []
    real = forward._placed
    monkeypatch.setattr(
        forward, "_placed", lambda classifier, device: (devices.append(device), real(classifier, device))[1]
    )
    evaluate(student, stripes(20), teacher=teacher)
    evaluate(student, stripes(20), teacher=teacher, device="cpu")
    assert devices == ["auto", "auto", "cpu", "cpu"]


def test_the_device_of_a_network_without_parameters_is_that_of_its_buffers() -> None:
    assert device_of(nn.BatchNorm2d(3, affine=False).to("meta")) == torch.device("meta")
    assert device_of(nn.ReLU()) == CPU


@pytest.mark.parametrize(("precision", "fastest"), [("fp32", "bf16"), ("bf16", "fp32"), ("auto", "bf16")])
def test_precision_and_memory_order(monkeypatch: pytest.MonkeyPatch, precision: Precision, fastest: Any) -> None:
    tuned = Fastest(fastest, {"bf16": False, "fp32": True})
    monkeypatch.setattr("limbeck.precision.fastest_on", lambda _: tuned)
    classifier, first = noted()
    dtypes: list[torch.dtype] = []
    classifier.network.register_forward_hook(lambda module, inputs, logits: dtypes.append(logits.dtype))
    logits = predict(classifier, stripes(10), precision=precision)
    expected = fastest if precision == "auto" else precision
    assert logits.dtype == torch.float32
    assert dtypes == [torch.bfloat16 if expected == "bf16" else torch.float32]
    images = first.notes[0][1]
    assert images.is_contiguous() or expected == "fp32"
    assert resolve_computing("cpu", precision).precision == expected
    assert {parameter.dtype for parameter in classifier.parameters()} == {torch.float32}


def test_an_autocast_around_it_changes_nothing() -> None:
    classifier, images = network(), stripes(10)
    plain = predict(classifier, images)
    with torch.autocast("cpu", torch.bfloat16), torch.no_grad():
        assert torch.equal(predict(classifier, images), plain)


def test_a_frozen_teacher_counts_its_passes() -> None:
    classifier, images = network(), stripes(30)
    teacher = FrozenTeacher(classifier, device=CPU).train()
    assert not any(module.training for module in teacher.classifier.modules())
    logits = whole_outputs(teacher, images, batch_size=8).logits
    assert teacher.passes == 30
    teacher(images.tensor()[:5])
    assert teacher.passes == 35
    torch.testing.assert_close(logits, predict(classifier, images))


def test_outputs_are_for_autograd_and_nothing_leaks() -> None:
    classifier, images = network().train(), stripes(20)
    for positions, outputs in outputs_over(classifier, images, ("embedding",), batch_size=8):
        assert not torch.is_inference_mode_enabled()
        assert outputs.embedding is not None
        assert len(positions) == len(outputs.logits) == len(outputs.embedding)
    whole = whole_outputs(classifier, images, ("embedding", "stages"))
    assert whole.logits.shape == (20, 2)
    assert whole.embedding is not None
    assert not whole.embedding.is_inference()
    assert all(len(stage) == 20 for stage in whole.stages)
    assert whole_outputs(classifier, images).embedding is None
    assert all(part.training for part in classifier.modules())


def test_who_stops_early_gets_the_modes_back() -> None:
    classifier = network().train()
    batches = outputs_over(classifier, stripes(20), batch_size=4)
    next(batches)
    assert not classifier.training
    batches.close()  # pyright: ignore[reportAttributeAccessIssue]
    assert all(part.training for part in classifier.modules())


@pytest.mark.parametrize("decoded", [False, True])
def test_the_next_batch_is_decoded_by_another_thread(decoded: bool) -> None:
    readers: set[str] = set()

    class Watched(TensorStorage):
        @property
        def is_decoded(self) -> bool:
            return decoded

        def gather(self, positions: Tensor) -> Tensor:
            readers.add(threading.current_thread().name)
            return super().gather(positions)

    images = stripes(20)
    watched = ImageSet(Watched(images.tensor()), images.labels, classes=images.classes)
    assert torch.equal(predict(network(), watched, batch_size=4), predict(network(), images, batch_size=4))
    # On a CPU, images that need no decoding are read by the network's thread: another thread would slow it down.
    assert all(name.startswith("look-ahead") != decoded for name in readers)


def test_blocks_are_filled_up_and_every_part_comes_through() -> None:
    first = Noted()
    layers = nn.Sequential(first, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(1, 2))
    teacher = FrozenTeacher(Classifier(layers, num_classes=2, channels=1), device=CPU)
    noted = first.notes  # shared with its copies
    whole_outputs(teacher, stripes(21), batch_size=20, block=8)
    assert {len(entry[1]) for entry in noted} == {8}
    assert teacher.passes == 21
    expected = whole_outputs(network(), stripes(20), ("embedding", "stages"), batch_size=20)
    outputs = whole_outputs(network(), stripes(20), ("embedding", "stages"), batch_size=11, block=4)
    for output, other in zip((*outputs[:2], *outputs.stages), (*expected[:2], *expected.stages), strict=True):
        torch.testing.assert_close(output, other)


def test_pixels_are_seen_before_the_answer_comes() -> None:
    images, batches = stripes(20), list[Tensor]()
    for number, (positions, _) in enumerate(outputs_over(network(), images, batch_size=8, seen=batches.append), 1):
        assert len(batches) == number
        assert torch.equal(batches[-1], images.gather(positions))


def test_resized_images() -> None:
    first = Noted()
    layers = nn.Sequential(first, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(1, 2))
    classifier = Classifier(layers, num_classes=2, channels=1)
    whole_outputs(classifier, stripes(6), size=(16, 24))
    assert first.notes[0][1].shape[-2:] == (16, 24)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 0}, "`batch_size` must be >= 1, got 0"),
        ({"block": 0}, "`block` must be >= 1, got 0"),
        ({"precision": "fp23"}, "unknown precision 'fp23'; did you mean 'fp32'"),
        ({"device": "gpu"}, "`device` must be 'auto' or"),
    ],
)
def test_wrong_options_show_before_the_first_batch(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        outputs_over(network(), stripes(6), **options)


def test_a_device_that_copies_alone_is_a_batch_ahead(monkeypatch: pytest.MonkeyPatch) -> None:
    teacher, images = FrozenTeacher(network(), device=CPU), stripes(70)
    expected = whole_outputs(teacher, images, ("logits", "stages"), batch_size=32)
    monkeypatch.setattr(forward, "copies_alone", lambda device: True)
    monkeypatch.setattr(Tensor, "pin_memory", lambda self: self)
    actual = whole_outputs(teacher, images, ("logits", "stages"), batch_size=32)
    assert torch.equal(actual.logits, expected.logits)
    assert torch.equal(actual.stages[-1], expected.stages[-1])
    assert teacher.passes == 140
    first, _ = next(outputs_over(teacher, images, batch_size=32))
    assert torch.equal(first, torch.arange(32))
    assert teacher.passes == 172, "what was computed ahead, and not looked at, is no answer"


@pytest.fixture
def tf32_off() -> Iterator[None]:
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    yield
    torch.backends.cudnn.allow_tf32 = before


@pytest.mark.gpu
@pytest.mark.usefixtures("tf32_off")
def test_a_real_gpu_is_used_and_gives_the_same() -> None:
    classifier, images = network(), stripes(70)
    on_gpu = predict(classifier, images, batch_size=32)
    assert device_of(classifier) == CPU
    assert torch.cuda.max_memory_allocated() > 0
    torch.testing.assert_close(on_gpu, predict(classifier, images, device="cpu"), rtol=1e-3, atol=1e-3)
    teacher = FrozenTeacher(classifier, device=torch.device("cuda"), dtype=torch.bfloat16)
    torch.testing.assert_close(whole_outputs(teacher, images).logits, on_gpu, rtol=0.1, atol=0.1)
    predict(classifier, images, device="cuda")
    assert device_of(classifier).type == "cuda"
    assert device_for(classifier).type == "cuda"
