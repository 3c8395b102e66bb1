"""What parts of the user's own run, so that nothing that was worked out with them is taken for what others say."""

from limbeck.models.description import describe
from limbeck.transfer.parts import REPRESENTATIONS, SCORES


def own_code(score: str = "", representation: str = "") -> dict[str, str]:
    """Part -> digest of its source and of what Python runs; empty where both are limbeck's own."""
    digests = {}
    for catalogue, name in ((SCORES, score), (REPRESENTATIONS, representation)):
        if name and name not in catalogue.built_in:
            entry = catalogue.find(name)
            assert entry is not None, "its score was looked up"
            digests[f"{catalogue.family}/{name}"] = f"{entry.code or ''}{describe(entry.load())[0]}"
    return digests
