"""A page as one HTML file that fetches nothing: charts are SVG, pictures are data in the page.

Charts are drawn by Vega-Lite here, not in the browser, so the page holds none of its JavaScript and
shows without any; the few lines that sort tables and show values under the pointer are the
template's own, and the page's Content-Security-Policy lets nothing else run or load.
"""

import base64
import hashlib
import itertools
import re
from pathlib import Path
from typing import Any

import cv2
import jinja2
import numpy as np
import vl_convert
from markupsafe import Markup

from hpe_core.charts import Chart
from hpe_core.errors import InputError
from hpe_core.io.files import atomic
from hpe_core.page import Page, Picture, table_of

_VEGA_LITE = "6.4"
_WEBP_QUALITY = 82
_TEMPLATE, _STYLE, _SCRIPT = "page.html", "page.css", "page.js"
_GEOMETRY = re.compile(r' (?:d|transform|x2|y2)="[^"]*"')  # of SVG elements
_LONG_DECIMAL = re.compile(r"(\.\d\d)\d+")


def write_page(page: Page, template: Path, path: Path) -> None:
    """Equal pages give equal bytes. template: folder of page.html, page.css and page.js.

    Raises InputError for a template that is missing or cannot be filled.
    """
    try:
        style, script = ((template / name).read_text("utf-8") for name in (_STYLE, _SCRIPT))
        html = (
            _environment(template)
            .get_template(_TEMPLATE)
            .render(
                page=page,
                style=Markup(style),
                script=Markup(script),
                script_sha256=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
            )
        )
    except (OSError, jinja2.TemplateError) as error:
        raise InputError(f"{template}: no template of a page: {error}") from error
    with atomic(path) as temporary:
        temporary.write_text(html + "\n", encoding="utf-8", newline="\n")


def _environment(template: Path) -> jinja2.Environment:
    numbers = itertools.count()
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(template),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "svg": lambda chart: svg_of(chart, next(numbers)),
        "data_uri": data_uri,
        "table_of": table_of,
    }
    return environment


def svg_of(chart: Chart, number: int) -> Markup:
    """The chart as an SVG element. number: of the chart on its page, for the ids in it."""
    svg = vl_convert.vegalite_to_svg(dict(chart.spec), vl_version=_VEGA_LITE, allowed_base_urls=[])
    svg = _GEOMETRY.sub(lambda found: _LONG_DECIMAL.sub(r"\1", found[0]), _numbered(svg, number))
    alternative: Any = Markup.escape(f"{chart.title}. {chart.text}")
    opening = f'<svg role="graphics-document" aria-label="{alternative}"'
    return Markup(svg.replace("<svg", opening, 1))


def _numbered(svg: str, number: int) -> str:
    """Ids that no other chart has; Vega counts them over all charts that it ever drew."""
    names: dict[str, str] = {}
    for name in re.findall(r'\bid="([^"]+)"', svg):
        names.setdefault(name, f"chart{number}-{len(names)}")
    for old, new in names.items():
        svg = svg.replace(f'id="{old}"', f'id="{new}"').replace(f"#{old})", f"#{new})")
    return svg


def data_uri(picture: Picture) -> str:
    """The picture as WebP in a data: address."""
    bgr = np.ascontiguousarray(picture.image[..., ::-1])
    data = cv2.imencode(".webp", bgr, (cv2.IMWRITE_WEBP_QUALITY, _WEBP_QUALITY))[1].tobytes()
    return f"data:image/webp;base64,{base64.b64encode(data).decode()}"
