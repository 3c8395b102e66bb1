import pickle

import pytest
import torch

from limbeck.data import ImageSet
from limbeck.data.procedural import storage as storage_module
from limbeck.data.procedural.storage import ProceduralStorage, render
from limbeck.data.storage import image_digests


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIMBECK_CACHE", str(tmp_path / "cache"))


def stored(count: int = 40) -> ProceduralStorage:
    return ProceduralStorage("shaders", None, 3, (3, 8, 8), count)


def test_an_image_set_of_them_is_one_as_any_other():
    images = ImageSet(stored())
    assert images.shape == (3, 8, 8)
    assert not images.is_decoded
    assert torch.equal(images.gather(torch.tensor([9, 2])), images.tensor()[[9, 2]])
    assert torch.equal(images.digests(), image_digests(images.tensor()))
    assert images.fingerprint == ImageSet(images.tensor()).fingerprint
    subset = images.subset([30, 4])
    assert torch.equal(subset.tensor(), render("shaders", 3, torch.tensor([30, 4]), (3, 8, 8)))


def test_more_images_begin_with_the_same_ones():
    assert torch.equal(stored(40).tensor(), stored(90).tensor()[:40])


def test_only_what_is_asked_for_is_rendered(monkeypatch: pytest.MonkeyPatch):
    rendered = []
    real = storage_module.render

    def watched(kind, seed, indices, shape, **options):
        rendered.append(len(indices))
        return real(kind, seed, indices, shape, **options)

    monkeypatch.setattr(storage_module, "render", watched)
    images = ImageSet(stored(10**6))
    images.gather(torch.tensor([999_999]))
    images.subset([5, 6]).digests()
    assert rendered == [1, 2]


def test_it_goes_to_workers_as_a_few_words():
    images = ImageSet(stored(1000))
    images.digests()
    sent = pickle.dumps(images._storage)
    assert len(sent) < 300
    assert torch.equal(pickle.loads(sent).digests(torch.arange(1000)), images.digests())


def test_hashes_are_kept(monkeypatch: pytest.MonkeyPatch):
    digests = stored().digests(torch.arange(40))
    monkeypatch.setattr(storage_module, "render", None)
    assert torch.equal(stored().digests(torch.arange(40)), digests)
    with pytest.raises(TypeError):
        stored(41).digests(torch.arange(41))
