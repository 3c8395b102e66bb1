"""Distribution matching: features of the synthetic images become distributed as those of the real ones.

One engine for DM (Zhao and Bilen, "Dataset condensation with distribution matching", WACV 2023), NCFM (Wang et al.,
"Dataset distillation with neural characteristic function: a minmax perspective", CVPR 2025) and TGDD (Ran et al.,
"Trajectory guided dataset distillation with balanced distribution", AAAI 2026), which differ in their networks, in the
distance, and in whether an expert's cross entropy on the images is lowered, too.
"""

from collections.abc import Callable, Mapping
from math import isfinite
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, normalize

from limbeck.data.image_set import ImageSet
from limbeck.data.normalised_views import normalised_views
from limbeck.errors import UserError
from limbeck.models.classifier import Classifier
from limbeck.randomness import derive_seed, generator
from limbeck.transfer.condense.distances import characteristic_distance, mean_distance
from limbeck.transfer.condense.estimate import Estimate, bytes_of, measured, memory_left
from limbeck.transfer.condense.feature_networks import FeatureNetworks, Networks, Snapshots
from limbeck.transfer.condense.flat_network import FlatNetwork
from limbeck.transfer.condense.pixels import LearnedPixels
from limbeck.transfer.condense.settings import CondenseSettings
from limbeck.transfer.condense.synthetic import SyntheticSet

_SCALE = 300.0
"""Factor of characteristic distances, as published; it sets what a `calibration` of 1 weighs against."""
_CHUNK = 256
"""Real images per forward pass."""


class _Class(NamedTuple):
    """Rows of a class."""

    label: int
    real: Tensor  # int64 [R], of the pool
    learned: Tensor  # int64 [S], of the pixels that are learned
    fixed: Tensor  # float32 [F, C, H, W], images that stay as they are


