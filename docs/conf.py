"""The documentation's site: `make docs`. Pages of methods, settings and functions are made from the code."""

import re
import sys
from pathlib import Path

from sphinx.application import Sphinx

sys.path.insert(0, str(Path(__file__).parent))

from site_pages import write_pages

project, author, copyright = "limbeck", "The limbeck authors", "The limbeck authors, Apache-2.0"
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build", "site_pages", "site_style"]

myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3
default_role = "code"  # docstrings write names in single backticks
autodoc_typehints = "signature"
autodoc_member_order = "bysource"
python_maximum_signature_line_length = 100
napoleon_numpy_docstring = False
napoleon_use_ivar = True
napoleon_custom_sections = [("Source", "notes_style"), ("Sources", "notes_style")]

suppress_warnings = ["ref.python"]  # a name in a docstring may be of several classes

html_theme = "furo"
html_title = "limbeck"
html_static_path = ["site_style"]
html_css_files = ["limbeck.css"]
html_show_sphinx = False
html_copy_source = False

linkcheck_ignore = [r"https?://"]  # what is elsewhere changes without us; pages and headings here are checked


def escape(app: Sphinx, what: str, name: str, part: object, options: object, lines: list[str]) -> None:
    """Docstrings are nearly reStructuredText: a `|` in a formula names no substitution there."""
    for place, line in enumerate(lines):
        if not line.lstrip().startswith((">>>", "...")):
            pieces = re.split(r"(`[^`]*`)", line)
            lines[place] = "".join(piece if piece.startswith("`") else piece.replace("|", r"\|") for piece in pieces)


def setup(app: Sphinx) -> None:
    app.connect("builder-inited", lambda app: write_pages(Path(app.srcdir) / "generated"))
    app.connect("autodoc-process-docstring", escape)
