"""Class names that every file format can hold and every reader can tell apart."""

import unicodedata
from collections.abc import Iterable

from limbeck.errors import UserError


def check_class_names(names: Iterable[str], where: str) -> None:
    """Refuse names that would fail or mislead later, when they are written into reports and Parquet files.

    Args:
        names: of all classes.
        where: what to call them in the message.

    Raises:
        UserError: a name that is empty or not UTF-8 (as file names of old archives are), or two that differ only in
            spaces around them or in Unicode form: "é" as one character (NFC) or as "e" and an accent (NFD, as macOS
            writes file names).
    """
    seen: dict[str, str] = {}
    for name in names:
        if not _is_utf8(name):
            raise UserError(
                f"{where} must have names in UTF-8, got {shown(name)}; rename it (for folders out of an old archive, "
                "`convmv -r -f latin1 -t utf8 --notest FOLDER` does all at once)."
            )
        if not name.strip():
            raise UserError(f"{where} must have names, got {name!r}; name it, or take its images out.")
        other = seen.setdefault(composed(name).strip(), name)
        if other != name and (other.strip(), name.strip()) != (other, name):
            raise UserError(
                f"{where} must differ in more than spaces around them, got {other!r} and {name!r}; make them one "
                "class, or rename one."
            )
        if other != name:
            raise UserError(
                f"{where} must differ in more than their Unicode form, got {other!a} and {name!a}, both "
                f"written {name}; make them one class, or rename one."
            )


def shown(name: str) -> str:
    """The name as messages show it: quoted, or as bytes where it is not UTF-8."""
    if _is_utf8(name):
        return repr(name)
    try:
        return repr(name.encode(errors="surrogateescape"))
    except UnicodeEncodeError:
        return ascii(name)


def printable(name: str) -> str:
    """The name as it can be written anywhere: what is not UTF-8 in it becomes an escape such as `\\udce9`."""
    return name.encode(errors="backslashreplace").decode()


def _is_utf8(name: str) -> bool:
    return not any("\ud800" <= letter <= "\udfff" for letter in name)


def composed(name: str) -> str:
    """The Unicode form in which names are compared, NFC: file systems disagree on whether `é` is one character."""
    return unicodedata.normalize("NFC", name)
