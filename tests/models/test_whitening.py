import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import limbeck.models.whitening as module
from limbeck.caching import cache_entries
from limbeck.data import ImageSet
from limbeck.errors import UserError
from limbeck.evaluation.model_size import footprint
from limbeck.models import Classifier, create, load, save, untrained
from limbeck.models.fingerprint import fingerprint
from limbeck.models.reused_head import Projector, with_reused_head
from limbeck.models.whitening import Whitening
from limbeck.models.zoo import wrap
from limbeck.precision import autocast

GOLDEN = Path(__file__).parents[1] / "golden" / "condense" / "whitening.npz"
"""Results of kornia 0.9's `ZCAWhitening(eps=0.1)` on 60 images 3x6x5 in [0, 1], computed in float64."""


def images(count: int = 40, side: int = 8) -> Tensor:
    """Images whose neighbouring pixels are alike."""
    small = torch.rand(count, 3, 3, 3, generator=torch.Generator().manual_seed(0))
    return (torch.nn.functional.interpolate(small, (side, side), mode="bilinear") * 255).to(torch.uint8)


def network(whitening: Whitening, seed: int = 0) -> Classifier:
    return create("convnet_d3", num_classes=3, seed=seed, width=4, whitening=whitening).eval()


@pytest.fixture(scope="module")
def whitening() -> Whitening:
    return Whitening.fit(images())


def test_numbers_are_those_of_kornia() -> None:
    golden = {name: torch.from_numpy(values) for name, values in np.load(GOLDEN).items()}
    fitted = Whitening.fit(golden["images"], epsilon=0.1)
    whole = golden["images"].float() / 255
    assert torch.allclose(fitted.matrix, golden["matrix"], atol=1e-6)
    assert torch.allclose(fitted(whole[:4]), golden["whitened"], atol=2e-6)
    assert torch.allclose(fitted.inverted(golden["whitened"]), whole[:4], atol=1e-6)
    assert torch.allclose(fitted.inverse, golden["inverse"], atol=1e-5)


def test_variances_are_what_epsilon_leaves_of_one(whitening: Whitening) -> None:
    pixels = (images().double() / 255).flatten(1)
    variances = torch.linalg.eigvalsh(pixels.T.cov())
    whitened = torch.linalg.eigvalsh(whitening(images().float() / 255).double().flatten(1).T.cov())
    assert torch.allclose(whitened, variances / (variances + 0.1), atol=1e-5)


def test_sets_tensors_and_floats_have_one_whitening(whitening: Whitening) -> None:
    pixels = images()
    assert Whitening.fit(ImageSet(pixels)).fingerprint == whitening.fingerprint
    floats = pixels.float() / 255
    for fitted in (Whitening.fit(floats), Whitening.fit(ImageSet.of_floats(floats))):
        assert torch.allclose(fitted.matrix, whitening.matrix, atol=1e-5)
    assert Whitening.fit(pixels, epsilon=0.2).fingerprint != whitening.fingerprint


def test_threads_do_not_shape_it(whitening: Whitening) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        assert Whitening.fit(images()).fingerprint == whitening.fingerprint
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


def test_what_takes_long_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIMBECK_CACHE", str(tmp_path))
    monkeypatch.setattr(module, "_WORTH_KEEPING", 0)
    first = Whitening.fit(ImageSet(images(), name="stripes"))
    [entry] = cache_entries("whitening")
    assert entry.about["images"] == "stripes"
    with monkeypatch.context() as patch:
        patch.setattr(module, "_fitted", None)  # the cache answers, without fitting again
        assert Whitening.fit(ImageSet(images())).fingerprint == first.fingerprint
    entry.path.write_bytes(b"")
    assert Whitening.fit(ImageSet(images())).fingerprint == first.fingerprint


def test_autocast_leaves_it_exact(whitening: Whitening) -> None:
    floats = images().float() / 255
    with autocast(torch.device("cpu"), torch.bfloat16):
        assert torch.equal(whitening(floats), whitening(floats))
        assert whitening(floats).dtype == torch.float32
    assert torch.equal(whitening(floats), whitening(floats))


@pytest.mark.parametrize(
    ("pixels", "epsilon", "message"),
    [
        (images(), 0.0, "`epsilon` of whitening must be > 0, got 0.0"),
        (images(), float("nan"), "`epsilon` of whitening must be > 0, got nan"),
        (images(1), 0.1, r"needs two images \[C, H, W\] or more, got 1 of \[3, 8, 8\]"),
        (
            torch.zeros(2, 3, 128, 128),
            0.1,
            r"images of \[3, 128, 128\] would take a matrix of 9 GiB; the limit is 16384",
        ),
    ],
)
def test_what_cannot_be_fitted_is_said(pixels: Tensor, epsilon: float, message: str) -> None:
    with pytest.raises(UserError, match=message):
        Whitening.fit(pixels, epsilon)


def test_tensors_come_back_or_are_refused(whitening: Whitening) -> None:
    tensors = whitening.tensors()
    assert tensors["mean"].shape == (3, 8, 8)
    assert Whitening.of_tensors(tensors).fingerprint == whitening.fingerprint
    with pytest.raises(UserError, match="a whitening is a mapping of `mean` and `matrix`, got mean"):
        Whitening.of_tensors({"mean": tensors["mean"]})
    with pytest.raises(UserError, match=r"got \[3, 8, 8\] and \[5, 5\]"):
        Whitening.of_tensors({"mean": tensors["mean"], "matrix": torch.eye(5)})
    with pytest.raises(UserError, match="must be finite; fit it again"):
        Whitening.of_tensors({"mean": tensors["mean"], "matrix": torch.full((192, 192), torch.nan)})


