"""Text as LaTeX that every engine compiles: special characters are escaped, and the output is plain ASCII."""

import re
import unicodedata

_SPECIAL = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': "''",
    **{char: f"{{{char}}}" for char in "[*"},  # at the beginning of a row, the \\ before would read them as its options
    "\N{NO-BREAK SPACE}": "~",
    "\N{EN DASH}": r"\textendash{}",
    "\N{EM DASH}": r"\textemdash{}",
    "\N{MINUS SIGN}": r"\ensuremath{-}",
    "µ": r"\ensuremath{\mu}",
    "±": r"\ensuremath{\pm}",
    "×": r"\ensuremath{\times}",
    "·": r"\ensuremath{\cdot}",
    "→": r"\ensuremath{\to}",
    "≤": r"\ensuremath{\le}",
    "≥": r"\ensuremath{\ge}",
    "…": r"\ldots{}",
    "ß": r"\ss{}",
    "æ": r"\ae{}",
    "Æ": r"\AE{}",
    "ø": r"\o{}",
    "Ø": r"\O{}",
    "ł": r"\l{}",
    "Ł": r"\L{}",
    **{char: f"\\{char}" for char in "&%$#_{}"},
}
_ACCENTS = {
    "\N{COMBINING GRAVE ACCENT}": r"\`",
    "\N{COMBINING ACUTE ACCENT}": r"\'",
    "\N{COMBINING CIRCUMFLEX ACCENT}": r"\^",
    "\N{COMBINING TILDE}": r"\~",
    "\N{COMBINING MACRON}": r"\=",
    "\N{COMBINING BREVE}": r"\u",
    "\N{COMBINING DOT ABOVE}": r"\.",
    "\N{COMBINING DIAERESIS}": r"\"",
    "\N{COMBINING RING ABOVE}": r"\r",
    "\N{COMBINING DOUBLE ACUTE ACCENT}": r"\H",
    "\N{COMBINING CARON}": r"\v",
    "\N{COMBINING DOT BELOW}": r"\d",
    "\N{COMBINING CEDILLA}": r"\c",
}
_GREEK = re.compile(
    "alpha|beta|gamma|delta|epsilon|zeta|eta|theta|iota|kappa|lambda|mu|nu|xi|pi|rho|sigma|tau|upsilon|phi|chi|psi|omega"
)
_GREEK_CAPITALS = re.compile("gamma|delta|theta|lambda|xi|pi|sigma|upsilon|phi|psi|omega")


def escape(text: str) -> str:
    r"""`text` for LaTeX's text mode; letters that pdfLaTeX lacks become "?" there, and themselves in other engines.

    Example:
        >>> print(escape("50 % of cats_&_dogs"))
        50 \% of cats\_\&\_dogs
    """
    escaped = "".join(map(_letter, unicodedata.normalize("NFC", text)))
    return re.sub(r"-(?=-)", "-{}", escaped)  # two hyphens would become a dash


def _letter(one: str) -> str:
    if one in _SPECIAL:
        return _SPECIAL[one]
    if " " <= one <= "~":
        return one
    if one.isspace() or unicodedata.category(one).startswith("C"):
        return " "
    return _accented(one) or _greek(one) or rf"\ifdefined\Umathchar\symbol{{{ord(one)}}}\else ?\fi{{}}"


def _accented(one: str) -> str:
    base, *accents = unicodedata.normalize("NFD", one)
    if not ("a" <= base.lower() <= "z") or not accents or not all(mark in _ACCENTS for mark in accents):
        return ""
    for mark in accents:
        base = f"{_ACCENTS[mark]}{{{base}}}"
    return base


def _greek(one: str) -> str:
    """Capitals that look like Latin ones have no command of their own."""
    name = unicodedata.name(one, "").replace("LAMDA", "LAMBDA")
    small, capital = (name.removeprefix(f"GREEK {size} LETTER ").lower() for size in ("SMALL", "CAPITAL"))
    if _GREEK.fullmatch(small):
        return rf"\ensuremath{{\{small}}}"
    return rf"\ensuremath{{\{capital.capitalize()}}}" if _GREEK_CAPITALS.fullmatch(capital) else ""
