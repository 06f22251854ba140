"""VP9 (bitstream specification 0.6, 6.2 and annex B)."""

from slowfast.datasets.reading.bitstream.picture import Parser, Picture


def vp9_parser(header: bytes) -> Parser:
    """A packet may also hold pictures that are not shown."""

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
