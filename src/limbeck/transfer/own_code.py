"""Digests of user-defined scores and representations, so that results of other code are never reused."""

from limbeck.models.description import describe
from limbeck.transfer.parts import REPRESENTATIONS, SCORES


def own_code(score: str = "", representation: str = "") -> dict[str, str]:
    """Part -> digest of its source and of the code that Python runs; empty if both parts are limbeck's own."""
    digests = {}
    for catalogue, name in ((SCORES, score), (REPRESENTATIONS, representation)):
        if name and name not in catalogue.built_in:
            entry = catalogue.find(name)
            assert entry is not None, "its score was looked up"
            digests[f"{catalogue.family}/{name}"] = f"{entry.code or ''}{describe(entry.load())[0]}"
    return digests
