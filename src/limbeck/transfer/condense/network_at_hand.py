"""The network of experts that are there already, for settings that say none; without importing torch."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from limbeck.errors import UserError
from limbeck.transfer.condense.expert_settings import Network

PLAN_FILE, EXPERTS_FILE, NETWORK = "plan.json", "experts.json", "network"
"""In a folder of experts: what they are of, so that others are not made there; what is complete, written when it is,
which says all of that again; and an untaught network of the kind."""
WHITENING_EPSILON = "whitening_epsilon"
"""In these files, of networks that see whitened images."""
_WITH_WHITENING = 2
"""Version of the record of a network that sees whitened images."""


def with_network_at_hand(values: Any) -> Any:
    """Settings of `condense` with the network of the experts in the folder that they name, if they name no other.

    Folders of earlier versions do not tell the `whitening_epsilon` of whitened images, which is then the usual one.

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
    network = network_in(folder) if isinstance(folder, (str, Path)) else None
    return values if network is None else {**values, "network": network}


def network_in(folder: str | Path) -> dict[str, Any] | None:
    """Settings of the network of the experts in a folder; None where that holds none, as `open_experts` tells.

    Raises:
        UserError: it is damaged, or none that a name makes.

    Example:
        >>> network_in("nowhere")
    """
    root = Path(folder).expanduser()
    path = root / NETWORK / "config.json"
    if not path.is_file():
        return None
    # The folder is one of `models.weights`, which knows classifiers and so torch; checked when it is opened.
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
    """Whether settings of a network are those of the experts in a folder; False where it tells none.

    Example:
        >>> is_network_in("nowhere", Network())
        False
    """
    try:
        stored = network_in(folder)
    except UserError:  # which is of no account to whoever says the network
        return False
    return stored is not None and Network.model_validate(stored) == network


def _epsilon_in(folder: Path) -> dict[str, float]:
    """`whitening_epsilon`, where the folder tells it."""
    for name in (EXPERTS_FILE, PLAN_FILE):
        if (folder / name).is_file():
            epsilon = dict(json.loads((folder / name).read_text(encoding="utf-8"))).get(WHITENING_EPSILON)
            return {} if epsilon is None else {WHITENING_EPSILON: float(epsilon)}
    return {}
