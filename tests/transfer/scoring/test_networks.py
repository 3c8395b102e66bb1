"""Criteria that run or train a network."""

import fcntl
import pickle
import threading
import time
from contextlib import contextmanager

import pyarrow.parquet as pq
import pytest
import torch
from tests.transfer.conftest import natural, reordered

from limbeck.autotune import Fastest
from limbeck.cost import Cost
from limbeck.data.image_set import ImageSet
from limbeck.errors import UserError
from limbeck.evaluation import predict
from limbeck.models import Outputs, create, wrap
from limbeck.training import Interrupted
from limbeck.training.batches import Batch, BatchStream
from limbeck.training.checkpoint import Checkpoint
from limbeck.transfer.criteria import find_criterion
from limbeck.transfer.score_table.memory import PoolScores
from limbeck.transfer.scoring import autoencoder as autoencoders
from limbeck.transfer.scoring import features
from limbeck.transfer.scoring.autoencoder import Autoencoder, prepared, trained_encoder
from limbeck.transfer.scoring.context import ScoringContext, make_context
from limbeck.transfer.scoring.features import collect, representation
from limbeck.transfer.scoring.forgetting import ForgettingCounts, forgetting
from limbeck.transfer.scoring.grand import gradient_norms, grand
from limbeck.transfer.select import CRITERIA, score_images, score_table, select, select_from_scores

ASKING = [name for name, criterion in CRITERIA.items() if criterion.needs_teacher]


@pytest.mark.parametrize("criterion", ASKING)
def test_criteria_that_ask_a_teacher(criterion, teacher):
    images = natural(40)
    before = {name: value.clone() for name, value in teacher.state_dict().items()}
    selection = select(images, criterion=criterion, budget=12, teacher=teacher)
    assert len(selection.ids.unique()) == 12
    assert selection.scores.isfinite().all()
    assert all(torch.equal(before[name], value) for name, value in teacher.state_dict().items())
    again = select(reordered(images, 1), criterion=criterion, budget=12, teacher=teacher)
    assert torch.equal(again.ids.sort().values, selection.ids.sort().values)


def test_teacher_features_are_its_answers(teacher):
    images = natural(10)
    context = ScoringContext(teacher=teacher, precision="fp32")
    logits = collect(images, representation("teacher-logits", images, context))
    torch.testing.assert_close(logits, predict(teacher, images))
    assert collect(images, representation("teacher-embedding", images, context)).shape == (10, 64)
    teacher.train()
    assert torch.equal(collect(images, representation("teacher-logits", images, context)), logits)
    assert teacher.training
    teacher.eval()


def test_passes_and_images_are_counted(teacher, tmp_path):
    images = natural(40)
    context = ScoringContext(teacher=teacher, folder=tmp_path)
    for number, name in enumerate(("teacher-logits", "teacher-embedding"), start=1):
        collect(images, representation(name, images, context))
        assert context.cost == Cost(images_read=40 * number, teacher_passes=40 * number)
    score_images(images, CRITERIA["margin"], context=context)
    score_images(images, CRITERIA["random"], context=context)
    score_images(images, CRITERIA["margin"], context=context, features=torch.rand(40, 4))
    assert context.cost == Cost(images_read=120, teacher_passes=120), "random scores look at no image"
    score_images(images, find_criterion("entropy"), context=context)
    assert context.cost == Cost(images_read=160, teacher_passes=120)
    representation("average-adjusted-histogram", images, context)(images.tensor()[:10])
    assert context.cost == Cost(images_read=210, teacher_passes=120), "the average is of all images"
    trained_encoder(images, context, epochs=3)
    trained_encoder(images, context, epochs=3)
    assert context.cost == Cost(images_read=450, teacher_passes=120, steps=6), "as needed, whether made now or found"


