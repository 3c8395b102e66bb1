"""WordNet ids and names of ImageNet's thousand classes."""

from functools import cache

_HUB_NAMES = {"n03126707": "crane2"}
"""ImageNet calls two classes "crane"; its copy at the hub, whose names must differ, calls the machine so."""


@cache
def imagenet_names() -> dict[str, str]:
    """WordNet id -> name of ImageNet's thousand classes as at the hub, in their usual order."""
    from timm.data.imagenet_info import ImageNetInfo  # which takes seconds to import

    info = ImageNetInfo("imagenet-1k")
    return {one: _HUB_NAMES.get(one, info.label_name_to_description(one)) for one in info.label_names()}
