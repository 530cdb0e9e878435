"""A page as one HTML file that fetches nothing: charts are SVG, pictures are data in the page.

Vega-Lite draws the charts here, not in the browser, so the page holds none of its JavaScript and
shows without any; the few lines that sort tables and show values under the pointer are the
template's own, and the page's Content-Security-Policy lets nothing else run or load. All values are
text: nothing in them is read as HTML.
"""

import base64
import hashlib
import itertools
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import cv2
import vl_convert
from markupsafe import Markup

from hpe_core.common.errors import InputError
from hpe_core.common.files import atomic, read_json
from hpe_core.inference.draw import angles_text
from hpe_core.page.conclusions import compared, other_than
from hpe_core.tables.charts import Chart
from hpe_core.tables.formatting import Readable
from hpe_core.tables.pictures import VEGA_LITE, data_uri
from hpe_core.tables.templates import rendered

WIDTH_PX = 344  # of a chart; fits a phone of 390 pixels
_WEBP = (cv2.IMWRITE_WEBP_QUALITY, 82)
_GEOMETRY = re.compile(r' (?:d|transform|x2|y2)="[^"]*"')  # of SVG elements
_LONG_DECIMAL = re.compile(r"(\.\d\d)\d+")


def write_page(values: Mapping[str, Any], template: Path, path: Path) -> None:
    """Equal values give equal bytes. template: folder of page.html, .css, .js and charts.json.

    Raises InputError for a template that is missing or cannot be filled.
    """
    numbers = itertools.count()
    filters: dict[str, Callable[..., Any]] = {
        "svg": lambda chart: svg_of(chart, template, next(numbers)),
        "data_uri": lambda image: data_uri(image, ".webp", _WEBP),
        "readable": Readable.of,
        "angles": angles_text,
        "compared": compared,
        "other_than": other_than,
    }
    try:
        style, script = ((template / name).read_text("utf-8") for name in ("page.css", "page.js"))
    except OSError as error:
        raise InputError(f"{template}: no template of a page: {error}") from error
    own = {
        "style": Markup(style),
        "script": Markup(script),
        "script_sha256": base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    }
    html = rendered(template / "page.html", {**values, **own}, filters, escape=True)
    with atomic(path) as temporary:
        temporary.write_text(html, encoding="utf-8", newline="\n")


def svg_of(chart: Chart, template: Path, number: int) -> Markup:
    """The chart as an SVG element.

    template: folder of charts.json, what charts look like; number: of the chart on its page, for
    the ids in it.
    """
    size = {"width": WIDTH_PX, "autosize": {"type": "fit-x", "contains": "padding"}, "padding": 2}
    spec = {**chart.spec, **size, "config": read_json(template / "charts.json")}
    svg = vl_convert.vegalite_to_svg(spec, vl_version=VEGA_LITE, allowed_base_urls=[])
    svg = _GEOMETRY.sub(lambda found: _LONG_DECIMAL.sub(r"\1", found[0]), _numbered(svg, number))
    alternative: Any = Markup.escape(f"{chart.title}. {chart.text}")
    opening = f'<svg role="graphics-document" aria-label="{alternative}"'
    return Markup(svg.replace("<svg", opening, 1))


def _numbered(svg: str, number: int) -> str:
    """Ids that no other chart has; Vega counts them over all charts that it ever drew."""
    for place, old in enumerate(dict.fromkeys(re.findall(r'\bid="([^"]+)"', svg))):
        new = f"chart{number}-{place}"
        svg = svg.replace(f'id="{old}"', f'id="{new}"').replace(f"#{old})", f"#{new})")
    return svg
