"""The order of frames, and what must be decoded, from facts about packets; no index where the facts do not suffice."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slowfast.datasets.reading.bitstream.network_units import OrderCounter
from slowfast.datasets.reading.bitstream.parser import picture_parser
from slowfast.datasets.reading.bitstream.picture import Parser, Picture
from slowfast.datasets.reading.packet_index import PacketFacts, PacketIndex, build_index

KEY, P, B = Picture(True, is_reset=True), Picture(False), Picture(False, is_b=True)
# A start that the pictures before it, too, are needed for: for those that are shown before it.
OPEN_KEY = Picture(True)
# Two groups of I P B B, in the order of decoding, and when each is shown.
TWO_GROUPS = [(KEY, 0), (P, 3), (B, 1), (B, 2), (KEY, 4), (P, 7), (B, 5), (B, 6)]
# The same, but the first two B pictures of the second group are shown before its start.
OPEN_GROUP = [(KEY, 0), (P, 3), (B, 1), (B, 2), (OPEN_KEY, 6), (B, 4), (B, 5), (P, 9), (B, 7), (B, 8)]


def facts(pictures: Sequence[tuple[Picture | None, int | None]]) -> list[PacketFacts]:
    return [PacketFacts(picture, pts, is_key=picture is not None and picture.is_start) for picture, pts in pictures]


def index_of(pictures: Sequence[tuple[Picture | None, int | None]], codec: str = "h264", depth: int = 2) -> PacketIndex:
    index = build_index(codec, facts(pictures), depth)
    assert index is not None
    return index


def test_frames_are_in_the_order_of_their_times():
    assert index_of(TWO_GROUPS).packet_of_frame == [0, 2, 3, 1, 4, 6, 7, 5]


def test_only_groups_with_wanted_packets_are_decoded_and_only_as_far_as_needed():
    index = index_of(TWO_GROUPS)
    assert index.spans([0]) == [(0, 0)]
    assert index.spans([6]) == [(4, 6)]
    assert index.spans([2, 5]) == [(0, 2), (4, 5)]
    assert index.spans([3, 4]) == [(0, 4)]  # going on is less than starting anew
    assert index.spans([5, 5, 2, 1, 6]) == [(0, 2), (4, 6)]


def test_what_is_shown_before_a_start_needs_the_group_before():
    index = index_of(OPEN_GROUP)
    assert index.packet_of_frame == [0, 2, 3, 1, 5, 6, 4, 8, 9, 7]
    assert index.spans([5]) == [(0, 5)]
    assert index.spans([4]) == [(4, 4)] and index.spans([8]) == [(4, 8)]
    assert index.spans([4, 5]) == [(0, 5)] and index.spans([8, 6]) == [(0, 8)]


@given(wanted=st.lists(st.integers(0, len(OPEN_GROUP) - 1), min_size=1))
def test_no_packet_is_decoded_twice(wanted: list[int]):
    spans = index_of(OPEN_GROUP).spans(wanted)
    decoded = [packet for first, last in spans for packet in range(first, last + 1)]
    assert decoded == sorted(set(decoded)) and set(wanted) <= set(decoded)
    assert all(OPEN_GROUP[first][0].is_start for first, _ in spans)


def test_hidden_pictures_have_a_place_but_are_no_frames():
    packets = facts(TWO_GROUPS)
    packets[0] = packets[0]._replace(is_hidden=True)
    packets[2] = packets[2]._replace(is_hidden=True)
    index = build_index("h264", packets, 2)
    assert index.packet_of_frame == [3, 1, 4, 6, 7, 5]
    assert index.place == [0, 3, 1, 2, 4, 7, 5, 6]
    assert not index.is_plain


def test_a_file_is_plain_where_every_start_resets_the_decoder():
    assert index_of(TWO_GROUPS).is_plain
    assert not index_of(OPEN_GROUP).is_plain
    packets = facts([(KEY, 0), (P, 1), (P, 2)])
    packets[2] = packets[2]._replace(is_key=True)  # as the file says, but not the picture
    assert not build_index("h264", packets, 0).is_plain


@pytest.mark.parametrize(
    ("codec", "pictures", "depth"),
    [
        ("h264", [], 2),
        ("h264", [(KEY, 0), (None, 1)], 2),
        ("h264", [(KEY, 0), (P, None)], 2),
        ("h264", [(KEY, 0), (P, 0)], 2),
        ("h264", [(P, 0), (KEY, 1)], 2),  # begins amid a group
        ("h264", [(KEY, 2), (B, 0), (B, 1), (P, 3)], 2),  # begins with pictures that need others before
        ("h264", [(KEY, 0), (P, 1), (B, 2), (B, 3)], 2),  # times of decoding
        ("hevc", [(KEY, 0), (P, 1), (P, 2)], 2),
        ("h264", [(KEY, 0), (P, 4), (B, 2), (B, 1), (B, 3)], 1),  # the decoder holds back too few
        ("vp9", [(KEY, 1), (P, 0)], 0),
    ],
)
def test_there_is_no_index_where_the_order_is_not_certain(codec: str, pictures: list, depth: int):
    assert build_index(codec, facts(pictures), depth) is None


@pytest.mark.parametrize("times", [[None] * 6, [0, 1, 2, 3, 4, 5], [7] * 6])
def test_kinds_of_pictures_settle_the_order_of_mpeg4(times: list[int | None]):
    index = index_of(list(zip([KEY, P, B, B, P, B], times, strict=True)), codec="mpeg4", depth=1)
    assert index.packet_of_frame == [0, 2, 3, 1, 5, 4]


# Headers


@pytest.mark.parametrize("codec", ["h264", "hevc", "mpeg4", "vp9", "mjpeg", "unknown"])
@given(header=st.binary(max_size=40), data=st.binary(min_size=1, max_size=60))
def test_damaged_headers_are_not_understood_but_raise_nothing(codec: str, header: bytes, data: bytes):
    for start in (b"", b"\1", b"\0\0\1", b"\0\0\1\x67\x64\0"):
        picture = picture_parser(codec, start + header)(data)
        assert picture is None or isinstance(picture, Picture)


def unit(*content: int) -> bytes:
    return b"\0\0\1" + bytes(content)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (unit(0x65, 0x88, 0x84), KEY),
        (unit(0x41, 0x9A, 0x02), P),
        (unit(0x01, 0x9E, 0x02), Picture(False, is_b=True, is_spare=True)),  # type 6
        (unit(0x01, 0xA8, 0x02), Picture(False, is_b=True, is_spare=True)),  # type 1
        (unit(0x06, 6, 1, 0xC4, 0x80) + unit(0x41, 0x88, 0x84), OPEN_KEY),  # a recovery point at once
        (unit(0x06, 6, 1, 0x44, 0x80) + unit(0x41, 0x88, 0x84), P),  # after some pictures
        (unit(0x06, 5, 2, 0, 0, 6, 1, 0xC4, 0x80) + unit(0x41, 0x88, 0x84), OPEN_KEY),  # behind another message
        (unit(0x65, 0x88, 0x84) + unit(0x65, 0x40, 0x84), KEY),  # a second slice
        (unit(0x65, 0x88, 0x84) + unit(0x65, 0x88, 0x84), None),  # two pictures
        (unit(0x06, 5, 1, 0), None),  # none
        (unit(0x42, 0x88, 0x84), None),  # data partitions
    ],
)
def test_pictures_of_h264(data: bytes, expected: Picture | None):
    assert picture_parser("h264", b"")(data) == expected


def golomb(*numbers: int) -> str:
    """Exp-Golomb codes."""
    codes = [f"{number + 1:b}" for number in numbers]
    return "".join("0" * (len(code) - 1) + code for code in codes)


def sequence_parameter_set(*, is_in_frames: bool, profile: int, has_scaling: bool, order_type: int) -> bytes:
    """As H.264 writes it, 7.3.2.1.1, to the flag in question."""
    bits = f"{profile:08b}{0:08b}{30:08b}" + golomb(0)
    if profile == 100:
        bits += golomb(1, 0, 0) + "0" + str(int(has_scaling))
        if has_scaling:
            # A list of 16 steps of 1 up or 2 down, one that ends at its first step, 8 down, and six that are not sent.
            bits += "1" + golomb(*[1, 4] * 8) + "1" + golomb(16) + "0" * 6
    orders = {0: golomb(0, 2), 1: golomb(1) + "0" + golomb(3, 3, 2, 5, 5), 2: golomb(2)}
    bits += golomb(0) + orders[order_type] + golomb(2) + "0" + golomb(5, 3) + str(int(is_in_frames)) + "11111"
    return unit(0x67, *to_bytes(bits))


def to_bytes(bits: str) -> bytes:
    return bytes(int(bits[at : at + 8].ljust(8, "0"), 2) for at in range(0, len(bits), 8))


@pytest.mark.parametrize("is_in_frames", [True, False])
@pytest.mark.parametrize(("profile", "has_scaling"), [(66, False), (100, False), (100, True)])
@pytest.mark.parametrize("order_type", [0, 1, 2])
def test_streams_that_may_be_coded_in_fields_are_found(
    is_in_frames: bool, profile: int, has_scaling: bool, order_type: int
):
    parameters = sequence_parameter_set(
        is_in_frames=is_in_frames, profile=profile, has_scaling=has_scaling, order_type=order_type
    )
    parameters += unit(0x68, *to_bytes(golomb(0, 0) + "1"))  # a picture parameter set
    picture = unit(0x65, *to_bytes(golomb(0, 7, 0) + "0000" + golomb(0) + "1" * 40))

    def parsed(parse: Parser, data: bytes) -> Picture | None:
        found = parse(data)
        assert found is None or (found.order is None) == (order_type == 1)
        return found and found._replace(order=None)

    expected = KEY if is_in_frames else None
    assert parsed(picture_parser("h264", parameters), picture) == expected  # in the stream's header
    parse = picture_parser("h264", b"")
    assert parse(picture) == KEY
    assert parsed(parse, parameters + picture) == expected  # before a picture
    assert parsed(parse, picture) == expected  # from there on


def test_a_picture_without_its_parameters_is_not_understood():
    parameters = sequence_parameter_set(is_in_frames=True, profile=66, has_scaling=False, order_type=0)
    picture = unit(0x65, *to_bytes(golomb(0, 7, 0) + "0000" + golomb(0) + "1" * 40))
    assert picture_parser("h264", parameters)(picture) is None


def test_last_bits_of_counts_tell_the_order_of_pictures():
    """4 bits: the count goes on past 15, and back for B pictures, from the last picture that others are near to."""
    count = OrderCounter()
    for order, is_base in [
        (0, True),
        (6, True),
        (2, False),
        (4, False),
        (14, True),
        (10, True),
        (18, True),
        (12, False),
    ]:
        assert count(order % 16, 4, is_reset=order == 0, is_base=is_base) == (1, order)
    assert count(0, 4, is_reset=True, is_base=True) == (2, 0)


@pytest.mark.parametrize("codec", ["h264", "hevc"])
def test_times_must_agree_with_the_order_inside_the_stream(codec: str):
    orders = [(1, 0), (1, 6), (1, 2), (1, 4), (2, 0), (2, 6), (2, 2), (2, 4)]
    pictures = [(picture._replace(order=order), pts) for (picture, pts), order in zip(TWO_GROUPS, orders, strict=True)]
    assert index_of(pictures, codec).packet_of_frame == [0, 2, 3, 1, 4, 6, 7, 5]
    for second in (2, 4, 7):
        times = [pts for _, pts in pictures]
        times[1], times[second] = times[second], times[1]
        changed = [(picture, pts) for (picture, _), pts in zip(pictures, times, strict=True)]
        assert build_index(codec, facts(changed), 2) is None


# The header of a layer of 25 ticks, and pictures of 20 bytes: kind, seconds, ticks, whether they are coded.
LAYER = bytes.fromhex("00000120 08d48d0800cd02040614103f")


def mpeg4_picture(kind: int, ticks: int, is_coded: bool = True) -> bytes:
    return unit(0xB6, *to_bytes(f"{kind:02b}01{ticks:05b}1{int(is_coded)}"), *[0x55] * 20)


@pytest.mark.parametrize(
    ("last", "is_understood"),
    [
        (mpeg4_picture(1, 6), True),
        (mpeg4_picture(2, 2), True),
        (mpeg4_picture(2, 0), False),  # not between the others
        (mpeg4_picture(2, 3), False),
        (mpeg4_picture(3, 6), False),  # sprites, of which the layer knows nothing
        (mpeg4_picture(1, 6, is_coded=False), False),
        (mpeg4_picture(1, 6) + mpeg4_picture(2, 2), False),
        (LAYER.replace(b"\xcd\x02", b"\xcd\x04") + mpeg4_picture(1, 6), False),  # another width
        (LAYER + mpeg4_picture(1, 6), True),
    ],
)
def test_pictures_of_mpeg4(last: bytes, is_understood: bool):
    parse = picture_parser("mpeg4", LAYER)
    assert parse(mpeg4_picture(0, 0)) == Picture(True)
    assert parse(mpeg4_picture(1, 3)) == Picture(False)
    assert (parse(last) is not None) == is_understood
