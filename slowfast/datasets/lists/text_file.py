"""Text files from other systems and programs: the one way to read them, and where their lines end."""

from collections.abc import Iterator
from pathlib import Path

from slowfast.errors import UserError

_BLOCK_BYTES = 2**18
# No line of a list is that long; a video that somebody takes for a list is found before it fills the memory.
_MAX_LINE_BYTES = 2**24
_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")


def read_text(path: Path, what: str) -> str:
    """The whole of a file in UTF-8, without a byte order mark; its lines end in ``\\n``, whatever system it is from.

    Args:
        path: the file.
        what: it is, for messages: "class names".

    Raises:
        UserError: naming the file, if it cannot be read or is not UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, ValueError) as error:  # ValueError: another encoding, or a NUL in the path
        raise UserError(f"{_printable(path)}: cannot read the {what}: {error}") from None


def read_lines(path: Path, what: str) -> list[str]:
    """The lines of a file without their ends; arguments and errors as those of ``read_text``."""
    return split_lines(read_text(path, what))


def split_lines(text: str) -> list[str]:
    """Lines of a text that ``read_text`` gave, without their ends.

    Names may hold what ``str.splitlines`` takes for the end of a line, too, such as U+2028 and 0x0B.
    """
    lines = text.split("\n")
    return lines[:-1] if lines[-1] == "" else lines


def iterate_line_blocks(path: Path) -> Iterator[list[str]]:
    """The lines of a list file without their ends, some thousands at a time.

    Bytes that are not UTF-8 are kept as Python keeps them in the names of files (surrogateescape).

    Raises:
        UserError: naming the file, if it cannot be read, is UTF-16, or has no lines.
    """
    try:
        with path.open("rb") as file:
            head = file.read(3)
            if head[:2] in _UTF16_MARKS:
                raise UserError(f"{path}: is UTF-16 text; save the list as UTF-8")
            rest = b"" if head == b"\xef\xbb\xbf" else head
            while block := file.read(_BLOCK_BYTES):
                rest += block
                # A carriage return at the very end may be half of a line's end.
                end = max(rest.rfind(b"\n"), rest.rfind(b"\r", 0, len(rest) - 1)) + 1
                if end:
                    yield _lines_of(rest[:end])
                    rest = rest[end:]
                elif len(rest) > _MAX_LINE_BYTES:
                    raise UserError(f"{path}: a line has more than {_MAX_LINE_BYTES} bytes; is it a list?")
            if rest:
                yield _lines_of(rest)
    except FileNotFoundError:
        raise UserError(f"{path}: no such list file; set DATA.PATH_TO_DATA_DIR to the folder of the lists") from None
    except OSError as error:
        raise UserError(f"{_printable(path)}: cannot read the list file: {error}") from None


def _lines_of(block: bytes) -> list[str]:
    text = block.decode("utf-8", "surrogateescape")
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    return split_lines(text)


def _printable(path: Path) -> str:
    return str(path) if str(path).isprintable() else repr(str(path))
