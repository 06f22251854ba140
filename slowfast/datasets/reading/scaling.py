"""Decoded frames to another format and size, as the ffmpeg program does it by default."""

from fractions import Fraction

import av

from slowfast.datasets.reading.orientation import UPRIGHT, Orientation

# Of the graphs; frames bring their own, which does not matter here.
_TIME_BASE = Fraction(1, 1000)
# FFmpeg's names, in its filter "scale", of what frames say of their colours; other frames say nothing that it uses.
_MATRICES = {1: "bt709", 4: "fcc", 5: "bt470", 6: "smpte170m", 7: "smpte240m", 9: "bt2020", 10: "bt2020"}
_RANGES = {1: "tv", 2: "pc"}


class FrameScaler:
    """Converts frames through FFmpeg's filters, which know, other than ``reformat``, where chroma samples lie.

    Args:
        pixel_format: of the results, by FFmpeg's name.
        options: further ones of the filter "scale".
    """

    def __init__(self, pixel_format: str, options: str = "") -> None:
        self._pixel_format, self._options = pixel_format, options
        self._graphs: dict[tuple, av.filter.Graph] = {}

    def __call__(
        self, frame: av.VideoFrame, height: int, width: int, *, orientation: Orientation = UPRIGHT
    ) -> av.VideoFrame:
        """Convert a frame.

        Args:
            frame: of any format.
            height, width: of the result.
            orientation: how the frame is turned before it is scaled.
        """
        source = (frame.format.name, frame.color_range, frame.colorspace, frame.height, frame.width)
        key = (*source, height, width, orientation)
        if key not in self._graphs:
            self._graphs[key] = self._build_graph(frame, height, width, orientation)
        pts = frame.pts
        try:
            self._graphs[key].push(frame)
            return self._graphs[key].pull()
        finally:  # PyAV gives it in the graph's unit
            frame.pts = pts

    def _build_graph(self, frame: av.VideoFrame, height: int, width: int, orientation: Orientation) -> av.filter.Graph:
        graph = av.filter.Graph()
        if hasattr(graph, "threads"):  # not in the oldest releases of PyAV
            graph.threads = 1
        nodes = [graph.add_buffer(width=frame.width, height=frame.height, format=frame.format, time_base=_TIME_BASE)]
        nodes += [graph.add(*name_and_options) for name_and_options in _turning_filters(orientation)]
        nodes += [
            graph.add("scale", f"w={width}:h={height}:flags=bicubic:threads=1{_described(frame)}{self._options}"),
            graph.add("format", f"pix_fmts={self._pixel_format}"),
            graph.add("buffersink"),
        ]
        graph.link_nodes(*nodes).configure()
        return graph


def _described(frame: av.VideoFrame) -> str:
    """Options that tell what the frame says of its colours: the input of a graph, as PyAV makes it, does not."""
    matrix, value_range = _MATRICES.get(int(frame.colorspace)), _RANGES.get(int(frame.color_range))
    return (f":in_color_matrix={matrix}" if matrix else "") + (f":in_range={value_range}" if value_range else "")


def _turning_filters(orientation: Orientation) -> list[tuple[str, ...]]:
    """FFmpeg's filters for an orientation, in order."""
    filters: list[tuple[str, ...]] = []
    if orientation.is_transposed:
        filters.append(("transpose", "dir=cclock_flip"))
    if orientation.is_flipped_vertically:
        filters.append(("vflip",))
    if orientation.is_flipped_horizontally:
        filters.append(("hflip",))
    return filters
