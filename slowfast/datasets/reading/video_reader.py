"""Frames of a video file, exactly, through PyAV."""

from collections.abc import Collection, Iterator, Mapping, Sequence, Set
from fractions import Fraction
from itertools import islice
from pathlib import Path

import av
import numpy as np
from av.video.reformatter import VideoReformatter

from slowfast.datasets.reading.bitstream_headers import Picture, picture_parser
from slowfast.datasets.reading.container import cause_of, open_container
from slowfast.datasets.reading.frame_rate import FrameTimes
from slowfast.datasets.reading.packet_index import PacketFacts, PacketIndex, build_index
from slowfast.datasets.reading.source import FrameSource, VideoReadError
from slowfast.datasets.reading.truncation import why_truncated

# A stream's packets are kept in memory up to this size; those of larger ones are demultiplexed again for each read.
MAX_KEPT_BYTES = 256 * 2**20
# Codecs whose decoder can leave out pictures that no other one needs. HEVC's may leave out some that others do need.
SKIPS_EXACTLY = ("h264", "mpeg4")
# Before PyAV 17 colours were always converted in one thread, and nothing told the depth of reordering but whether.
PYAV_VERSION = int(av.__version__.partition(".")[0])
UNKNOWN_REORDER_DEPTH = 16


class _OutOfOrderError(Exception):
    """Frames come out in another order than the index says."""


