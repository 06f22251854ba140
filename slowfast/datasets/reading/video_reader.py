"""Frames of a video file, exactly, through PyAV."""

from collections.abc import Collection, Iterator, Sequence, Set
from fractions import Fraction
from itertools import islice
from pathlib import Path

import av
import numpy as np
from av.video.reformatter import VideoReformatter

from slowfast.datasets.reading.bitstream_headers import Picture, picture_parser
from slowfast.datasets.reading.frame_rate import FrameTimes
from slowfast.datasets.reading.packet_index import PacketFacts, PacketIndex, build_index
from slowfast.datasets.reading.source import FrameSource, VideoReadError

# A stream's packets are kept in memory up to this size; those of larger ones are demultiplexed again for each read.
MAX_KEPT_BYTES = 256 * 2**20
# Codecs whose decoder can leave out pictures that no other one needs. HEVC's may leave out some that others do need.
SKIPS_EXACTLY = ("h264", "mpeg4")
# Before PyAV 17 colours were always converted in one thread, and nothing told the depth of reordering but whether.
PYAV_VERSION = int(av.__version__.partition(".")[0])
UNKNOWN_REORDER_DEPTH = 16


class VideoReader(FrameSource):
    """Reads chosen frames of one video file.

    Frame i is the i-th in presentation order, as if everything were decoded. Rotation metadata is not applied.
    Decoding is single-threaded: data loaders already run one worker per core.

    The packets are indexed once. Where that tells the order of frames for certain, only what the wanted frames need is
    decoded; otherwise everything up to the last one.

    Args:
        path: a file that FFmpeg reads.

    Raises:
        VideoReadError: if the file cannot be opened or has no video stream or no frame.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = str(path)
        try:
            self._container = av.open(self.path)
        except (av.FFmpegError, OSError, ValueError) as error:
            raise VideoReadError(_cause(error)) from None
        try:
            if not self._container.streams.video:
                raise VideoReadError("has no video stream")
            self._decoder = self._container.streams.video[0].codec_context
            self._decoder.thread_type = "NONE"
            self._decoder.thread_count = 1  # for libraries that do not ask for the type
            self._reformatter = VideoReformatter()
            self._index = self._read_packets()
            self.num_frames = self._count_frames()
            if self.num_frames == 0:
                raise VideoReadError("its video stream has no frames")
        except VideoReadError:
            self.close()
            raise

    def _read_packets(self) -> PacketIndex | None:
        """Demultiplex the file once: keep the packets, unless they are too large, and index them."""
        parse = picture_parser(self._decoder.name, self._decoder.extradata or b"")
        facts: list[PacketFacts] = []
        self._durations: list[int] = []
        self._packets: list[av.Packet] | None = []
        num_bytes = 0
        try:
            for packet in _packets_of(self._container):
                # The last packet of a truncated file counts: whoever wants its frame learns what is wrong.
                picture = Picture(is_start=False) if packet.is_corrupt else parse(bytes(packet))
                facts.append(PacketFacts(picture, packet.pts, packet.is_keyframe, packet.is_discard))
                self._durations.append(packet.duration or 0)
                num_bytes += packet.size
                if num_bytes > MAX_KEPT_BYTES:
                    self._packets = None
                if self._packets is not None:
                    self._packets.append(packet)
        except (av.FFmpegError, OSError) as error:
            raise VideoReadError(f"cannot be demultiplexed: {_cause(error)}") from None
        self._num_packets = len(facts)
        self._times = [packet.pts for packet in facts]
        has_reordering = bool(self._decoder.has_b_frames)
        depth = self._decoder.reorder_depth if PYAV_VERSION >= 17 else UNKNOWN_REORDER_DEPTH * has_reordering
        return build_index(self._decoder.name, facts, depth)

    def _count_frames(self) -> int:
        if self._index is not None:
            self._packet_of_frame = self._index.packet_of_frame
            return len(self._packet_of_frame)
        self._packet_of_frame: list[int | None] = []
        try:
            for frame in self._decode_all():
                self._packet_of_frame.append(frame.pts)
        except (av.FFmpegError, OSError) as error:
            raise VideoReadError(f"decoding failed at frame {len(self._packet_of_frame)}: {_cause(error)}") from None
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

    def _read_frames(self, wanted: Set[int]) -> dict[int, np.ndarray]:
        """Views of FFmpeg's memory; they fail if the file is damaged before the last wanted one."""
        frames = None if self._index is None else self._read_by_index(self._index, wanted)
        return self._read_in_order(wanted) if frames is None else frames

    def _read_by_index(self, index: PacketIndex, wanted: Collection[int]) -> dict[int, np.ndarray] | None:
        """Decode what the wanted frames need; None if anything does not come out as the index says."""
        frame_of = {index.packet_of_frame[idx]: idx for idx in wanted}
        frames: dict[int, np.ndarray] = {}
        last_place = -1
        try:
            for frame in self._decode(index.spans(frame_of), frame_of):
                if frame.pts is None or index.place[frame.pts] <= last_place:
                    return None
                last_place = index.place[frame.pts]
                if frame.pts in frame_of:
                    frames[frame_of[frame.pts]] = self._to_rgb(frame)
        except (av.FFmpegError, OSError):
            return None
        return frames if len(frames) == len(wanted) else None

    def _read_in_order(self, wanted: Collection[int]) -> dict[int, np.ndarray]:
        """Decode everything up to the last wanted frame."""
        frames: dict[int, np.ndarray] = {}
        num_decoded = 0
        try:
            for idx, frame in enumerate(islice(self._decode_all(), max(wanted) + 1)):
                if idx in wanted:
                    frames[idx] = self._to_rgb(frame)
                num_decoded = idx + 1
        except (av.FFmpegError, OSError) as error:
            raise VideoReadError(f"decoding failed at frame {num_decoded}: {_cause(error)}") from None
        if len(frames) < len(wanted):
            first_missing = min(wanted - frames.keys())
            raise VideoReadError(
                f"frame {first_missing} of {self.num_frames} cannot be decoded; is the file truncated?"
            )
        return frames

    def _decode_all(self) -> Iterator[av.VideoFrame]:
        return self._decode([(0, self._num_packets - 1)], wanted=None)

    def _decode(self, spans: Sequence[tuple[int, int]], wanted: Collection[int] | None) -> Iterator[av.VideoFrame]:
        """Decode spans of packets, each from a fresh decoder; the frames' ``pts`` are the numbers of their packets.

        Args:
            spans: (first, last) packets, disjoint and ascending.
            wanted: packets whose pictures must come out; others may, too. None for all.
        """
        can_skip = wanted is not None and self._decoder.name in SKIPS_EXACTLY
        packets = enumerate(self._packets if self._packets is not None else self._demultiplex_again())
        num_taken = 0
        for first, last in spans:
            self._decoder.flush_buffers()
            for number, packet in islice(packets, first - num_taken, last + 1 - num_taken):
                packet.pts = number
                self._decoder.skip_frame = "NONREF" if can_skip and number not in wanted else "DEFAULT"
                yield from self._decoder.decode(packet)
            yield from self._decoder.decode(None)
            num_taken = last + 1

    def _demultiplex_again(self) -> Iterator[av.Packet]:
        with av.open(self.path) as container:
            yield from _packets_of(container)

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


def _packets_of(container: av.container.InputContainer) -> Iterator[av.Packet]:
    """Packets of the first video stream, without the empty one that PyAV puts at the end."""
    return (packet for packet in container.demux(container.streams.video[0]) if packet.size)


def _cause(error: Exception) -> str:
    """FFmpeg's words, or the operating system's, without the path that PyAV appends."""
    return getattr(error, "strerror", None) or str(error)
