"""WordNet ids and names of ImageNet's thousand classes."""

from functools import cache

_HUB_NAMES = {"n03126707": "crane2"}
"""ImageNet calls two classes "crane"; its copy at the hub, whose names must differ, calls the machine "crane2"."""


@cache
def imagenet_names() -> dict[str, str]:
    """WordNet id -> name of ImageNet's thousand classes as at the hub, in their usual order."""
    from timm.data.imagenet_info import ImageNetInfo  # takes seconds to import

    info = ImageNetInfo("imagenet-1k")
    return {wnid: _HUB_NAMES.get(wnid, info.label_name_to_description(wnid)) for wnid in info.label_names()}
