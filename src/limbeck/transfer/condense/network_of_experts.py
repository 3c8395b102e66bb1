"""The network of existing experts, for settings that name none. torch is not imported."""

import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from limbeck.caching import cache_key
from limbeck.errors import UserError
from limbeck.transfer.condense.expert_settings import Network

PLAN_FILE, EXPERTS_FILE, NETWORK = "plan.json", "experts.json", "network"
"""In a folder of experts: the plan, so that no other experts are made there; what is complete, with all of the plan
again; and an untrained network of their kind."""
WHITENING_EPSILON = "whitening_epsilon"
"""Key in these files, of networks that see whitened images."""
_MADE_BY = ("version", "settings", "images", "network", "seed")
"""Keys in these files that say which experts they are, however many."""
_WITH_WHITENING = 2
"""Version of the record of a network that sees whitened images."""


def with_network_at_hand(values: Any) -> Any:
    """Settings of `condense`, completed by the network of the experts in `experts.folder` if they name no network.

    Folders of earlier versions do not record `whitening_epsilon`, which is then the default.

    Args:
        values: as a recipe has them; returned as they are if they are no mapping, name a network, or no such folder.

    Raises:
        UserError: the folder's network is damaged, or no name makes it.

    Example:
        >>> with_network_at_hand({"experts": {"folder": "nowhere"}})
        {'experts': {'folder': 'nowhere'}}
    """
    if not isinstance(values, Mapping) or values.get("network") is not None:
        return values
    experts = values.get("experts")
    experts = experts.model_dump() if isinstance(experts, BaseModel) else experts
    folder = experts.get("folder") if isinstance(experts, Mapping) else None
    network = network_in(folder) if isinstance(folder, (str, Path)) else None
    return values if network is None else {**values, "network": network}


def network_in(folder: str | Path) -> dict[str, Any] | None:
    """Settings of the network of the experts in a folder; None where it holds none, which `open_experts` reports.

    Raises:
        UserError: the network is damaged, or no name makes it.

    Example:
        >>> network_in("nowhere")
    """
    root = Path(folder).expanduser()
    path = root / NETWORK / "config.json"
    if not path.is_file():
        return None
    # Reading it by `models.weights`, which checks it when experts are opened, would import torch.
    try:
        record = dict(json.loads(path.read_text(encoding="utf-8")))
        network = {"model": str(record["name"]), "options": dict(record["options"])}
        if record["version"] == _WITH_WHITENING:
            return {**network, "whitening": True, **_epsilon_in(root)}
        return {**network, "mean": record["mean"], "std": record["std"]}
    except (ValueError, TypeError, KeyError) as error:
        raise UserError(
            f"{str(root)!r} does not tell the network of its experts ({error}); say it (`network`)."
        ) from error


def is_network_in(folder: str | Path, network: Network) -> bool:
    """Whether settings of a network equal those of the experts in a folder; False where it records none.

    Example:
        >>> is_network_in("nowhere", Network())
        False
    """
    try:
        stored = network_in(folder)
    except UserError:  # a damaged record does not matter where settings name the network
        return False
    return stored is not None and Network.model_validate(stored) == network


def _epsilon_in(folder: Path) -> dict[str, float]:
    """`whitening_epsilon`, where the folder records it."""
    for name in (EXPERTS_FILE, PLAN_FILE):
        if (folder / name).is_file():
            epsilon = dict(json.loads((folder / name).read_text(encoding="utf-8"))).get(WHITENING_EPSILON)
            return {} if epsilon is None else {WHITENING_EPSILON: float(epsilon)}
    return {}


def made_by(folder: str) -> dict[str, str]:
    """A digest of what the experts in a folder were made by, under the folder; empty if there are none."""
    for name in (EXPERTS_FILE, PLAN_FILE):
        with suppress(OSError, ValueError):
            about = json.loads((Path(folder) / name).read_text())
            return {folder: cache_key("experts", *(about.get(key) for key in _MADE_BY))}
    return {}
