"""Frames of a video file, exactly, through PyAV."""

from collections.abc import Collection, Iterator, Sequence, Set
from itertools import islice
from pathlib import Path

import av
import numpy as np

from slowfast.datasets.reading.container import cause_of, choose_video_stream, open_container
from slowfast.datasets.reading.frame_rate import FrameTimes
from slowfast.datasets.reading.packet_index import PacketIndex
from slowfast.datasets.reading.rgb import RgbConverter
from slowfast.datasets.reading.source import FrameSource, VideoReadError
from slowfast.datasets.reading.stream_packets import StreamPackets

# Codecs whose decoder can leave out pictures that no other one needs. HEVC's may leave out some that others do need.
SKIPS_EXACTLY = ("h264", "mpeg4")
# Codecs whose decoder does not notice damage in the first picture after it was flushed: it gets that one twice.
NEEDS_A_PICTURE_BEFORE = ("mpeg4",)
# Stands for the number of a packet whose picture nobody asked for.
_NOT_SHOWN = -1


class _OutOfOrderError(Exception):
    """Frames come out in another order than the index says."""


class VideoReader(FrameSource):
    """Reads chosen frames of one video file.

    Frame i is the i-th in presentation order, as if everything were decoded, of the stream that the ffmpeg program
    takes. Frames are turned and mirrored as the file says, and have the size of the first one; a sample aspect ratio is
    not applied. Decoding is single-threaded: data loaders already run one worker per core.

    The packets are indexed once. Where that tells the order of frames for certain, only what the wanted frames need is
    decoded; otherwise everything up to the last one.

    A file that is cut off (``truncated``) ends before the first frame that the cut has damaged. Any other frame that
    FFmpeg flags as damaged, or that is decoded from such a one, is not read.

    Args:
        path: a file that FFmpeg reads.
        allow_damaged: read flagged frames all the same.
        allow_streams: see ``open_container``.
        apply_rotation: False gives frames as they are stored.

    Raises:
        VideoReadError: if the file cannot be opened or has no video stream or no frame.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        allow_damaged: bool = False,
        allow_streams: bool = False,
        apply_rotation: bool = True,
    ) -> None:
        self.path = str(path)
        self._allow_damaged, self._allow_streams = allow_damaged, allow_streams
        self._stream = StreamPackets(path, allow_streams=allow_streams)
        self._index, self.truncated = self._stream.index, self._stream.truncated
        self._converter = RgbConverter(apply_rotation=apply_rotation)
        decoder = self._stream.decoder
        self._usual_size = decoder.height, decoder.width
        self._first_size: tuple[int, int] | None = None
        self._has_met_damage = False
        try:
            self.num_frames = self._count_frames()
            if self.num_frames == 0:
                raise VideoReadError("its video stream has no frames")
        except VideoReadError:
            self.close()
            raise

    def _count_frames(self) -> int:
        if self._index is not None:
            whole = self._index.packet_of_frame
            self._packet_of_frame = whole[: self._count_to_cut(self._index)] if self.truncated else whole
            return len(self._packet_of_frame)
        self._packet_of_frame: list[int | None] = []
        try:
            for frame in self._decode_all():
                # Here a picture may be in two packets.
                if self.truncated and frame.is_corrupt and (frame.pts is None or frame.pts >= self._stream.cut - 1):
                    break
                if not self._packet_of_frame:
                    self._usual_size = frame.height, frame.width
                self._packet_of_frame.append(frame.pts)
        except (av.FFmpegError, OSError) as error:
            raise VideoReadError(f"decoding failed at frame {len(self._packet_of_frame)}: {cause_of(error)}") from None
        return len(self._packet_of_frame)

    def frame_times(self) -> FrameTimes:
        """When the frames are shown.

        Raises:
            VideoReadError: if the file does not say so for every frame.
        """
        return self._stream.times(self._packet_of_frame)

    def _count_to_cut(self, index: PacketIndex) -> int:
        """Frames that are shown before the first one that the cut has damaged."""
        whole = set()
        try:
            for frame in self._decode(index.spans([self._stream.num_packets - 1]), wanted=None):
                if not frame.is_corrupt:
                    whole.add(frame.pts)
        except (av.FFmpegError, OSError):  # damage before the cut; whoever wants its frames learns of it
            pass
        num_packets = self._stream.num_packets
        damaged = [index.place[packet] for packet in range(self._stream.cut, num_packets) if packet not in whole]
        first = min(damaged, default=num_packets)
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
        if self._index is not None:
            try:
                return self._collect(wanted, self._numbered_by_index(self._index))
            except _OutOfOrderError:  # from now on nothing is numbered by this index
                self._index = None
                self._count_frames()
        return self._collect(wanted, enumerate(self._decode_all()))

    def _numbered_by_index(self, index: PacketIndex) -> Iterator[tuple[int, av.VideoFrame]]:
        """All frames and their numbers; a picture that does not come out leaves others their numbers.

        Raises:
            _OutOfOrderError: if the frames have another order than in the index.
        """
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
        """From a fresh decoder: one that has seen the end of a file may have learned how to order its frames."""
        self._stream.reopen()
        self._has_met_damage = False
        yield from self._decode([(0, self._stream.num_packets - 1)], wanted=None)

    def _decode(self, spans: Sequence[tuple[int, int]], wanted: Collection[int] | None) -> Iterator[av.VideoFrame]:
        """Decode spans of packets, each from a decoder that knows of none before.

        Args:
            spans: (first, last) packets, disjoint and ascending.
            wanted: packets whose pictures must come out; others may, too. None for all.

        Yields:
            frames; their ``pts`` are the numbers of their packets.
        """
        if self._has_met_damage:
            self._stream.reopen()
            self._has_met_damage = False
        packets, num_taken = enumerate(self._stream), 0
        for first, last in spans:
            span = islice(packets, first - num_taken, last + 1 - num_taken)
            for frame in self._decode_span(span, wanted):
                self._has_met_damage |= frame.is_corrupt
                if frame.pts != _NOT_SHOWN:
                    yield frame
            num_taken = last + 1

    def _decode_span(
        self, packets: Iterator[tuple[int, av.Packet]], wanted: Collection[int] | None
    ) -> Iterator[av.VideoFrame]:
        """Decode successive packets, given with their numbers."""
        decoder = self._stream.decoder
        decoder.flush_buffers()
        can_skip = wanted is not None and decoder.name in SKIPS_EXACTLY
        is_first = True
        for number, packet in packets:
            decoder.skip_frame = "NONREF" if can_skip and number not in wanted else "DEFAULT"
            is_twice = is_first and number > 0 and decoder.name in NEEDS_A_PICTURE_BEFORE
            is_first = False
            for shown_as in (_NOT_SHOWN, number) if is_twice else (number,):
                packet.pts = shown_as
                try:
                    yield from decoder.decode(packet)
                except av.FFmpegError:
                    self._has_met_damage = True
                    if number < self._stream.cut:
                        raise
        yield from decoder.decode(None)

    def _to_rgb(self, frame: av.VideoFrame) -> np.ndarray:
        """uint8 (H, W, 3), a view of FFmpeg's memory."""
        if (frame.height, frame.width) == self._usual_size:
            return self._converter(frame)
        if self._first_size is None:
            self._first_size = self._find_first_size()
        own_size = self._converter.orientation(frame).size(frame.height, frame.width)
        if own_size != self._first_size:
            sizes = " to ".join(f"{height} x {width}" for height, width in (self._first_size, own_size))
            self.resized = f"its frames change their size, from {sizes} pixels, and are scaled to that of the first"
        return self._converter(frame, self._first_size)

    def _find_first_size(self) -> tuple[int, int]:
        """Height and width of frame 0, upright."""
        frame = self._decode_first()
        return self._converter.orientation(frame).size(frame.height, frame.width)

    def _decode_first(self) -> av.VideoFrame:
        """Frame 0, apart from whatever else is being decoded."""
        try:
            with open_container(self.path, allow_streams=self._allow_streams) as container:
                return next(container.decode(choose_video_stream(container)))
        except (av.FFmpegError, OSError, StopIteration):
            raise VideoReadError("its first frame cannot be decoded") from None

    def close(self) -> None:
        """Close the file."""
        super().close()
        self._stream.close()


def _damage(idx: int, damaged: int) -> str:
    """Why a frame is not read."""
    whose = f"frame {idx} is" if damaged == idx else f"frame {idx} is decoded from frame {damaged}, which is"
    return f"{whose} damaged; DATA.ALLOW_DAMAGED_FRAMES True reads it as the decoder conceals it"
