"""Numbers as a reader wants them: percent, points, durations, energy, thousands; an absent value is a dash."""

import math
from collections.abc import Callable, Iterable, Sequence

ABSENT = "\N{EN DASH}"
MINUS = "\N{MINUS SIGN}"


def name_of(label: int, classes: Sequence[str]) -> str:
    """The name of a class, or its number where it has none."""
    return classes[label] if 0 <= label < len(classes) else str(label)


def at(budget: str) -> str:
    """' at 10 %', and nothing where all images are taught on."""
    return "" if budget == "all" else f" at {budget}"


def is_number(value: object) -> bool:
    """Whether `value` is a finite number; a diverged run writes NaN, which no chart or table can show."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def number(value: float | None, digits: int = 0, signed: bool = False) -> str:
    """Thousands separators and a real minus sign."""
    if value is None or not is_number(value):
        return ABSENT
    rounded = round(value, digits) + 0.0
    return f"{rounded:{'+' if signed and rounded else ''},.{digits}f}".replace("-", MINUS)


def short(value: float) -> str:
    """Three significant digits, whatever the magnitude."""
    return number(value) if abs(value) >= 1000 else f"{value:.3g}".replace("-", MINUS)


def figures_for(span: float) -> Callable[[float], str]:
    """A function that writes numbers with as many digits as tell a thousandth of `span` apart."""
    digits = 2 - math.floor(math.log10(span)) if span > 0 and math.isfinite(span) else 4
    return short if digits > 6 else lambda value: number(value, max(digits, 0))


def percent(share: float | None, digits: int = 1) -> str:
    """A fraction in 0..1 as percent."""
    return f"{number(share * 100, digits)} %" if share is not None and is_number(share) else ABSENT


def points(difference: float | None, signed: bool = True, digits: int = 1) -> str:
    """A difference of two fractions in percentage points, without the unit; small ones keep two decimals."""
    if difference is None or not is_number(difference):
        return ABSENT
    finer = 2 if 0 < abs(difference) < 0.0005 else digits
    return number(difference * 100, finer, signed=signed)


def p_value(p: float | None) -> str:
    """Two significant digits, and no more than three after the point."""
    if p is None or not is_number(p):
        return ABSENT
    return "< 0.001" if p < 0.001 else f"{p:.3f}" if p < 0.1 else f"{p:.2f}"


def spread(mean: float | None, half_width: float | None) -> str:
    """Mean with its 95 % interval, or the bare mean where there is no interval."""
    if mean is None or not is_number(mean):
        return ABSENT
    if half_width is None or not is_number(half_width):
        return percent(mean, 2)
    return f"{number(mean * 100, 2)} ± {number(half_width * 100, 2)} %"


def duration(seconds: float | None) -> str:
    """Seconds in the two largest units that matter."""
    if seconds is None or not is_number(seconds):
        return ABSENT
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{number(minutes // 60)} h {minutes % 60:02d} min"


def energy(kwh: float | None) -> str:
    """Energy in Wh below one kWh."""
    if kwh is None or not is_number(kwh):
        return ABSENT
    if kwh >= 1:
        return f"{number(kwh, 2)} kWh"
    return f"{number(kwh * 1000, 3 if kwh < 1e-4 else 2 if kwh < 1e-2 else 1)} Wh"


def large(value: float | None) -> str:
    """A count with its magnitude, as parameters and multiply-adds are quoted: 0.27 M, 125.5 M."""
    if value is None or not is_number(value):
        return ABSENT
    for unit, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= unit:
            return f"{number(value / unit, 2)} {letter}"
    return number(value)


def size(value: float | None) -> str:
    """Bytes in decimal units."""
    return f"{large(value)}B" if value is not None and value >= 1000 else f"{number(value)} B"


def plural(count: int, noun: str) -> str:
    """'1 seed', '3 seeds'."""
    return f"{number(count)} {noun}{'' if count == 1 else 's'}"


def plural_of(noun: str) -> str:
    """'cluster' -> 'clusters', 'class' -> 'classes', 'stratum' -> 'strata', 'category' -> 'categories'."""
    if noun.endswith("um"):
        return f"{noun[:-2]}a"
    if noun.endswith("y") and noun[-2:-1] not in tuple("aeiou"):
        return f"{noun[:-1]}ies"
    return f"{noun}es" if noun.endswith(("s", "x", "ch", "sh")) else f"{noun}s"


def listing(parts: Iterable[str]) -> str:
    """'a', 'a and b', 'a, b and c'."""
    items = list(parts)
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}" if items else ""


def unbroken(sentence: str) -> str:
    """Keeps '10 %' and 'n = 3' on one line."""
    return sentence.replace(" %", "\N{NO-BREAK SPACE}%").replace("n = ", "n\N{NO-BREAK SPACE}=\N{NO-BREAK SPACE}")