def test_a_network_whitens_its_images(whitening: Whitening) -> None:
    taught, pixels = network(whitening), images()
    assert taught.input_size == (8, 8)
    assert torch.equal(taught.prepare(pixels), whitening(pixels.float() / 255))
    assert torch.equal(taught.prepare(pixels.float() / 255), taught.prepare(pixels))
    assert taught.prepare(images(2, side=16)).shape == (2, 3, 8, 8)
    assert taught.prepare(pixels[:, :1]).shape == (40, 3, 8, 8)
    beyond = torch.randn(4, 3, 8, 8) * 3
    assert torch.allclose(taught.prepare(taught.images_of(beyond)), beyond, atol=1e-4)
    learned = (pixels[:2].float() / 255).requires_grad_()
    taught(learned).logits.sum().backward()
    assert learned.grad is not None
    assert learned.grad.abs().sum() > 0


def test_state_and_fingerprints_of_networks_without_are_as_ever(whitening: Whitening) -> None:
    plain = create("convnet_d3", num_classes=3, width=4, input_size=8)
    assert plain.whitening is None
    assert network(whitening).state_dict().keys() == plain.state_dict().keys()
    assert not [name for name in vars(plain) if "whitening" in name]
    other = Whitening.fit(images(), epsilon=0.2)
    assert len({fingerprint(classifier) for classifier in (plain, network(whitening), network(other))}) == 3


def test_it_is_saved_and_loaded_with_the_weights(whitening: Whitening, tmp_path: Path) -> None:
    taught, pixels = network(whitening), images()
    save(taught, tmp_path / "kept")
    save(taught, tmp_path / "kept")  # replaces the files it wrote before
    restored = load(tmp_path / "kept")
    assert restored.whitening is not None
    assert restored.whitening.fingerprint == whitening.fingerprint
    assert torch.equal(restored(pixels).logits, taught(pixels).logits)
    assert fingerprint(restored) == fingerprint(taught)
    config = json.loads((tmp_path / "kept" / "config.json").read_text())
    assert config["version"] == 2, "earlier versions must not take it for a network of images as they are"
    with pytest.raises(UserError, match=r"takes images whitened as whitening.safetensors says; leave out `mean`"):
        load(tmp_path / "kept", mean=(0.5,) * 3)
    (tmp_path / "kept" / "whitening.safetensors").unlink()
    with pytest.raises(UserError, match=r"lacks whitening.safetensors; copy the whole folder"):
        load(tmp_path / "kept")


def test_what_is_shipped_is_counted(whitening: Whitening) -> None:
    plain = create("convnet_d3", num_classes=3, width=4, input_size=8)
    of_plain, of_whitened = (
        footprint(classifier, (3, 8, 8), latency=False) for classifier in (plain, network(whitening))
    )
    assert of_whitened["macs"] - of_plain["macs"] == 192**2
    assert of_whitened["size_bytes"] - of_plain["size_bytes"] >= 4 * (192**2 + 192)


def test_bare_weights_are_loaded_with_it(whitening: Whitening, tmp_path: Path) -> None:
    taught = network(whitening, seed=3)
    torch.save(taught.network.state_dict(), tmp_path / "weights.pth")
    options = {"model": "convnet_d3", "num_classes": 3, "width": 4, "whitening": whitening}
    restored = load(tmp_path / "weights.pth", **options)
    assert torch.equal(restored(images()).logits, taught(images()).logits)


def test_networks_made_of_one_keep_it(whitening: Whitening) -> None:
    taught = network(whitening)
    fresh = untrained(taught, seed=1)
    assert fresh is not None
    assert torch.equal(fresh.prepare(images()), taught.prepare(images()))
    reusing = with_reused_head(taught, Projector(4, 2, 6), torch.nn.Linear(6, 3), (1, 1))
    assert torch.equal(reusing.prepare(images()), taught.prepare(images()))


def test_what_stands_beside_it_is_refused(whitening: Whitening) -> None:
    refused: list[tuple[dict[str, Any], str]] = [
        ({"mean": (0.5,) * 3, "std": (0.2,) * 3}, "`whitening` stands in place of `mean` and `std`"),
        ({"input_size": 16}, r"is of images \[3, 8, 8\], .* got \[3, 16, 16\]"),
        ({"channels": 1}, r"got \[1, 8, 8\]"),
    ]
    for options, message in refused:
        with pytest.raises(UserError, match=message):
            create("convnet_d3", num_classes=3, whitening=whitening, **options)


def test_images_of_normalised_inputs() -> None:
    plain = create("convnet_d3", num_classes=3, width=4, input_size=8, mean=(0.5, 0.4, 0.3), std=(0.1, 0.2, 0.3))
    inputs = torch.randn(2, 3, 8, 8) * 4
    assert torch.allclose(plain.prepare(plain.images_of(inputs)), inputs, atol=1e-5)


def test_a_network_of_the_users_own_may_take_whitened_images(whitening: Whitening, tmp_path: Path) -> None:
    whole = network(whitening)
    layers: Any = {"num_classes": 3, "input_size": 8}
    wrapped = wrap(whole.network, **layers, whitening=whitening).eval()
    assert torch.equal(wrapped(images(4)).logits, whole(images(4)).logits)
    with pytest.raises(UserError, match=r"`mean` and `std`, or `whitening`, must say how the network sees images"):
        wrap(whole.network, **layers)
    with pytest.raises(UserError, match=r"`mean` and `std`, or `whitening`, must say how the network sees images"):
        wrap(whole.network, **layers, mean=(0.5,) * 3)
    with pytest.raises(UserError, match=r"`whitening` stands in place of `mean` and `std`; give one of the two"):
        wrap(whole.network, **layers, mean=(0.5,) * 3, std=(0.5,) * 3, whitening=whitening)
