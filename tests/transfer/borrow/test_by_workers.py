"""The same table of pools from one worker and from two, one of which is killed on the way."""

import os
import pickle
import signal
from collections.abc import Sequence
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from tests.transfer.borrow.fake_pools import as_pool, pool_of

from limbeck.data.encoded import build
from limbeck.data.image_set import ImageSet
from limbeck.data.place import FROM_PYTHON
from limbeck.models import Classifier
from limbeck.testing.images import natural
from limbeck.transfer.borrow import reopened
from limbeck.transfer.borrow.pool_table import pool_table
from limbeck.transfer.borrow.pools import open_pools
from limbeck.transfer.borrow.reopened import for_workers
from limbeck.transfer.borrow.settings import PoolSettings
from limbeck.transfer.scoring import features


class Dying(ImageSet):
    """Images of which reading the last kills the process that reads it, once, but never the parent."""

    def __init__(self, images: ImageSet, flag: Path, parent: int) -> None:
        super().__init__(images.tensor(), images.labels, ids=images.ids, classes=images.classes, name=images.name)
        self.flag, self.parent = flag, parent

    def subset(self, ids: torch.Tensor | Sequence[int]) -> ImageSet:
        if os.getpid() != self.parent and int(self.ids[-1]) in ids and not self.flag.exists():
            self.flag.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return super().subset(ids)


@pytest.mark.slow
def test_two_workers_one_of_which_dies_make_the_same_table(
    tmp_path: Path, teacher: Classifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(features, "PIXELS_PER_BATCH", 2**10)
    whole = [pool_of("a", [*range(60)] * 5), pool_of("b", [*range(30, 60)] * 7, seed=1)]
    alone = pool_table(whole, teacher, tmp_path / "one")
    images = Dying(whole[1].images, tmp_path / "died", os.getpid())
    two = pool_table([as_pool("b", images), whole[0]], teacher, tmp_path / "two", workers=2)
    assert (tmp_path / "died").exists()
    assert alone.table.path is not None
    assert two.table.path is not None
    assert two.table.path.read_bytes() == alone.table.path.read_bytes()
    assert len(two.table) == 60


def test_what_is_sent_and_what_is_opened_once_more(monkeypatch: pytest.MonkeyPatch) -> None:
    few = pool_of("a", [1, 2, 3])
    assert for_workers(few) is few.images
    (digits,) = open_pools([PoolSettings(name="digits", images=30, exclude=["3", 5])], (3, 8, 8))
    monkeypatch.setattr(reopened, "SENT", 100)
    sent = pickle.dumps(for_workers(digits))
    assert len(sent) < 10_000
    again = pickle.loads(sent)()
    assert (len(again), len(digits.images)) == (30, 23), "those of excluded classes are scored, too"
    assert again.fingerprint == digits.scored.fingerprint
    assert again.classes == digits.images.classes
    from_python = as_pool(f"{FROM_PYTHON}mine", few.images)
    assert for_workers(from_python) is few.images, "which nobody else could open"


@pytest.mark.slow
def test_pools_that_stay_encoded_are_opened_by_every_worker(
    tmp_path: Path, teacher: Classifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(features, "PIXELS_PER_BATCH", 2**10)
    (tmp_path / "pool").mkdir()
    for number, pixels in enumerate(natural(150, size=8).tensor()):
        Image.fromarray(pixels[0].numpy()).save(tmp_path / "pool" / f"{number:03d}.png")
    named = [PoolSettings(name=str(tmp_path / "pool"), images=140)]
    decoded = open_pools(named, (1, 8, 8))
    with monkeypatch.context() as patch:
        patch.setattr(build, "IN_MEMORY_LIMIT", 0)
        encoded = open_pools(named, (1, 8, 8))
    assert decoded[0].images.is_decoded
    assert not encoded[0].images.is_decoded
    alone = pool_table(decoded, teacher, tmp_path / "one")
    two = pool_table(encoded, teacher, tmp_path / "two", workers=2)
    assert pq.read_table(two.table.path).equals(pq.read_table(alone.table.path))
