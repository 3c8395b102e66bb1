"""Learning images by trajectory matching, an iteration at a time.

One loop, of which MTT (Cazenavette et al., CVPR 2022), FTD (Du et al., CVPR 2023), DATM (Guo et al., ICLR 2024), PAD
(Li et al., 2024) and EDF (Wang et al., CVPR 2025) are settings.
"""

import math
import warnings
from collections.abc import Mapping
from typing import Protocol

import torch
from torch import Tensor

from limbeck.data.normalised_views import normalised_views
from limbeck.errors import UserError
from limbeck.randomness import derive_seed
from limbeck.transfer.condense.estimate import Estimate, bytes_of, measured, memory_left
from limbeck.transfer.condense.experts import ExpertStore, StraightStore
from limbeck.transfer.condense.flat_network import FlatNetwork
from limbeck.transfer.condense.matching import Gradients, Step, matching_gradients
from limbeck.transfer.condense.matching_fit import ExpertSnapshots, check_fit, fitting, part_of
from limbeck.transfer.condense.matching_order import batches_of, expert_of, start_of
from limbeck.transfer.condense.settings import CondenseSettings
from limbeck.transfer.condense.step_gradients import StepGradients
from limbeck.transfer.condense.synthetic import SyntheticSet


class Engine(Protocol):
    """Learns images, one iteration at a time."""

    @property
    def synthetic(self) -> SyntheticSet:
        """The images that would be kept now."""
        ...

    @property
    def iterations(self) -> int:
        """Of the whole run."""
        ...

    def step(self, iteration: int) -> Mapping[str, float]:
        """Runs one iteration, counted from 0, and returns its numbers by name."""
        ...

    def state_dict(self) -> Mapping[str, Tensor]:
        """All that later iterations depend on."""
        ...

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None: ...

    def estimate(self) -> Estimate:
        """What all iterations will take, measured on a part of one; nothing is learned."""
        ...


class GradientMask(Protocol):
    """Factors `[N, 1, H, W]` of the pixels' gradients for images `[N, C, H, W]` in [0, 1]; see `Masks`."""

    def due(self, iteration: int, /) -> bool: ...

    def __call__(self, images: Tensor, classes: Tensor, iteration: int, /) -> Tensor: ...

    def state_dict(self) -> Mapping[str, Tensor]: ...

    def load_state_dict(self, state: Mapping[str, Tensor], /) -> None: ...


