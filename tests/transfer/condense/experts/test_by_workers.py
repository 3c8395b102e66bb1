"""Experts taught by workers, on this machine or on a Ray cluster, also where a worker dies."""

import os
import signal
from pathlib import Path

import pytest
import torch
from tests.test_workers import head, joining  # noqa: F401 (fixtures)
from tests.training.tiny import same, weights
from tests.transfer.condense.experts.tiny_experts import IMAGES, NETWORKS, all_of, make

from limbeck.data.image_set import ImageSet
from limbeck.errors import UserError
from limbeck.models import Classifier

pytestmark = pytest.mark.slow


class Dying:
    """Networks, one of which kills its worker once, in the middle of training."""

    def __init__(self, flag: Path, parent: int) -> None:
        self.flag, self.parent, self.passes = flag, parent, 0

    def __call__(self, seed: int) -> Classifier:
        classifier = NETWORKS(seed)
        if os.getpid() != self.parent and not self.flag.exists():
            classifier.network.register_forward_pre_hook(self.die)
        return classifier

    def die(self, module: torch.nn.Module, inputs: object) -> None:
        self.passes += 1
        if self.passes == 8 and not self.flag.exists():
            self.flag.touch()
            os.kill(os.getpid(), signal.SIGKILL)


def elsewhere() -> ImageSet:
    """Other images in every process but the first."""
    return IMAGES if os.environ.get("FIRST") == str(os.getpid()) else IMAGES.subset(IMAGES.ids.flip(0))


def here() -> ImageSet:
    return IMAGES


@pytest.mark.parametrize("place", ["here", "ray"])
def test_workers_one_of_which_dies_teach_the_same(place: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    if place == "ray":
        request.getfixturevalue("joining")
    single = make(tmp_path / "one", count=3)
    networks = Dying(tmp_path / "died", os.getpid())
    several = make(tmp_path / "several", count=3, workers=2, networks=networks, images=here)
    assert (tmp_path / "died").exists()
    assert torch.equal(all_of(several), all_of(single))
    assert same(weights(several.judges[0]), weights(single.judges[0]))
    assert several.losses(0) == single.losses(0)


def test_images_are_the_same_for_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FIRST", str(os.getpid()))
    with pytest.raises(UserError, match=r"cannot begin \(UserError: the images that 'images' names on .* are others"):
        make(tmp_path, workers=2, images=elsewhere)
