"""The one way to open a video file for reading: it opens that file, and never another one or an address."""

import errno
import os
import re
import stat
import struct
from pathlib import Path
from typing import BinaryIO

import av
from av.container import InputContainer
from av.stream import Disposition
from av.video.stream import VideoStream

from slowfast.datasets.reading.source import VideoReadError

# FFmpeg's names of the formats that hold video themselves. Others name what is to be opened (playlists, descriptions of
# sessions, patterns of names), open a neighbour of the file, or are no video.
VIDEO_FORMATS = (
    "mov", "mp4", "matroska", "webm", "avi", "mpegts", "mpeg", "mpegvideo", "flv", "live_flv", "kux", "asf", "asf_o",
    "ogg", "nut", "rm", "ivr", "mxf", "gxf", "wtv", "ty", "nsv", "nuv", "pmp", "dv", "swf", "amv", "vivo", "cine",
    "h261", "h263", "h264", "hevc", "vvc", "m4v", "vc1", "vc1test", "av1", "obu", "ivf", "dirac", "cavsvideo", "avs2",
    "mjpeg", "mjpeg_2000", "gif", "apng", "yuv4mpegpipe", "bink", "smk", "flic", "roq",
)  # fmt: skip
# Files of sound alone have a message of their own.
_SOUND_FORMATS = ("mp3", "wav", "w64", "flac", "aac", "ac3", "eac3", "dts", "aiff", "au", "caf", "amr", "ape", "wv")
# Addresses that a stream may have. Others of FFmpeg's protocols open files, or several of them.
STREAM_PROTOCOLS = ("http", "https", "rtsp", "rtsps", "rtmp", "rtmps", "rtp", "srt", "tcp", "udp")
_MAX_BOXES = 1000
_ADDRESS = re.compile(r"[A-Za-z][\w+.-]*:/?/|(concat|concatf|subfile|crypto|data|pipe|fd|cache|async)[:,]")


def open_container(path: str | Path, *, allow_streams: bool = False) -> InputContainer:
    """Open a video file for reading, whatever its name looks like.

    Args:
        path: of the file.
        allow_streams: leave it to FFmpeg what ``path`` means (``DATA.ALLOW_STREAMS``): also an address, or a playlist,
            which opens what it names.

    Raises:
        VideoReadError: if it cannot be opened, or is in a format that opens others.
    """
    try:
        if allow_streams:
            return av.open(str(path))
        kind = os.stat(path).st_mode
        if not (stat.S_ISREG(kind) or stat.S_ISDIR(kind)):  # whoever opens a pipe waits for its other end
            raise VideoReadError("is a pipe or a device, not a file; such are opened only with DATA.ALLOW_STREAMS True")
        # A path from the root on is never taken for the name of a protocol, as "concat:a" would be.
        options = {"protocol_whitelist": "file", "format_whitelist": ",".join(VIDEO_FORMATS + _SOUND_FORMATS)}
        # Of the container alone: PyAV has crashed on options of all streams where one appears later.
        return av.open(os.path.abspath(path), container_options=options)
    except (av.FFmpegError, OSError, ValueError) as error:
        raise VideoReadError(cause_of(error) if allow_streams else _cause_and_remedy(str(path), error)) from None


def choose_video_stream(container: InputContainer) -> VideoStream:
    """The video stream that the ffmpeg program takes by default: the largest frames, the file's own default first.

    Cover pictures are no videos. The decoder takes one thread: data loaders already run one process per core.

    Raises:
        VideoReadError: if there is none, or its codec is unknown.
    """
    streams = [stream for stream in container.streams.video if not stream.disposition & Disposition.attached_pic]
    if not streams:
        has_cover = bool(container.streams.video)
        raise VideoReadError("has no video stream but a cover picture" if has_cover else "has no video stream")
    stream = max(streams, key=_preference)  # of equals the first
    if stream.codec_context is None:
        raise VideoReadError("its video stream has a codec that FFmpeg does not know or that was not built in")
    stream.codec_context.thread_type = "NONE"
    stream.codec_context.thread_count = 1  # for libraries that do not ask for the type
    return stream


