"""The parser of a stream's packets, by its codec."""

from collections.abc import Callable

from slowfast.datasets.reading.bitstream.h264 import H264Parser
from slowfast.datasets.reading.bitstream.hevc import HEVCParser
from slowfast.datasets.reading.bitstream.mpeg4 import MPEG4Parser
from slowfast.datasets.reading.bitstream.picture import Parser, Picture
from slowfast.datasets.reading.bitstream.vp9 import vp9_parser

# By FFmpeg's name of the codec; each takes the stream's header.
_PARSERS: dict[str, Callable[[bytes], Parser]] = {
    "h264": H264Parser,
    "hevc": HEVCParser,
    "mpeg4": MPEG4Parser,
    "vp9": vp9_parser,
}
_DAMAGED = (IndexError, KeyError, ValueError)


def picture_parser(codec: str, header: bytes) -> Parser:
    """The parser of a stream.

    Args:
        codec: FFmpeg's name; of an unknown one no packet is understood.
        header: the stream's extradata.
    """

    def parse_or_give_up(data: bytes) -> Picture | None:
        try:
            return parse(data)
        except _DAMAGED:
            return None

    try:
        parse = _PARSERS[codec](header)
    except _DAMAGED:
        return lambda data: None
    return parse_or_give_up
