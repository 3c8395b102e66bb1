"""What a recipe would download, found out without a connection."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from limbeck.data.catalogue import find, in_catalogue
from limbeck.data.own_splits import own_path
from limbeck.data.place import FROM_PYTHON, hub_id
from limbeck.data.table_places import HubPlace, place_of_entry, place_of_hub_id
from limbeck.errors import UserError
from limbeck.models.catalogue import TIMM_PREFIX
from limbeck.models.published import NAMED
from limbeck.recipes.plan import plan
from limbeck.recipes.schema import Recipe
from limbeck.recipes.settings import NetworkSettings


def images_to_download(name: str, split: str) -> str:
    """The address images would be downloaded from; "" if they are on this disk.

    Raises:
        UserError: the data set has no such split.

    Example:
        >>> images_to_download("digits", "train")
        ''
    """
    if name.startswith(FROM_PYTHON):
        return ""
    place: Any = None
    if in_catalogue(name):
        info = find(name)
        place = None if info.hub_id is None else place_of_entry(info, split, None)
    elif own_path(name) is None and (at_hub := hub_id(name)) is not None:
        place = place_of_hub_id(*at_hub, split, None, exactly=True)
    return f"https://huggingface.co/datasets/{place.hub_id}" if isinstance(place, HubPlace) else ""


def weights_to_download(settings: NetworkSettings) -> str:
    """The address weights would be downloaded from; "" if they are on this disk, or there are none.

    Weights of timm count as downloads even if its cache has them, since timm contacts the hub anyway.
    """
    name = settings.weights or (settings.model if settings.options.get("pretrained") is True else None)
    return "" if name is None else _place_of(name)


def masks_to_download(recipe: Recipe) -> dict[str, str]:
    """name -> address, for the networks that compute masks of images."""
    runs = [recipe] if recipe.compare is None else [run.recipe for run in plan(recipe)]
    masks = [mask for run in runs if (mask := getattr(run.transfer, "mask", None)) is not None]
    return {mask.network: where for mask in masks if (where := _place_of(mask.network))}


def _place_of(name: str) -> str:
    """The address of weights of that name; "" if they are on this disk."""
    if name.casefold().startswith(TIMM_PREFIX):
        return f"timm's weights {name[len(TIMM_PREFIX) :]!r}" if "local-dir:" not in name else ""
    weights = NAMED.get(name.casefold())
    if weights is None:
        return ""
    import torch  # late, as `published` has it

    root = os.environ.get("LIMBECK_WEIGHTS")
    paths = [Path(torch.hub.get_dir(), "checkpoints", weights.file), *([Path(root, weights.file)] if root else [])]
    return "" if any(path.is_file() for path in paths) else weights.url


def pools_to_download(recipe: Recipe) -> dict[str, str]:
    """name -> address, for the pools and calibration images of a recipe's makers."""
    downloads: dict[str, str] = {}
    for name, split in _pools(recipe):
        try:
            if where := images_to_download(name, split):
                downloads[name] = where
        except UserError:
            pass  # the maker's own message is better
    return downloads


def transfers_of(recipe: Recipe) -> list[Mapping[str, Any]]:
    """The settings of all makers of a recipe, in JSON types."""
    transfers: list[Mapping[str, Any]] = []
    if recipe.transfer is not None:
        transfers.append(recipe.transfer.model_dump(mode="json"))
    if recipe.compare is not None:
        transfers += [arm.transfer for arm in recipe.compare.arms.values() if arm.transfer is not None]
    return transfers


def _pools(recipe: Recipe) -> Iterator[tuple[str, str]]:
    for transfer in transfers_of(recipe):
        threshold = transfer.get("threshold")
        threshold = threshold if isinstance(threshold, Mapping) else {}
        for pool in (*(transfer.get("pools") or ()), threshold.get("calibration")):
            if isinstance(pool, Mapping) and isinstance(pool.get("name"), str):
                yield pool["name"], pool.get("split") or "train"
            elif isinstance(pool, str):
                yield pool, "train"
