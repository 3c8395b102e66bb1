"""Batches are functions of the step: the same in any order, read ahead or not, on any number of processes."""

import threading
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.training.conftest import Run
from tests.training.tiny import same, stripes, weights
from tests.training.tiny import settings as training

from limbeck.data import Storage
from limbeck.data.image_set import ImageSet
from limbeck.data.views import augmentation
from limbeck.errors import UserError
from limbeck.randomness import derive_seed, generator
from limbeck.training import batches as batches_module
from limbeck.training.batches import Batch, BatchStream

CPU = torch.device("cpu")


def stream(images: ImageSet, batch_size: int = 8, **changes: Any) -> BatchStream:
    views = augmentation(changes.pop("views", "pad-crop"))
    return BatchStream(images, augmentation=views, batch_size=batch_size, **{"seed": 5, "device": CPU, **changes})


def shown_by_definition(count: int, batch_size: int, step: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Positions and views by definition: random orders follow each other, and each step takes the next `batch_size`."""
    places = torch.arange(step * batch_size, (step + 1) * batch_size)
    orders = [
        torch.randperm(count, generator=generator(seed, "order", number)) for number in range(places[-1] // count + 1)
    ]
    return torch.cat(orders)[places], places // count


@settings(max_examples=60, deadline=None)
@given(
    count=st.integers(1, 30),
    batch_size=st.integers(1, 40),
    steps=st.lists(st.integers(0, 12), min_size=1, max_size=6),
    processes=st.sampled_from([1, 2, 4]),
)
def test_what_is_shown_is_as_defined(count: int, batch_size: int, steps: list[int], processes: int) -> None:
    """For steps in any order, and for sets smaller or larger than a batch."""
    batch_size *= processes
    images = ImageSet(torch.arange(count, dtype=torch.uint8).view(-1, 1, 1, 1), ids=torch.arange(count) * 7 + 3)
    shares = [stream(images, batch_size, process=process, processes=processes) for process in range(processes)]
    for step in steps:
        positions, view = shown_by_definition(count, batch_size, step, 5)
        draws = shares[0].augmentation.draw(images.ids[positions], seed=derive_seed(5, "views"), view=view)
        drawn = [share.draws(step) for share in shares]
        assert torch.equal(torch.cat([rows for rows, _ in drawn]), positions)
        assert torch.equal(torch.cat([row_draws for _, row_draws in drawn]), draws)
        assert torch.equal(torch.cat([share[step].ids for share in shares]), images.ids[positions])


class Watched(Storage):
    """Records the thread in which its images are read."""

    def __init__(self, images: torch.Tensor, pause: float = 0.0) -> None:
        self.pixels = images
        self.pause = pause
        self.readers: list[str] = []
        self.fails_at: int | None = None

    @property
    def shape(self) -> tuple[int, int, int]:
        _, channels, height, width = self.pixels.shape
        return channels, height, width

    def __len__(self) -> int:
        return len(self.pixels)

    def gather(self, positions: torch.Tensor) -> torch.Tensor:
        self.readers.append(threading.current_thread().name)
        if self.fails_at is not None and len(self.readers) > self.fails_at:
            raise UserError("image 3 cannot be read.")
        time.sleep(self.pause)
        return self.pixels[positions]

    def tensor(self) -> torch.Tensor:
        return self.pixels

    def digests(self, positions: torch.Tensor) -> torch.Tensor:
        raise NotImplementedError


def watched(pause: float = 0.0) -> tuple[ImageSet, Watched]:
    whole = stripes(40)
    storage = Watched(whole.tensor(), pause)
    return ImageSet(storage, whole.labels, classes=whole.classes), storage


@pytest.fixture
def small_memory(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No set fits into memory, and no thread outlives its stream."""
    monkeypatch.setattr(batches_module, "RESIDENT_BYTES", 100)
    yield
    assert not reading()


def reading() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("limbeck-read-ahead")]


def equal(one: Batch, other: Batch) -> bool:
    tensors = [[value for value in batch if value is not None] for batch in (one, other)]
    return all(torch.equal(a, b) for a, b in zip(*tensors, strict=True))


def test_batches_that_were_read_ahead_are_those_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    inside = stream(stripes(40))
    monkeypatch.setattr(batches_module, "RESIDENT_BYTES", 100)
    images, storage = watched()
    ahead = stream(images, steps=9)
    for step in [0, 1, 2, 3, 7, 8, 2, 3]:
        assert equal(ahead[step], inside[step])
    ahead.close()
    main = [name == threading.current_thread().name for name in storage.readers]
    assert main.count(True) == 3, "the first step and two that nobody foresaw"
    # Steps 1, 2, 3, 8 and 3 again were foreseen; reads ahead that are not needed may be cancelled before they begin.
    assert 5 <= main.count(False) <= 7
    assert not reading()


@pytest.mark.usefixtures("small_memory")
def test_the_next_images_are_read_while_this_step_computes() -> None:
    images, _ = watched(pause=0.03)
    ahead = stream(images, steps=6)
    ahead[0]
    waited = []
    for step in range(1, 6):
        time.sleep(0.06)  # the step's computation
        before = time.perf_counter()
        ahead[step]
        waited.append(time.perf_counter() - before)
    ahead.close()
    assert np.median(waited) < 0.02


@pytest.mark.usefixtures("small_memory")
def test_errors_of_the_thread_are_those_of_the_step_that_needs_the_images() -> None:
    images, storage = watched()
    storage.fails_at = 3
    ahead = stream(images)
    for step in range(3):
        ahead[step]
    with pytest.raises(UserError, match=r"image 3 cannot be read\."):
        ahead[3]
    ahead.close()


@pytest.mark.usefixtures("small_memory")
@pytest.mark.parametrize("ends", ["well", "by an error", "by an interruption"])
def test_a_run_that_reads_ahead_makes_the_same_student_and_leaves_no_thread(
    teach: Run, monkeypatch: pytest.MonkeyPatch, ends: str
) -> None:
    plain = training(steps=6, cache=False, validations=0, checkpoint_seconds=1000)
    images, storage = watched()
    if ends == "well":
        ahead = teach("ahead", source=images, settings=plain)
        assert reading() == []
        assert any(name.startswith("limbeck-read-ahead") for name in storage.readers)
        monkeypatch.undo()
        assert same(weights(ahead.student), weights(teach("inside", settings=plain).student))
        return

    class Broken:
        def after_step(self, step: int, batch: Batch, outputs: Any) -> None:
            if step == 3:
                raise KeyboardInterrupt if ends == "by an interruption" else UserError("full.")

        def after_epoch(self, epoch: int, student: Any) -> None: ...

        def state_dict(self) -> dict[str, torch.Tensor]:
            return {}

        def load_state_dict(self, state: Any) -> None: ...

    with pytest.raises(KeyboardInterrupt if ends == "by an interruption" else UserError):
        teach(source=images, settings=plain, observers=[Broken()])


@pytest.mark.parametrize("views", ["pad-crop", "none", "mixup"])
def test_a_round_of_few_steps_does_not_bring_all_images_into_order(views: str) -> None:
    """This holds on a CPU; the batches are the same."""
    images = stripes(100)
    short, long = (stream(images, 4, steps=steps, views=views) for steps in (5, None))
    assert short.pixels is None
    assert long.pixels is not None
    assert stream(images, 4, steps=50, views=views).pixels is not None
    for step in range(5):
        batch, batch_of_long = short[step], long[step]
        assert torch.equal(batch.images, batch_of_long.images)
        assert batch.images.stride() == batch_of_long.images.stride()
        assert torch.equal(batch.ids, batch_of_long.ids)
