"""Pages from the templates beside this file: one HTML file each, the same bytes for the same contents."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from mmctr_kedro.reports import text

if TYPE_CHECKING:
    from jinja2 import Environment
    from plotly.graph_objects import Figure


def templates(autoescape: bool) -> Environment:
    """The templates; one that mentions what it is not given is an error."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    return Environment(
        loader=PackageLoader("mmctr_kedro.reports"),
        autoescape=autoescape, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip


def page(template: str, figures: Mapping[str, Figure], **contents: Any) -> str:
    """The template filled; all text in ``contents`` is escaped. Every function of ``text`` is a filter.

    Args:
        template: One of ``templates/*.html.j2``, without that ending.
        figures: Drawn where the template has an element of that id.
        contents: What the template mentions; ``title`` always.
    """
    from markupsafe import Markup

    jinja = templates(autoescape=True)
    jinja.filters |= dict(inspect.getmembers(text, inspect.isfunction))
    jinja.tests["figure"] = lambda value: value is None or isinstance(value, int | float)
    plotly, drawn = "", {}
    if figures:
        from plotly.offline import get_plotlyjs

        plotly = Markup(get_plotlyjs())
        # In JSON "<" occurs only within strings, where it may be written so that no </script> can arise.
        drawn = {name: Markup(figure.to_json().replace("<", "\\u003c")) for name, figure in figures.items()}
    return jinja.get_template(f"{template}.html.j2").render(contents, figures=drawn, plotly=plotly)
