"""HEVC (ITU-T H.265, 7.3)."""

from collections.abc import Iterator
from typing import NamedTuple

from slowfast.datasets.reading.bitstream.network_units import (
    Bits,
    OrderCounter,
    ParameterSets,
    is_configuration_record,
    units,
)
from slowfast.datasets.reading.bitstream.picture import Picture

# Kinds of units (table 7-1).
_RESETS, _STARTS, _SEQUENCE_SET, _PICTURE_SET = (19, 20), range(16, 24), 33, 34
# Links that may be broken, ends of a sequence or of the stream.
_SPLICES = (16, 17, 18, 36, 37)
# Leading pictures, and others that pictures of the lowest temporal layer do not need.
_NEVER_BASE = (0, 2, 4, 6, 7, 8, 9, 10, 12, 14)
_MAX_TEMPORAL_LAYERS = 8
# The first bytes of a slice that hold all that is read here.
_SLICE_BYTES = 24


class _Sequence(NamedTuple):
    """What a sequence parameter set says of slices: separate_colour_plane_flag, bits of slice_pic_order_cnt_lsb."""

    has_planes: bool
    order_bits: int


class _PictureSet(NamedTuple):
    """What a picture parameter set says of slices: its sequence, output_flag_present_flag, other bits of headers."""

    sequence: int
    has_output_flag: bool
    num_extra_bits: int


class HEVCParser:
    """Splices and whatever else makes a decoder drop pictures give None.

    Args:
        header: the stream's extradata.
    """

    def __init__(self, header: bytes) -> None:
        is_record = is_configuration_record(header)
        self._length_bytes = (header[21] & 3) + 1 if is_record else 0
        self._sets = ParameterSets()
        self._sequences: dict[int, _Sequence] = {}
        self._picture_sets: dict[int, _PictureSet] = {}
        for unit in _units_of_record(header) if is_record else units(header, 0):
            self._keep_set(unit)
        self._counter = OrderCounter()

    def __call__(self, data: bytes) -> Picture | None:
        """The picture of a packet."""
        pictures, is_new_format = [], False
        for unit in units(data, self._length_bytes):
            kind = unit[0] >> 1 & 63
            is_base_layer = not unit[0] & 1 and not unit[1] & 0xF8
            if kind in _SPLICES:
                return None
            if not is_base_layer:
                continue
            if kind in (_SEQUENCE_SET, _PICTURE_SET):
                is_new_format |= self._keep_set(unit)
            elif kind < 32 and unit[2] & 0x80:  # the first slice
                if kind in _STARTS and unit[2] & 0x40:  # pictures that wait to be shown are dropped
                    return None
                is_reset = kind in _RESETS
                order = self._order(unit)
                pictures.append(Picture(kind in _STARTS, is_reset=is_reset, is_new_format=is_new_format, order=order))
        return pictures[0] if len(pictures) == 1 else None

    def _keep_set(self, unit: bytes) -> bool:
        """Take a parameter set of either kind; tells whether it is another one than those of its kind before."""
        unit = unit.rstrip(b"\0")  # zeros may stand before the next start code
        kind = unit[0] >> 1 & 63
        if kind == _SEQUENCE_SET:
            number, sequence = _parse_sequence(unit)
            self._sequences[number] = sequence
        elif kind == _PICTURE_SET:
            bits = Bits(unit[2:_SLICE_BYTES])
            number, sequence = bits.read_golomb(), bits.read_golomb()
            bits.read(1)  # dependent slices
            self._picture_sets[number] = _PictureSet(sequence, bits.read(1) == 1, bits.read(3))
        else:
            return False
        return self._sets.keep(kind, number, unit)

    def _order(self, unit: bytes) -> tuple[int, int]:
        """Where a picture is shown, out of the header of its first slice (7.3.6.1)."""
        kind, is_lowest_layer = unit[0] >> 1 & 63, unit[1] & 7 == 1
        bits = Bits(unit[2:_SLICE_BYTES])
        bits.read(2 if kind in _STARTS else 1)
        picture_set = self._picture_sets[bits.read_golomb()]
        sequence = self._sequences[picture_set.sequence]
        bits.read(picture_set.num_extra_bits)
        bits.read_golomb()  # kind of slice
        bits.read(picture_set.has_output_flag + 2 * sequence.has_planes)
        is_reset = kind in _RESETS
        last_bits = 0 if is_reset else bits.read(sequence.order_bits)
        is_base = is_lowest_layer and kind not in _NEVER_BASE
        return self._counter(last_bits, sequence.order_bits, is_reset=is_reset, is_base=is_base)


def _units_of_record(header: bytes) -> Iterator[bytes]:
    """Parameter sets of a configuration record (ISO/IEC 14496-15, 8.3.3.1)."""
    at = 23
    for _ in range(header[22]):
        count, at = int.from_bytes(header[at + 1 : at + 3], "big"), at + 3
        for _ in range(count):
            size = int.from_bytes(header[at : at + 2], "big")
            yield header[at + 2 : at + 2 + size]
            at += 2 + size


def _parse_sequence(parameter_set: bytes) -> tuple[int, _Sequence]:
    """Read a sequence parameter set (7.3.2.2.1), and its number."""
    bits = Bits(parameter_set[2:])
    bits.read(4)
    num_sub_layers = bits.read(3)  # beside the whole
    bits.read(1 + 88 + 8)  # profile, constraints, level
    if num_sub_layers:
        has = [(bits.read(1), bits.read(1)) for _ in range(_MAX_TEMPORAL_LAYERS)]
        for has_profile, has_level in has[:num_sub_layers]:
            bits.read(88 * has_profile + 8 * has_level)
    number = bits.read_golomb()
    has_planes = bits.read_golomb() == 3 and bits.read(1) == 1
    bits.skip_golomb(2)  # width and height
    if bits.read(1):
        bits.skip_golomb(4)  # what is cut off
    bits.skip_golomb(2)  # bit depths
    return number, _Sequence(has_planes, bits.read_golomb() + 4)
