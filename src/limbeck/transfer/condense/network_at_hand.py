"""The network of experts that are there already, for settings that say none; without importing torch."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from limbeck.errors import UserError

_NETWORK = "network"
"""In a folder of experts: an untaught network of their kind."""
_WITH_WHITENING = 2
"""Version of the record of a network that sees whitened images."""


def with_network_at_hand(values: Any) -> Any:
    """Settings of `condense` with the network of the experts in the folder that they name, if they name no other.

    Of whitened images the folder does not tell `whitening_epsilon`, which stays as it is said or usual.

    Args:
        values: as a recipe has them; what is no mapping, names no such folder or a network, stays as it is.

    Raises:
        UserError: the folder's network is damaged, or none that a name makes.

    Example:
        >>> with_network_at_hand({"experts": {"folder": "nowhere"}})
        {'experts': {'folder': 'nowhere'}}
    """
    if not isinstance(values, Mapping) or values.get("network") is not None:
        return values
    experts = values.get("experts")
    experts = experts.model_dump() if isinstance(experts, BaseModel) else experts
    folder = experts.get("folder") if isinstance(experts, Mapping) else None
    if not isinstance(folder, (str, Path)) or not (Path(folder).expanduser() / _NETWORK / "config.json").is_file():
        return values  # of a folder that is none of experts `open_experts` tells
    return {**values, "network": _network_in(Path(folder).expanduser() / _NETWORK)}


def _network_in(folder: Path) -> dict[str, Any]:
    # The folder is one of `models.weights`, which knows classifiers and so torch; checked when it is opened.
    try:
        record = dict(json.loads((folder / "config.json").read_text(encoding="utf-8")))
        network = {"model": str(record["name"]), "options": dict(record["options"])}
        if record["version"] == _WITH_WHITENING:
            return {**network, "whitening": True}
        return {**network, "mean": record["mean"], "std": record["std"]}
    except (ValueError, TypeError, KeyError) as error:
        raise UserError(
            f"{str(folder / 'config.json')!r} does not tell the network of the experts ({error}); say it (`network`)."
        ) from error