def test_all_that_score_compute_as_the_first_one_says(teacher, monkeypatch):
    tuned = Fastest("bf16", {"bf16": False, "fp32": True})
    monkeypatch.setattr("limbeck.precision.fastest_on", lambda _: tuned)
    context = make_context(teacher, None, 0)
    assert (context.precision, context.channels_last) == ("bf16", False)
    monkeypatch.undo()
    images = natural(10)
    logits = collect(images, representation("teacher-logits", images, context))
    assert context.frozen.dtype == torch.bfloat16
    assert {parameter.dtype for parameter in teacher.parameters()} == {torch.float32}
    moved = pickle.loads(pickle.dumps(context))
    assert (moved.precision, moved.channels_last, moved.cost) == ("bf16", False, Cost())
    assert "frozen" not in vars(moved)
    assert torch.equal(collect(images, representation("teacher-logits", images, moved)), logits)
    assert context.cost == moved.cost == Cost(images_read=10, teacher_passes=10)
    plain = make_context(teacher, None, 0, precision="fp32")
    assert (plain.precision, plain.frozen.dtype) == ("fp32", torch.float32)
    with pytest.raises(UserError, match="unknown precision 'fp23'; did you mean 'fp32'"):
        make_context(teacher, None, 0, precision="fp23")
    with pytest.raises(UserError, match="unknown precision 'fp23'"):  # though nobody will be asked
        make_context(None, None, 0, precision="fp23")


def test_what_the_teacher_was_asked_in_is_on_record(teacher, tmp_path):
    images, both = natural(40), {}
    for precision in ("fp32", "bf16"):
        selection = select(images, criterion="margin", budget=12, teacher=teacher, precision=precision)
        table = score_table(
            images, tmp_path / f"{precision}.parquet", criteria=["margin"], teacher=teacher, precision=precision
        )
        chosen = select_from_scores(table, criterion="margin", budget=12)
        assert torch.equal(chosen.scores, selection.scores)
        for result in (selection, chosen):
            assert result.transfer_set(images).about["precision"] == precision
        both[precision] = selection.scores
    assert not torch.equal(both["fp32"], both["bf16"])
    torch.testing.assert_close(both["fp32"], both["bf16"], rtol=0.2, atol=0.05)
    assert "precision" not in select(images, criterion="entropy", budget=12).transfer_set(images).about


def test_kept_scores_are_of_one_precision(teacher, tmp_path):
    images, tables = natural(40), {}
    for precision in ("fp32", "bf16", "fp32"):
        scores = PoolScores(images, make_context(teacher, None, 0, precision=precision), tmp_path)
        tables[precision] = scores.table(CRITERIA["margin"])
    assert len(list(tmp_path.glob("scores-*.safetensors"))) == 2


def test_a_teacher_is_asked_where_work_is_done(teacher, monkeypatch):
    monkeypatch.setattr("limbeck.device.default_device", lambda: torch.device("cpu", 0))
    assert make_context(teacher, None, 0).frozen.device == torch.device("cpu", 0)
    assert make_context(teacher, None, 0, device="cpu").frozen.device == torch.device("cpu")
    assert {parameter.device for parameter in teacher.parameters()} == {torch.device("cpu")}


def test_features_that_do_not_fit(teacher, monkeypatch):
    images = natural(40)
    represent = representation("teacher-embedding", images, ScoringContext(teacher=teacher))
    monkeypatch.setattr(features, "free_memory", lambda: 40 * 64 * 12)
    assert collect(images, represent).shape == (40, 64)
    monkeypatch.setattr(features, "free_memory", lambda: 40 * 64 * 12 - 1)
    with pytest.raises(UserError, match=r"features of 'blotches' need .* for 40 images x 64 numbers, .* `space` is sm"):
        collect(images, represent)
    with pytest.raises(UserError, match="features of 'blotches' need"):
        select(images, criterion="k-centre", budget=4, teacher=teacher)


def test_what_is_kept_is_not_asked_again(teacher, tmp_path, monkeypatch):
    images, context = natural(40), ScoringContext(teacher=teacher)
    for name in ASKING:
        alone = select(images, criterion=name, budget=12, teacher=teacher)
        kept = PoolScores(images, context, tmp_path).table(CRITERIA[name])
        if CRITERIA[name].score != "random":
            (batch,) = kept.batches(CRITERIA[name].column)
            assert batch[CRITERIA[name].column].tolist() == alone.scores.tolist()
    monkeypatch.setattr(features, "outputs_over", lambda *_, **__: pytest.fail("the teacher was asked again"))
    for name in ASKING:
        scores = PoolScores(images, context, tmp_path)
        scores.table(CRITERIA[name])
        cost = sum(scores.costs.values(), Cost())
        assert cost.teacher_passes == cost.passes_saved > 0, name


