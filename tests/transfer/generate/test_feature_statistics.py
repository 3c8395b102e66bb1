from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

import limbeck as lb
from limbeck import UserError
from limbeck.data.image_set import ImageSet
from limbeck.models import Classifier, create
from limbeck.transfer.generate.feature_statistics import FeatureStatistics, measure
from limbeck.transfer.generate.losses import Moments, batch_norm_distance
from limbeck.transfer.generate.statistics import BatchNormMoments


def network(norm: str, seed: int = 0, width: int = 8) -> Classifier:
    options = {"width": width, "norm": norm}
    return create("convnet_d3", num_classes=4, channels=1, input_size=8, seed=seed, **options)


@pytest.fixture(scope="module")
def owned() -> ImageSet:
    source = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (90, 1, 8, 8), generator=source, dtype=torch.uint8)
    return ImageSet(pixels, name="owned")


def moments_at(teacher: Classifier, images: Tensor) -> list[Moments]:
    """The moments of input, stages and embedding, from the outputs themselves."""
    outputs = teacher(images, want=("logits", "stages", "embedding"))
    assert outputs.embedding is not None
    features = [teacher.prepare(images), *outputs.stages, outputs.embedding]
    flat = [feature.transpose(0, 1).flatten(1) for feature in features]
    return [Moments(values.mean(1), values.var(1, correction=0)) for values in flat]


def test_without_batch_norm_moments_of_all_images(owned: ImageSet) -> None:
    teacher = network("instance").eval()
    statistics = measure(teacher, owned, batch_size=40)
    expected = moments_at(teacher, owned.tensor())
    assert statistics.places[0].name == "input"
    assert len(statistics.wanted) == len(statistics.floor) == len(expected) == 5
    for moments, reference in zip(statistics.wanted, expected, strict=True):
        torch.testing.assert_close(moments, reference, rtol=1e-4, atol=1e-5)
    assert (statistics.images, statistics.batch_size, statistics.teacher) == (90, 40, "convnet_d3")
    assert all(part.is_leaf and not part.is_inference() for moments in statistics.wanted for part in moments)


def test_floor_is_of_whole_batches_in_random_order(owned: ImageSet) -> None:
    teacher = network("batch").eval()
    statistics = measure(teacher, owned, batch_size=40)
    assert [place.name for place in statistics.places] == list(BatchNormMoments(teacher).names)
    assert (statistics.floor > 0).all()
    assert measure(teacher, owned, batch_size=40, seed=1).floor.tolist() != statistics.floor.tolist()
    torch.testing.assert_close(measure(teacher, owned, batch_size=40).floor, statistics.floor)
    whole = measure(teacher, owned, batch_size=200)  # all images are one batch, which is smaller
    with BatchNormMoments(teacher) as moments:
        teacher(owned.tensor())
        distance = batch_norm_distance(moments.found, moments.reference)
    torch.testing.assert_close(whole.floor, distance, rtol=1e-4, atol=1e-5)


def test_the_loss_reads_what_was_exported(owned: ImageSet, tmp_path: Path) -> None:
    teacher = network("instance").requires_grad_(False).eval()
    path = tmp_path / "statistics.safetensors"
    measure(teacher, owned, batch_size=40).save(path)
    assert path.stat().st_size < 4000
    read = FeatureStatistics.read(path)
    images = torch.rand(6, 1, 8, 8, generator=torch.Generator().manual_seed(3)).requires_grad_()
    with BatchNormMoments(teacher, read) as moments:
        teacher(images)
        distance = batch_norm_distance(moments.found, moments.reference)
    torch.testing.assert_close(distance, batch_norm_distance(moments_at(teacher, images), read.wanted))
    distance.sum().backward()
    assert images.grad is not None
    assert images.grad.isfinite().all()
    assert images.grad.abs().sum() > 0
    with torch.no_grad(), BatchNormMoments(teacher, read) as moments:
        teacher(owned.tensor())
        assert batch_norm_distance(moments.found, moments.reference).sum() < 1e-3


def test_a_round_trip(owned: ImageSet, tmp_path: Path) -> None:
    statistics = measure(network("instance"), owned, batch_size=40)
    statistics.save(tmp_path / "one")
    read = FeatureStatistics.read(tmp_path / "one")
    assert replace(read, wanted=(), floor=statistics.floor) == replace(statistics, wanted=())
    torch.testing.assert_close(read.wanted, statistics.wanted, rtol=0, atol=0)
    torch.testing.assert_close(read.floor, statistics.floor, rtol=0, atol=0)


def test_statistics_of_others(owned: ImageSet) -> None:
    statistics = measure(network("instance"), owned)
    with pytest.warns(UserWarning, match="of convnet_d3 with other weights than this convnet_d3 has"):
        BatchNormMoments(network("instance", seed=1), statistics)
    with pytest.raises(UserError, match="are of convnet_d3, and resnet8 has no module"):
        BatchNormMoments(create("resnet8", num_classes=4, channels=1), statistics)
    other = network("instance", width=4)
    with pytest.warns(UserWarning, match="other weights"):
        reader = BatchNormMoments(other, statistics)
    with reader as moments:
        other(owned.tensor())
        with pytest.raises(UserError, match=r"are of 8 features, and convnet_d3 has 4 there"):
            _ = moments.reference


def test_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"there are no feature statistics at .*`lb.export_statistics"):
        FeatureStatistics.read(tmp_path / "nothing")
    (tmp_path / "text").write_text("not safetensors at all, as one sees")
    with pytest.raises(UserError, match="cannot be read"):
        FeatureStatistics.read(tmp_path / "text")
    from safetensors.torch import save_file

    save_file({"weight": torch.zeros(1)}, tmp_path / "weights")
    with pytest.raises(UserError, match="its format is None, and not 'limbeck feature statistics 1'"):
        FeatureStatistics.read(tmp_path / "weights")


def test_nowhere_to_read(owned: ImageSet) -> None:
    linear = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 4))
    bare = Classifier(linear, num_classes=4, channels=1)
    with pytest.raises(UserError, match=r"Sequential has no batch norm, and no tap says where else its features are"):
        measure(bare, owned)
    with pytest.raises(UserError, match="`batch_size` must be >= 1"):
        measure(network("instance"), owned, batch_size=0)


def test_from_python(owned: ImageSet, tmp_path: Path) -> None:
    teacher = network("instance")
    statistics = lb.export_statistics(teacher, owned, tmp_path / "one", batch_size=40, device="cpu")
    torch.testing.assert_close(FeatureStatistics.read(tmp_path / "one").floor, statistics.floor)
    with pytest.raises(UserError, match=r"`images` must be images as `lb.load` gives them, or a data set's name"):
        lb.export_statistics(teacher, 3, tmp_path / "none")  # type: ignore[arg-type]
    with pytest.raises(UserError, match=r"one' exists already and is never overwritten; .*`replace=True`"):
        lb.export_statistics(teacher, owned, tmp_path / "one")
    lb.export_statistics(teacher, owned, tmp_path / "one", batch_size=40, device="cpu", replace=True)
    of_a_tensor = lb.export_statistics(teacher, owned.tensor(), tmp_path / "two", batch_size=40, device="cpu")
    torch.testing.assert_close(of_a_tensor.floor, statistics.floor)
