"""What a recipe may say of the network that makes images; without importing torch."""

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, Self

from pydantic import Field, model_validator

from limbeck.transfer.generate.networks.catalogue import find_generator
from limbeck.transfer.settings_group import Count, SettingsGroup

AFTER_WARMUP: Final = "after-warmup"
RENEWED_AFTER = 120
"""Calls after the warm-up before which first layers start afresh, in the code of Fast-meta and BSR."""


class Generator(SettingsGroup):
    """The network that makes images, or its absence.

    Attributes:
        network: "published" (Fast, CMI, BSR at 32 px), "light" (few parameters at 64 to 224 px), "large" (Fast at 224
            px: latents are maps), or "none", where pixels themselves are optimised; any that was registered.
        width: channels of its last hidden layer (`ngf`).
        latents: how many numbers an image is made from.
        conditional: whether the label stands beside the latents, as a one-hot code.
        noisy: whether a layer that is drawn anew for every batch turns a code of the label into latents (NAYER).
        average: decay of a moving average of its weights, from which every other image of a round is made (MAD); None
            for none.
        renew: for how many calls the network goes on before it starts afresh, by CMI's distributions, which begin the
            first call, too; 1 in CMI; None for never.
        renew_once: the call, from 1, before which the first layers alone start afresh (Fast-meta, BSR): a number, or
            "after-warmup" for that of 120 + `warmup_rounds`, as published; None for never.
        gain_near_zero: whether the batch norm among the layers of `renew_once` starts with gains of N(0, .02), as in
            the reference implementation, and not with 1.
        codes: of the classes for `noisy`, as embeddings of their names: a file (npy or safetensors) of a row for each.
            None for a fixed random orthogonal code.
        options: of a network of one's own that was registered; limbeck's have none.
    """

    network: str = "published"
    width: Count = 64
    latents: Count = 256
    conditional: bool = False
    noisy: bool = False
    average: Annotated[float, Field(gt=0, lt=1)] | None = None
    renew: Count | None = None
    renew_once: Count | Literal["after-warmup"] | None = None
    gain_near_zero: bool = False
    codes: str | None = None
    options: Mapping[str, Any] = {}

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        find_generator(self.network, self.options)
        if self.network == "none":
            fields = ("conditional", "noisy", "average", "renew", "renew_once")
            if ignored := [name for name in fields if getattr(self, name)]:
                raise ValueError(
                    f"`network: none` has neither weights nor inputs, and `{ignored[0]}` is about these; set it "
                    "to null or false, or name a network"
                )
        if self.noisy and self.network == "large":
            raise ValueError(
                "`noisy` makes one row of latents an image, and those of `network: large` are maps; choose 'published' "
                "or 'light'"
            )
        if self.codes is not None and not self.noisy:
            raise ValueError("`codes` are read by `noisy` alone; set `noisy: true`, or leave them out")
        if self.gain_near_zero and self.renew_once is None:
            raise ValueError("`gain_near_zero` is about `renew_once`, which never happens; say when, or leave it out")
        return self
