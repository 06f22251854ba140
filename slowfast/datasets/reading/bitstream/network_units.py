"""What H.264 and HEVC have in common: units, their bits, and how pictures say in which order they are shown."""

from collections.abc import Iterator


class Bits:
    """Reads the bits of a unit in order; past the end there is a ValueError.

    Args:
        unit: or its beginning; bytes that only keep it from looking like a start code are left out.
    """

    def __init__(self, unit: bytes) -> None:
        content = unit.replace(b"\0\0\3", b"\0\0")
        self._bits = f"{int.from_bytes(content, 'big'):0{8 * len(content)}b}" if content else ""
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


class OrderCounter:
    """Picture order counts, of which pictures carry only the last bits (H.264, 8.2.1.1; HEVC, 8.3.1).

    They start anew at each reset, so the number of resets goes before them.
    """

    def __init__(self) -> None:
        self._num_resets = self._last = 0

    def __call__(self, bits: int, num_bits: int, *, is_reset: bool, is_base: bool) -> tuple[int, int]:
        """Take the pictures in turn, in the order of decoding.

        Args:
            bits: the last ``num_bits`` of the count.
            num_bits: the count lies at most half of what they can tell from that of the last base picture.
            is_reset: counting starts anew.
            is_base: the next picture's count lies near this one's.

        Returns:
            What is smaller is shown earlier.
        """
        if is_reset:
            self._num_resets += 1
            self._last = 0
        size = 1 << num_bits
        ahead = (bits - self._last) % size
        order = self._last + (ahead if ahead <= size // 2 else ahead - size)
        if is_base:
            self._last = order
        return self._num_resets, order


class ParameterSets:
    """The parameter sets of a stream so far."""

    def __init__(self) -> None:
        self._sets: dict[bytes, bytes] = {}  # kind and number of each to the set

    def keep(self, kind: int, number: int, unit: bytes) -> bool:
        """Take a set; tells whether it is another one than those of its kind before."""
        key = bytes([kind, number])
        is_new = self._sets.get(key) != unit and any(known[0] == kind for known in self._sets)
        self._sets[key] = unit
        return is_new


def is_configuration_record(header: bytes) -> bool:
    """Whether units stand behind their lengths (mp4, mkv), not behind start codes (ts, avi)."""
    return header[:1] == b"\1"


def units(data: bytes, length_bytes: int) -> Iterator[bytes]:
    """Split units behind lengths of ``length_bytes`` or, if that is 0, start codes."""
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
