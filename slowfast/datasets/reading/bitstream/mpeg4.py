"""MPEG-4 part 2 (ISO/IEC 14496-2, 6.2.3 and 6.2.5)."""

from slowfast.datasets.reading.bitstream.picture import Parser, Picture

_PICTURE = b"\0\0\1\xb6"
# FFmpeg takes pictures of up to this many bytes for placeholders that show nothing.
_MAX_PLACEHOLDER_BYTES = 19


def mpeg4_parser(header: bytes) -> Parser:
    """Packets with several pictures (packed B-frames) give None."""

    def parse(data: bytes) -> Picture | None:
        if data.count(_PICTURE) != 1 or len(data) <= _MAX_PLACEHOLDER_BYTES:
            return None
        kind = data[data.index(_PICTURE) + 4] >> 6  # I, P, B or S
        return Picture(kind == 0, is_b=kind == 2, is_spare=kind == 2)

    return parse