class VideoReader(FrameSource):
    """Reads chosen frames of one video file.

    Frame i is the i-th in presentation order, as if everything were decoded. Rotation metadata is not applied.
    Decoding is single-threaded: data loaders already run one worker per core.

    The packets are indexed once. Where that tells the order of frames for certain, only what the wanted frames need is
    decoded; otherwise everything up to the last one.

    A file that is cut off (``truncated``) ends before the first frame that the cut has damaged. Any other frame that
    FFmpeg flags as damaged, or that is decoded from such a one, is not read.

    Args:
        path: a file that FFmpeg reads.
        allow_damaged: read flagged frames all the same.
        allow_streams: see ``open_container``.

    Raises:
        VideoReadError: if the file cannot be opened or has no video stream or no frame.
    """

    def __init__(self, path: str | Path, *, allow_damaged: bool = False, allow_streams: bool = False) -> None:
        self.path = str(path)
        self._allow_damaged, self._allow_streams = allow_damaged, allow_streams
        self._container = open_container(path, allow_streams=allow_streams)
        try:
            if not self._container.streams.video:
                raise VideoReadError("has no video stream")
            self._decoder = _single_threaded(self._container.streams.video[0].codec_context)
            self._reformatter = VideoReformatter()
            self._index = self._read_packets()
            self.num_frames = self._count_frames()
            if self.num_frames == 0:
                raise VideoReadError("its video stream has no frames")
        except VideoReadError:
            self.close()
            raise

    def _read_packets(self) -> PacketIndex | None:
        """Demultiplex the file once: keep the packets, unless they are too large, index them, and look for a cut."""
        own_number = self._container.streams.video[0].index
        parse = picture_parser(self._decoder.name, self._decoder.extradata or b"")
        facts: list[PacketFacts] = []
        self._durations: list[int] = []
        self._packets: list[av.Packet] | None = []
        num_bytes, last_whole = 0, -1
        ends_s: dict[int, float] = {}
        num_gaps, is_cut = 0, False
        try:
            for packet in _packets_of(self._container):
                number, is_cut = packet.stream.index, packet.is_corrupt
                ends_s[number] = max(ends_s.get(number, 0.0), _end_s(packet))
                if number != own_number:
                    continue
                picture = Picture(is_start=False) if packet.is_corrupt else parse(bytes(packet))
                num_gaps += packet.is_corrupt or (picture is not None and picture.is_after_gap)
                last_whole = last_whole if packet.is_corrupt else len(facts)
                facts.append(PacketFacts(picture, packet.pts, packet.is_keyframe, packet.is_discard))
                self._durations.append(packet.duration or 0)
                num_bytes += packet.size
                if num_bytes > MAX_KEPT_BYTES:
                    self._packets = None
                if self._packets is not None:
                    self._packets.append(packet)
        except (av.FFmpegError, OSError) as error:
            raise VideoReadError(f"cannot be demultiplexed: {cause_of(error)}") from None
        self._num_packets = len(facts)
        self._times = [packet.pts for packet in facts]
        is_cut = is_cut or last_whole + 1 < len(facts)
        self.truncated = self._why_truncated(ends_s) or ("its last packet is cut off" if is_cut else "")
        # From this packet on, what is damaged was damaged by the cut.
        self._cut = min(last_whole + 1, len(facts) - bool(self.truncated))
        # Where data is lost, the decoder makes up pictures from those before, also from those that nothing else needs.
        self._can_skip = self._decoder.name in SKIPS_EXACTLY and num_gaps == 0
        has_reordering = bool(self._decoder.has_b_frames)
        depth = self._decoder.reorder_depth if PYAV_VERSION >= 17 else UNKNOWN_REORDER_DEPTH * has_reordering
        return build_index(self._decoder.name, facts, depth)

    def _why_truncated(self, ends_s: Mapping[int, float]) -> str:
        """Compare the file with what it says of itself; ``ends_s`` has the end of each stream's last packet."""
        stream = self._container.streams.video[0]
        if stream.duration is not None:
            stated_s, last_s = float(stream.duration * stream.time_base), ends_s.get(stream.index)
        else:
            duration = self._container.duration
            stated_s, last_s = duration and duration / av.time_base, max(ends_s.values(), default=None)
        try:
            return why_truncated(self.path, self._container.format.name, stated_end_s=stated_s, last_end_s=last_s)
        except OSError:  # an address
            return ""

    def _count_frames(self) -> int:
        if self._index is not None:
            whole = self._index.packet_of_frame
            self._packet_of_frame = whole[: self._count_to_cut(self._index)] if self.truncated else whole
            return len(self._packet_of_frame)
        self._packet_of_frame: list[int | None] = []
        try:
            for frame in self._decode_all():
                # Here a picture may be in two packets.
                if self.truncated and frame.is_corrupt and (frame.pts is None or frame.pts >= self._cut - 1):
                    break
                self._packet_of_frame.append(frame.pts)
        except (av.FFmpegError, OSError) as error:
            raise VideoReadError(f"decoding failed at frame {len(self._packet_of_frame)}: {cause_of(error)}") from None
        return len(self._packet_of_frame)

    def frame_times(self) -> FrameTimes:
        """When the frames are shown.

        Raises:
            VideoReadError: if the file does not say so for every frame.
        """
        packets = self._packet_of_frame
        if None in packets or None in (times := [self._times[packet] for packet in packets]):
            raise VideoReadError("does not say when its frames are shown; DATA.STH_VIDEO_FPS 0 reads it as it is")
        stream = self._container.streams.video[0]
        begin = round(Fraction(self._container.start_time or 0, av.time_base) / stream.time_base)
        return FrameTimes(
            shown=[time - begin for time in times],
            durations=[self._durations[packet] for packet in packets],
            time_base=stream.time_base,
            usual_fps=stream.guessed_rate,
        )

    def _count_to_cut(self, index: PacketIndex) -> int:
        """Frames that are shown before the first one that the cut has damaged."""
        whole = set()
        try:
            for frame in self._decode(index.spans([self._num_packets - 1]), wanted=None):
                if not frame.is_corrupt:
                    whole.add(frame.pts)
        except (av.FFmpegError, OSError):  # damage before the cut; whoever wants its frames learns of it
            pass
        damaged = [index.place[packet] for packet in range(self._cut, self._num_packets) if packet not in whole]
        first = min(damaged, default=self._num_packets)
        return sum(index.place[packet] < first for packet in index.packet_of_frame)

    def _read_frames(self, wanted: Set[int]) -> dict[int, np.ndarray]:
        """Views of FFmpeg's memory; they fail if the file is damaged before the last wanted one."""
        frames = None if self._index is None else self._read_by_index(self._index, wanted)
        return self._read_in_order(wanted) if frames is None else frames

    def _read_by_index(self, index: PacketIndex, wanted: Collection[int]) -> dict[int, np.ndarray] | None:
        """Decode what the wanted frames need; None if anything is flagged or does not come out as the index says."""
        frame_of = {index.packet_of_frame[idx]: idx for idx in wanted}
        frames: dict[int, np.ndarray] = {}
        spans = index.spans(frame_of)
        missing = index.needed(spans)
        last_place = -1
        try:
            for frame in self._decode(spans, frame_of):
                if frame.pts is None or index.place[frame.pts] <= last_place or frame.is_corrupt:
                    return None
                last_place = index.place[frame.pts]
                missing.discard(frame.pts)
                if frame.pts in frame_of:
                    frames[frame_of[frame.pts]] = self._to_rgb(frame)
        except (av.FFmpegError, OSError):
            return None
        return frames if len(frames) == len(wanted) and not missing else None

    def _read_in_order(self, wanted: Set[int]) -> dict[int, np.ndarray]:
        """Decode everything up to the last wanted frame."""
        try:
            return self._collect(wanted, self._numbered(self._index))
        except _OutOfOrderError:
            return self._collect(wanted, self._numbered(None))

    def _numbered(self, index: PacketIndex | None) -> Iterator[tuple[int, av.VideoFrame]]:
        """All frames and their numbers; by the index, a picture that does not come out leaves others their numbers.

        Raises:
            _OutOfOrderError: if the frames have another order than in the index.
        """
        if index is None:
            yield from enumerate(self._decode_all())
            return
        number_of = {packet: idx for idx, packet in enumerate(index.packet_of_frame)}
        last_place = -1
        for frame in self._decode_all():
            if frame.pts is None or index.place[frame.pts] <= last_place:
                raise _OutOfOrderError
            last_place = index.place[frame.pts]
            if frame.pts in number_of:
                yield number_of[frame.pts], frame

    def _collect(self, wanted: Set[int], numbered: Iterator[tuple[int, av.VideoFrame]]) -> dict[int, np.ndarray]:
        """The wanted ones of all frames, if none of them is damaged."""
        frames: dict[int, np.ndarray] = {}
        next_idx, damage = 0, ""
        damaged = None  # the last one since the last key frame
        try:
            for idx, frame in numbered:
                if frame.is_corrupt:
                    damaged = idx
                elif frame.key_frame:
                    damaged = None
                elif idx > next_idx:
                    damaged = idx - 1
                next_idx = idx + 1
                if idx in wanted:
                    damage = damage or ("" if damaged is None else _damage(idx, damaged))
                    frames[idx] = self._to_rgb(frame)
                if idx >= max(wanted):
                    break
        except (av.FFmpegError, OSError) as error:
            raise VideoReadError(f"decoding failed at frame {next_idx}: {cause_of(error)}") from None
        if damage and not self._allow_damaged:
            raise VideoReadError(damage)
        if len(frames) < len(wanted):
            first_missing = min(wanted - frames.keys())
            raise VideoReadError(
                f"frame {first_missing} of {self.num_frames} cannot be decoded; is the file truncated?"
            )
        return frames

    def _decode_all(self) -> Iterator[av.VideoFrame]:
        """From a fresh decoder: one that has met damage may remember it, although it was flushed."""
        with open_container(self.path, allow_streams=self._allow_streams) as container:
            decoder = _single_threaded(container.streams.video[0].codec_context)
            yield from self._decode([(0, self._num_packets - 1)], wanted=None, decoder=decoder)

    def _decode(
        self,
        spans: Sequence[tuple[int, int]],
        wanted: Collection[int] | None,
        decoder: av.VideoCodecContext | None = None,
    ) -> Iterator[av.VideoFrame]:
        """Decode spans of packets, each from a fresh decoder; the frames' ``pts`` are the numbers of their packets.

        Args:
            spans: (first, last) packets, disjoint and ascending.
            wanted: packets whose pictures must come out; others may, too. None for all.
            decoder: None for the one that the reader keeps.
        """
        decoder = decoder or self._decoder
        can_skip = wanted is not None and self._can_skip
        packets = enumerate(self._packets if self._packets is not None else self._demultiplex_again())
        num_taken = 0
        for first, last in spans:
            decoder.flush_buffers()
            for number, packet in islice(packets, first - num_taken, last + 1 - num_taken):
                packet.pts = number
                decoder.skip_frame = "NONREF" if can_skip and number not in wanted else "DEFAULT"
                try:
                    yield from decoder.decode(packet)
                except av.FFmpegError:
                    if number < self._cut:
                        raise
            yield from decoder.decode(None)
            num_taken = last + 1

    def _demultiplex_again(self) -> Iterator[av.Packet]:
        with open_container(self.path, allow_streams=self._allow_streams) as container:
            own_number = container.streams.video[0].index
            yield from (packet for packet in _packets_of(container) if packet.stream.index == own_number)

    def _to_rgb(self, frame: av.VideoFrame) -> np.ndarray:
        """uint8 (H, W, 3), a view of FFmpeg's memory."""
        num_threads = {"threads": 1} if PYAV_VERSION >= 17 else {}
        rgb = self._reformatter.reformat(frame, format="rgb24", **num_threads)
        plane = rgb.planes[0]
        rows = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)
        return rows[: rgb.height, : 3 * rgb.width].reshape(rgb.height, rgb.width, 3)

    def close(self) -> None:
        """Close the file."""
        super().close()
        self._container.close()


def _single_threaded(decoder: av.VideoCodecContext) -> av.VideoCodecContext:
    """The same decoder, which has not begun yet."""
    decoder.thread_type = "NONE"
    decoder.thread_count = 1  # for libraries that do not ask for the type
    return decoder


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


def _damage(idx: int, damaged: int) -> str:
    """Why a frame is not read."""
    whose = f"frame {idx} is" if damaged == idx else f"frame {idx} is decoded from frame {damaged}, which is"
    return f"{whose} damaged; DATA.ALLOW_DAMAGED_FRAMES True reads it as the decoder conceals it"
