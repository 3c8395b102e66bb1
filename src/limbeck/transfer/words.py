"""Counts, lists and percentages as text."""

from collections.abc import Iterable, Sequence

_NAMED = 5


def image_count(count: int) -> str:
    """The number of images as text.

    Example:
        >>> image_count(1), image_count(1437)
        ('1 image', '1,437 images')
    """
    return f"{count:,} image{'' if count == 1 else 's'}"


def listing(parts: Iterable[str]) -> str:
    """Joins parts as 'a', 'a and b' or 'a, b and c'.

    Example:
        >>> listing(["cat", "dog", "frog"])
        'cat, dog and frog'
    """
    items = list(parts)
    return f"{', '.join(items[:-1])} and {items[-1]}" if len(items) > 1 else "".join(items)


def few(names: Sequence[str]) -> str:
    """The first five names, and how many more there are.

    Example:
        >>> few(["ant", "bee", "cat", "dog", "eel", "fox", "gnu"])
        'ant, bee, cat, dog, eel and 2 more'
    """
    rest = len(names) - _NAMED
    return f"{', '.join(names[:_NAMED])} and {rest:,} more" if rest > 0 else listing(names)


def percent(part: float, whole: float) -> str:
    """A share of a whole as a percentage.

    Example:
        >>> percent(1, 8)
        '12.5 %'
    """
    return f"{100 * part / (whole or 1):.1f} %"
