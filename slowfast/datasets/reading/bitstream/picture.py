"""What the first bits of a packet tell of the picture that it shows."""

from collections.abc import Callable
from typing import NamedTuple


class Picture(NamedTuple):
    """The one picture that a packet shows.

    Attributes:
        is_start: decoding can start here, for what is shown from here on.
        is_b: the codec calls it a B picture.
        is_reset: the decoder forgets everything here.
        is_spare: no other picture needs it, as far as the packet says so (H.264, MPEG-4).
        is_after_gap: the numbers of H.264's pictures say that one is missing before it.
        is_new_format: its size, or what else describes a sequence of pictures, is new (H.264, HEVC, VP9).
        order: what is smaller is shown earlier (H.264, HEVC); None where the stream does not say.
    """

    is_start: bool
    is_b: bool = False
    is_reset: bool = False
    is_spare: bool = False
    is_after_gap: bool = False
    is_new_format: bool = False
    order: tuple[int, int] | None = None


# Takes the packets of a stream in turn. None stands for none, several or half of a picture (a field), and for what is
# beyond the parser.
Parser = Callable[[bytes], Picture | None]
