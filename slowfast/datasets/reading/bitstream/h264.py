"""H.264 (ITU-T H.264, 7.3)."""

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
_SLICES, _PARTITIONS, _RESET, _INFORMATION, _SEQUENCE_SET, _PICTURE_SET = (1, 5), (2, 3, 4), 5, 6, 7, 8
# Profiles whose sequence parameter sets describe the samples.
_HIGH_PROFILES = {44, 83, 86, 100, 110, 118, 122, 128, 134, 135, 138, 139, 144, 244}
# The first bytes of a slice that hold all that is read here.
_SLICE_BYTES = 24


class _Sequence(NamedTuple):
    """What a sequence parameter set says of its pictures and of their slices.

    Attributes:
        is_in_frames: frame_mbs_only_flag.
        number_bits: of frame_num.
        has_planes: separate_colour_plane_flag.
        order_type: pic_order_cnt_type.
        order_bits: of pic_order_cnt_lsb, for type 0.
    """

    is_in_frames: bool
    number_bits: int
    has_planes: bool
    order_type: int
    order_bits: int


class H264Parser:
    """Streams that may be coded in fields give None.

    Args:
        header: the stream's extradata.
    """

    def __init__(self, header: bytes) -> None:
        is_record = is_configuration_record(header)
        self._length_bytes = (header[4] & 3) + 1 if is_record else 0
        self._sets = ParameterSets()
        self._sequences: dict[int, _Sequence] = {}
        self._sequence_of: dict[int, int] = {}  # of each picture parameter set
        for unit in _units_of_record(header) if is_record else units(header, 0):
            self._keep_set(unit)
        self._counter = OrderCounter()
        self._last_number: int | None = None  # of the last picture that serves others
        self._num_pictures = 0

    def __call__(self, data: bytes) -> Picture | None:
        """The picture of a packet."""
        pictures, is_recovery_point, is_new_format = [], False, False
        for unit in units(data, self._length_bytes):
            kind = unit[0] & 31
            if kind in (_SEQUENCE_SET, _PICTURE_SET):
                is_new_format |= self._keep_set(unit)
            elif kind == _INFORMATION:
                is_recovery_point |= _is_recovery_point(unit)
            elif kind in _PARTITIONS:
                return None
            elif kind in _SLICES and unit[1] & 0x80:  # the slice that has the first macroblock
                picture = self._picture(unit)
                is_start = picture.is_reset or is_recovery_point
                pictures.append(picture._replace(is_start=is_start, is_new_format=is_new_format))
        is_in_frames = all(sequence.is_in_frames for sequence in self._sequences.values())
        return pictures[0] if is_in_frames and len(pictures) == 1 else None

    def _keep_set(self, unit: bytes) -> bool:
        """Take a parameter set of either kind; tells whether it is another one than those of its kind before."""
        unit = unit.rstrip(b"\0")  # zeros may stand before the next start code
        kind = unit[0] & 31
        if kind == _SEQUENCE_SET:
            number, sequence = _parse_sequence(unit)
            self._sequences[number] = sequence
        elif kind == _PICTURE_SET:
            bits = Bits(unit[1:_SLICE_BYTES])
            number = bits.read_golomb()
            self._sequence_of[number] = bits.read_golomb()
        else:
            return False
        return self._sets.keep(kind, number, unit)

    def _picture(self, unit: bytes) -> Picture:
        """Read the header of a slice (7.3.3)."""
        bits = Bits(unit[1:_SLICE_BYTES])
        bits.read_golomb()  # its place
        slice_type, picture_set = bits.read_golomb(), bits.read_golomb()
        is_reset, is_spare = unit[0] & 31 == _RESET, not unit[0] & 0x60
        picture = Picture(is_start=is_reset, is_b=slice_type % 5 == 1, is_reset=is_reset, is_spare=is_spare)
        if not self._sequences:
            return picture
        sequence = self._sequences[self._sequence_of[picture_set]]
        if not sequence.is_in_frames:
            return picture
        bits.read(2 if sequence.has_planes else 0)
        is_after_gap = self._is_after_gap(bits.read(sequence.number_bits), sequence, picture)
        if is_reset:
            bits.read_golomb()  # its number among such pictures
        order = None
        if sequence.order_type == 0:
            last_bits = bits.read(sequence.order_bits)
            order = self._counter(last_bits, sequence.order_bits, is_reset=is_reset, is_base=not is_spare)
        elif sequence.order_type == 2:  # that of decoding
            order = 0, self._num_pictures
        self._num_pictures += 1
        return picture._replace(is_after_gap=is_after_gap, order=order)

    def _is_after_gap(self, number: int, sequence: _Sequence, picture: Picture) -> bool:
        """Whether a reference is missing before a picture of this frame_num (7.4.3)."""
        last, is_reset = self._last_number, picture.is_reset
        expected = 0 if is_reset or last is None else (last + 1) % (1 << sequence.number_bits)
        if not picture.is_spare:
            self._last_number = number
        return number != expected and (is_reset or last is not None)


def _units_of_record(header: bytes) -> Iterator[bytes]:
    """Parameter sets of a configuration record (ISO/IEC 14496-15, 5.3.3.1)."""
    at = 5
    for mask in (31, 255):  # of the number of each kind of set
        count, at = header[at] & mask, at + 1
        for _ in range(count):
            size = int.from_bytes(header[at : at + 2], "big")
            yield header[at + 2 : at + 2 + size]
            at += 2 + size


def _is_recovery_point(information: bytes) -> bool:
    """Whether supplemental information says that what is shown from this picture on comes out exactly (D.1.8)."""
    at = 1
    while at + 2 < len(information):
        values = []
        for _ in ("kind", "size"):
            value = 0
            while information[at] == 255:
                value, at = value + 255, at + 1
            values.append(value + information[at])
            at += 1
        kind, size = values
        if kind == 6:
            return information[at] >> 5 == 0b110  # no picture to wait for; exact; not broken
        at += size
    return False


def _parse_sequence(parameter_set: bytes) -> tuple[int, _Sequence]:
    """Read a sequence parameter set (7.3.2.1.1), and its number."""
    bits = Bits(parameter_set[1:])
    profile = bits.read(8)
    bits.read(16)  # constraints and level
    number = bits.read_golomb()
    has_planes = False
    if profile in _HIGH_PROFILES:
        chroma_format = bits.read_golomb()
        has_planes = bits.read(1 if chroma_format == 3 else 0) == 1
        bits.skip_golomb(2)  # bit depths
        bits.read(1)
        if bits.read(1):
            for i in range(12 if chroma_format == 3 else 8):
                if bits.read(1):
                    _skip_scaling_list(bits, 16 if i < 6 else 64)
    number_bits = bits.read_golomb() + 4
    order_type, order_bits = bits.read_golomb(), 0
    if order_type == 0:
        order_bits = bits.read_golomb() + 4
    elif order_type == 1:
        bits.read(1)
        bits.skip_golomb(2)
        bits.skip_golomb(bits.read_golomb())
    bits.read_golomb()  # reference frames
    bits.read(1)
    bits.skip_golomb(2)  # width and height
    return number, _Sequence(bits.read(1) == 1, number_bits, has_planes, order_type, order_bits)


def _skip_scaling_list(bits: Bits, size: int) -> None:
    last = following = 8
    for _ in range(size):
        if following:
            code = bits.read_golomb()
            following = (last + (code + 1) // 2 * (1 if code % 2 else -1)) % 256
        last = following or last
