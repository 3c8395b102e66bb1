"""Where the images of calls come from: a generator, latents, pixels, whichever of them is optimised."""

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from limbeck.errors import UserError
from limbeck.models.classifier import Classifier
from limbeck.models.forward import Computing
from limbeck.precision import autocast
from limbeck.randomness import derive_seed
from limbeck.transfer.generate.generator_settings import RENEWED_AFTER, Generator
from limbeck.transfer.generate.networks import (
    ImageNetwork,
    averaged,
    build_network,
    can_renew_first,
    draw_latents,
    renew_if_due,
)
from limbeck.transfer.generate.settings import GenerateSettings
from limbeck.transfer.generate.synthesis.meta import Meta
from limbeck.transfer.generate.synthesis.state import (
    adam_state,
    load_adam,
    load_module,
    make_adam,
    put,
    step_down,
    take,
)
from limbeck.transfer.generate.synthesis.units import units_of


class Origin:
    """A network; with meta-learning, the copy of it that a call adapts; latents; and their Adams.

    Pixels are the latents of a network without weights.

    Args:
        settings: what is optimised, and how.
        teacher: pixels are optimised in its normalisation.
        shape: (C, H, W) of the images.
        num_classes: K.
        seed: of weights and latents.
        computing: where and how it computes.

    Attributes:
        network: that outlives calls.
        parameters: what gradients are wanted of; those of the network first.
    """

    def __init__(
        self,
        settings: GenerateSettings,
        teacher: Classifier,
        *,
        shape: tuple[int, int, int],
        num_classes: int,
        seed: int,
        computing: Computing,
    ) -> None:
        self.settings = settings
        self.seed = seed
        self.computing = computing
        mean, std = units_of(teacher, shape[0])
        self.network: ImageNetwork = build_network(
            settings.generator,
            shape=shape,
            num_classes=num_classes,
            seed=derive_seed(seed, "generate", "generator"),
            mean=mean,
            std=std,
        ).to(computing.device)
        self.renewal = _renewal(settings, self.network)
        self.average = averaged(self.network, settings.generator.average) if settings.generator.average else None
        self.working = self.network  # what a call adapts
        self.meta: Meta | None = None
        if settings.meta != "none":
            self.working = copy.deepcopy(self.network)
            rate = settings.meta_rate or settings.learning_rate * settings.inner_steps
            self.meta = Meta(settings.meta, _trainable(self.network), rate=rate, betas=settings.betas)
        self._afresh = self.meta is not None or settings.optimise != "generator"
        self._start(0, 0, None)
        if not self._afresh:
            self.adam = self._make_adam()

    def begin(self, number: int, labels: Tensor | None, count: int) -> None:
        """Starts call `number`, of `count` images that are to have `labels`, int64 [count]."""
        renewed = renew_if_due(self.network, self.renewal, seed=self.seed, call=number + 1)
        if renewed and self.average is not None:  # the old average is of weights unrelated to the new ones
            self.average = averaged(self.network, self.settings.generator.average or 0.0)
        if self.working is not self.network:
            load_module(self.working, self.network.state_dict())
        self._start(number, count, labels)
        if self.settings.optimise != "generator":
            self.latents = self._draw().requires_grad_()
        if self._afresh:
            self.adam = self._make_adam()

    def _start(self, number: int, count: int, labels: Tensor | None) -> None:
        self.number, self.count, self.labels = number, count, labels
        self.latents: Tensor | None = None  # where they are optimised

    @property
    def parameters(self) -> list[Tensor]:
        return [*_trainable(self.working), *([] if self.latents is None else [self.latents])]

    def images(self, step: int) -> Tensor:
        """Images of a step, float32 [B, C, H, W] in [0, 1], with gradients."""
        latents = self._draw(step) if self.latents is None else self.latents
        return self._made(self.working, latents, self.labels)

    def apply(self, gradients: Sequence[Tensor]) -> None:
        """A step down the gradients, which a meta-learner collects.

        Args:
            gradients: of the parameters.
        """
        if self.meta is not None:
            self.meta.collect(gradients[: len(self.meta.parameters)])
        step_down(self.adam, self.parameters, gradients)

    def end(self) -> None:
        """Ends a call: the network learns from it, and enters its average."""
        if self.meta is not None:
            self.meta.step(_trainable(self.working))
        if self.average is not None:
            self.average.update_parameters(self.network)

    def fresh(self, batch: int) -> Tensor:
        """Images of new latents after a call, as `images`, without gradients; every other one by the average.

        Args:
            batch: 0, 1, ...: which of the call.
        """
        latents = self._draw("fresh", batch)
        with torch.no_grad():
            images = self._made(self.network, latents, self.labels)
            if self.average is not None:
                images[1::2] = self._made(self.average, latents, self.labels)[1::2]
            return images

    def by_average(self) -> Tensor:
        """Images of the call's latents by the average, without gradients."""
        assert self.average is not None
        with torch.no_grad():
            return self._made(
                self.average, self._draw("average") if self.latents is None else self.latents, self.labels
            )

    def _made(self, network: Any, latents: Tensor, labels: Tensor | None) -> Tensor:
        with autocast(self.computing.device, self.computing.dtype):
            return network(latents, labels).float()

    def _draw(self, *purpose: str | int) -> Tensor:
        images = self.count if self.labels is None else self.labels
        return draw_latents(
            self.network, images, *purpose, seed=self.seed, call=self.number, device=self.computing.device
        )

    def _make_adam(self) -> torch.optim.Adam:
        rate, latent_rate = self.settings.learning_rate, self.settings.latent_rate
        weights = _trainable(self.working)
        groups = [{"params": weights, "lr": rate}] if weights else []
        if self.latents is not None:
            groups.append({"params": [self.latents], "lr": latent_rate if weights and latent_rate else rate})
        return make_adam(groups, self.settings.betas)

    def state_dict(self) -> dict[str, Tensor]:
        """State of what outlives calls."""
        state = put("network", self.network.state_dict())
        if self.average is not None:
            state |= put("average", self.average.state_dict())
        if self.meta is not None:
            state |= put("meta", self.meta.state_dict())
        return state if self._afresh else state | put("adam", adam_state(self.adam))

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        load_module(self.network, take("network", state))
        if self.average is not None:
            load_module(self.average, take("average", state))
        if self.meta is not None:
            self.meta.load_state_dict(take("meta", state))
        if not self._afresh:
            load_adam(self.adam, take("adam", state))

    def call_state(self) -> dict[str, Tensor]:
        """State of the call in progress, besides its number, labels and count."""
        state = put("working", self.working.state_dict()) if self.meta is not None else {}
        if self.latents is not None:
            state["latents"] = self.latents
        return state | put("adam", adam_state(self.adam)) if self._afresh else state

    def load_call(self, number: int, labels: Tensor | None, count: int, state: Mapping[str, Tensor]) -> None:
        """Resumes the call of a state."""
        self._start(number, count, labels)
        if self.meta is not None:
            load_module(self.working, take("working", state))
        if "latents" in state:
            self.latents = state["latents"].to(self.computing.device, copy=True).requires_grad_()
        if self._afresh:
            self.adam = self._make_adam()
            load_adam(self.adam, take("adam", state))


def _trainable(network: ImageNetwork) -> list[Tensor]:
    return [parameter for parameter in network.parameters() if parameter.requires_grad]


def _renewal(settings: GenerateSettings, network: ImageNetwork) -> Generator:
    """When a network starts afresh; what is published for a method is left out where it lacks the layers to renew.

    Raises:
        UserError: it lacks them, and the settings themselves say when these start afresh.
    """
    renewal = settings.generator
    if renewal.renew_once is None or can_renew_first(network):
        return renewal
    if renewal.renew_once != RENEWED_AFTER + (settings.warmup_rounds or 0):
        raise UserError(
            f"`generator.renew_once` {renewal.renew_once} is about the first linear layer or convolution and the first "
            f"batch norm, and the generator {renewal.network!r} lacks one of them; set `renew_once: null`."
        )
    return renewal.model_copy(update={"renew_once": None})
