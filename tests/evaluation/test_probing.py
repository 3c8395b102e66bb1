"""The linear probe: frozen networks, features computed once, honest refusals."""

from pathlib import Path

import pytest
import torch
from tests.evaluation.conftest import tiny_network
from tests.training.tiny import network, same, stripes, weights

from limbeck.data import ImageSet
from limbeck.data.decoded import cache_folder
from limbeck.errors import UserError
from limbeck.evaluation import probe
from limbeck.evaluation.embeddings import cached_embeddings, embeddings
from limbeck.evaluation.probing import probe_size
from limbeck.models import Classifier, create, untrained


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIMBECK_CACHE", str(tmp_path / "cache"))


def kept_files() -> list[Path]:
    return sorted((cache_folder() / "features").glob("*.safetensors"))


@pytest.mark.parametrize("schedule", ["l2", "published"])
def test_stripes_are_told_apart(schedule) -> None:
    frozen = network(width=16).train()  # random features enough for any seed
    before = weights(frozen)
    result = probe(frozen, stripes(240), stripes(40, seed=1), schedule=schedule, seeds=[0, 1])
    assert result.mean_top1 > 0.9
    assert (result.images, result.n, result.classes, result.features, result.size) == (240, 40, 2, 256, (32, 32))
    assert (result.seeds, len(result.top1), result.top5) == ([0, 1], 2, None)
    assert len(result.strengths) == len(result.tried) == (2 if schedule == "l2" else 0)
    assert result.converged
    assert same(weights(frozen), before)
    assert all(part.training for part in frozen.modules())
    again = probe(frozen, stripes(240), stripes(40, seed=1), schedule=schedule, seeds=[0, 1])
    assert (again.top1, again.tried) == (result.top1, result.tried)
    assert result.to_dict()["network"] == "convnet_d3"


def test_features_are_computed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    images, student = stripes(20), network()
    first = cached_embeddings(student, images)
    assert torch.equal(first, embeddings(student, images))
    assert len(kept_files()) == 1
    with monkeypatch.context() as patched:
        patched.setattr("limbeck.evaluation.embeddings.embeddings", None)
        seen: list[int] = []
        assert torch.equal(cached_embeddings(student, images, progress=seen.append), first)
        assert seen == []


def test_another_network_or_other_images_never_share_features() -> None:
    images, student = stripes(20), network()
    cached_embeddings(student, images)
    otherwise_normalised = create("convnet_d3", num_classes=2, channels=1, width=4, norm="batch", mean=(0.1,))
    others = [(network(1), images, None), (otherwise_normalised, images, None), (student, stripes(20, seed=5), None)]
    others += [(student, images.subset(images.ids.flip(0)), None), (student, images, (4, 4))]
    for number, (classifier, shown, size) in enumerate(others, start=2):
        assert torch.equal(cached_embeddings(classifier, shown, size=size), embeddings(classifier, shown, size=size))
        assert len(kept_files()) == number


@pytest.mark.parametrize("damage", ["cut", "changed", "other"])
def test_damaged_features_are_computed_again(damage: str) -> None:
    images, student = stripes(20), network()
    expected = cached_embeddings(student, images)
    (path,) = kept_files()
    content = bytearray(path.read_bytes())
    if damage == "cut":
        content = content[:-10]
    elif damage == "changed":
        content[-1] ^= 0x40
    else:
        content = bytearray(b"no safetensors")
    path.write_bytes(content)
    assert torch.equal(cached_embeddings(student, images), expected)
    assert torch.equal(cached_embeddings(student, images), expected)


