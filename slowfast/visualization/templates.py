"""Pages from their templates, which share the files ``page_*.j2``."""

from importlib.resources import files
from typing import NamedTuple

from jinja2 import Environment, FunctionLoader, StrictUndefined


class Headline(NamedTuple):
    """A figure at the top: its name, its value and how sure it is, in words."""

    name: str
    value: str
    note: str


def render(template: str, page: object) -> str:
    """HTML of a page that can be written as UTF-8; what it shows is text in it, whatever it holds.

    Args:
        template: file of this package.
        page: that the template calls ``page``.
    """
    environment = Environment(
        loader=FunctionLoader(_source), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    html = environment.get_template(template).render(page=page)
    # A file's name may be of bytes that are no UTF-8, and JSON of halves of characters: both are shown as escapes.
    return html.encode(errors="backslashreplace").decode()


def _source(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8")
