"""Files that end early: found from what a file says about itself, without decoding.

The containers state the sizes of their parts, so a part that reaches past the end of its file is certain. A container
that states none may state a duration, which no packet reaches. Where there is neither, nothing is known.
"""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

# A stated duration may be rounded, or count a last picture that stays for long.
_SLACK_S = 1.0

_MP4_PARTS = {
    b"ftyp",
    b"styp",
    b"moov",
    b"moof",
    b"mdat",
    b"mfra",
    b"sidx",
    b"free",
    b"skip",
    b"wide",
    b"uuid",
    b"meta",
}
_UNKNOWN_RIFF_SIZES = (0, 2**32 - 1)
_SEGMENT = 0x18538067
# The header of the file, the segment and the parts of one (RFC 9559, 5).
_MATROSKA_PARTS = {0x1A45DFA3, _SEGMENT, 0x114D9B74, 0x1549A966, 0x1654AE6B, 0x1F43B675, 0x1C53BB6B, 0x1043A770}
_MATROSKA_PARTS |= {0x1941A469, 0x1254C367, 0xEC, 0xBF}
_TS_SYNC = 0x47
# Bytes of a packet, and those before its mark: cameras and discs put a time before each (m2ts, mts).
_TS_PACKETS = ((188, 0), (192, 4))
# Header and data (Advanced Systems Format, 10.1), which begin a file.
_ASF_PARTS = {
    bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c"),
    bytes.fromhex("3626b2758e66cf11a6d900aa0062ce6c"),
}
_LARGEST_OGG_PAGE = 27 + 255 + 255 * 255
# Containers whose duration stands in the file; of others FFmpeg estimates it from the packets.
_STATES_DURATION = ("matroska", "webm", "avi", "flv")


def why_truncated(path: str | Path, container: str, *, stated_end_s: float | None, last_end_s: float | None) -> str:
    """Tell whether a file ends before what it says that it holds.

    Args:
        path: of the file.
        container: FFmpeg's name of the format, or several with commas.
        stated_end_s: end of the video that the container states, in seconds; None if it does not.
        last_end_s: end of the last packet that this end is about, from the same zero; None if no packet has a time.

    Returns:
        What is missing; "" for a whole file, and for one that does not tell.
    """
    names = container.split(",")
    missing = next((_MISSING[name](path) for name in names if name in _MISSING), "")
    if missing or stated_end_s is None or last_end_s is None or not set(names) & set(_STATES_DURATION):
        return missing
    if "avi" in names and _is_unfinished_avi(path):
        return ""
    if last_end_s < stated_end_s - _SLACK_S:
        return f"its packets end at {last_end_s:.2f} s, and it says that it lasts {stated_end_s:.2f} s"
    return ""


def _walk(path: str | Path, parts: Callable[[BinaryIO, int], Iterator[int]]) -> str:
    """What the end of the last part says, "" for nothing; ``parts`` yields the ends of all that have one."""
    with open(path, "rb") as file:
        num_bytes = os.fstat(file.fileno()).st_size
        stated = max(parts(file, num_bytes), default=0)
    return f"it has {num_bytes} of {stated} bytes" if stated > num_bytes else ""


def _mp4_ends(file: BinaryIO, num_bytes: int) -> Iterator[int]:
    """Boxes (ISO/IEC 14496-12, 4.2): a length of 4 bytes and a name; length 1 for one of 8 bytes, 0 for the rest."""
    at = 0
    while at + 8 <= num_bytes:
        head = _read(file, at, 16)
        size, kind = int.from_bytes(head[:4], "big"), head[4:8]
        if size == 1:
            size = int.from_bytes(head[8:16], "big")
        if kind not in _MP4_PARTS or size < 8:
            return
        at += size
        yield at


def _matroska_ends(file: BinaryIO, num_bytes: int) -> Iterator[int]:
    """Elements (RFC 8794): a name, a length, content. A segment of unknown length is looked into."""
    at = 0
    while at + 12 <= num_bytes:
        head = _read(file, at, 16)
        kind_bytes = _ebml_length(head[0])
        size_bytes = _ebml_length(head[kind_bytes])
        kind = int.from_bytes(head[:kind_bytes], "big")
        if kind not in _MATROSKA_PARTS or size_bytes > 8:
            return
        size = int.from_bytes(head[kind_bytes : kind_bytes + size_bytes], "big") & (1 << 7 * size_bytes) - 1
        at += kind_bytes + size_bytes
        if size == (1 << 7 * size_bytes) - 1:  # unknown
            if kind != _SEGMENT:
                return
            continue
        at += size
        yield at