class MatchingEngine:
    """Trajectory matching: steps on the images are to lead where an expert went.

    Everything random is a function of the seed and the iteration, so that a run resumed from `state_dict` learns the
    same images to the bit.

    Args:
        settings: of `condense`; `matching`, `views`, `average` and `iterations` are read.
        network: of the experts' kind.
        store: the experts; each is matched once before any is matched again. A store on disk is read as straight lines
            where settings say so.
        synthetic: what learning begins with; changed in place.
        mask: of the pixels' gradients; None where settings have none.
        seed: of experts, starts, orders and views.
        device: where to compute.

    Raises:
        UserError: experts, network and images do not fit together, or there are too few snapshots.

    Example:
        >>> from limbeck.transfer.condense.settings import CondenseSettings
        >>> network = FlatNetwork(lb.create("convnet_d3", num_classes=10, input_size=8, width=4))
        >>> class Straight:
        ...     count, snapshots = 2, 3
        ...
        ...     def theta(self, expert, snapshot):
        ...         return network.vector(network.classifier) * (1 - 0.1 * snapshot - 0.01 * expert)
        >>> settings = CondenseSettings(
        ...     budget="1/class", method="mtt", matching={"synthetic_steps": 3, "start_to": 1}, iterations=2
        ... )
        >>> start = SyntheticSet(torch.zeros(10, 3, 8, 8), torch.arange(10), 0.01)
        >>> engine = MatchingEngine(settings, network, Straight(), start, seed=0, device=torch.device("cpu"))
        >>> sorted(engine.step(0))
        ['expert', 'loss', 'rate', 'skipped', 'start']
    """

    def __init__(
        self,
        settings: CondenseSettings,
        network: FlatNetwork,
        store: ExpertSnapshots,
        synthetic: SyntheticSet,
        *,
        mask: GradientMask | None = None,
        seed: int,
        device: torch.device,
    ) -> None:
        check_fit(settings.matching, network, store, synthetic)
        assert mask is not None or settings.mask is None, "a mask that settings have is to be handed over"
        self.iterations = settings.iterations
        self._settings, self._matching = settings, settings.matching
        self._network, self._mask = network.to(device), mask
        if settings.matching.straight and isinstance(store, ExpertStore):
            store = StraightStore(store)
        self._store = store
        self._views = normalised_views(settings.views)
        self._seed, self._device = seed, device
        self._computing = self._new_computing()
        self._live = synthetic.to(device)
        self._velocity = {name: torch.zeros_like(tensor) for name, tensor in _learned_parts(synthetic).items()}
        self._average = None if settings.average is None else synthetic.inputs.clone()
        self._skipped = 0
        self._chunk = settings.matching.chunk
        self._goes_on = False

    @property
    def synthetic(self) -> SyntheticSet:
        """The images that would be kept now: their moving average, where settings ask for it."""
        if self._average is None:
            return self._live
        return SyntheticSet(self._average, self._live.labels, self._live.rate, self._live.learned)

    def step(self, iteration: int) -> Mapping[str, float]:
        """Runs one iteration; its result depends on this number and on what was learned before.

        Returns:
            `loss`, `start` (epoch of the expert), `expert`, `skipped` (0 or 1), and `rate`, as learned so far.

        Raises:
            UserError: the first loss is above `skip_above`, or loss or gradients are not finite.
        """
        expert, start = (
            expert_of(iteration, self._store.count, self._seed),
            start_of(iteration, self._matching, self._seed),
        )
        factors = self._factors(iteration)
        gradients = self._gradients(expert, start, self._steps(iteration))
        loss = float(gradients.loss)
        skipped = self._skips(iteration, loss, _finite(gradients))
        if not skipped:
            self._learn(gradients, factors)
        rate = float(self._live.rate)
        return {"loss": loss, "start": start, "expert": expert, "skipped": float(skipped), "rate": rate}

    def state_dict(self) -> dict[str, Tensor]:
        """All that later iterations depend on, as live tensors that further iterations change."""
        state = {f"synthetic.{name}": tensor for name, tensor in self._live.state_dict().items()}
        state |= {f"velocity.{name}": tensor for name, tensor in self._velocity.items()}
        if self._average is not None:
            state["average"] = self._average
        if self._mask is not None:
            state |= {f"mask.{name}": tensor for name, tensor in self._mask.state_dict().items()}
        state["chunk"] = torch.tensor(self._chunk or 0)  # as memory allowed at the start, whatever is free later
        return state | {"skipped": torch.tensor(self._skipped)}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Restores tensors of `state_dict`; `chunk` of the settings, where given, overrides that of the state.

        Raises:
            UserError: they are of another run.
        """
        self._live.load_state_dict(part_of(state, "synthetic."))
        for name, velocity in self._velocity.items():
            velocity.copy_(fitting(state, f"velocity.{name}", velocity))
        if self._average is not None:
            self._average.copy_(fitting(state, "average", self._average))
        if self._mask is not None:
            self._mask.load_state_dict(part_of(state, "mask."))
        self._skipped = int(state["skipped"])
        chunk = int(state["chunk"]) or None if "chunk" in state else None
        self._chunk = self._matching.chunk or chunk
        self._goes_on = True

    def estimate(self) -> Estimate:
        """Seconds of all iterations (without maps for a mask), memory of one, and a checkpoint's size.

        One step is measured, on a sample of its images first: where all of them would not fit into memory, the network
        sees as many at a time from now on as do. A resumed run keeps the number it had, or is refused.

        Raises:
            UserError: memory does not suffice.
        """
        matching, steps = self._matching, self._matching.synthetic_steps
        batch = min(matching.batch or self._live.count, self._live.count)
        seconds, memory = self._measured(sample := min(batch, self._chunk or batch, _SOME))
        room = _ROOM * memory_left(self._device)
        fits = max(1, min(batch - 1, int(room * sample / memory)))
        if self._goes_on:
            memory_of_half = self._measured(max(1, sample // 2))[1]
            # What each image adds: what does not grow with the images cancels out.
            per_image = max(1.0, (memory - memory_of_half) / (sample - sample // 2))
            fits = max(1, sample + int((room - memory) / per_image))
            self._check_room(memory + per_image * (min(batch, self._chunk or batch) - sample), fits)
        elif self._chunk is None and matching.gradient != "unrolled" and memory / sample * batch > room:
            self._chunk = fits
        if sample < batch or self._chunk is not None:
            seconds, memory = self._measured(batch)
        while not self._goes_on and memory > room and (self._chunk or 1) > 1 and matching.chunk is None:
            self._chunk = (self._chunk or 1) // 2
            seconds, memory = self._measured(batch)
        # Every further step keeps its parameters, or, unrolled, all of its graph.
        memory += (steps - 1) * (memory if matching.gradient == "unrolled" else 4 * self._network.size)
        self._check_room(memory, fits)
        chunk = self._chunk if self._chunk is not None and self._chunk < batch else None
        return Estimate(seconds * steps * self.iterations, memory, bytes_of(self.state_dict()), chunk)

    def _check_room(self, memory: float, fits: int) -> None:
        """Raises a UserError where fewer than `memory` bytes are free; `fits` images of a step would fit."""
        if memory <= (left := memory_left(self._device)):
            return
        batch = min(self._matching.batch or self._live.count, self._live.count)
        seen = min(batch, self._chunk or batch)
        if self._matching.gradient == "unrolled":
            advice = "choose `matching.gradient: exact`, whose memory does not grow with `synthetic_steps`"
        elif self._goes_on and seen > 1:
            advice = (
                f"free some, or set `matching.chunk` to {min(fits, seen - 1)}, with which the run goes on to images "
                f"that differ by rounding from those of {seen} at a time, as it was begun"
            )
        else:
            advice = f"lower `matching.batch` ({batch}), or choose a smaller network"
        raise UserError(f"an iteration takes {memory / 2**30:.1f} GiB, and {left / 2**30:.1f} GiB are free; {advice}.")

    def _measured(self, images: int) -> tuple[float, int]:
        """Seconds and bytes of a step on so many images."""
        step = Step(torch.arange(images, device=self._device), self._draw(images, 0))
        computing = self._new_computing()  # a fresh one records its graph, which takes the memory; replays take none
        return measured(lambda: self._gradients(0, self._matching.start_from, [step], computing), self._device)

    def _new_computing(self) -> StepGradients:
        return StepGradients(self._network, replayed=self._device.type == "cuda")

    def _steps(self, iteration: int) -> list[Step]:
        count = self._matching.synthetic_steps
        batches = batches_of(self._live.count, self._matching, iteration, self._seed)
        return [
            Step(rows.to(self._device), self._draw(len(rows), iteration * count + number))
            for number, rows in enumerate(batches)
        ]

    def _draw(self, batch: int, number: int) -> object:
        return self._views.draw(batch, seed=derive_seed(self._seed, "views"), step=number, device=self._device)

    def _gradients(
        self, expert: int, start: int, steps: list[Step], computing: StepGradients | None = None
    ) -> Gradients:
        snapshots = (start, start + self._matching.expert_epochs)
        begin, target = (self._store.theta(expert, snapshot).to(self._device, torch.float32) for snapshot in snapshots)
        return matching_gradients(
            self._network,
            begin,
            target,
            self._live.inputs,
            self._live.labels,
            self._live.rate,
            steps=steps,
            views=self._views if self._views.changes else None,
            drop=self._matching.drop,
            gradient=self._matching.gradient,
            chunk=self._chunk,
            computing=computing or self._computing,
        )

    def _factors(self, iteration: int) -> Tensor | None:
        if self._mask is None:
            return None
        # Even if the iteration is skipped in the end: maps are renewed at fixed iterations. Only new maps need images
        # without whitening, whose matrix has as many rows and columns as an image has values.
        shown = self._live.inputs
        if self._mask.due(iteration):
            shown = self._network.classifier.images_of(shown)
        return self._mask(shown, self._live.classes(), iteration)

    def _skips(self, iteration: int, loss: float, finite: bool) -> bool:
        limit = self._matching.skip_above
        if not finite and (limit is None or iteration == 0):
            raise UserError(
                f"loss and gradients of iteration {iteration} must be finite, got loss {loss}; lower `matching.rate` "
                f"(now {float(self._live.rate):g}), `image_rate` or `rate_rate`"
                + (", or set `skip_above`." if limit is None else ".")
            )
        skipped = not finite or (limit is not None and loss > limit)
        if skipped and iteration == 0:
            raise UserError(
                f"`matching.skip_above` must be above the first loss, {loss:.4g}, got {limit:g}: iterations with a "
                "greater loss change nothing, so nothing would ever be learned; raise it, set it to null, or lower "
                f"`matching.rate` ({float(self._live.rate):g}) or `synthetic_steps`."
            )
        self._skipped = self._skipped + 1 if skipped else 0
        if self._skipped == _STANDSTILL:
            warnings.warn(
                f"the last {_STANDSTILL} iterations changed nothing, as their losses ({loss:.4g} the last) were above "
                f"`matching.skip_above` ({limit}); raise it, or begin anew with a lower `matching.image_rate` or "
                "`rate_rate`.",
                stacklevel=3,
            )
        return skipped

    @torch.no_grad()
    def _learn(self, found: Gradients, factors: Tensor | None) -> None:
        matching, live, fixed = self._matching, self._live, ~self._live.learned
        of_inputs = found.inputs if factors is None else found.inputs * factors
        self._descend("inputs", of_inputs.masked_fill(fixed.view(-1, 1, 1, 1), 0), matching.image_rate)
        if found.labels is not None:
            self._descend("labels", found.labels.masked_fill(fixed.view(-1, 1), 0), matching.label_rate)
        before = live.rate.clone()
        self._descend("rate", found.rate, matching.rate_rate)
        # The rate stays positive: at zero or below, nothing would be learned any more.
        live.rate.copy_(torch.where(live.rate > 0, live.rate, before / 2).clamp_min(torch.finfo(before.dtype).tiny))
        if matching.clamp:
            rows = live.learned
            classifier = self._network.classifier
            live.inputs[rows] = classifier.prepare(classifier.images_of(live.inputs[rows]).clamp(0, 1))
        if self._average is not None:
            decay = self._settings.average
            assert decay is not None
            self._average.lerp_(live.inputs, 1 - decay)

    def _descend(self, name: str, gradient: Tensor, rate: float) -> None:
        """A step of SGD with momentum."""
        momentum = {
            "inputs": self._matching.image_momentum,
            "labels": self._matching.label_momentum,
            "rate": self._matching.rate_momentum,
        }
        velocity = self._velocity[name]
        velocity.mul_(momentum[name]).add_(gradient)
        getattr(self._live, name).sub_(velocity, alpha=rate)


def _learned_parts(synthetic: SyntheticSet) -> dict[str, Tensor]:
    parts = {"inputs": synthetic.inputs, "rate": synthetic.rate}
    return {**parts, "labels": synthetic.labels} if synthetic.soft else parts


def _finite(found: Gradients) -> bool:
    parts = [found.loss, found.inputs, found.rate] + ([] if found.labels is None else [found.labels])
    # One sum of absolute values, so that the device is waited for once.
    return math.isfinite(float(sum(part.abs().sum() for part in parts)))


_STANDSTILL = 100
"""Skipped iterations in a row after which a warning is due."""
_SOME, _ROOM = 32, 0.8
"""Size of the sample on which memory is measured first, and the share of free memory that a step may take."""
