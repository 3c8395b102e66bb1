"""Licences as the hub writes them in the front matter of a card."""

from difflib import get_close_matches

UNKNOWN = "unknown"

_IDENTIFIERS = """
apache-2.0 mit openrail bigscience-openrail-m creativeml-openrail-m bigscience-bloom-rail-1.0 bigcode-openrail-m afl-3.0
artistic-2.0 bsl-1.0 bsd bsd-2-clause bsd-3-clause bsd-3-clause-clear c-uda cc cc0-1.0 cc-by-2.0 cc-by-2.5 cc-by-3.0
cc-by-4.0 cc-by-sa-3.0 cc-by-sa-4.0 cc-by-nc-2.0 cc-by-nc-3.0 cc-by-nc-4.0 cc-by-nd-4.0 cc-by-nc-nd-3.0 cc-by-nc-nd-4.0
cc-by-nc-sa-2.0 cc-by-nc-sa-3.0 cc-by-nc-sa-4.0 cdla-sharing-1.0 cdla-permissive-1.0 cdla-permissive-2.0 wtfpl ecl-2.0
epl-1.0 epl-2.0 etalab-2.0 eupl-1.1 eupl-1.2 agpl-3.0 gfdl gpl gpl-2.0 gpl-3.0 lgpl lgpl-2.1 lgpl-3.0 isc h-research
intel-research lppl-1.3c ms-pl apple-ascl apple-amlr mpl-2.0 odc-by odbl openmdw-1.0 openrail++ osl-3.0 postgresql
ofl-1.1 ncsa unlicense zlib pddl lgpl-lr deepfloyd-if-license fair-noncommercial-research-license llama2 llama3 llama3.1
llama3.2 llama3.3 llama4 gemma grok2 unknown other
"""
IDENTIFIERS = frozenset(_IDENTIFIERS.split())
"""Those that the hub knows, from https://huggingface.co/docs/hub/repositories-licenses; all else is "other"."""


def licence_fields(licence: str | None) -> dict[str, str]:
    """Fields of the front matter: "unknown" if none was given, "other" with its name if the hub does not list it.

    Example:
        >>> licence_fields(None), licence_fields("MIT"), licence_fields("In house, 2026")
        ({'license': 'unknown'}, {'license': 'mit'}, {'license': 'other', 'license_name': 'in-house-2026'})
    """
    if licence is None:
        return {"license": UNKNOWN}
    name = licence.strip().casefold()
    if name in IDENTIFIERS:
        return {"license": name}
    words = "".join(char if char.isalnum() or char in ".+-" else " " for char in name).split()
    return {"license": "other", "license_name": "-".join(words) or UNKNOWN}


def meant_licence(licence: str) -> str | None:
    """The hub's licence of which this looks like a misspelling; None for one that the hub lists, and for other names.

    Example:
        >>> meant_licence("apache2.0"), meant_licence("mit"), meant_licence("In house, 2026")
        ('apache-2.0', None, None)
    """
    matches = get_close_matches(licence.strip().casefold(), sorted(IDENTIFIERS), n=1, cutoff=0.8)
    return None if "license_name" not in licence_fields(licence) or not matches else matches[0]
