import pytest
import torch
from tests.transfer.borrow.fake_pools import PICTURES, pool_of

from limbeck.data.image_set import ImageSet
from limbeck.errors import UserError
from limbeck.transfer.borrow.judged import Judged, Overlap, refuse, together
from limbeck.transfer.score_table import identity

SHAPE = (1, 8, 8)
TEST = ImageSet(PICTURES[50:], ids=torch.arange(100, 110), name="test")
VALIDATION = ImageSet(PICTURES[40:45], ids=torch.arange(5).flip(0), name="validation")


def test_pictures_are_found_by_their_pixels():
    judged = Judged([VALIDATION, TEST], SHAPE)
    images = pool_of("a", [3, 44, 59, 44, 7]).images
    assert judged.among(images.digests().numpy()).tolist() == [False, True, True, True, False]
    found = judged.look(images)
    first = int(images.ids[torch.tensor([1, 2, 3])].min())
    place = {int(images.ids[row]): where for row, where in ((1, ("validation", 0)), (2, ("test", 109)))}
    place[int(images.ids[3])] = ("validation", 0)
    assert found == Overlap(3, first, place[first])
    assert judged.look(pool_of("a", [1, 2]).images) is None
    assert Judged([], SHAPE).look(images) is None


def test_of_encoded_images_some_are_looked_at(monkeypatch):
    monkeypatch.setattr(identity, "SOME", 3)
    monkeypatch.setattr(ImageSet, "is_decoded", False)
    monkeypatch.setattr(
        ImageSet, "digests", lambda self: pytest.fail("all were decoded") if self is images else real(self)
    )
    images, real = pool_of("a", [50, 1, 2, 3, 4, 51, 52]).images, ImageSet.__dict__["digests"]
    monkeypatch.undo()
    monkeypatch.setattr(identity, "SOME", 3)
    judged = Judged([TEST], SHAPE)
    monkeypatch.setattr(ImageSet, "is_decoded", False)
    monkeypatch.setattr(ImageSet, "digests", lambda self: pytest.fail("all were decoded"))
    found = judged.look(images)
    assert found is not None
    assert (found.count, found.looked_at) == (2, 3)


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


def test_parts_of_a_pool_together():
    one, other = Overlap(3, 7, ("test", 1)), Overlap(2, 4, ("test", 2))
    assert together(one, other) == together(other, one) == Overlap(5, 4, ("test", 2))
    assert together(None, one) == together(one, None) == one
    assert together(None, None) is None


def test_gray_pictures_are_compared_in_colour():
    judged = Judged([TEST], (3, 8, 8))
    coloured = ImageSet(PICTURES[49:52].repeat(1, 3, 1, 1))
    assert judged.left_out == []
    assert judged.among(coloured.digests().numpy()).tolist() == [False, True, True]


def test_images_of_another_size_cannot_be_compared():
    small = ImageSet(PICTURES[:3, :, ::2, ::2], name="small")
    with pytest.warns(
        UserWarning, match=r"pictures of 'small' is not known: these have another shape than \[1, 8, 8\]"
    ):
        judged = Judged([small, TEST], SHAPE)
    assert judged.left_out == ["small"]
    assert judged.among(TEST.digests().numpy()).all()