def _preference(stream: VideoStream) -> int:
    """FFmpeg's score of a stream; "default" counts as much as 5 million pixels."""
    decoder = stream.codec_context
    num_pixels = 0 if decoder is None else decoder.width * decoder.height
    return num_pixels + 5_000_000 * bool(stream.disposition & Disposition.default)


def is_address(source: str) -> bool:
    """Whether a name is an address that a stream may have."""
    protocol, separator, _ = source.partition("://")
    return bool(separator) and protocol.lower() in STREAM_PROTOCOLS


def is_device(source: str) -> bool:
    """Whether a name is a device file, such as a camera's /dev/video0."""
    try:
        return stat.S_ISCHR(os.stat(source).st_mode)
    except (OSError, ValueError):
        return False


def open_stream(source: str | BinaryIO, *, timeout_s: float) -> InputContainer:
    """Open what a user has named as a stream: an address, a camera, an open file, or a video file.

    Args:
        source: the only name from outside that may be an address: one that stands on a command line, in no list.
        timeout_s: how long opening and each reading of an address or a camera may take.

    Raises:
        VideoReadError: if it cannot be opened.
    """
    if isinstance(source, str) and not is_address(source) and not is_device(source):
        return open_container(source)
    try:
        if not isinstance(source, str):
            return av.open(source, container_options={"format_whitelist": ",".join(VIDEO_FORMATS)})
        if is_address(source):
            # Lost packets of UDP damage frames.
            options = {"rtsp_flags": "prefer_tcp"} if source.lower().startswith("rtsp") else {}
            return av.open(source, container_options=options, timeout=timeout_s)
        return av.open(source, format="v4l2", timeout=timeout_s)
    except (av.FFmpegError, OSError, ValueError) as error:
        what = " (is it a camera?)" if isinstance(source, str) and is_device(source) else ""
        raise VideoReadError(f"{cause_of(error)}{what}") from None


def _cause_and_remedy(path: str, error: Exception) -> str:
    """Why a file is not opened, and how names and formats that are refused would be."""
    if isinstance(error, FileNotFoundError) and _ADDRESS.match(path):
        return f"{cause_of(error)}; addresses are opened only with DATA.ALLOW_STREAMS True"
    if not os.path.exists(path):  # for names such as a camera's or those of sequences FFmpeg says that it may not
        return _why_not_there(path)
    if getattr(error, "errno", None) == errno.EINVAL:  # FFmpeg's for a format that is not on the list, among others
        return (
            "is no file of a known video format; playlists, pictures and whatever else names other files or addresses "
            "is opened only with DATA.ALLOW_STREAMS True"
        )
    if isinstance(error, av.InvalidDataError):
        return cause_of(error) + _what_is_missing(path)
    return cause_of(error)


def _why_not_there(path: str) -> str:
    """What the system says of a path that does not exist, or lies in a folder that this user may not enter."""
    try:
        os.stat(path)
    except OSError as error:
        return error.strerror
    except ValueError:  # a name that no file has
        pass
    return os.strerror(errno.ENOENT)


def _what_is_missing(path: str) -> str:
    """Of a file that FFmpeg takes for none: that it is empty, or an mp4 whose writing has not come to its index."""
    try:
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size == 0:
                return ": it is empty"
            kinds, position = [], 0
            while position < size and len(kinds) < _MAX_BOXES:
                file.seek(position)
                length, kind = struct.unpack(">I4s", file.read(8))
                if length == 1:
                    (length,) = struct.unpack(">Q", file.read(8))
                kinds.append(kind)
                position = position + length if length >= 8 else size
    except (OSError, struct.error):
        return ""
    if kinds[0] == b"ftyp" and b"moov" not in kinds:
        return ": an mp4 without its index (moov), as of a recording or a download that did not end"
    return ""


def cause_of(error: Exception) -> str:
    """FFmpeg's words, or the operating system's, without the path that PyAV appends."""
    return getattr(error, "strerror", None) or str(error)
