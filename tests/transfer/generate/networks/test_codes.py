"""NAYER's noisy layer, and the codes of classes."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from limbeck.errors import UserError
from limbeck.transfer.generate.generator_settings import Generator
from limbeck.transfer.generate.networks import build_network, draw_latents
from limbeck.transfer.generate.networks.codes import NoisyCodes, orthogonal_codes, read_codes


def test_it_is_batch_norm_and_a_layer_for_each_k_images_where_labels_are_even() -> None:
    """As published: batch norm over a batch of balanced labels, then the layer of the first K, of the second K ..."""
    codes = torch.randn(4, 6, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(4).repeat(3)
    noisy, norm = NoisyCodes(codes), torch.nn.BatchNorm1d(6)
    layers = torch.randn(noisy.layers_of(labels), 5, 6)
    assert len(layers) == 3
    normed = norm(codes[labels])
    expected = torch.cat([normed[4 * place : 4 * place + 4] @ layer.T for place, layer in enumerate(layers)])
    torch.testing.assert_close(noisy(layers, labels), expected)


@pytest.mark.parametrize("labels", [[0, 0, 0, 0], [2, 0, 2, 1, 0, 2], [1]])
def test_images_of_one_class_are_never_alike(labels: list[int]) -> None:
    network = build_network(Generator(width=4, latents=8, noisy=True), shape=(1, 8, 8), num_classes=3, seed=0)
    wanted = torch.tensor(labels)
    images = network(draw_latents(network, wanted, seed=0, call=1), wanted)
    assert len({tuple(image.flatten().tolist()) for image in images}) == len(labels)


def test_it_is_redrawn_for_every_call_and_is_learned_as_latents_are() -> None:
    network = build_network(Generator(width=4, latents=8, noisy=True), shape=(1, 8, 8), num_classes=3, seed=0)
    labels = torch.tensor([0, 1, 2, 0])
    layers = draw_latents(network, labels, seed=0, call=1).requires_grad_()
    assert layers.shape == (2, 8, 512)
    network(layers, labels).sum().backward()
    assert layers.grad is not None
    assert layers.grad[0].any()
    assert not torch.equal(layers, draw_latents(network, labels, seed=0, call=2))
    with pytest.raises(UserError, match="`images` must be labels for a network with `noisy`"):
        draw_latents(network, 4, seed=0, call=1)


@pytest.mark.parametrize("num_classes", [1, 3, 600])
def test_codes_of_their_own_are_at_right_angles(num_classes: int) -> None:
    codes = orthogonal_codes(num_classes, seed=1)
    assert codes.shape == (num_classes, max(512, num_classes))
    torch.testing.assert_close(codes @ codes.T, torch.eye(num_classes), atol=1e-5, rtol=0)
    assert torch.equal(codes, orthogonal_codes(num_classes, seed=1))


@pytest.mark.parametrize("suffix", [".npy", ".safetensors"])
def test_codes_are_read_from_a_file(suffix: str, tmp_path: Path) -> None:
    codes, path = torch.randn(3, 5), tmp_path / f"names{suffix}"
    np.save(path, codes.numpy()) if suffix == ".npy" else save_file({"codes": codes}, path)
    assert torch.equal(read_codes(str(path), 3), codes)
    network = build_network(Generator(width=4, noisy=True, codes=str(path)), shape=(1, 8, 8), num_classes=3, seed=0)
    assert draw_latents(network, torch.arange(3), seed=0, call=1).shape == (1, 256, 5)


def test_codes_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    allowed = r"`generator.codes` must be a file \(npy or safetensors\) of 3 rows of numbers, one a class"
    with pytest.raises(UserError, match=f"{allowed}; there is no file"):
        read_codes(str(tmp_path / "absent.npy"), 3)
    (tmp_path / "broken.safetensors").write_text("no")
    with pytest.raises(UserError, match=f"{allowed}; .* cannot be read"):
        read_codes(str(tmp_path / "broken.safetensors"), 3)
    np.save(tmp_path / "objects.npy", np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(UserError, match="cannot be read"):
        read_codes(str(tmp_path / "objects.npy"), 3)
    for wrong, shape in ((np.zeros((2, 4)), r"float64 \[2, 4\]"), (np.zeros((3, 4), int), r"int64 \[3, 4\]")):
        np.save(tmp_path / "wrong.npy", wrong)
        with pytest.raises(UserError, match=f"{allowed}, got {shape}"):
            read_codes(str(tmp_path / "wrong.npy"), 3)
    np.save(tmp_path / "wrong.npy", np.full((3, 4), np.nan))
    with pytest.raises(UserError, match="endless or none"):
        read_codes(str(tmp_path / "wrong.npy"), 3)
    save_file({}, tmp_path / "empty.safetensors")
    with pytest.raises(UserError, match="got no array"):
        read_codes(str(tmp_path / "empty.safetensors"), 3)
