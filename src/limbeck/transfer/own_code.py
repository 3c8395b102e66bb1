"""What parts of the user's own run, so that nothing that was worked out with them is taken for what others say."""

from limbeck.models.description import describe
from limbeck.transfer.parts import REPRESENTATIONS, SCORES


def own_code(score: str = "", representation: str = "") -> dict[str, str]:
    """Part -> digest of its source and of what Python runs; empty where both are limbeck's own."""
    found = {}
    for catalogue, name in ((SCORES, score), (REPRESENTATIONS, representation)):
        if name and name not in catalogue.built_in:
            one = catalogue.find(name)
            assert one is not None, "its score was looked up"
            found[f"{catalogue.family}/{name}"] = f"{one.code or ''}{describe(one.load())[0]}"
    return found
