"""Which packet of a video shows which frame, and where decoding may start: found without decoding.

The order of frames is taken from the file only where it is certain. Otherwise there is no index, and decoding from the
first packet on must tell.
"""

from bisect import bisect, insort
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import NamedTuple

from slowfast.datasets.reading.bitstream.picture import Picture


class PacketFacts(NamedTuple):
    """What the index must know of a packet.

    Attributes:
        picture: the one picture that it shows; None if that is not certain.
        pts: when it is shown, in any unit; None if the file does not say.
        is_key: the file says that decoding may start here.
        is_hidden: its picture serves others but is not shown, as an edit list may ask.
    """

    picture: Picture | None
    pts: int | None
    is_key: bool = False
    is_hidden: bool = False


class PacketIndex(NamedTuple):
    """The order of a video stream. Packets are numbered as they stand in the file.

    Attributes:
        packet_of_frame: the packet that shows frame i.
        place: where each packet's picture stands in the order of presentation, hidden ones included.
        starts: packets at which decoding may start, ascending.
        spare: packets of pictures that are hidden or that no other picture needs.
        is_plain: nothing is hidden, no format changes, and wherever the file says that decoding may start, the decoder
            forgets everything.
    """

    packet_of_frame: list[int]
    place: list[int]
    starts: list[int]
    spare: frozenset[int]
    is_plain: bool

    def spans(self, packets: Iterable[int]) -> list[tuple[int, int]]:
        """What must be decoded to see the pictures of some packets: (first, last) packets, disjoint and ascending."""
        spans: list[tuple[int, int]] = []
        for first, last in sorted((self._start_for(packet), packet) for packet in packets):
            if spans and first <= spans[-1][1] + 1:
                spans[-1] = (spans[-1][0], max(spans[-1][1], last))
            else:
                spans.append((first, last))
        return spans

    def needed(self, spans: Iterable[tuple[int, int]]) -> set[int]:
        """Packets of spans whose pictures must come out, lest those that are decoded from them are wrong."""
        return {
            packet
            for first, last in spans
            for packet in range(first, last + 1)
            if packet not in self.spare and self.place[packet] >= self.place[first]
        }

    def _start_for(self, packet: int) -> int:
        """The last start that is both decoded and shown no later than the packet.

        What is decoded after a start and shown before it (an open group of pictures) also needs the group before.
        """
        i = bisect(self.starts, packet) - 1
        while self.place[self.starts[i]] > self.place[packet]:
            i -= 1
        return self.starts[i]


def build_index(codec: str, packets: Sequence[PacketFacts], reorder_depth: int) -> PacketIndex | None:
    """Find the order of a stream's frames.

    Args:
        codec: FFmpeg's name.
        packets: all of the stream, as they stand in the file.
        reorder_depth: pictures that the decoder holds back to put them in order.

    Returns:
        None if the order is not certain.
    """
    pictures = [packet.picture for packet in packets]
    if not packets or None in pictures:
        return None
    # Files of MPEG-4 often have no times (avi), or wrong ones; its kinds of pictures settle the order.
    order = _order_by_kind(pictures) if codec == "mpeg4" else _order_by_time([packet.pts for packet in packets])
    if order is None or not _agrees(order, [picture.order for picture in pictures]):
        return None
    place = [0] * len(order)
    for i, packet in enumerate(order):
        place[packet] = i
    starts = [number for number, picture in enumerate(pictures) if picture.is_start]
    keys = [number for number, packet in enumerate(packets) if packet.is_key]
    delay = _reorder_delay(place)
    begins_within = place[0] > 0 or not pictures[0].is_start
    drops_pictures = delay > reorder_depth
    has_times_of_decoding = delay == 0 and _must_reorder(codec, pictures, reorder_depth)
    if begins_within or drops_pictures or has_times_of_decoding:
        return None
    return PacketIndex(
        packet_of_frame=[packet for packet in order if not packets[packet].is_hidden],
        place=place,
        starts=starts,
        spare=frozenset(i for i, packet in enumerate(packets) if packet.is_hidden or packet.picture.is_spare),
        is_plain=all(place[key] == key and pictures[key].is_reset for key in keys)
        and not any(packet.is_hidden or packet.picture.is_new_format for packet in packets),
    )


def _order_by_time(times: Sequence[int | None]) -> list[int] | None:
    if None in times or len(set(times)) < len(times):
        return None
    return sorted(range(len(times)), key=times.__getitem__)


def _agrees(order: Sequence[int], stated: Sequence[tuple[int, int] | None]) -> bool:
    """Whether the stream itself orders its pictures so; times may be damaged, and the decoder does not look at them."""
    if None in stated:
        return True
    return all(stated[first] < stated[second] for first, second in pairwise(order))


def _order_by_kind(pictures: Sequence[Picture]) -> list[int]:
    """B pictures are shown at once, any other when the next such one is decoded."""
    order, waiting = [], []
    for number, picture in enumerate(pictures):
        if picture.is_b:
            order.append(number)
        else:
            order += waiting
            waiting = [number]
    return order + waiting


def _must_reorder(codec: str, pictures: Sequence[Picture], reorder_depth: int) -> bool:
    """Whether pictures are certainly, or in HEVC perhaps, not shown in the order of decoding."""
    if codec == "h264":
        return any(picture.is_b for picture in pictures)
    return codec == "hevc" and reorder_depth > 0


def _reorder_delay(place: Sequence[int]) -> int:
    """The largest number of pictures that are decoded before another and shown after it."""
    decoded: list[int] = []
    delay = 0
    for i in place:
        delay = max(delay, len(decoded) - bisect(decoded, i))
        insort(decoded, i)
    return delay
