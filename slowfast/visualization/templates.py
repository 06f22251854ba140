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
    """HTML of a page; what it shows is text in it, whatever it holds.

    Args:
        template: file of this package.
        page: that the template calls ``page``.
    """
    environment = Environment(
        loader=FunctionLoader(_source), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.get_template(template).render(page=page)


def _source(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8")
