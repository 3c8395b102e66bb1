"""Class activation maps by torchcam: deterministic, in batches, and with the network left as it was."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn import functional

from limbeck.errors import UserError
from limbeck.models.classifier import Classifier
from limbeck.models.forward import check_batch_size, device_of, evaluating
from limbeck.models.recorder import check_taps
from limbeck.models.taps import Taps
from limbeck.randomness import check_seed, derive_seed, generator, own_randomness

Kind = Literal["smooth-grad-cam++", "grad-cam++", "grad-cam"]
KINDS = ("smooth-grad-cam++", "grad-cam++", "grad-cam")
_COPIES: dict[Kind, int] = {"smooth-grad-cam++": 4, "grad-cam++": 1}
_NOISE = 0.3
"""Deviation of the noise in the network's normalised space; numbers of copies and noise are torchcam's defaults."""


def maps(
    classifier: Classifier,
    layer: str | None,
    inputs: Tensor,
    classes: Tensor,
    kind: Kind = "smooth-grad-cam++",
    seed: int = 0,
    *,
    size: tuple[int, int] | Literal["layer"] | None = None,
    first: int = 0,
    batch_size: int = 64,
) -> Tensor:
    """Where a network sees a class in each image: one map per image, with values from 0 to 1.

    The network computes in evaluation mode; its modes, gradients and hooks are left as they were, and so are torch's
    global generators. The noise of an image depends on the seed and its row alone, whatever the batch size.

    Args:
        classifier: a network with a layer whose output is a map `[B, C, h, w]`, or tokens that its taps lay out so.
        layer: path of that module; None for the last stage.
        inputs: float `[N, C, H, W]`, normalised, see `Classifier.prepare`.
        classes: int64 `[N]`, the class, among the network's own, whose map is wanted.
        kind: "grad-cam" weights channels by their mean gradient, "grad-cam++" by positive gradients, and
            "smooth-grad-cam++" by those of four noisy copies (standard deviation 0.3), of which the last one's map is
            weighted. The formulas are torchcam's, which has sum(A * g^3) for sum(A) * g^3 in Grad-CAM++'s denominator:
            the same where a mean over the map follows.
        seed: of the noise.
        size: height and width that maps are resized to, bilinearly; None for those of the inputs, "layer" for those
            of the layer's output, without resizing.
        first: row of the first input, where the inputs are a part of more.
        batch_size: images per pass.

    Returns:
        float32 `[N, height, width]`, on the network's device. A map is 0 everywhere where nothing speaks for the class.

    Raises:
        UserError: torchcam is missing; an argument is out of range; the layer is unknown, has no map, or the logits do
            not depend on it.

    Example:
        >>> classifier = lb.create("resnet20", num_classes=10)
        >>> found = maps(classifier, None, torch.randn(2, 3, 32, 32), torch.tensor([3, 7]))
        >>> found.shape, bool((found >= 0).all() and (found <= 1).all())
        (torch.Size([2, 32, 32]), True)

    Source: Selvaraju et al., "Grad-CAM", ICCV 2017; Chattopadhay et al., "Grad-CAM++", WACV 2018; Omeiza et al.,
    "Smooth Grad-CAM++", 2019.
    """
    _check(classifier, inputs, classes, kind)
    check_seed(seed)
    check_batch_size(batch_size)
    layer = layer_of(classifier, layer)
    shape = (int(inputs.shape[2]), int(inputs.shape[3])) if size is None else size
    device, found = device_of(classifier), []
    with _extracting(classifier, layer, kind, seed) as extractor:
        for rows in torch.arange(len(inputs)).split(batch_size):
            shown = inputs.detach()[rows.to(inputs.device)].to(device, copy=True).requires_grad_()
            batch = extractor.of(shown, classes[rows.to(classes.device)].tolist(), (first + rows).tolist()).float()
            found.append(batch if shape == "layer" else _resized(batch, shape))  # [B, h, w]
    return torch.cat(found).clamp_(0, 1)  # the last bit of an interpolation may be above 1


def _resized(batch: Tensor, shape: tuple[int, int]) -> Tensor:
    return functional.interpolate(batch[:, None], shape, mode="bilinear")[:, 0]


def passes_of(kind: Kind) -> int:
    """Forward passes per map: one of the image itself and one of each noisy copy.

    Example:
        >>> passes_of("smooth-grad-cam++"), passes_of("grad-cam")
        (5, 1)
    """
    return 1 + _COPIES.get(kind, 0)


def layer_of(classifier: Classifier, layer: str | None = None) -> str:
    """Path of the module whose map is read: the named one, else the network's last stage.

    For a transformer that classifies by a class token it is the stage before the last, whose other tokens do not affect
    the logits.

    Raises:
        UserError: no such module, or no stages and none named.

    Example:
        >>> layer_of(lb.create("resnet20", num_classes=10))
        'layer3.2.relu'
    """
    taps = classifier.taps
    if layer is not None:
        check_taps(classifier.network, Taps(stages=(layer,)))
        return layer
    if not taps.stages:
        raise UserError(
            f"`layer` must name the module of {classifier.name} whose map is read, since no tap says where its stages "
            "are."
        )
    *before, _ = taps.stages
    return before[-1] if before and taps.layout == "tokens" and taps.prefix_tokens else taps.deepest()


def _check(classifier: Classifier, inputs: Tensor, classes: Tensor, kind: str) -> None:
    if kind not in KINDS:
        raise UserError(f"`kind` must be {', '.join(map(repr, KINDS[:-1]))} or {KINDS[-1]!r}, got {kind!r}.")
    if inputs.ndim != 4 or not len(inputs) or not inputs.is_floating_point():
        raise UserError(
            f"`inputs` must be floating [N, C, H, W], N at least 1, got {inputs.dtype} {list(inputs.shape)}; "
            "`Classifier.prepare` makes them of images."
        )
    if classes.shape != (len(inputs),) or classes.dtype != torch.int64:
        raise UserError(f"`classes` must be int64 [{len(inputs)}], got {classes.dtype} {list(classes.shape)}.")
    low, high = int(classes.min()), int(classes.max())
    if low < 0 or high >= classifier.num_classes:
        raise UserError(
            f"`classes` must lie in 0..{classifier.num_classes - 1}, those of {classifier.name}, got {low}..{high}."
        )


@contextmanager
def _extracting(classifier: Classifier, layer: str, kind: Kind, seed: int) -> Iterator["_Extractor"]:
    # Whatever else in a network draws random numbers uses our own generators, too.
    with (
        torch.inference_mode(False),
        torch.enable_grad(),
        torch.autocast(device_of(classifier).type, enabled=False),
        evaluating(classifier),
        own_randomness(seed, "maps"),
        _Extractor(classifier, layer, kind, seed) as extractor,
    ):
        yield extractor


class _Extractor:
    """torchcam's extractor with our own noise, for every layout of stages."""

    def __init__(self, classifier: Classifier, layer: str, kind: Kind, seed: int) -> None:
        try:
            from torchcam.methods import GradCAM, SmoothGradCAMpp
        except ImportError as error:
            raise UserError(
                f"activation maps need torchcam ({error}); install it with `pip install 'limbeck[cams]'`, or leave "
                "`mask` out."
            ) from error
        self.classifier, self.layer = classifier, layer
        self.noise = _Noise(seed, _NOISE if kind == "smooth-grad-cam++" else 0.0)
        self.cam: Any
        if kind == "grad-cam":
            self.cam = GradCAM(classifier.network, layer, reshape_transform=self._as_map)
            return
        # torchcam's own class for "grad-cam++" leaves out alpha's denominator (0.5); its smooth class does not, and is
        # the same otherwise with one copy and no noise.
        copies = _COPIES[kind]
        self.cam = SmoothGradCAMpp(classifier.network, layer, num_samples=copies, reshape_transform=self._as_map)
        self.cam._distrib = self.noise  # in place of torch's global generator

    def __enter__(self) -> "_Extractor":
        self.cam.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self.cam.__exit__(*error)

    def of(self, shown: Tensor, classes: list[int], rows: list[int]) -> Tensor:
        """Maps `[B, h, w]` of inputs `[B, C, H, W]`; `rows` are their rows among all inputs."""
        self.noise.rows, self.noise.drawn = rows, 0
        logits = self.classifier.network(shown)
        if not torch.isfinite(logits).all():  # torchcam takes NaN for 0
            raise UserError(f"logits of {self.classifier.name} must be finite to have activation maps; are its inputs?")
        if self.cam.hook_a[0] is None:
            raise UserError(f"`layer` {self.layer!r} of {self.classifier.name} did not run in the forward pass.")
        try:
            return self.cam(classes, logits)[0]
        except RuntimeError as error:
            if "not connected" not in str(error):
                raise
            raise UserError(
                f"the logits of {self.classifier.name} do not hang on the output of `layer` {self.layer!r}; name "
                "another."
            ) from error
        finally:
            self.cam.reset_hooks()

    def _as_map(self, output: object) -> Tensor:
        where = f"`layer` {self.layer!r} of {self.classifier.name}"
        if not isinstance(output, Tensor):
            raise UserError(f"{where} must put out one tensor, got {type(output).__name__}; name another module.")
        taps = self.classifier.taps
        fits = output.ndim == (3 if taps.layout == "tokens" else 4)
        stage = taps.as_map(output) if fits else output
        if stage.ndim != 4:
            raise UserError(
                f"{where} must put out a map [B, C, h, w], got shape {list(output.shape)}; name another module."
            )
        return stage


class _Noise:
    """The distribution from which torchcam draws the noise of its copies, with a random stream per image.

    Attributes:
        rows: rows of this pass's images among all images.
        drawn: number of copies drawn for them so far.
    """

    def __init__(self, seed: int, deviation: float) -> None:
        self.deviation = deviation
        self.seed = derive_seed(seed, "noise")
        self.rows: list[int] = []
        self.drawn = 0

    def sample(self, size: torch.Size) -> Tensor:
        """float32 of `size` [B, C, H, W]."""
        if not self.deviation:
            return torch.zeros(size)
        self.drawn += 1
        streams = [generator(self.seed, row, self.drawn) for row in self.rows]
        return self.deviation * torch.stack([torch.randn(size[1:], generator=stream) for stream in streams])
