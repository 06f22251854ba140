"""Frames of a stream, one after the other: of a file, a camera, an address or an open file such as standard input."""

import logging
import threading
import time
from collections.abc import Generator, Iterator
from contextlib import closing
from math import nextafter
from typing import BinaryIO, Generic, NamedTuple, Protocol, TypeVar

import av
import numpy as np

from slowfast.datasets.reading.container import cause_of, choose_video_stream, is_address, is_device, open_stream
from slowfast.datasets.reading.rgb import RgbConverter
from slowfast.datasets.reading.source import VideoReadError
from slowfast.datasets.reading.truncation import why_truncated
from slowfast.errors import UserError
from slowfast.inference.arguments import check_number
from slowfast.runtime.interruption import raise_if_stopped

logger = logging.getLogger(__name__)

# Rates outside are guesses of FFmpeg's that nothing in the stream supports.
LOWEST_FPS, HIGHEST_FPS = 0.1, 1000.0
FIRST_WAIT_S, LONGEST_WAIT_S = 0.5, 10.0


class Frame(NamedTuple):
    """A frame that is not converted yet.

    Attributes:
        segment: counts the stretches between which a stream was interrupted.
        number: of the frame in its segment, from 0; numbers may be left out.
        time_s: since the first frame of the stream.
        picture: what was decoded.
    """

    segment: int
    number: int
    time_s: float
    picture: av.VideoFrame


class FrameFeed:
    """Decodes a stream from its beginning, or from now, to its end.

    A source is live if it is a camera, or an address that does not say how long it lasts. A live source is opened
    again when it breaks off, with growing waits between, and its frames are numbered by their times; those of another
    source are counted, as when the file is read for a prediction. Damaged frames are left out, with those that are
    decoded from them.

    Args:
        source: path of a file or of a camera, an address, or a file that is open for reading bytes.
        name: what messages call it.
        fps: frames per second; None for what the source says.
        patience_s: how long a live source may give no frame before it counts as ended.
        timeout_s: how long opening and reading may wait at once.
        apply_rotation: turn and mirror frames as the source says.

    Attributes:
        fps: frames per second.
        is_live: see above.
        num_damaged, num_reconnects: counted so far.
        ended: why there are no more frames, unless the source simply ended.

    Raises:
        UserError: if it cannot be opened, has no video, or does not say its rate.
    """

    def __init__(
        self,
        source: str | BinaryIO,
        *,
        name: str,
        fps: float | None = None,
        patience_s: float = 60.0,
        timeout_s: float = 10.0,
        apply_rotation: bool = True,
    ) -> None:
        accepted = f"{LOWEST_FPS:g} to {HIGHEST_FPS:g}"
        check_number("fps", fps, accepted=accepted, lowest=nextafter(LOWEST_FPS, 0), highest=HIGHEST_FPS)
        check_number("patience_s", patience_s, accepted="seconds above 0")
        self._source, self.name, self._patience_s, self._timeout_s = source, name, patience_s, timeout_s
        self.num_damaged = self.num_reconnects = 0
        self.ended = ""
        self._converter = RgbConverter(apply_rotation=apply_rotation)
        self._size: tuple[int, int] | None = None
        try:
            self._container = self._open()
        except VideoReadError as error:
            raise UserError(f"{name}: {error}") from None
        is_remote = isinstance(source, str) and is_address(source)
        is_camera = isinstance(source, str) and is_device(source)
        self.is_live = is_camera or (is_remote and self._container.duration is None)
        self._is_file = isinstance(source, str) and not is_remote and not is_camera
        self.fps = fps or self._stated_fps()

    def frames(self) -> Generator[Frame, None, None]:
        """All frames, once; what is open is closed at the end."""
        segment, begin, first = 0, 0.0, None
        self._last_frame_at = time.monotonic()
        try:
            while True:
                try:
                    for frame in self._decode(segment, begin):
                        self._last_frame_at = time.monotonic()
                        first = self._last_frame_at if first is None else first
                        yield frame
                    cause = "it ended"
                except (av.FFmpegError, OSError) as error:
                    cause = cause_of(error)
                    self.ended = "" if self.is_live else f"reading failed: {cause}"
                if not self.is_live:
                    self.ended = self.ended or self._why_truncated()
                    return
                if not self._reconnect(cause):
                    return
                segment, begin = segment + 1, 0.0 if first is None else time.monotonic() - first
        finally:
            self._container.close()

    def to_rgb(self, picture: av.VideoFrame) -> np.ndarray:
        """A frame as files are read for predictions: uint8 (H, W, 3), in memory of its own.

        All have the size of the first one; what comes in another size is scaled.

        Raises:
            UserError: for an orientation that cannot be applied.
        """
        try:
            if self._size is None:
                self._size = self._converter.orientation(picture).size(picture.height, picture.width)
            return np.ascontiguousarray(self._converter(picture, self._size))
        except VideoReadError as error:
            raise UserError(f"{self.name}: {error}") from None

    def _open(self) -> av.container.InputContainer:
        container = open_stream(self._source, timeout_s=self._timeout_s)
        try:
            self._stream = choose_video_stream(container)
        except VideoReadError:
            container.close()
            raise
        return container

    def _stated_fps(self) -> float:
        for rate in (self._stream.average_rate, self._stream.guessed_rate):
            if rate and LOWEST_FPS <= rate <= HIGHEST_FPS:
                return float(rate)
        self._container.close()
        raise UserError(f"{self.name}: does not say how many frames per second it has; give --fps")

    def _decode(self, segment: int, begin: float) -> Iterator[Frame]:
        """Frames that are whole, from one opening of the source; ``begin`` is the time of the first one."""
        first_s, last_number = None, -1
        for position, picture in enumerate(self._whole_frames()):
            if picture is None:
                continue
            shown_s = position / self.fps if picture.time is None else picture.time
            first_s = shown_s if first_s is None else first_s
            number = round((shown_s - first_s) * self.fps) if self.is_live else position
            if number > last_number:
                last_number = number
                yield Frame(segment, number, begin + shown_s - first_s, picture)

    def _whole_frames(self) -> Iterator[av.VideoFrame | None]:
        """All frames in the order in which they are shown, with None for those that are not whole."""
        is_damaged = False
        for packet in self._container.demux(self._stream):
            try:
                pictures = packet.decode()
            except av.error.InvalidDataError:
                pictures, is_damaged = [], True
                self.num_damaged += 1
                yield None
            for picture in pictures:
                is_damaged = picture.is_corrupt or (is_damaged and not picture.key_frame)
                self.num_damaged += is_damaged
                yield None if is_damaged else picture

    def _why_truncated(self) -> str:
        if not self._is_file:
            return ""
        cause = why_truncated(str(self._source), self._container.format.name, stated_end_s=None, last_end_s=None)
        return cause and f"it is truncated: {cause}"

    def _reconnect(self, cause: str) -> bool:
        """Open a live source again; whether that succeeded before patience was at its end."""
        logger.warning("%s: broke off (%s); trying again for %g s", self.name, cause, self._patience_s)
        self._container.close()
        wait_s, deadline = FIRST_WAIT_S, self._last_frame_at + self._patience_s
        while time.monotonic() + wait_s < deadline:
            time.sleep(wait_s)
            raise_if_stopped()
            try:
                self._container = self._open()
            except VideoReadError as error:
                cause, wait_s = str(error), min(2 * wait_s, LONGEST_WAIT_S)
                continue
            self.num_reconnects += 1
            return True
        self.ended = f"it broke off and did not come back within {self._patience_s:g} s: {cause}"
        return False


