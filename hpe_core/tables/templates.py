"""Templates: specifications of charts, model cards and the page."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jinja2

from hpe_core.common.errors import InputError

SPECS = Path(__file__).parent / "specifications"  # Vega-Lite, some with anchors of DVC


def rendered(
    template: Path,
    values: Mapping[str, Any],
    filters: Mapping[str, Callable[..., Any]],
    escape: bool = False,
) -> str:
    """A Jinja template, filled. escape: values are text in HTML.

    Raises InputError for a template that is missing or uses an unknown name.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(template.parent),
        autoescape=escape,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= filters
    try:
        return environment.get_template(template.name).render(values)
    except jinja2.TemplateError as error:
        raise InputError(f"{template}: cannot be filled: {error}") from error
