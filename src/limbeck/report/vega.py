"""A chart on a page: inline SVG that needs no script, and its specification for the one script that animates it."""

import json
import re
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from typing import Any

import altair as alt
import vl_convert
from markupsafe import Markup

from limbeck.caching import cache_folder, cache_key
from limbeck.errors import UserError
from limbeck.files import atomic_write_text
from limbeck.report.figures import style

_VEGA_LITE = "v" + ".".join(alt.SCHEMA_VERSION.lstrip("v").split(".")[:2])
FULL_WIDTH = 928  # pixels: the text column of page.css
_START = """
for (const holder of document.querySelectorAll("[data-chart]")) {
  const spec = JSON.parse(holder.querySelector("script").textContent);
  const still = holder.querySelector("svg");
  const live = document.createElement("div");
  live.className = "live";
  holder.append(live);
  const dark = matchMedia("(prefers-color-scheme: dark)").matches;
  const actions = {export: true, source: false, compiled: false, editor: false};
  const options = {
    mode: "vega-lite", renderer: "svg", ast: true, actions, downloadFileName: holder.dataset.chart,
    tooltip: {theme: dark ? "dark" : "light"},
  };
  vegaEmbed(live, spec, options).then(
    () => { still.remove(); holder.classList.add("ready"); },
    (error) => { live.remove(); console.error(error); },
  );
}
"""


@dataclass(frozen=True)
class Figure:
    """What the template needs of one chart."""

    key: str
    label: str
    svg: Markup
    spec: Markup
    fluid: bool
    wide: bool = False


def figure(
    chart: style.AnyChart,
    key: str,
    label: str,
    *,
    width: int = FULL_WIDTH,
    fluid: bool = True,
    wide: bool = False,
    still: Markup | None = None,
) -> Figure:
    """A styled chart ready for the page.

    Args:
        chart: an unstyled chart without width.
        key: unique on the page; prefix of all ids in the SVG.
        label: what is to be seen, for those who cannot see it.
        width: of the still picture with its axes, in pixels.
        fluid: whether the live chart takes the width of its container.
        wide: whether words beside the chart need more room than a narrow screen has, which then scrolls it.
        still: the still picture as SVG, where the chart has too many marks to be one; it is then drawn on a canvas.
    """
    # A canvas does not know the colour of the page; this grey reads on both.
    spec = live = specification(chart, ink=style.PAGE_INK if still is None else style.RULE)
    if fluid:
        fit = {"autosize": {"type": "fit-x", "contains": "padding"}}
        spec, live = spec | fit | {"width": width}, live | fit | {"width": "container"}
    if still is not None:
        live |= {"usermeta": {"embedOptions": {"renderer": "canvas"}}}
    return Figure(key, label, Markup(svg(spec, key)) if still is None else still, script_json(live), fluid, wide)


def specification(
    chart: style.AnyChart, *, ink: str = style.PAGE_INK, background: str = "transparent"
) -> dict[str, Any]:
    """An unstyled chart as Vega-Lite has it, in the look of the page or of paper.

    It is not checked against the schema of Vega-Lite, and no chart gets its look from altair, which copies it whole for
    each property: either would take a good part of a page's time.
    """
    spec = chart.to_dict(validate=False)
    config = spec.get("config", {})
    for name, value in style.look(ink=ink, background=background).items():
        config[name] = config.get(name, {}) | value if isinstance(value, dict) else value
    return spec | {"config": config}


def svg(spec: dict[str, Any], key: str) -> str:
    """A Vega-Lite specification as SVG whose ids all start with `key`, so that many can share a page."""
    drawn = vl_convert.vegalite_to_svg(spec, vl_version=_VEGA_LITE, allowed_base_urls=[])
    drawn = re.sub(r'(?<=\bid=")(?=[^"]+")', f"{key}-", drawn)
    return re.sub(r"(?<=url\(#)", f"{key}-", drawn)


def script_json(value: Any) -> Markup:
    """JSON that may stand in a <script> element: no character of it can end the element or open a comment."""
    words = json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return Markup(words.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e"))


@cache
def bundle() -> str:
    """vega, vega-lite, vega-embed and the lines that start them, as one script without imports.

    It is the same on every page and may take longer to put together than a page to draw, so it is cached.
    """
    folder, key = cache_folder() / "scripts", cache_key(version("vl-convert-python"), _VEGA_LITE, _START)
    for path in folder.glob(f"{key}-*.js"):
        with suppress(OSError, ValueError):  # a damaged file is made again
            script = path.read_bytes().decode()
            if path.stem == f"{key}-{cache_key(script)}":
                return script
    script = vl_convert.javascript_bundle(_START, vl_version=_VEGA_LITE)
    script = re.sub(r"</(?=script)", r"<\\/", script.replace("\r", ""), flags=re.IGNORECASE).replace("<!--", r"<\!--")
    with suppress(OSError, UserError):  # a page needs no cache
        folder.mkdir(parents=True, exist_ok=True)
        atomic_write_text(folder / f"{key}-{cache_key(script)}.js", script)
    return script


def prepare_pages() -> None:
    """Prepares what all pages need, and keeps it in the cache.

    Example:
        >>> prepare_pages()
    """
    bundle()
