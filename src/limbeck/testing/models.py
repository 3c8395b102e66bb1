"""What every model must do."""

from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from limbeck.models import Classifier, create, load, save, untrained
from limbeck.models.catalogue import entry
from limbeck.models.fingerprint import fingerprint
from limbeck.testing.assertions import ensure, ensure_equal, ensure_finite

Options = dict[str, Any]


def _made(name: str, options: Options, **arguments: Any) -> Classifier:
    return create(name, **{"num_classes": 7, **arguments}, **options)


def _images(count: int = 2, channels: int = 3, side: int = 32) -> torch.Tensor:
    return torch.rand(count, channels, side, side, generator=torch.Generator().manual_seed(0))


def parts_of_a_pass_hang_together(name: str, options: Options) -> None:
    """Logits are those of the plain pass, finite, and the head's of the embedding where that is linear."""
    classifier = _made(name, options).eval()
    want = {"logits"} | ({"embedding"} if classifier.taps.embedding else set())
    want |= {"stages"} if classifier.taps.stages else set()
    with torch.inference_mode():
        outputs, plain = classifier(_images(), want=want), classifier(_images())
    ensure(outputs.logits.shape == (2, 7), f"{name} must give logits [2, 7], got {list(outputs.logits.shape)}")
    ensure_finite(outputs.logits, f"the logits of {name}")
    ensure_equal(outputs.logits, plain.logits, f"{name} must give the same logits whatever else is wanted")
    ensure(plain.embedding is None and not plain.stages, f"{name} must give nothing that is not wanted")
    if outputs.embedding is not None:
        assert classifier.taps.embedding is not None
        with torch.inference_mode():
            logits = classifier.network.get_submodule(classifier.taps.embedding)(outputs.embedding)
        ensure_equal(logits, outputs.logits, f"the head of {name} must make logits of the embedding; say `embedding`")


def images_do_not_know_each_other(name: str, options: Options) -> None:
    """In evaluation mode an image's logits do not depend on the batch."""
    classifier = _made(name, options).eval()
    with torch.inference_mode():
        batch, single = classifier(_images(4)).logits, classifier(_images(4)[2:3]).logits
    gap = float((batch[2:3] - single).abs().max())
    ensure(gap <= 1e-3 * max(1.0, float(batch.abs().max())), f"an image alone has other logits by {name}, by {gap:g}")


def gray_and_small_images_work(name: str, options: Options) -> None:
    for channels, side in ((1, 8), (3, 28), (3, 64)):
        size = side if entry(name).input_size else None
        classifier = _made(name, options, channels=channels, input_size=size).eval()
        with torch.inference_mode():
            logits = classifier(_images(1, channels, side)).logits
        ensure(logits.shape == (1, 7), f"{name} must give logits [1, 7] of {side}x{side}, got {list(logits.shape)}")
        ensure_finite(logits, f"the logits of {name} of {channels}x{side}x{side}")


def gradient_reaches_every_parameter(name: str, options: Options) -> None:
    classifier = _made(name, options)
    classifier(_images(4)).logits.square().sum().backward()
    lost = [
        key for key, parameter in classifier.named_parameters() if parameter.requires_grad and parameter.grad is None
    ]
    ensure(not lost, f"no gradient reaches {', '.join(lost[:3])} of {name}")


def same_seed_same_weights(name: str, options: Options) -> None:
    """And torch's own random state is left alone."""
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    first, same, other = (_made(name, options, seed=seed) for seed in (1, 1, 2))
    ensure_equal(torch.rand(3), expected, f"making {name} must leave torch's random state as it was")
    pairs = zip(first.state_dict().values(), same.state_dict().values(), strict=True)
    ensure(all(torch.equal(a, b) for a, b in pairs), f"{name} of one seed must have one set of weights")
    ensure(fingerprint(first) == fingerprint(same), f"{name} of one seed must have one fingerprint")
    differ = zip(first.parameters(), other.parameters(), strict=True)
    ensure(any(not torch.equal(a, b) for a, b in differ), f"{name} of another seed must have other weights")


def is_saved_and_loaded(name: str, options: Options) -> None:
    """By its name, with its weights, options and normalisation; and fresh, as a control."""
    classifier = _made(name, options, seed=3, mean=(0.4,) * 3, std=(0.2,) * 3).eval()
    with TemporaryDirectory() as folder:
        save(classifier, Path(folder) / "student")
        again = load(Path(folder) / "student")
    with torch.inference_mode():
        ensure_equal(again(_images()).logits, classifier(_images()).logits, f"{name} must be loaded as it was saved")
    fresh = untrained(classifier, seed=1)
    ensure(fresh is not None and fresh.name == classifier.name, f"{name} must be made anew by its name")


CHECKS: Mapping[str, Callable[..., None]] = {
    "parts of a pass hang together": parts_of_a_pass_hang_together,
    "images do not know each other": images_do_not_know_each_other,
    "gray and small images work": gray_and_small_images_work,
    "gradient reaches every parameter": gradient_reaches_every_parameter,
    "same seed same weights": same_seed_same_weights,
    "is saved and loaded": is_saved_and_loaded,
}
