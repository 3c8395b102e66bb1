"""Networks that make images of latents, and pixels as one of them."""

from typing import TYPE_CHECKING

from limbeck.lazy import lazy_exports

if TYPE_CHECKING:
    from limbeck.transfer.generate.networks.average import averaged
    from limbeck.transfer.generate.networks.build import build_network
    from limbeck.transfer.generate.networks.latents import draw_latents
    from limbeck.transfer.generate.networks.network import ImageNetwork
    from limbeck.transfer.generate.networks.renewal import can_renew_first, renew, renew_first, renew_if_due

__all__ = [
    "ImageNetwork",
    "averaged",
    "build_network",
    "can_renew_first",
    "draw_latents",
    "renew",
    "renew_first",
    "renew_if_due",
]

_HERE = "limbeck.transfer.generate.networks"

__getattr__ = lazy_exports(
    __name__,
    {
        "ImageNetwork": f"{_HERE}.network",
        "averaged": f"{_HERE}.average",
        "build_network": f"{_HERE}.build",
        "draw_latents": f"{_HERE}.latents",
        "renew": f"{_HERE}.renewal",
        "can_renew_first": f"{_HERE}.renewal",
        "renew_first": f"{_HERE}.renewal",
        "renew_if_due": f"{_HERE}.renewal",
    },
)
