"""Pages from their templates, which share the files ``page_*.j2``."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, NamedTuple

from jinja2 import Environment, FunctionLoader, StrictUndefined


class Headline(NamedTuple):
    """A figure at the top: its name, its value and how sure it is, in words."""

    name: str
    value: str
    note: str


@dataclass(frozen=True, kw_only=True)
class ClassTable:
    """What ``page_class_table`` shows.

    Attributes:
        columns: the first is the name.
        classes: rows; None where there is no number.
        bar, sorted_by: the columns that are drawn as a bar and sorted by at first.
    """

    columns: Sequence[str]
    classes: Sequence[Sequence[Any]]
    bar: int
    sorted_by: int

    @property
    def num_classes(self) -> int:
        """Of the table."""
        return len(self.classes)

    @property
    def data(self) -> dict[str, Any]:
        """What the page's program works on."""
        return {
            "columns": list(self.columns),
            "classes": [list(row) for row in self.classes],
            "bar": self.bar,
            "sorted_by": self.sorted_by,
        }


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
