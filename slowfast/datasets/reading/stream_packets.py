"""The packets of a file's video stream: demultiplexed once, indexed, and looked through for a cut."""

from collections.abc import Iterator, Mapping
from fractions import Fraction
from pathlib import Path

import av

from slowfast.datasets.reading.bitstream.parser import picture_parser
from slowfast.datasets.reading.bitstream.picture import Picture
from slowfast.datasets.reading.container import cause_of, choose_video_stream, open_container
from slowfast.datasets.reading.frame_rate import FrameTimes
from slowfast.datasets.reading.packet_index import PacketFacts, PacketIndex, build_index
from slowfast.datasets.reading.source import VideoReadError
from slowfast.datasets.reading.truncation import why_truncated

# A stream's packets are kept in memory up to this size; those of larger ones are demultiplexed again for each read.
MAX_KEPT_BYTES = 256 * 2**20


class StreamPackets:
    """The video stream of an open file, its packets and its decoder.

    Args:
        path: a file that FFmpeg reads.
        allow_streams: see ``open_container``.

    Attributes:
        container, stream, decoder: PyAV's; ``reopen`` replaces them.
        num_packets: of the stream.
        index: the order of its frames; None if that is not certain, or data are missing before the cut: from what the
            decoder makes up for them depends on all that it has seen.
        truncated: why the file ends early; "" for a whole one, and where that is not known.
        cut: the packet from which on what is damaged was damaged by the cut.

    Raises:
        VideoReadError: if the file cannot be opened or demultiplexed, or has no video stream.
    """

    def __init__(self, path: str | Path, *, allow_streams: bool = False) -> None:
        self.path, self._allow_streams = str(path), allow_streams
        self._open()
        try:
            self._demultiplex()
        except (av.FFmpegError, OSError) as error:
            self.close()
            raise VideoReadError(f"cannot be demultiplexed: {cause_of(error)}") from None

    def _open(self) -> None:
        self.container = open_container(self.path, allow_streams=self._allow_streams)
        try:
            self.stream = choose_video_stream(self.container)
        except VideoReadError:
            self.close()
            raise
        self.decoder = self.stream.codec_context

    def reopen(self) -> None:
        """Take a fresh decoder: one that has met damage may remember it, although it was flushed.

        Raises:
            VideoReadError: if the file cannot be opened any more.
        """
        self.close()
        self._open()

    def _demultiplex(self) -> None:
        """Keep the packets, unless they are too large, index them, and look for a cut."""
        own_number = self.stream.index
        parse = picture_parser(self.decoder.name, self.decoder.extradata or b"")
        facts: list[PacketFacts] = []
        self._durations: list[int] = []
        self._kept: list[av.Packet] | None = []
        num_bytes, last_whole = 0, -1
        ends_s: dict[int, float] = {}
        gaps: list[int] = []
        is_cut = False
        for packet in _packets_of(self.container):
            number, is_cut = packet.stream.index, packet.is_corrupt
            ends_s[number] = max(ends_s.get(number, 0.0), _end_s(packet))
            if number != own_number:
                continue
            picture = Picture(is_start=False) if packet.is_corrupt else parse(bytes(packet))
            if packet.is_corrupt or (picture is not None and picture.is_after_gap):
                gaps.append(len(facts))
            last_whole = last_whole if packet.is_corrupt else len(facts)
            facts.append(PacketFacts(picture, packet.pts, packet.is_keyframe, packet.is_discard))
            self._durations.append(packet.duration or 0)
            num_bytes += packet.size
            if num_bytes > MAX_KEPT_BYTES:
                self._kept = None
            if self._kept is not None:
                self._kept.append(packet)
        self.num_packets = len(facts)
        self._times = [packet.pts for packet in facts]
        is_cut = is_cut or last_whole + 1 < len(facts)
        self.truncated = self._why_truncated(ends_s) or ("its last packet is cut off" if is_cut else "")
        self.cut = min(last_whole + 1, len(facts) - bool(self.truncated))
        self.index: PacketIndex | None = None
        if not gaps or gaps[0] >= self.cut:
            self.index = build_index(self.decoder.name, facts, self.decoder.reorder_depth)

    def _why_truncated(self, ends_s: Mapping[int, float]) -> str:
        """Compare the file with what it says of itself; ``ends_s`` has the end of each stream's last packet."""
        if self.stream.duration is not None:
            stated_s, last_s = float(self.stream.duration * self.stream.time_base), ends_s.get(self.stream.index)
        else:
            duration = self.container.duration
            stated_s, last_s = duration and duration / av.time_base, max(ends_s.values(), default=None)
        try:
            return why_truncated(self.path, self.container.format.name, stated_end_s=stated_s, last_end_s=last_s)
        except OSError:  # an address
            return ""

    def __iter__(self) -> Iterator[av.Packet]:
        """The packets, from the first one on."""
        if self._kept is not None:
            yield from self._kept
            return
        with open_container(self.path, allow_streams=self._allow_streams) as container:
            own_number = choose_video_stream(container).index
            yield from (packet for packet in _packets_of(container) if packet.stream.index == own_number)

    def times(self, packets: list[int | None]) -> FrameTimes:
        """When the frames of these packets are shown.

        Raises:
            VideoReadError: if the file does not say so for every one.
        """
        if None in packets or None in (times := [self._times[packet] for packet in packets]):
            raise VideoReadError("does not say when its frames are shown; DATA.STH_VIDEO_FPS 0 reads it as it is")
        begin = round(Fraction(self.container.start_time or 0, av.time_base) / self.stream.time_base)
        return FrameTimes(
            shown=[time - begin for time in times],
            durations=[self._durations[packet] for packet in packets],
            time_base=self.stream.time_base,
            usual_fps=self.stream.guessed_rate,
        )

    def close(self) -> None:
        """Close the file."""
        self.container.close()


def _packets_of(container: av.container.InputContainer) -> Iterator[av.Packet]:
    """Packets of all streams, without the empty ones that PyAV puts at the end."""
    try:
        yield from (packet for packet in container.demux() if packet.size)
    except IndexError:  # PyAV's, at the end of a file in which a stream appears midway
        return


def _end_s(packet: av.Packet) -> float:
    """When a packet ends to be shown, or decoded; 0 if it has no time."""
    start = packet.dts if packet.pts is None else packet.pts
    return 0.0 if start is None else float((start + (packet.duration or 0)) * packet.time_base)