class Mergeable(Protocol):
    """What can take the place of one before it that nobody took."""

    def replacing(self: "Item", earlier: "Item") -> "Item":
        """This one, with what it takes over from the earlier one."""


Item = TypeVar("Item", bound=Mergeable)


class NewestOnly(Generic[Item]):
    """Lets a thread go through items as they come; who is slower gets the newest, and the others are counted.

    Args:
        items: gone through in the thread.

    Attributes:
        num_dropped: items that nobody took.
    """

    def __init__(self, items: Generator[Item, None, None]) -> None:
        self.num_dropped = 0
        self._items = items
        self._changed = threading.Condition()
        self._waiting: Item | None = None
        self._is_over, self._is_stopped = False, False
        self._error: BaseException | None = None

    def __iter__(self) -> Generator[Item, None, None]:
        thread = threading.Thread(target=self._go_through, daemon=True)
        thread.start()
        try:
            while (item := self._take()) is not None:
                yield item
        finally:
            self._is_stopped = True
        if self._error is not None:
            raise self._error

    def _take(self) -> Item | None:
        with self._changed:
            # A time limit lets signals through.
            while self._waiting is None and not self._is_over:
                self._changed.wait(1.0)
            item, self._waiting = self._waiting, None
            return item

    def _go_through(self) -> None:
        try:
            with closing(self._items):
                for item in self._items:
                    with self._changed:
                        if self._waiting is not None:
                            self.num_dropped += 1
                            item = item.replacing(self._waiting)
                        self._waiting = item
                        self._changed.notify()
                    if self._is_stopped:
                        break
        except BaseException as error:  # raised where the items are taken
            self._error = error
        finally:
            with self._changed:
                self._is_over = True
                self._changed.notify()
