"""Renders a page to one HTML file that may load nothing: its policy allows only the one script it carries."""

import base64
import hashlib
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from limbeck.files import atomic_write_text
from limbeck.report.blocks import Page
from limbeck.report.formats import unbroken
from limbeck.report.vega import bundle

_POLICY = (
    "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'; "
    "base-uri 'none'; form-action 'none'"
)


def write(page: Page, path: Path) -> Path:
    """Write `page` to `path`, whole or not at all."""
    atomic_write_text(path, render(page))
    return path


def render(page: Page) -> str:
    """`page` as HTML; all text in it is escaped."""
    environment = Environment(
        loader=PackageLoader("limbeck.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["unbroken"] = unbroken
    script = bundle()
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    loader = environment.loader
    assert loader is not None
    css, _, _ = loader.get_source(environment, "page.css")
    return environment.get_template("page.html.j2").render(
        page=page, css=Markup(css), script=Markup(script), policy=_POLICY.format(digest=digest)
    )
