"""Runs whose views mix images: the same batches however they are made, mixed targets, and a teacher whose outputs are
computed anew or cached correctly."""

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from tests.training.conftest import Run
from tests.training.sources import Growing
from tests.training.tiny import same, settings, stripes, weights
from tests.training.view_cache.test_cache import Told, Watching, ask, opened, stream

from limbeck.data.image_set import ImageSet
from limbeck.data.transfer_set import TransferSet
from limbeck.data.views import augmentation
from limbeck.errors import UserError
from limbeck.interruption import Paused
from limbeck.objectives import weighted_sum
from limbeck.objectives.functional import cross_entropy
from limbeck.training import batches as batches_module
from limbeck.training.batches import Batch, BatchStream

CPU = torch.device("cpu")
MIXING: list[Any] = [["pad-crop", "mixup"], "cutmix", ["pad-crop", {"mixup": {"share": 0.5}}, "cutmix"]]


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIMBECK_CACHE", str(tmp_path / "cache"))


def equal(one: Batch, other: Batch) -> bool:
    tensors = [[value for value in batch if value is not None] for batch in (one, other)]
    return all(torch.equal(a, b) for a, b in zip(*tensors, strict=True))


@pytest.mark.parametrize("views", MIXING, ids=str)
def test_batches_are_those_of_the_definition(views: Any) -> None:
    images = ImageSet(stripes(20).tensor(), torch.arange(20) % 2, ids=torch.arange(20) * 3 + 1)
    batches, augment = stream(images, 5, views), augmentation(views)
    for step in range(4):
        positions, view = batches.shown(step)
        batch, ids = batches[step], images.ids[positions]
        expected = augment(images.gather(positions), ids, seed=batches.view_seed, view=view, among=images)
        assert torch.equal(batch.images, expected)
        assert torch.equal(batch.ids, ids)
        assert batch.labels is not None
        assert batch.labels.shape == (8, 2)
        assert torch.allclose(batch.labels.sum(1), torch.ones(8))
        assert (batch.labels.gather(1, images.labels[positions][:, None]) > 0).any()  # pyright: ignore


@pytest.mark.parametrize("views", MIXING, ids=str)
@pytest.mark.parametrize("per_image", [None, 2])
def test_neither_memory_nor_sharing_nor_order_of_the_set_shows(
    monkeypatch: pytest.MonkeyPatch, views: Any, per_image: int | None
) -> None:
    images = stripes(40)
    inside = stream(images, 5, views, per_image)
    augment = augmentation(views, per_image=per_image)
    keywords: dict[str, Any] = {"augmentation": augment, "batch_size": 8, "seed": 5, "device": CPU}
    shares = [BatchStream(images, **keywords, process=process, processes=2) for process in range(2)]
    turned = images.subset(images.ids.flip(0))
    shown = {(int(id), int(view)): image for s in range(10) for id, view, image in _seen(inside, s)}
    for (id, view), shown_late in [
        (key, image) for s in range(10) for key, image in _keyed(stream(turned, 5, views, per_image), s)
    ]:
        assert torch.equal(shown_late, shown[id, view])
    monkeypatch.setattr(batches_module, "RESIDENT_BYTES", 100)
    outside = BatchStream(images, **keywords, steps=9)
    for step in (0, 1, 2, 7, 8, 1):
        whole = inside[step]
        assert whole.labels is not None
        assert equal(outside[step], whole)
        halves = [share[step] for share in shares]
        assert torch.equal(torch.cat([half.images for half in halves]), whole.images)
        assert torch.equal(torch.cat([half.labels for half in halves if half.labels is not None]), whole.labels)
    outside.close()


def _seen(batches: BatchStream, step: int) -> list[tuple[Any, Any, torch.Tensor]]:
    batch = batches[step]
    return list(zip(batch.ids, batches.shown(step)[1], batch.images, strict=True))


def _keyed(batches: BatchStream, step: int) -> list[tuple[tuple[int, int], torch.Tensor]]:
    return [((int(id), int(view)), image) for id, view, image in _seen(batches, step)]


def test_without_labels_there_are_no_targets() -> None:
    batch = stream(stripes(20).with_labels(None, ()), 0, "mixup")[0]
    assert batch.labels is None


def test_cross_entropy_of_mixtures_is_the_mixture_of_cross_entropies() -> None:
    logits = torch.randn(6, 4, generator=torch.Generator().manual_seed(0))
    first, second, share = torch.arange(6) % 4, torch.arange(6) // 2, torch.linspace(0, 1, 6)
    targets = share[:, None] * F.one_hot(first, 4) + (1 - share[:, None]) * F.one_hot(second, 4)
    parts = [F.cross_entropy(logits, labels, reduction="none") for labels in (first, second)]
    torch.testing.assert_close(cross_entropy(logits, targets), (share * parts[0] + (1 - share) * parts[1]).mean())


