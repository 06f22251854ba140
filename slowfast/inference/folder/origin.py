"""Where weights come from, as a model folder tells it, and the folder that is made of that one."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Origin:
    """What a model folder says of its weights besides what they compute.

    Attributes:
        source: name of the checkpoint that they were published from.
        license_name: such as Apache-2.0; "" if nobody said.
        notes: by name, how the model was trained and what it reached.
    """

    source: str = ""
    license_name: str = ""
    notes: Mapping[str, str] = field(default_factory=dict)

    def completed(self, source: str, license_name: str, notes: Mapping[str, Any]) -> "Origin":
        """With what is known besides: a source where there is none yet, another licence, more notes."""
        more = {_text(name): _text(value) for name, value in notes.items()}
        return Origin(self.source or _text(source), _text(license_name) or self.license_name, {**self.notes, **more})


def _text(value: object) -> str:
    """As text that files in UTF-8 take: names of files may have other bytes."""
    return str(value).encode(errors="replace").decode()