def test_disk_that_cannot_be_written_is_a_warning(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("LIMBECK_CACHE", str(tmp_path / "file"))
    with pytest.warns(UserWarning, match=r"embeddings are not cached: .* \(LIMBECK_CACHE names the folder\)"):
        cached_embeddings(network(), stripes(20))


def test_networks_made_outside_are_always_run(make_classifier) -> None:
    images = ImageSet(torch.zeros(6, 3, 8, 8, dtype=torch.uint8))
    with pytest.raises(UserError, match="`embedding` of Sequential is wanted but no tap says where"):
        cached_embeddings(make_classifier(), images)
    tapped = Classifier(tiny_network(6), num_classes=6, taps=type(make_classifier().taps)(embedding="5"))
    assert cached_embeddings(tapped, images).shape == (6, 4)
    assert kept_files() == []
    assert untrained(tapped) is None


def test_sizes() -> None:
    large = ImageSet(torch.zeros(2, 3, 64, 48, dtype=torch.uint8))
    small = ImageSet(torch.zeros(2, 3, 28, 28, dtype=torch.uint8))
    any_size, fixed = create("resnet8", num_classes=2), create("resnet8", num_classes=2, input_size=16)
    assert (probe_size(any_size, large), probe_size(any_size, small)) == ((32, 32), (28, 28))
    assert probe_size(any_size, large, (64, 48)) == (64, 48)
    assert probe_size(fixed, large) == (16, 16)
    with pytest.raises(UserError, match=r"`size` must be \(16, 16\) or left out, because resnet8 takes nothing else"):
        probe_size(fixed, large, (32, 32))
    with pytest.raises(UserError, match=r"`size` must be .* at least 1"):
        probe_size(any_size, large, (0, 3))


def test_untrained_is_the_same_network_with_other_weights() -> None:
    student = network(width=8).train()
    fresh = untrained(student, seed=7)
    assert fresh is not None
    assert not fresh.training
    assert {key: value.shape for key, value in weights(fresh).items()} == {
        key: value.shape for key, value in weights(student).items()
    }
    assert not same(weights(fresh), weights(student))


def _small(labels: list[int] | None) -> ImageSet:
    count = 12 if labels is None else len(labels)
    pixels = torch.arange(count * 64).remainder(251).to(torch.uint8).view(count, 1, 8, 8)
    return ImageSet(pixels, labels, classes=("rows", "columns"), name="small")


@pytest.mark.parametrize(
    ("train", "test", "options", "message"),
    [
        (_small(None), stripes(8), {}, "a linear probe needs labels, 'small' has none"),
        (stripes(8), _small(None), {}, "a linear probe needs labels, 'small' has none"),
        (_small([0, 0, 0, 0, 0, 1]), stripes(8), {}, "two classes with 2 or more .* 'small' has 6 images of 2 classes"),
        (_small([0, 0, 1, 1]), stripes(8), {}, "needs at least 5 training images .* has 4 images"),
        (stripes(8), stripes(8), {}, "`test` must be other images than `train`, got the same 8 images twice"),
        (stripes(8), stripes(9), {"schedule": "l1"}, "unknown schedule 'l1'; did you mean 'l2'"),
        (stripes(8), stripes(9), {"seeds": []}, "`seeds` must be distinct, at least one"),
        (stripes(8), stripes(9), {"seeds": [1, 1]}, "`seeds` must be distinct, at least one"),
        (stripes(8), stripes(9), {"precision": "fp8"}, "unknown precision 'fp8'"),
    ],
)
def test_refusals(train: ImageSet, test: ImageSet, options, message: str) -> None:
    with pytest.raises(UserError, match=message):
        probe(network(), train, test, **options)


def test_other_classes() -> None:
    images = stripes(8)
    other = ImageSet(stripes(9).tensor(), stripes(9).labels, classes=("columns", "rows"), name="turned")
    with pytest.raises(UserError, match=r"classes of `train`, got 2 \(columns, rows\) of 'turned' and 2 \(rows"):
        probe(network(), images, other)


def test_features_that_are_not_finite() -> None:
    broken = network()
    with torch.no_grad():
        next(broken.parameters()).fill_(float("nan"))
    with pytest.raises(UserError, match=r"embeddings of convnet_d3 are not finite for 8 of 8 images .* NaN in its"):
        probe(broken, stripes(8), stripes(9))


@pytest.mark.slow
@pytest.mark.parametrize(("data", "n", "at_least"), [("imagenette:64px", 1000, 0.55), ("cifar100", 2000, 0.25)])
def test_cifar10_features_tell_of_other_data(
    data: str, n: int, at_least: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    import os

    if not (os.environ.get("LIMBECK_DATA") and os.environ.get("LIMBECK_WEIGHTS")):
        pytest.skip("LIMBECK_DATA and LIMBECK_WEIGHTS name no folders of real data and weights")
    from limbeck.data import load as load_images
    from limbeck.models import load

    student = load("cifar10-resnet20")
    train, test = load_images(data), load_images(data, "test")
    result = probe(student, train, test)
    assert result.n == n
    assert result.mean_top1 > at_least
    if data == "imagenette:64px":  # another pass of the larger set would take half a minute
        fresh = untrained(student)
        assert fresh is not None
        assert result.mean_top1 > probe(fresh, train, test).mean_top1 + 0.1