@pytest.mark.parametrize("per_image", [None, 3])
def test_a_run_that_was_stopped_makes_the_same_student(teach: Run, per_image: int | None) -> None:
    mixing = settings(views=["pad-crop", "mixup-or-cutmix"], views_per_image=per_image)
    whole = teach("whole", settings=mixing)
    with pytest.raises(Paused):
        teach("stopped", settings=mixing, until=0.5)
    resumed = teach("stopped", settings=mixing, resume=True)
    assert same(weights(whole.student), weights(resumed.student))
    assert whole.teacher_passes == resumed.teacher_passes == 96
    plain = teach("plain", settings=settings())
    assert not same(weights(whole.student), weights(plain.student))


def test_a_source_that_grows_is_mixed_round_by_round(teach: Run) -> None:
    mixing = settings(views="mixup", views_per_image=2, validations=0)
    student = teach("grown", source=Growing(), settings=mixing).student
    assert same(weights(student), weights(teach("again", source=Growing(), settings=mixing).student))


def test_kept_answers_are_found_by_what_was_mixed(images: ImageSet) -> None:
    keywords: dict[str, Any] = {"views": ["pad-crop", "mixup"], "per_image": 2}
    batches = stream(images, 0, **keywords)
    first = opened(images, **keywords)
    assert first is not None
    assert [ask(first, batches, step)[1] for step in range(5)] == [0] * 5
    # The few views do not depend on the seed of a run: after a pass over all images, some of the second are cached.
    again = opened(images, **keywords)
    answers, hits = ask(again, batches, 0)
    assert hits == 8
    assert torch.equal(
        answers.logits, first(batches[0].images, first.entries(*batches.draws(0)), ("logits",))[0].logits
    )  # pyright: ignore
    turned = images.subset(images.ids.flip(0))
    assert ask(opened(turned, **keywords), stream(turned, 0, **keywords), 0)[1] >= 0
    assert torch.equal(opened(turned, **keywords).rows.flip(0), again.rows)  # pyright: ignore


@pytest.mark.parametrize("kind", ["grown", "shrunk", "one picture exchanged", "other ids"])
def test_never_a_wrong_hit_where_the_set_changed(images: ImageSet, kind: str) -> None:
    keywords: dict[str, Any] = {"views": "mixup", "per_image": 2}
    before = opened(images, **keywords)
    for step in range(10):
        ask(before, stream(images, 0, **keywords), step)
    pixels = images.tensor().clone()
    pixels[7] = 255 - pixels[7]
    changed = {
        "grown": ImageSet(torch.cat([images.tensor(), stripes(1, seed=5).tensor()])),
        "shrunk": images.subset(range(39)),
        "one picture exchanged": ImageSet(pixels),
        "other ids": ImageSet(images.tensor(), ids=images.ids + 1),
    }[kind]
    batches, cache = stream(changed, 0, **keywords), opened(changed, **keywords)
    assert cache is not None
    hits = 0
    for step in range(10):
        outputs, hits_of_step = ask(cache, batches, step)
        hits += hits_of_step
        torch.testing.assert_close(outputs.logits, cache.teacher(batches[step].images).logits, rtol=1e-3, atol=1e-3)
    if kind == "one picture exchanged":
        assert hits > 0, "images that are not mixed with it are found"


def test_endless_mixtures_are_asked_about_every_time_and_that_is_said(teach: Run, images: ImageSet) -> None:
    messages = Told()
    assert opened(images, views="mixup", say=messages) is None
    assert messages.lines == [
        "the teacher is asked every time, because there is no end of mixtures; `training.views_per_image` lets its "
        "answers be kept."
    ]
    watching = Watching()
    result = teach(settings=settings(views="mixup"), progress=watching)
    assert (result.teacher_passes, result.teacher_passes_saved, result.view_cache) == (96, 0, None)
    assert watching.lines == messages.lines
    run = teach("few", settings=settings(views="mixup", views_per_image=1, steps=20))
    assert run.teacher_passes_saved == 120


@pytest.mark.parametrize(
    ("objective", "changes", "message"),
    [
        (
            {"kd": 1, "crd": 1},
            {},
            "`training.views` mix images, and the objective crd reads ids, and a mixture has none of",
        ),
        ({"kd": 1, "rrd": 1, "icd": 1}, {}, "the objective rrd(, icd)? reads ids"),
        (
            {"dkd": 1, "wsld": 1, "ce": 1},
            {},
            "the objective dkd, wsld reads classes, and a mixture has none of its own; drop",
        ),
        (
            {"kd": 1},
            {"teacher": None, "source": TransferSet(stripes(40), torch.full((40, 2), 0.5))},
            "the objective kd reads soft labels, which are of the images and not of their mixtures; a `teacher`",
        ),
    ],
)
def test_what_knows_no_mixtures_is_refused(teach: Run, objective: Any, changes: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        teach(objective=weighted_sum(objective), settings=settings(views="cutmix"), **changes)
    if "teacher" not in changes:
        teach("plain", objective=weighted_sum(objective), settings=settings(steps=1))


def test_labels_of_a_transfer_set_with_soft_labels_are_mixed(teach: Run) -> None:
    source = TransferSet(stripes(40), torch.full((40, 2), 0.5))
    teach(source=source, objective=weighted_sum("ce"), settings=settings(views="mixup"), teacher=None)
