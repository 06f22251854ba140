"""MPEG-4 part 2 (ISO/IEC 14496-2, 6.2.3 and 6.2.5)."""

from slowfast.datasets.reading.bitstream.picture import Parser, Picture

_START, _PICTURE, _LAYER = b"\0\0\1", 0xB6, range(0x20, 0x30)
# FFmpeg takes pictures of up to this many bytes for placeholders that show nothing.
_MAX_PLACEHOLDER_BYTES = 19


def mpeg4_parser(header: bytes) -> Parser:
    """Packets with several pictures (packed B-frames) give None, and so do those with another header than the first.

    A new header may make the decoder drop pictures that wait to be shown.
    """
    layers = {unit for unit in _units(header) if unit[0] in _LAYER}

    def parse(data: bytes) -> Picture | None:
        pictures = []
        for unit in _units(data):
            if unit[0] in _LAYER:
                layers.add(unit)
            elif unit[0] == _PICTURE:
                pictures.append(unit)
        if len(pictures) != 1 or len(data) <= _MAX_PLACEHOLDER_BYTES or len(layers) > 1:
            return None
        kind = pictures[0][1] >> 6  # I, P, B or S
        return Picture(kind == 0, is_b=kind == 2, is_spare=kind == 2)

    return parse


def _units(data: bytes) -> list[bytes]:
    """What stands behind start codes; zeros may stand before the next one."""
    return [unit.rstrip(b"\0") for unit in data.split(_START)[1:] if unit.rstrip(b"\0")]
