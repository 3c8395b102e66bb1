import pytest
import torch
from tests.transfer.conftest import natural, reordered

from limbeck.data.image_set import ImageSet
from limbeck.errors import UserError
from limbeck.transfer.select import select
from limbeck.transfer.select.duplicates import distinct


def doubled() -> ImageSet:
    images = natural(10)
    pixels = torch.cat([images.tensor(), images.tensor()[:4]])
    return ImageSet(pixels, torch.arange(14) % 2, ids=torch.arange(14).flip(0), name="doubled")


def test_of_equal_images_the_lowest_id_stays():
    kept = distinct(doubled())
    assert sorted(kept.ids.tolist()) == [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]
    assert torch.equal(distinct(reordered(doubled(), 1)).ids.sort().values, kept.ids.sort().values)
    assert len(kept.tensor().flatten(1).unique(dim=0)) == 10


def test_a_set_without_duplicates_is_left_alone():
    images = natural(10)
    assert distinct(images) is images


def test_budgets_count_distinct_images():
    selection = select(doubled(), criterion="entropy-whole", budget="100%", dedupe=True)
    assert len(selection.ids) == len(selection.all_ids) == 10
    assert len(select(doubled(), criterion="entropy-whole", budget="100%").ids) == 14
    assert len(selection.transfer_set(doubled()).images) == 10


def test_budgets_that_only_duplicates_would_meet():
    count = len(select(doubled(), criterion="entropy-whole", budget="100%", dedupe=True).ids)
    with pytest.raises(
        UserError, match=f"at most the {count} images .* Without duplicates, {count} of .* images are left"
    ):
        select(doubled(), criterion="entropy-whole", budget=count + 1, dedupe=True)
    with pytest.raises(UserError, match="`seed` must be a whole number, got None"):
        select(doubled(), criterion="random", budget=1, seed=None)