def _ebml_length(first_byte: int) -> int:
    """Of a number, in bytes: one more than its leading zero bits."""
    return 9 - first_byte.bit_length()


def _avi_ends(file: BinaryIO, num_bytes: int) -> Iterator[int]:
    """RIFF chunks: a name and a length; a file of several GiB has more than one. A recorder that died leaves 0."""
    at = 0
    while at + 12 <= num_bytes:
        head = _read(file, at, 12)
        size = int.from_bytes(head[4:8], "little")
        if head[:4] != b"RIFF" or head[8:12] not in (b"AVI ", b"AVIX") or size in _UNKNOWN_RIFF_SIZES:
            return
        at += 8 + size
        yield at


def _is_unfinished_avi(path: str | Path) -> bool:
    """Whether its first size was never filled in, as in a pipe; then its number of frames was not, either."""
    with open(path, "rb") as file:
        return int.from_bytes(_read(file, 4, 4), "little") in _UNKNOWN_RIFF_SIZES


def _mpegts_ends(file: BinaryIO, num_bytes: int) -> Iterator[int]:
    """Packets of one size (ISO/IEC 13818-1, 2.4.3): the last one begins with the mark of one, and is whole."""
    for size, before in _TS_PACKETS:
        whole = num_bytes // size * size
        starts = [0, size, whole - size]
        starts += [whole] * (whole + before < num_bytes)
        if whole < num_bytes and all(_read(file, at + before, 1) == bytes([_TS_SYNC]) for at in starts):
            yield whole + size


def _asf_ends(file: BinaryIO, num_bytes: int) -> Iterator[int]:
    """Objects: a name of 16 bytes and a length, which stays 0 where it was not known."""
    at = 0
    while at + 24 <= num_bytes:
        head = _read(file, at, 24)
        size = int.from_bytes(head[16:], "little")
        if head[:16] not in _ASF_PARTS or size < 24:
            return
        at += size
        yield at


def _ogg_ends(file: BinaryIO, num_bytes: int) -> Iterator[int]:
    """Pages (RFC 3533, 6), which tell their lengths; the last one is looked for from the end."""
    start = max(num_bytes - _LARGEST_OGG_PAGE, 0)
    tail = _read(file, start, num_bytes - start)
    page = tail.rfind(b"OggS\0")
    if page >= 0:
        lengths = tail[page + 27 : page + 27 + int.from_bytes(tail[page + 26 : page + 27], "big")]
        yield start + page + 27 + len(lengths) + sum(lengths)


def _gif_ends(file: BinaryIO, num_bytes: int) -> Iterator[int]:
    """Blocks in blocks of up to 255 bytes (GIF89a, 12 to 26); one that has no end is left at the end of the file."""
    head = _read(file, 0, 13)
    at = 13 + _colours_bytes(head[10])
    while at < num_bytes:
        kind = _read(file, at, 10)
        if kind[:1] == b"!":  # an extension: its label, then its blocks
            at += 2
        elif kind[:1] == b",":  # a picture: where it lies, its colours, the size of its codes, then its blocks
            at += 11 + _colours_bytes(kind[9])
        else:
            return
        while at < num_bytes and (length := _read(file, at, 1)[0]):
            at += 1 + length
        at += 1
        yield at


def _colours_bytes(flags: int) -> int:
    """Of a table of colours, if the flags say that there is one."""
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _read(file: BinaryIO, at: int, num_bytes: int) -> bytes:
    """Fewer bytes at the end of the file are filled up with zeros."""
    file.seek(at)
    return file.read(num_bytes).ljust(num_bytes, b"\0")


# By FFmpeg's name of the format.
_MISSING: dict[str, Callable[[str | Path], str]] = {
    name: lambda path, parts=parts: _walk(path, parts)
    for names, parts in (
        (("mov", "mp4"), _mp4_ends),
        (("matroska", "webm"), _matroska_ends),
        (("avi",), _avi_ends),
        (("mpegts",), _mpegts_ends),
        (("asf", "asf_o"), _asf_ends),
        (("ogg",), _ogg_ends),
        (("gif",), _gif_ends),
    )
    for name in names
}
