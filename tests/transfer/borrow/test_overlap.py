import pytest
import torch
from PIL import Image
from tests.transfer.borrow.fake_pools import PICTURES, pool_of

from limbeck.data.image_set import ImageSet
from limbeck.errors import UserError
from limbeck.transfer.borrow.overlap import HeldOutDigests, Overlap, added, refuse
from limbeck.transfer.borrow.pools import open_pools
from limbeck.transfer.borrow.settings import PoolSettings
from limbeck.transfer.score_table import identity

SHAPE = (1, 8, 8)
TEST = ImageSet(PICTURES[50:], ids=torch.arange(100, 110), name="test")
VALIDATION = ImageSet(PICTURES[40:45], ids=torch.arange(5).flip(0), name="validation")


def test_pictures_are_found_by_their_pixels():
    held_out = HeldOutDigests([VALIDATION, TEST], SHAPE)
    images = pool_of("a", [3, 44, 59, 44, 7]).images
    assert held_out.among(images.digests().numpy()).tolist() == [False, True, True, True, False]
    overlap = held_out.look(images)
    first = int(images.ids[torch.tensor([1, 2, 3])].min())
    place = {int(images.ids[row]): position for row, position in ((1, ("validation", 0)), (2, ("test", 109)))}
    place[int(images.ids[3])] = ("validation", 0)
    assert overlap == Overlap(3, first, place[first])
    assert held_out.look(pool_of("a", [1, 2]).images) is None
    assert HeldOutDigests([], SHAPE).look(images) is None


def test_of_encoded_images_some_are_looked_at(monkeypatch):
    monkeypatch.setattr(identity, "SOME", 3)
    images = pool_of("a", [50, 1, 2, 3, 4, 51, 52]).images
    held_out = HeldOutDigests([TEST], SHAPE)
    monkeypatch.setattr(ImageSet, "is_decoded", False)
    monkeypatch.setattr(ImageSet, "digests", lambda self: pytest.fail("all were decoded"))
    overlap = held_out.look(images)
    assert overlap is not None
    assert (overlap.count, overlap.looked_at) == (2, 3)


def test_the_message_names_all_that_is_needed():
    refuse({})
    overlaps = {"a": Overlap(3, 7, ("cifar10/test", 12)), "b": Overlap(1, 0, ("validation", 4), looked_at=256)}
    message = (
        r"^pool 'a' holds 3 pictures \(first: id 7, which is id 12 of 'cifar10/test'\), and pool 'b' holds at least 1 "
        r"picture \(first: id 0, which is id 4 of 'validation'; 256 were looked at\) that the student is judged on\. "
        r"Borrow from another split or data set, or have them left out \(`overlap: leave-out`\)\.$"
    )
    with pytest.raises(UserError, match=message):
        refuse(overlaps)


def test_parts_of_a_pool_added():
    first, other = Overlap(3, 7, ("test", 1)), Overlap(2, 4, ("test", 2))
    assert added(first, other) == added(other, first) == Overlap(5, 4, ("test", 2))
    assert added(None, first) == added(first, None) == first
    assert added(None, None) is None


@pytest.mark.parametrize("shape", [(3, 8, 8), (1, 4, 6), (3, 12, 12)])
def test_pictures_of_another_shape_are_compared_as_pools_would_hold_them(tmp_path, shape):
    """What is judged was loaded as it is, the pool in the student's shape."""
    for number in range(48, 53):
        Image.fromarray(PICTURES[number, 0].numpy()).save(tmp_path / f"{number}.png")
    (pool,) = open_pools([PoolSettings(name=str(tmp_path))], shape)
    assert pool.images.shape == shape
    equal = HeldOutDigests([TEST], shape).among(pool.images.digests().numpy())
    assert equal.tolist() == [False, False, True, True, True]


def test_coloured_pictures_are_compared_in_gray():
    coloured = ImageSet(PICTURES[:6].view(2, 3, 8, 8), name="coloured")
    gray = ImageSet(PICTURES[:2])
    held_out = HeldOutDigests([coloured, gray], SHAPE)
    assert held_out.among(gray.digests().numpy()).all()
    assert len(held_out.key) == 32
