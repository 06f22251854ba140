"""MPEG-4 part 2 (ISO/IEC 14496-2, 6.2.3 to 6.2.5)."""

from functools import lru_cache
from typing import NamedTuple

from slowfast.datasets.reading.bitstream.network_units import Bits
from slowfast.datasets.reading.bitstream.picture import Picture

_START, _LAYERS, _GROUP, _PICTURE = b"\0\0\1", range(0x20, 0x30), 0xB3, 0xB6
_B, _SPRITE = 2, 3  # vop_coding_type; I and P before
# FFmpeg takes pictures of up to this many bytes for placeholders that show nothing.
_MAX_PLACEHOLDER_BYTES = 19
# The first bytes of a layer and of a picture that hold all that is read here.
_LAYER_BYTES, _PICTURE_BYTES = 40, 24


class _Layer(NamedTuple):
    """What the header of a layer says: vop_time_increment_resolution, and whether pictures of kind S are allowed."""

    ticks: int
    has_sprites: bool


class MPEG4Parser:
    """Packets with several pictures (packed B-frames) give None, and so do those at which the decoder drops pictures.

    It drops B pictures that do not lie between their references, and what waits to be shown where a header is new.

    Args:
        header: the stream's extradata.
    """

    def __init__(self, header: bytes) -> None:
        self._layers = {unit for unit in _units(header) if unit[0] in _LAYERS}
        self._group_s = self._last_group_s = 0  # what pictures count seconds from, and B pictures
        self._times: list[int] = []  # of the last two pictures that are no B pictures

    def __call__(self, data: bytes) -> Picture | None:
        """The picture of a packet."""
        pictures = []
        for unit in _units(data):
            if unit[0] in _LAYERS:
                self._layers.add(unit)
            elif unit[0] == _GROUP:
                bits = Bits(unit[1:])
                hours, minutes, _, seconds = (bits.read(count) for count in (5, 6, 1, 6))
                self._group_s = 3600 * hours + 60 * minutes + seconds
            elif unit[0] == _PICTURE:
                pictures.append(unit)
        if len(pictures) != 1 or len(self._layers) != 1 or len(data) <= _MAX_PLACEHOLDER_BYTES:
            return None
        return self._picture(Bits(pictures[0][1:_PICTURE_BYTES]), _parse_layer(next(iter(self._layers))))

    def _picture(self, bits: Bits, layer: _Layer) -> Picture | None:
        """Read the header of a picture (6.2.5); None if it is damaged or not coded."""
        kind, seconds = bits.read(2), 0
        while bits.read(1):
            seconds += 1
        has_marker = bits.read(1)
        ticks = bits.read(max(1, (layer.ticks - 1).bit_length()))
        has_marker &= bits.read(1)
        is_coded = bits.read(1)
        if kind == _B:
            first, last = self._times if len(self._times) == 2 else (0, 0)
            is_sound = first < (self._last_group_s + seconds) * layer.ticks + ticks < last
        else:
            self._last_group_s, self._group_s = self._group_s, self._group_s + seconds
            self._times = [*self._times[-1:], self._group_s * layer.ticks + ticks]
            is_sound = kind != _SPRITE or layer.has_sprites
        if not (has_marker and is_coded and is_sound):
            return None
        return Picture(kind == 0, is_b=kind == _B, is_spare=kind == _B)


def _units(data: bytes) -> list[bytes]:
    """What stands behind start codes; zeros may stand before the next one."""
    units = (unit.rstrip(b"\0") for unit in data.split(_START)[1:])
    return [unit for unit in units if unit]


@lru_cache(maxsize=16)
def _parse_layer(unit: bytes) -> _Layer:
    """Read the header of a layer (6.2.3)."""
    bits = Bits(unit[1:_LAYER_BYTES])
    bits.read(1 + 8)  # random access, type
    version = bits.read(7) >> 3 if bits.read(1) else 1
    bits.read(16 if bits.read(4) == 15 else 0)  # aspect ratio
    if bits.read(1):
        bits.read(3)  # chroma format, low delay
        bits.read(79 if bits.read(1) else 0)  # buffers
    shape = bits.read(2)
    if shape != 0:
        raise ValueError("pictures are no rectangles")
    bits.read(1)
    ticks = bits.read(16)
    bits.read(1)
    bits.read(max(1, (ticks - 1).bit_length()) if bits.read(1) else 0)  # time between pictures
    bits.read(1 + 13 + 1 + 13 + 1 + 2)  # size, fields, overlapped blocks
    return _Layer(ticks, bits.read(1 if version == 1 else 2) != 0)
