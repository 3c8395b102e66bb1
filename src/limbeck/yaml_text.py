"""YAML as limbeck writes it, so that the reader of recipes reads the same back."""

import re
from typing import Any

import yaml

EXPONENTS = ("tag:yaml.org,2002:float", re.compile(r"^[-+]?\d+(\.\d*)?[eE][-+]?\d+$"), list("-+0123456789"))
"""Resolves 1e-3 to a number, for which YAML 1.1 requires a point and a sign, as in 1.0e-3; arguments of
`add_implicit_resolver`."""


class _Dumper(yaml.SafeDumper):
    """PyYAML's safe dumper, which quotes text that `EXPONENTS` would read as a number, and writes no anchors."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


_Dumper.add_implicit_resolver(*EXPONENTS)


def yaml_text(content: Any, **layout: Any) -> str:
    """`content` in YAML, with mappings in their order and values that are shared written out in each place.

    Args:
        content: mappings, lists, text, numbers, booleans, dates and None.
        layout: of `yaml.dump`, as `width=120`.

    Example:
        >>> print(yaml_text({"fingerprint": "12e34", "rate": 1e-5}), end="")
        fingerprint: '12e34'
        rate: 1.0e-05
    """
    return yaml.dump(content, Dumper=_Dumper, sort_keys=False, **layout)
