"""What is cached of a teacher's outputs: the part of a recipe under `training.cache`."""

import re
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, Tag, field_validator, model_validator

from limbeck.training.numeric_fields import refuse_truth

_SIZE = re.compile(r"(?P<number>\d+(?:\.\d+)?) ?(?P<unit>[kMGT]?B)")
_UNITS = {"B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}


def parse_size(text: str) -> int:
    """Bytes of a size such as "500 MB"; powers of ten.

    Raises:
        ValueError: no such size.

    Example:
        >>> parse_size("1.5 GB")
        1500000000
    """
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"must be a size such as '500 MB' or '4 GB', got {text!r}")
    return round(float(match["number"]) * _UNITS[match["unit"]])


def write_size(size: float) -> str:
    """Bytes in words, three digits.

    Example:
        >>> write_size(162_000_000)
        '162 MB'
    """
    unit = next((unit for unit, factor in _UNITS.items() if size < 1000 * factor), "TB")
    return f"{size / _UNITS[unit]:.3g} {unit}"


def _check_size(value: Any) -> Any:
    if not isinstance(value, str):
        raise ValueError(f"must be a size such as '500 MB' or '4 GB', got {value!r}")
    parse_size(value)
    return value


class CacheSettings(BaseModel):
    """Which outputs of the teacher are kept on disk, how, and up to which size.

    Attributes:
        keep: outputs to keep; what is not kept is asked of the teacher every time.
        dtype: of what is kept; float16 has 11 significant bits.
        top_k: keep so many of the largest logits only, and what the others sum up to; None for all.
        limit: a size as "500 MB" or "4 GB", in powers of ten: where all views of the images of the transfer set, or of
            those of one round, would take more than this, nothing is kept and nothing kept is read. Checksums, 4 bytes
            for each view and output, are not counted, nor is what other sets have written.
        trust_teacher: keep the outputs for other processes even of a teacher with code or attributes that limbeck
            cannot vouch for, as a `forward` of one's own; by default they are kept for the process alone. Whoever
            sets it sees to it that what answers otherwise has other weights, code or attributes.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    _numbers = field_validator("*", mode="before")(refuse_truth)

    keep: Annotated[list[Literal["logits", "embedding", "stages", "last_map"]], Field(min_length=1)] = ["logits"]
    dtype: Literal["float16", "float32"] = "float16"
    top_k: Annotated[int, Field(ge=1)] | None = None
    limit: Annotated[str, BeforeValidator(_check_size)] = "4 GB"
    trust_teacher: bool = False

    @model_validator(mode="after")
    def _distinct(self) -> "CacheSettings":
        if len(set(self.keep)) < len(self.keep):
            raise ValueError(f"`keep` must name each output once, got {self.keep}")
        if self.top_k is not None and "logits" not in self.keep:
            raise ValueError("`top_k` is about logits, which `keep` does not name")
        return self

    @property
    def limit_bytes(self) -> int:
        return parse_size(self.limit)


def _on_or_off(value: Any) -> Any:
    """`true` stands for the defaults; `false` is kept, for no cache."""
    return {} if value is True else value


# The tags let a wrong setting be one error, not a second one for not being `false`.
Cache = Annotated[
    Annotated[CacheSettings, Tag("union-settings")] | Annotated[Literal[False], Tag("union-off")],
    Discriminator(lambda value: "union-off" if value is False else "union-settings"),
    BeforeValidator(_on_or_off),
]
