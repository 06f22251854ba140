"""Writing lists and results: whole files or none, and logs that an interrupted run resumes from."""

import contextlib
import csv
import io
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from slowfast.errors import UserError
from slowfast.runtime.files import make_folder, write_text, writing


def write_lines(path: Path, lines: Iterable[str]) -> None:
    """Write a text file in one piece; until it is complete, an older one stays. Its folder is made if need be.

    Raises:
        UserError: if it cannot be written.
    """
    _write(path, "".join(f"{line}\n" for line in lines))


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Write a CSV file in one piece; errors as those of ``write_lines``."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows([header, *rows])
    _write(path, text.getvalue())


def _write(path: Path, text: str) -> None:
    make_folder(path.parent)
    write_text(path, text)


def write_json(path: Path, content: Any) -> None:
    """Write a JSON file in one piece; errors as those of ``write_lines``."""
    write_lines(path, [json.dumps(content, indent=1, ensure_ascii=False)])


class ResultLog:
    """Results by key in a file of JSON lines, one added as soon as it is known; a later one of a key counts.

    Args:
        path: of the file; results that it holds from before are read.

    Raises:
        UserError: if it is another kind of file, or cannot be read or written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.results: dict[str, Any] = {}
        make_folder(path.parent)
        try:
            text = path.read_text(encoding="utf-8") if path.exists() else ""
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"{path}: cannot be read ({error}); move the file away") from None
        # A run that was killed may leave the last line without its end.
        complete = text[: text.rfind("\n") + 1]
        for line_number, line in enumerate(complete.splitlines(), start=1):
            try:
                key, result = json.loads(line)
            except (ValueError, TypeError):
                raise UserError(f"{path}:{line_number}: is not from an earlier run; move the file away") from None
            self.results[key] = result
        if complete != text:
            write_text(path, complete)
        with writing(path):
            self._file = path.open("a", encoding="utf-8")

    def add(self, key: str, result: Any) -> None:
        """Add a result of JSON values.

        Raises:
            UserError: if it cannot be written; another run resumes from those before it.
        """
        self.results[key] = result
        with writing(self.path, "start the same command again once it can be"):
            self._file.write(json.dumps([key, result]) + "\n")
            self._file.flush()

    def close(self) -> None:
        """Close the file."""
        with contextlib.suppress(OSError):  # each line has been written, or its error told
            self._file.close()

    def __enter__(self) -> "ResultLog":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()
