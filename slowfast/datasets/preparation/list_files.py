"""Writing lists and results: whole files or none, and logs that an interrupted run resumes from."""

import csv
import io
import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from slowfast.errors import UserError


def write_lines(path: Path, lines: Iterable[str]) -> None:
    """Write a text file in one piece; until it is complete, an older one stays."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Write a CSV file in one piece."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows([header, *rows])
    write_lines(path, text.getvalue().splitlines())


def write_json(path: Path, content: Any) -> None:
    """Write a JSON file in one piece."""
    write_lines(path, [json.dumps(content, indent=1, ensure_ascii=False)])


class ResultLog:
    """Results by key in a file of JSON lines, one added as soon as it is known; a later one of a key counts.

    Args:
        path: of the file; results that it holds from before are read.

    Raises:
        UserError: if it is another kind of file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.results: dict[str, Any] = {}
        path.parent.mkdir(parents=True, exist_ok=True)
        text = path.read_text(encoding="utf-8") if path.exists() else ""
        # A run that was killed may leave the last line without its end.
        complete = text[: text.rfind("\n") + 1]
        for line_number, line in enumerate(complete.splitlines(), start=1):
            try:
                key, result = json.loads(line)
            except (ValueError, TypeError):
                raise UserError(f"{path}:{line_number}: is not from an earlier run; move the file away") from None
            self.results[key] = result
        if complete != text:
            path.write_text(complete, encoding="utf-8")
        self._file = path.open("a", encoding="utf-8")

    def add(self, key: str, result: Any) -> None:
        """Add a result of JSON values."""
        self.results[key] = result
        self._file.write(json.dumps([key, result]) + "\n")
        self._file.flush()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> "ResultLog":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()
