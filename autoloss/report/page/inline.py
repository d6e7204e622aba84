"""Inline: matplotlib's figures as SVG inside a page, in the colours of the page, light or dark.

Still pictures are enough here, for the tables beside them hold the numbers. Matplotlib is there already; the libraries
that draw in the browser weigh 1 MB (Vega with its compiler, Bokeh) to 4.5 MB (Plotly) a page, and show nothing on paper
or without JavaScript.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from xml.etree import ElementTree

from markupsafe import Markup
from matplotlib.figure import Figure

from autoloss.report.plots.style import COLOURS, INK, MORE, NOISE, styled

_SVG, _XLINK = "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"
_OF_PAGE = {
    INK: "currentColor",
    NOISE: "var(--noise)",
    **{colour: f"var(--{kind.value})" for kind, colour in COLOURS.items()},
    **{colour: f"var(--more{place})" for place, colour in enumerate(MORE)},
}
"""Colours of the style as the page names them, which has others in the dark."""
_COLOUR = re.compile("|".join(_OF_PAGE))
_FONT = re.compile(r"font: (?P<weight>\w+ )?(?P<size>[\d.]+px) [^;]*")
_REFERENCE = re.compile(r"(url\(|^)#")


def svg(draw: Callable[[], Figure], name: str, says: str) -> Markup:
    """A figure as an element of a page.

    Args:
        draw: makes it; called within the style.
        name: of the picture, of its own in the page: it begins every id in it.
        says: what is seen, for those who do not see it.
    """
    with styled(**{"svg.fonttype": "none", "svg.hashsalt": name}):
        file = io.StringIO()
        draw().savefig(file, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    for prefix, space in (("", _SVG), ("xlink", _XLINK)):
        ElementTree.register_namespace(prefix, space)
    root = ElementTree.fromstring(file.getvalue())  # what matplotlib has just written
    width = float(root.attrib["viewBox"].split()[2])
    for key in ("width", "height", "version"):
        root.attrib.pop(key, None)
    for parent in root.iter():
        for child in [one for one in parent if one.tag in (f"{{{_SVG}}}metadata", f"{{{_SVG}}}style")]:
            parent.remove(child)
    used = {
        value.rpartition("#")[2].rstrip(")") for one in root.iter() for value in one.attrib.values() if "#" in value
    }
    for one in root.iter():
        _renamed(one, name, used)
    root.set("role", "img")
    root.set("aria-label", says)
    root.set("style", f"max-width: {width * 4 / 3:.0f}px")
    text = ElementTree.tostring(root, encoding="unicode")
    # Defaults that matplotlib keeps in a style sheet of its own, which would be that of the whole page here.
    return Markup(text.replace("<svg ", '<svg stroke-linejoin="round" ', 1))


def _renamed(one: ElementTree.Element, name: str, used: set[str]) -> None:
    for key, value in list(one.attrib.items()):
        if key == "id":
            if value in used:
                one.set(key, f"{name}-{value}")
            else:
                del one.attrib[key]
        elif key == "style":
            value = _FONT.sub(
                lambda font: f"font-size: {font['size']}; font-weight: {font['weight'] or 'normal'}", value
            )
            one.set(key, _COLOUR.sub(lambda found: _OF_PAGE[found[0]], _REFERENCE.sub(rf"\g<1>#{name}-", value)))
        elif key.endswith(("href", "clip-path")) and "#" in value:
            one.set(key, _REFERENCE.sub(rf"\g<1>#{name}-", value))