def test_the_least_margins_are_chosen(teacher):
    images = natural(40)
    selection = select(images, criterion="margin/tn/ls", budget=5, teacher=teacher, precision="fp32")
    two = predict(teacher, images).softmax(1).topk(2).values
    expected = (two[:, 0] - two[:, 1]).argsort()[:5]
    assert sorted(images.ids[expected].tolist()) == sorted(selection.ids.tolist())


@pytest.mark.parametrize(
    ("criterion", "message"),
    [
        ("margin", r"criterion 'margin' asks a teacher \('teacher-logits'\), and none is given; give a `teacher`"),
        ("k-centre", r"asks a teacher \('teacher-embedding'\)"),
        ("el2n", "asks a teacher"),
    ],
)
def test_no_teacher(criterion, message):
    with pytest.raises(UserError, match=message):
        select(natural(8), criterion=criterion, budget=4)


@pytest.mark.parametrize("criterion", ["el2n/tn", "forgetting/tn"])
def test_scores_by_label_need_labels(criterion, teacher):
    images = natural(8)
    unlabelled = type(images)(images.tensor(), name="bare")
    with pytest.raises(UserError, match="compares with labels, and 'bare' has none"):
        select(unlabelled, criterion=criterion, budget=4, teacher=teacher)


def test_a_teacher_of_other_classes():
    other = create("resnet8", num_classes=7, channels=1)
    with pytest.raises(UserError, match=r"must tell the 4 classes of 'blotches' apart .* got 7"):
        select(natural(8), criterion="el2n", budget=4, teacher=other)


def test_a_teacher_of_the_same_classes_in_another_order(tmp_path):
    names, order = ("ant", "bee", "cat", "dog"), torch.tensor([2, 0, 3, 1])
    teacher = create("resnet8", num_classes=4, channels=1, seed=1, input_size=8, classes=names)
    images = natural(24)
    straight = images.with_labels(images.labels, names)
    turned = images.with_labels(order[images.labels], [names[place] for place in order.argsort().tolist()])
    (first, other) = (select(variant, criterion="el2n", budget=8, teacher=teacher) for variant in (straight, turned))
    assert torch.equal(first.scores, other.scores)
    assert first.ids.sort().values.tolist() == other.ids.sort().values.tolist()
    assert torch.equal(other.labels, turned.labels)
    for image_set in (straight, turned):
        score_table(image_set, tmp_path / f"{image_set.classes[0]}.parquet", criteria=["el2n"], teacher=teacher)
    tables = [pq.read_table(path)["el2n:teacher-logits"].to_pylist() for path in sorted(tmp_path.glob("*.parquet"))]
    assert tables[0] == tables[1] == first.scores.tolist()
    with pytest.raises(UserError, match=r"must tell the 4 classes .*; 'blotches' has other classes: 'gnu' is none of"):
        select(
            images.with_labels(images.labels, ("ant", "bee", "cat", "gnu")), criterion="el2n", budget=4, teacher=teacher
        )
    with pytest.warns(UserWarning, match=r"'blotches' has no names .* '0' for 'ant'"):
        select(images, criterion="el2n", budget=4, teacher=teacher)


def test_minimal_margin_reads_a_linear_head(teacher):
    network = torch.nn.Sequential(torch.nn.Conv2d(1, 4, 3), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten())
    foreign = wrap(network, num_classes=4, channels=1, input_size=8, mean=[0.5], std=[0.25])
    with pytest.raises(UserError, match=r"reads the weights of a linear last layer, got .*; choose 'margin'"):
        select(natural(8), criterion="minimal-margin", budget=4, teacher=foreign)
    assert select(natural(8), criterion="minimal-margin", budget=4, teacher=teacher).scores.min() >= 0


