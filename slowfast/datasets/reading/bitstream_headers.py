"""The first bits of coded pictures: what a packet shows, told without decoding it.

A parser is made once for a stream, from the stream's header. It takes the bytes of a packet and gives the one picture
that the packet shows; or None where the packet shows none, several or half of one (a field), or is beyond the parser.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple


class Picture(NamedTuple):
    """The one picture that a packet shows.

    Attributes:
        is_start: decoding can start here, for what is shown from here on.
        is_b: the codec calls it a B picture.
        is_reset: the decoder forgets everything here.
        is_spare: no other picture needs it, as far as the packet says so (H.264, MPEG-4).
        is_after_gap: the numbers of H.264's pictures say that one is missing before it.
        is_new_format: its size, or what else describes a sequence of pictures, is new (H.264, HEVC, VP9).
    """

    is_start: bool
    is_b: bool = False
    is_reset: bool = False
    is_spare: bool = False
    is_after_gap: bool = False
    is_new_format: bool = False


Parser = Callable[[bytes], Picture | None]

# FFmpeg takes MPEG-4 pictures of up to this many bytes for placeholders that show nothing.
_MAX_PLACEHOLDER_BYTES = 19
# Profiles of H.264 whose sequence parameter sets describe the samples.
_H264_HIGH_PROFILES = {44, 83, 86, 100, 110, 118, 122, 128, 134, 135, 138, 139, 144, 244}


def picture_parser(codec: str, header: bytes) -> Parser:
    """The parser of a stream.

    Args:
        codec: FFmpeg's name; of an unknown one no packet is understood.
        header: the stream's extradata.
    """

    def parse_or_give_up(data: bytes) -> Picture | None:
        try:
            return parse(data)
        except (IndexError, ValueError):  # damaged
            return None

    try:
        parse = _PARSERS[codec](header)
    except (KeyError, IndexError, ValueError):
        return lambda data: None
    return parse_or_give_up


def _h264_parser(header: bytes) -> Parser:
    """H.264 (ITU-T H.264, 7.3); streams that may be coded in fields give None."""
    length_bytes = (header[4] & 3) + 1 if _is_configuration_record(header) else 0
    if length_bytes:
        size = int.from_bytes(header[6:8], "big")
        parameter_sets = [header[8 : 8 + size]]
    else:
        parameter_sets = [unit for unit in _units(header, 0) if unit[0] & 31 == 7]
    known_sets = set(parameter_sets)  # streams repeat them
    sequences = list(map(_h264_sequence, parameter_sets))
    is_after_gap = _h264_gaps(sequences)

    def parse(data: bytes) -> Picture | None:
        pictures, is_recovery_point, is_new_format = [], False, False
        for unit in _units(data, length_bytes):
            kind = unit[0] & 31
            if kind == 7 and unit not in known_sets:
                is_new_format = bool(known_sets)
                known_sets.add(unit)
                sequences.append(_h264_sequence(unit))
            elif kind == 6:
                is_recovery_point |= _is_h264_recovery_point(unit)
            elif kind in (2, 3, 4):  # data partitions
                return None
            elif kind in (1, 5) and unit[1] & 0x80:  # the slice that has the first macroblock; its type follows
                slice_type = (unit[1] << 8 | unit[2]) & 0x7FFF
                is_b = slice_type >> 12 == 0b010 or slice_type >> 10 == 0b00111
                is_start = kind == 5 or is_recovery_point
                is_spare = not unit[0] & 0x60
                pictures.append(Picture(is_start, is_b, kind == 5, is_spare, is_after_gap(unit), is_new_format))
        is_in_frames = all(sequence.is_in_frames for sequence in sequences)
        return pictures[0] if is_in_frames and len(pictures) == 1 else None

    return parse


def _is_h264_recovery_point(information: bytes) -> bool:
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


class _Sequence(NamedTuple):
    """What a sequence parameter set of H.264 says: frame_mbs_only_flag, and how slices number their pictures."""

    is_in_frames: bool
    number_bits: int
    has_planes: bool


def _h264_gaps(sequences: Sequence[_Sequence]) -> Callable[[bytes], bool]:
    """Takes the first slices of pictures in turn; tells for each whether a reference is missing before it (7.4.3)."""
    last_number: int | None = None  # of the last picture that serves others

    def is_after_gap(slice_unit: bytes) -> bool:
        nonlocal last_number
        if not sequences:
            return False
        sequence = sequences[0]
        bits = _Bits(slice_unit[1:17].replace(b"\0\0\3", b"\0\0"))
        bits.skip_golomb(3)  # place, kind, picture parameter set
        bits.read(2 if sequence.has_planes else 0)
        number = bits.read(sequence.number_bits)
        is_reset = slice_unit[0] & 31 == 5
        expected = 0 if is_reset or last_number is None else (last_number + 1) % (1 << sequence.number_bits)
        is_gap = number != expected and (is_reset or last_number is not None)
        if slice_unit[0] & 0x60:
            last_number = number
        return is_gap

    return is_after_gap


def _h264_sequence(parameter_set: bytes) -> _Sequence:
    """Read a sequence parameter set (7.3.2.1.1)."""
    bits = _Bits(parameter_set[1:].replace(b"\0\0\3", b"\0\0"))
    profile = bits.read(8)
    bits.read(16)  # constraints and level
    bits.read_golomb()  # its number
    has_planes = False
    if profile in _H264_HIGH_PROFILES:
        chroma_format = bits.read_golomb()
        has_planes = bits.read(1 if chroma_format == 3 else 0) == 1
        bits.skip_golomb(2)  # bit depths
        bits.read(1)
        if bits.read(1):
            for i in range(12 if chroma_format == 3 else 8):
                if bits.read(1):
                    _skip_scaling_list(bits, 16 if i < 6 else 64)
    number_bits = bits.read_golomb() + 4
    order_type = bits.read_golomb()
    if order_type == 0:
        bits.read_golomb()
    elif order_type == 1:
        bits.read(1)
        bits.skip_golomb(2)
        bits.skip_golomb(bits.read_golomb())
    bits.read_golomb()  # reference frames
    bits.read(1)
    bits.skip_golomb(2)  # width and height
    return _Sequence(bits.read(1) == 1, number_bits, has_planes)


def _skip_scaling_list(bits: "_Bits", size: int) -> None:
    last = following = 8
    for _ in range(size):
        if following:
            code = bits.read_golomb()
            following = (last + (code + 1) // 2 * (1 if code % 2 else -1)) % 256
        last = following or last


class _Bits:
    """Reads bits in order; past the end there is a ValueError."""

    def __init__(self, data: bytes) -> None:
        self._bits = "".join(f"{byte:08b}" for byte in data)
        self._at = 0

    def read(self, count: int) -> int:
        """An unsigned number of ``count`` bits."""
        if self._at + count > len(self._bits):
            raise ValueError("the data ends")
        self._at += count
        return int(self._bits[self._at - count : self._at] or "0", 2)

    def read_golomb(self) -> int:
        """An unsigned Exp-Golomb number."""
        num_zeros = self._bits.index("1", self._at) - self._at
        self._at += num_zeros
        return self.read(num_zeros + 1) - 1

    def skip_golomb(self, count: int) -> None:
        """Pass over Exp-Golomb numbers."""
        for _ in range(count):
            self.read_golomb()


def _hevc_parser(header: bytes) -> Parser:
    """HEVC (ITU-T H.265, 7.3); splices and whatever else makes a decoder drop pictures give None."""
    length_bytes = (header[21] & 3) + 1 if _is_configuration_record(header) else 0
    known_sets: set[bytes] = set()

    def parse(data: bytes) -> Picture | None:
        pictures, is_new_format = [], False
        for unit in _units(data, length_bytes):
            kind = unit[0] >> 1 & 63
            if kind == 33 and unit not in known_sets and unit not in header:
                is_new_format = True
                known_sets.add(unit)
            if kind in (16, 17, 18, 36, 37):  # a broken link, an end of sequence or stream
                return None
            is_base_layer = not unit[0] & 1 and not unit[1] & 0xF8
            if kind < 32 and is_base_layer and unit[2] & 0x80:  # the first slice
                is_start = 16 <= kind <= 23
                if is_start and unit[2] & 0x40:  # pictures that wait to be shown are dropped
                    return None
                pictures.append(Picture(is_start, is_reset=kind in (19, 20), is_new_format=is_new_format))
        return pictures[0] if len(pictures) == 1 else None

    return parse


def _mpeg4_parser(header: bytes) -> Parser:
    """MPEG-4 part 2 (ISO/IEC 14496-2, 6.2.5); packets with several pictures (packed B-frames) give None."""

    def parse(data: bytes) -> Picture | None:
        start_code = b"\0\0\1\xb6"
        if data.count(start_code) != 1 or len(data) <= _MAX_PLACEHOLDER_BYTES:
            return None
        kind = data[data.index(start_code) + 4] >> 6  # I, P, B or S
        return Picture(kind == 0, is_b=kind == 2, is_spare=kind == 2)

    return parse


def _vp9_parser(header: bytes) -> Parser:
    """VP9 (bitstream specification 0.6, 6.2 and annex B); a packet may also hold pictures that are not shown."""

    first_format: int | None = None

    def parse(data: bytes) -> Picture | None:
        nonlocal first_format
        num_shown, is_start, is_new_format = 0, False, False
        for i, first_byte in enumerate(_vp9_first_bytes(data)):
            # Two bits of marker, two of the profile (three for profile 3), three flags.
            flags = first_byte >> (0 if first_byte & 0x30 == 0x30 else 1) & 7
            shows_an_earlier_one, is_key, is_shown = bool(flags & 4), not flags & 2, bool(flags & 1)
            num_shown += shows_an_earlier_one or is_shown
            is_start |= i == 0 and is_key and not shows_an_earlier_one
        if is_start:
            own_format = int.from_bytes(data[4:9], "big") >> 4  # colours, width and height, of profile 0
            first_format = own_format if first_format is None else first_format
            is_new_format = own_format != first_format
        return Picture(is_start, is_reset=is_start, is_new_format=is_new_format) if num_shown == 1 else None

    return parse


def _vp9_first_bytes(data: bytes) -> list[int]:
    """The first byte of each picture of a packet; an index of their sizes may stand at its end."""
    marker = data[-1]
    num_pictures, size_bytes = (marker & 7) + 1, (marker >> 3 & 3) + 1
    index = data[-2 - num_pictures * size_bytes : -1]
    if marker & 0xE0 != 0xC0 or index[0] != marker:
        return [data[0]]
    sizes = [
        int.from_bytes(index[1 + i * size_bytes : 1 + (i + 1) * size_bytes], "little") for i in range(num_pictures)
    ]
    return [data[sum(sizes[:i])] for i in range(num_pictures)]


_PARSERS: dict[str, Callable[[bytes], Parser]] = {
    "h264": _h264_parser,
    "hevc": _hevc_parser,
    "mpeg4": _mpeg4_parser,
    "vp9": _vp9_parser,
}


def _is_configuration_record(header: bytes) -> bool:
    """Whether units stand behind their lengths (mp4, mkv), not behind start codes (ts, avi)."""
    return header[:1] == b"\1"


def _units(data: bytes, length_bytes: int) -> Iterator[bytes]:
    """Split network abstraction layer units behind lengths of ``length_bytes`` or, if that is 0, start codes."""
    if not length_bytes:
        yield from filter(None, data.split(b"\0\0\1")[1:])
        return
    at = 0
    while at + length_bytes < len(data):
        size = int.from_bytes(data[at : at + length_bytes], "big")
        at += length_bytes
        if size:
            yield data[at : at + size]
        at += size