class DistributionEngine:
    """Learns images whose features are, class by class, distributed as those of real ones.

    An iteration takes a network and, of each class, some real images and the synthetic ones, all under the same
    augmentation (`settings.views`); pixels descend the gradient of the distance between their features. What is drawn
    is a function of seed, iteration and class.

    Args:
        settings: `distribution`, `views`, `per_image` and `iterations` are read.
        network: its features are compared.
        store: of experts, where settings read any; else None.
        synthetic: images to begin with, and their classes.
        pool: real images with labels; their classes are those of the network.
        fresh: seed -> network of the same kind with weights from that seed, where settings take random ones.
        classes: int64 `[N]`, of the synthetic images; None for those of their labels, which soft ones may contradict.
        seed: any whole number.
        device: where to compute.

    Attributes:
        synthetic: the images after the latest step.
        iterations: of the whole run.

    Raises:
        UserError: settings need experts, or fresh networks, and there are none, or the pool lacks a class.

    Example:
        >>> from limbeck.transfer.condense.settings import CondenseSettings
        >>> fresh = lambda seed: lb.create("convnet_d3", num_classes=10, channels=1, input_size=8, width=8, seed=seed)
        >>> start = SyntheticSet(torch.randn(10, 1, 8, 8), torch.arange(10), 0.01)
        >>> settings = CondenseSettings(budget="1/class", method="dm", iterations=20)
        >>> engine = DistributionEngine(settings, FlatNetwork(fresh(0)), None, start, images, fresh=fresh, seed=0)
        >>> losses = [engine.step(iteration)["loss"] for iteration in range(20)]
        >>> min(losses[10:]) < losses[0]
        True
    """

    def __init__(
        self,
        settings: CondenseSettings,
        network: FlatNetwork,
        store: Snapshots | None,
        synthetic: SyntheticSet,
        pool: ImageSet,
        *,
        fresh: Callable[[int], Classifier] | None = None,
        classes: Tensor | None = None,
        seed: int,
        device: torch.device | str = "cpu",
    ) -> None:
        self.settings = settings
        self.iterations = settings.iterations
        self.synthetic = synthetic.to(torch.device(device))
        self._device = torch.device(device)
        self._options = settings.distribution
        self._network = network.to(self._device)
        self._pool, self._seed = pool, seed
        self._views = normalised_views(settings.views)
        self._networks = FeatureNetworks(self._options, self._network, store, fresh, seed=seed)
        self._pixels = LearnedPixels(self._options, network.classifier, synthetic)
        self._classes = self._by_class(synthetic.classes() if classes is None else classes)

    def step(self, iteration: int) -> dict[str, float]:
        """One iteration, from 0.

        Returns:
            "loss", the mean distance over classes; "calibration", the mean cross entropy; "rate", of the pixels.

        Raises:
            UserError: the loss is no longer finite.
        """
        options, networks = self._options, self._networks.draw(iteration, self._device)
        distances: list[Tensor] = []
        entropies: list[Tensor] = []
        for class_rows in self._classes:
            inputs = self._shown(class_rows, iteration)
            distance = self._distance(class_rows, inputs, networks, iteration)
            distances.append(distance.detach())
            if networks.calibrating is not None and options.calibrate == "together":
                entropy = options.calibration * self._entropy(class_rows, inputs, networks.calibrating)
                entropies.append(entropy.detach())
                distance = distance + entropy
            distance.backward()
            if options.step == "class":
                self._pixels.step()
        if options.step == "iteration":
            self._pixels.step()
        if networks.calibrating is not None and options.calibrate == "apart":
            entropies = self._calibrate(networks.calibrating, iteration)
        return self._finish(distances, entropies, iteration)

    def _calibrate(self, theta: Tensor, iteration: int) -> list[Tensor]:
        """Descends the gradient of an expert's cross entropy alone."""
        entropies: list[Tensor] = []
        for class_rows in self._classes:
            entropy = self._options.calibration * self._entropy(
                class_rows, self._shown(class_rows, iteration, "calibration"), theta
            )
            entropies.append(entropy.detach())
            entropy.backward()
            if self._options.step == "class":
                self._pixels.step()
        if self._options.step == "iteration":
            self._pixels.step()
        return entropies

    def _finish(self, distances: list[Tensor], entropies: list[Tensor], iteration: int) -> dict[str, float]:
        means = torch.stack([torch.stack(values).mean() for values in (distances, entropies) if values])
        losses = dict(zip(("loss", "calibration"), means.tolist(), strict=False))  # waits for the device once
        if not isfinite(sum(losses.values())):
            raise UserError(
                f"the loss is {losses['loss']} after {iteration + 1} iterations: pixels went too far; lower "
                f"`distribution.image_rate` ({self._options.image_rate:g}), or set `distribution.clamp: true`."
            )
        self.synthetic.inputs = self._pixels.finish(sum(losses.values()))
        return {**losses, "rate": self._pixels.rate}

    def estimate(self) -> Estimate:
        """Seconds of all iterations, memory of one, and a checkpoint's size; measured on the largest class.

        Raises:
            UserError: memory does not suffice.
        """
        largest = max(self._classes, key=lambda class_rows: len(class_rows.learned))
        networks = self._networks.draw(0, self._device)

        def work() -> None:
            inputs = self._shown(largest, 0)
            self._distance(largest, inputs, networks, 0).backward()
            if networks.calibrating is not None:
                self._entropy(largest, self._shown(largest, 0), networks.calibrating).backward()

        seconds, memory = measured(work, self._device)
        self._pixels.forget_gradients()
        if memory > (left := memory_left(self._device)):
            raise UserError(
                f"an iteration takes {memory / 2**30:.1f} GiB, and {left / 2**30:.1f} GiB are free; lower "
                f"`distribution.synthetic_batch` (of {len(largest.learned)} images a class), or take a smaller network."
            )
        disk = bytes_of(self.synthetic.state_dict()) + self._pixels.state_bytes
        return Estimate(seconds * len(self._classes) * self.iterations, memory, disk)

    def _shown(self, class_rows: _Class, iteration: int, purpose: str = "views") -> Tensor:
        """Synthetic images of a class as the network sees them, `[S, C, H, W]`."""
        learned = class_rows.learned
        if self._options.synthetic_batch is not None and len(learned) > self._options.synthetic_batch:
            source = generator(self._seed, "distribution", "synthetic", iteration, class_rows.label)
            learned = learned[torch.randperm(len(learned), generator=source)[: self._options.synthetic_batch]]
        images = self._pixels.images(learned)
        if len(class_rows.fixed):
            images = torch.cat([images, class_rows.fixed])
        return self._changed(self._pixels.inputs(images, self.settings.per_image), class_rows, iteration, purpose)

    def _changed(self, inputs: Tensor, class_rows: _Class, iteration: int, purpose: str = "views") -> Tensor:
        """Augmented inputs; real and synthetic ones share the parameters of the augmentation."""
        seed = derive_seed(self._seed, "distribution", purpose, class_rows.label)
        draw = self._views.draw(len(inputs), seed=seed, step=iteration, shared=True, device=self._device)
        return self._views.apply(inputs, draw)

    def _distance(self, class_rows: _Class, inputs: Tensor, networks: Networks, iteration: int) -> Tensor:
        features = self._network.features(networks.features, inputs)
        real = self._real_features(class_rows, networks.features, iteration)
        if self._options.distance == "mean":
            return mean_distance(real, features)
        source = torch.Generator(self._device)  # many numbers, so drawn on the device
        source.manual_seed(derive_seed(self._seed, "distribution", "frequencies", iteration, class_rows.label))
        shape = self._options.frequencies, features.shape[1]
        frequencies = torch.randn(shape, generator=source, device=self._device, dtype=features.dtype)
        distance = characteristic_distance(
            normalize(real, dim=1), normalize(features, dim=1), frequencies, phase=self._options.phase
        )
        return _SCALE * distance

    @torch.no_grad()
    def _real_features(self, class_rows: _Class, theta: Tensor, iteration: int) -> Tensor:
        """Features `[R, D]` of some real images of a class."""
        source = generator(self._seed, "distribution", "real", iteration, class_rows.label)
        rows = class_rows.real[torch.randperm(len(class_rows.real), generator=source)[: self._options.real_batch]]
        features = []
        for chunk in rows.split(_CHUNK):
            pixels = self._pool.gather(chunk).to(self._device)  # uint8 [R, C, H, W]
            inputs = self._changed(self._network.classifier.prepare(pixels), class_rows, iteration)
            features.append(self._network.features(theta, inputs))
        return torch.cat(features)

    def _entropy(self, class_rows: _Class, inputs: Tensor, theta: Tensor) -> Tensor:
        labels = torch.full((len(inputs),), class_rows.label, device=self._device)
        return cross_entropy(self._network.logits(theta, inputs), labels)

    def _by_class(self, classes: Tensor) -> list[_Class]:
        """Rows of each class that has images to learn."""
        labels = self._pool.labels
        if labels is None or self._pool.num_classes != self._network.num_classes:
            raise UserError(
                f"`pool` must have labels of the network's {self._network.num_classes} classes, got {self._pool!r}."
            )
        classes, rows_by_class = classes.cpu(), []
        learned = self.synthetic.learned.cpu()
        for label in classes[learned].unique().tolist():
            real = (labels == label).nonzero().flatten()
            if not len(real):
                problem = f"`pool` {self._pool.name!r} has no images of class {label}"
                raise UserError(f"{problem}, which synthetic ones of it are compared with; give such images.")
            rows = (classes[learned] == label).nonzero().flatten().to(self._device)
            fixed = self._pixels.fixed((classes == label) & ~learned)
            rows_by_class.append(_Class(label, real, rows, fixed))
        return rows_by_class

    def state_dict(self) -> dict[str, Tensor]:
        """All that the next iteration depends on."""
        parts = {"synthetic": self.synthetic.state_dict(), "pixels": self._pixels.state_dict()}
        return {f"{part}.{name}": tensor for part, state in parts.items() for name, tensor in state.items()}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Restores what `state_dict` returned.

        Raises:
            UserError: the state is of other images.
        """
        for prefix, part in (("synthetic.", self.synthetic), ("pixels.", self._pixels)):
            part.load_state_dict(
                {name.removeprefix(prefix): tensor for name, tensor in state.items() if name.startswith(prefix)}
            )