def test_the_published_shape_of_the_codes():
    encoded = Autoencoder(3).encoder(torch.zeros(2, 3, 32, 32))
    assert encoded.shape == (2, 8, 4, 4)
    for size in ((28, 28), (8, 8), (5, 9)):
        pixels = prepared(torch.zeros(2, 1, *size, dtype=torch.uint8))
        assert Autoencoder(1)(pixels).shape == pixels.shape


def test_the_autoencoder_is_trained_once_and_learns(tmp_path, monkeypatch):
    images = natural(200)
    context = ScoringContext(folder=tmp_path)
    fresh = trained_encoder(images, ScoringContext(folder=tmp_path / "fresh"), epochs=1)
    encode = trained_encoder(images, context, epochs=30)
    codes = encode(images.tensor())
    assert codes.shape == (200, 8 * 2 * 2)
    assert codes.min() >= 0
    assert not torch.equal(codes, fresh(images.tensor()))
    monkeypatch.setattr(autoencoders, "_batches", lambda *_: pytest.fail("trained again"))
    assert torch.equal(trained_encoder(reordered(images, 5), context, epochs=30)(images.tensor()), codes)


def test_the_autoencoder_reconstructs(tmp_path):
    images = natural(256)
    pixels = prepared(images.tensor())
    trained_encoder(images, ScoringContext(folder=tmp_path), epochs=60)
    network = Autoencoder(1)
    network.load_state_dict(Checkpoint.load(next(tmp_path.rglob("checkpoint.safetensors"))).take("network"))
    assert (network(pixels) - pixels).square().mean() < 0.5 * (pixels - pixels.mean()).square().mean()


def test_a_stopped_autoencoder_goes_on_to_the_same_codes(tmp_path, monkeypatch):
    images = natural(300)
    whole = trained_encoder(images, ScoringContext(folder=tmp_path / "whole"), epochs=4)(images.tensor())

    class StopAfter:
        def __init__(self, steps: int) -> None:
            self.steps = steps

        def __bool__(self) -> bool:
            self.steps -= 1  # asked twice a step
            return self.steps < 0

    @contextmanager
    def stopping():
        yield StopAfter(7)

    context = ScoringContext(folder=tmp_path / "stopped")
    monkeypatch.setattr(autoencoders, "listening_for_stop", stopping)
    with pytest.raises(Interrupted, match="stopped at step 4 of 20"):
        trained_encoder(images, context, epochs=4)
    monkeypatch.undo()
    assert torch.equal(trained_encoder(images, context, epochs=4)(images.tensor()), whole)


def test_select_by_codes(tmp_path):
    images = natural(60)
    spec = {"representation": "cfv", "allocation": "km", "clusters": 5, "epochs": 2}
    selection = select(images, criterion=spec, budget=20, folder=tmp_path)
    assert len(selection.ids.unique()) == 20
    assert selection.groups.max() == 4
    assert [path.name[:11] for path in tmp_path.iterdir()] == ["autoencoder"]


def test_forgetting_is_counted_as_defined():
    counts = ForgettingCounts(torch.tensor([9, 3, 5, 7]))
    right = torch.tensor([[1, 0, 1, 1], [0, 1, 0, 0], [0, 0, 0, 1]])  # of ids 3, 5, 7, in four epochs
    for epoch in range(4):
        ids = torch.tensor([7, 3, 5])
        truth = torch.tensor([right[2, epoch], right[0, epoch], right[1, epoch]])
        logits = torch.stack([truth.float(), 0.5 * torch.ones(3)], 1)
        batch = Batch(torch.empty(3, 1, 8, 8), torch.zeros(3, dtype=torch.int64), ids, None)
        counts.after_step(epoch + 1, batch, Outputs(logits))
    assert counts.scores(4).tolist() == [1, 1, 0, 4], "id 7 became right at last; id 9 was never right"


def test_forgetting_scores_images_and_is_kept(tmp_path, monkeypatch):
    images = natural(96)
    context = ScoringContext(folder=tmp_path)
    scores = forgetting(images, context, model="convnet_d3", epochs=3)
    assert scores.shape == (96,)
    assert 0 <= scores.min() <= scores.max() <= 3
    shuffled = reordered(images, 2)
    monkeypatch.setattr(BatchStream, "__getitem__", lambda *_: pytest.fail("trained again"))
    again = forgetting(shuffled, context, model="convnet_d3", epochs=3)
    assert torch.equal(again, scores[images.positions(shuffled.ids)])


