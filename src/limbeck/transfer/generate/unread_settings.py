"""Settings of generating that others make idle; without importing torch."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from limbeck.transfer.generate.methods import METHODS

if TYPE_CHECKING:
    from limbeck.transfer.generate.settings import GenerateSettings


class _Reader(NamedTuple):
    is_there: Callable[["GenerateSettings"], bool]
    lacking: str


_ADVERSARY = _Reader(lambda settings: bool(settings.losses.adversarial), "`losses.adversarial` is 0")
_READERS = {
    "labels": _Reader(
        lambda settings: settings.labels == "argmax" or settings.aims_at_classes,
        "`losses.one_hot` is 0, and the generator is not told of labels (`generator.conditional`)",
    ),
    "meta_rate": _Reader(lambda settings: settings.meta != "none", "`meta` is 'none'"),
    "latent_rate": _Reader(
        lambda settings: settings.optimise == "generator-and-latents", "`optimise` is not 'generator-and-latents'"
    ),
    "keep": _Reader(
        lambda settings: not settings.fresh or bool(settings.losses.contrast),
        "`fresh` images take the place of those that were optimised",
    ),
    "momentum": _Reader(lambda settings: bool(settings.losses.batch_norm), "`losses.batch_norm` is 0"),
    "adversarial": _ADVERSARY,
    "adversarial_temperature": _ADVERSARY,
    "adversary_early": _ADVERSARY,
}


def unread_settings(settings: "GenerateSettings") -> list[str]:
    """Settings that would change nothing, and why; defaults and values published for the method are left out.

    Example:
        >>> from limbeck.transfer.generate.settings import GenerateSettings
        >>> unread_settings(GenerateSettings.model_construct(method="dafl", keep="last", fresh=5))
        ["`keep` would change nothing, got 'last': `fresh` images take the place of those that were optimised"]
    """
    return [
        f"`{name}` would change nothing, got {getattr(settings, name)!r}: {reader.lacking}"
        for name, reader in _READERS.items()
        if getattr(settings, name) not in _usual(settings, name) and not reader.is_there(settings)
    ]


def _usual(settings: "GenerateSettings", name: str) -> list[Any]:
    """The default of a setting, and what is published for the method and each of its variants."""
    method = METHODS[settings.method]
    variants = [values for choices in method.variants.values() for values in choices.values()]
    published = [values[name] for values in (method.values, *variants) if name in values]
    return [type(settings).model_fields[name].default, *published]
