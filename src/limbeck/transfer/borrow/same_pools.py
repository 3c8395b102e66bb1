"""Whether the runs of a comparison, which may grow later, borrow from the same images."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from filelock import FileLock

from limbeck.caching import cache_key
from limbeck.errors import UserError
from limbeck.files import atomic_write_text
from limbeck.transfer.borrow.pools import Pool

_FILE = "pools.json"


def check_same(pools: Sequence[Pool], described: Mapping[str, Mapping[str, Any]], folder: Path, *how: object) -> None:
    """Compares pools with those that earlier runs opened by the same settings, and records the new ones.

    Args:
        pools: all.
        described: by name of the pool, what the table of the pools says of it; see `pool_table`.
        folder: that the runs share; runs may use it at the same time.
        how: further settings by which the pools were opened, as JSON can hold them.

    Raises:
        UserError: a pool holds other images now.
    """
    path = folder / _FILE
    now = {cache_key(pool.settings.model_dump(mode="json"), pool.images.shape, how): pool.name for pool in pools}
    with FileLock(folder / ".pools.lock"):
        before = json.loads(path.read_text()) if path.exists() else {}
        for key, name in now.items():
            fingerprint = described[name]["fingerprint"]
            if before.setdefault(key, fingerprint) != fingerprint:
                raise UserError(
                    f"the pool {name!r} holds other images than when earlier runs of this comparison borrowed from it "
                    f"(fingerprint {before[key][:12]} then, {fingerprint[:12]} now); bring them back, or choose "
                    "another --out."
                )
        atomic_write_text(path, json.dumps(before, indent=1) + "\n")
