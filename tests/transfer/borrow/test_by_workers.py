"""The same table of pools from one worker and from two, one of which is killed on the way."""

import os
import signal
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from tests.transfer.borrow.fake_pools import as_pool, pool_of

from limbeck.data.image_set import ImageSet
from limbeck.models import Classifier
from limbeck.transfer.borrow.pool_table import pool_table
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
    one = pool_table(whole, teacher, tmp_path / "one")
    images = Dying(whole[1].images, tmp_path / "died", os.getpid())
    two = pool_table([as_pool("b", images), whole[0]], teacher, tmp_path / "two", workers=2)
    assert (tmp_path / "died").exists()
    assert one.table.path is not None
    assert two.table.path is not None
    assert two.table.path.read_bytes() == one.table.path.read_bytes()
    assert len(two.table) == 60