def test_two_processes_that_learn_the_same_images_wait_for_each_other(tmp_path):
    images, context = natural(64), ScoringContext(folder=tmp_path)
    scores = forgetting(images, context, model="convnet_d3", epochs=1)
    (folder,) = tmp_path.glob("forgetting-*")
    other = (tmp_path / f".{folder.name}.lock").open("a")
    fcntl.flock(other, fcntl.LOCK_EX)
    release = threading.Timer(0.3, other.close)
    began = time.monotonic()
    release.start()
    assert torch.equal(forgetting(images, context, model="convnet_d3", epochs=1), scores)
    assert time.monotonic() - began >= 0.3


def test_select_by_forgetting(tmp_path):
    selection = select(natural(64), criterion={"score": "forgetting", "epochs": 2}, budget=16, folder=tmp_path)
    assert len(selection.ids.unique()) == 16


def test_grand_is_the_norm_of_the_gradient_in_the_head():
    images = natural(12)
    network = create("convnet_d3", num_classes=images.num_classes, channels=1, input_size=8, width=8, seed=3).double()
    expected = []
    for position in range(12):
        network.zero_grad()
        logits = network(images.tensor()[position : position + 1].double() / 255).logits
        torch.nn.functional.cross_entropy(logits, images.labels[position : position + 1]).backward()
        head = network.network.head
        expected.append(torch.cat([head.weight.grad.flatten(), head.bias.grad]).norm())
    assert torch.allclose(gradient_norms(network, images), torch.stack(expected), rtol=1e-5)


def test_grand_is_the_mean_over_networks_and_kept(tmp_path, monkeypatch):
    images = natural(64)
    context = ScoringContext(folder=tmp_path)
    both = grand(images, context, model="convnet_d3", epochs=1, networks=2)
    assert context.cost.steps == 2
    shuffled = reordered(images, 2)
    monkeypatch.setattr(BatchStream, "__getitem__", lambda *_: pytest.fail("trained again"))
    first = grand(shuffled, context, model="convnet_d3", epochs=1, networks=1)
    again = grand(shuffled, context, model="convnet_d3", epochs=1, networks=2)
    assert torch.equal(again, both[images.positions(shuffled.ids)])
    assert 0 < (first - again).abs().max() < again.max()


def test_grand_reads_a_head_that_the_model_names():
    module = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 4))
    network = wrap(module, num_classes=4, input_size=8, mean=(0.5,), std=(0.25,), channels=1)
    with pytest.raises(UserError, match="`model` 'Sequential' names no head, whose gradient 'grand' is about"):
        gradient_norms(network, natural(4))


def test_a_function_of_ones_own():
    images = natural(30)
    brightness = {"representation": "function", "score": "variance", "allocation": "tn"}
    selection = select(images, criterion=brightness, budget=7, function=lambda pixels: pixels.flatten(1).float())
    assert torch.equal(selection.ids, select(images, criterion="variance/tn", budget=7).ids)
    near = {"score": "entropy", "allocation": "k-centre", "space": "function"}
    assert len(select(images, criterion=near, budget=7, function=lambda pixels: pixels[:, 0, 0].float()).ids) == 7
    with pytest.raises(UserError, match="criterion 'custom' reads a `function`, and none is given"):
        select(images, criterion=brightness, budget=7)
    with pytest.raises(UserError, match=r"must return one row for each of 30 images, \[B, D\], got \[30\]"):
        select(images, criterion=brightness, budget=7, function=lambda pixels: pixels[:, 0, 0, 0])


def test_networks_of_other_numbers_of_classes_are_others(tmp_path):
    images = natural(40)
    more = ImageSet(images.tensor(), images.labels, ids=images.ids, classes=(*images.classes, "none of it"))
    assert more.fingerprint == images.fingerprint
    for number, image_set in enumerate((images, more, images), start=1):
        grand(image_set, ScoringContext(folder=tmp_path), model="convnet_d3", epochs=1, networks=1)
        assert len(list(tmp_path.glob("grand-*"))) == min(number, 2)
