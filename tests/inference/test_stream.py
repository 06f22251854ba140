"""A model on a stream: the same logits as the recomputed window and as a prediction of the file cut to it."""

import io
import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from unittest.mock import patch

import pytest
import torch
from torch import Tensor

from slowfast.config import load_config
from slowfast.datasets import VideoReader
from slowfast.errors import UserError
from slowfast.inference import VideoClassifier, load_model, publish
from slowfast.inference.streaming.frame_feed import FrameFeed, NewestOnly
from slowfast.inference.streaming.frame_grid import make_grid
from slowfast.inference.streaming.stream import _Picked
from slowfast.inference.streaming.window_memory import TokenRing
from slowfast.models import build_model
from tests.command_line import uniformer
from tests.inference.models import CLASS_NAMES, FAMILIES, INPUT, small_classifier
from tests.models.weights.layouts import randomized
from tests.videos import truncate, write_damaged_video, write_video

# Of this width, the products of one frame's tokens and of a whole clip's run in the same kernel, on CPUs with AVX-512.
SCENE = {
    "UNIFORMERV2.NO_LMHRA": True,
    "UNIFORMERV2.WIDTH": 48,
    "UNIFORMERV2.N_DIM": 48,
    "UNIFORMERV2.HEADS": 6,
    "UNIFORMERV2.N_HEAD": 6,
}
FPS = 25


def scene_classifier(num_frames: int = 5, **changes: object) -> VideoClassifier:
    """A model whose frames meet in the global UniBlocks alone."""
    values = FAMILIES["uniformerv2"] | INPUT | SCENE | {"DATA.NUM_FRAMES": num_frames}
    values |= {name.replace("__", "."): value for name, value in changes.items()}
    cfg = load_config(None, [part for pair in values.items() for part in pair])
    torch.manual_seed(0)
    return VideoClassifier(randomized(build_model(cfg)), cfg, class_names=CLASS_NAMES, source="made up")


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """90 frames, 3.6 s."""
    return write_video(tmp_path_factory.mktemp("stream") / "video.mp4", 90, height=36, width=48, fps=FPS)


def frames_of(path: Path) -> Tensor:
    with VideoReader(path) as reader:
        return reader.read(range(reader.num_frames))


@contextmanager
def threads(number: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def has_rowwise_products(classifier: VideoClassifier) -> bool:
    """Whether this machine's products of matrices give a frame's rows the same bits, however many rows there are."""
    model, num_frames = classifier.model, classifier.cfg.DATA.NUM_FRAMES
    clip = torch.randn(1, 3, num_frames, 16, 16)
    with torch.inference_mode():
        whole = model.frame_tokens(clip)
        single = zip(*(model.frame_tokens(clip[:, :, [t]]) for t in range(num_frames)), strict=True)
        return all(torch.equal(one, torch.cat(parts, dim=1)) for one, parts in zip(whole, single, strict=True))


@pytest.mark.parametrize("num_threads", [1, 2])
@pytest.mark.parametrize("num_frames", [5, 8, pytest.param(16, marks=pytest.mark.slow)])
def test_every_window_is_the_prediction_of_the_cut_file(num_frames: int, num_threads: int, video: Path):
    classifier, frames = scene_classifier(num_frames), frames_of(video)
    step = 3
    with threads(num_threads):
        is_exact = has_rowwise_products(classifier)
        stream = classifier.stream(video, num_frames * step / FPS, 2 * step / FPS)
        assert stream.notes == [] and stream.reuses_frames
        windows = list(stream)
        length = num_frames * step + 1
        # The last window is told when its last frame that is looked at has come: step // 2 frames before its end.
        assert len(windows) == (90 - (length - (step - step // 2))) // (2 * step) + 1
        for number, window in enumerate(windows):
            start = number * 2 * step
            if number > 3 or start + length > 90:
                continue
            expected = classifier.predict(frames[start : start + length], views="1x1")
            assert window.start_s == pytest.approx(start / FPS) and window.end_s == pytest.approx(
                (start + length) / FPS
            )
            error = (window.scores - expected.scores).abs().max()
            assert error == 0 if is_exact else error < 1e-5
            assert [name for name, _ in window.classes] == [name for name, _ in expected.classes]
    assert len({tuple(window.logits.tolist()) for window in windows}) == len(windows)


@pytest.mark.parametrize("num_threads", [1, 2])
@pytest.mark.parametrize("num_frames", [5, 8, pytest.param(16, marks=pytest.mark.slow)])
def test_the_ring_gives_the_logits_of_the_recomputed_window(num_frames: int, num_threads: int):
    """Of tokens of the same bits the same bits, on every machine; and each frame goes through the ViT once."""
    model = scene_classifier(num_frames).model
    views = torch.randint(0, 256, (2 * num_frames + 3, 1, 3, 1, 16, 16), dtype=torch.uint8)
    with threads(num_threads):
        with patch.object(type(model), "frame_tokens", autospec=True, side_effect=type(model).frame_tokens) as computed:
            ring = TokenRing(model, Tensor.float, torch.no_grad, num_frames)
            found = []
            for number, view in enumerate(views):
                ring.add([number], view)
                found.append(ring.logits(number))
        assert computed.call_count == len(views)
        with torch.inference_mode():
            tokens = [model.frame_tokens(view.float()) for view in views]
            for last in range(num_frames - 1, len(views)):
                window = zip(*tokens[last - num_frames + 1 : last + 1], strict=True)
                expected = model.forward_head(model.forward_tokens([torch.cat(parts, dim=1) for parts in window]))
                assert torch.equal(found[last], expected)


def test_the_split_forward_is_the_forward():
    model = scene_classifier(8).model
    clips = torch.randn(2, 3, 8, 16, 16)
    with torch.inference_mode():
        assert torch.equal(model.forward_tokens(model.frame_tokens(clips)), model.forward_features(clips))


@pytest.mark.parametrize("layers", [[0, 1], [1, 2]])
def test_the_last_class_tokens_count_also_where_their_layer_is_not_read(layers: list[int]):
    model = scene_classifier(4, UNIFORMERV2__RETURN_LIST=layers).model
    clips = torch.randn(1, 3, 4, 16, 16)
    with torch.inference_mode():
        assert torch.equal(model.forward_tokens(model.frame_tokens(clips)), model.forward_features(clips))


@pytest.mark.parametrize("family", ["uniformerv2", "uniformer"])
def test_windows_of_a_model_that_joins_frames_early_are_recomputed_and_it_says_so(family: str, video: Path, caplog):
    classifier, frames = small_classifier(family), frames_of(video)
    assert not classifier.model.has_frame_tokens
    caplog.set_level("INFO")
    stream = classifier.stream(video, 16 / FPS, 7 / FPS)
    (note,) = stream.notes
    assert note.startswith("the model joins frames from its first layers on") and note in caplog.text
    windows = list(stream)
    length = stream.grid.num_frames
    assert length == (16 if family == "uniformer" else 17) and len(windows) >= 10
    for number, window in enumerate(windows[:3]):
        expected = classifier.predict(frames[7 * number : 7 * number + length], views="1x1")
        torch.testing.assert_close(window.scores, expected.scores, rtol=0, atol=0)


def test_other_orders_of_channels_and_several_labels(video: Path):
    classifier = scene_classifier(5, DATA__CHANNEL_ORDER="bgr", DATA__MULTI_LABEL=True, MODEL__LOSS_FUNC="bce_logit")
    window = next(iter(classifier.stream(video, 10 / FPS)))
    expected = classifier.predict(frames_of(video)[:11], views="1x1")
    torch.testing.assert_close(window.probabilities, expected.probabilities, rtol=0, atol=1e-6)
    assert abs(float(window.probabilities.sum()) - 1) > 1e-3


# The grid


def sparse_grid(classifier: VideoClassifier, video: Path, **arguments: float):
    stream = classifier.stream(video, **arguments)
    return stream.grid, stream.notes


@pytest.mark.parametrize(
    ("arguments", "window_frames", "stride", "notes"),
    [
        ({"window_s": 1.2, "stride_s": 0.48}, 30, 12, []),
        ({"window_s": 1.2}, 30, 6, []),
        (
            {"window_s": 1.2, "stride_s": 0.5},
            30,
            12,
            [
                "the stride is 0.48 s, not 0.5 s: a window's frames are 0.24 s apart, and windows share them only in "
                "whole such steps"
            ],
        ),
        (
            {"window_s": 1.0, "stride_s": 0.01},
            25,
            5,
            [
                "the stride is 0.2 s, not 0.01 s: a window's frames are 0.2 s apart, and windows share them only in "
                "whole such steps"
            ],
        ),
        (
            {"window_s": 1.1},
            30,
            6,
            ["the window is 1.2 s, not 1.1 s, for 5 frames: the stream has 25 frames per second"],
        ),
    ],
)
def test_the_grid_is_rounded_and_it_says_so(arguments, window_frames, stride, notes, video: Path):
    grid, told = sparse_grid(scene_classifier(5), video, **arguments)
    assert (grid.num_frames, grid.stride, told) == (window_frames + 1, stride, notes)
    assert grid.is_even


@pytest.mark.slow
def test_default_windows(video: Path, tmp_path: Path):
    """Sparse sampling: as long as the data set's videos, or as the model folder says; dense: the clip of a test."""
    assert scene_classifier(5).stream(video).grid.window_s == 10
    something = scene_classifier(5, TEST__DATASET="sth_video")
    assert something.stream(video).grid.window_s == 4
    own = scene_classifier(5, TEST__DATASET="folder").stream(video)
    assert own.grid.window_s == 10 and own.notes[0].startswith("nothing says how long the videos were")
    dense = scene_classifier(5, TEST__DATASET="kinetics", DATA__SAMPLING_RATE=6).stream(video)
    assert dense.grid.offsets == (0, 7, 14, 21, 29) and dense.grid.num_frames == 30
    assert not dense.reuses_frames and "do not lie equally far apart" in dense.notes[0]
    classifier = scene_classifier(5)
    classifier.window_s = 2.0
    loaded = load_model(publish(classifier, tmp_path / "model"), device="cpu")
    assert loaded.window_s == 2.0 and loaded.stream(video).grid.window_s == 2.0


def test_an_even_dense_clip_is_reused(video: Path):
    classifier = scene_classifier(8, TEST__DATASET="kinetics", DATA__SAMPLING_RATE=8)
    stream = classifier.stream(video)
    assert stream.grid.offsets == tuple(range(0, 64, 9)) and stream.grid.stride == 9 and stream.reuses_frames
    frames = frames_of(video)
    for number, window in enumerate(stream):
        if 9 * number + 64 <= len(frames):
            expected = classifier.predict(frames[9 * number : 9 * number + 64], views="1x1")
            torch.testing.assert_close(window.scores, expected.scores, rtol=0, atol=1e-6)


def test_a_grid_knows_its_frames():
    def sampler(num_video_frames: int, view_idx: int, num_views: int, rng: None) -> list[int]:
        return [0, 1, 5]

    grid = make_grid(sampler, clip_len=3, fps=10.0, window_s=1.0, stride_s=0.4, dense_rate=None, shares_frames=True)
    slots = grid.slots()
    assert [next(slots) for _ in range(8)] == [0, 1, 4, 5, 8, 9, 12, 13]
    assert [grid.window_ending_at(number) for number in (4, 5, 6, 9)] == [None, 0, None, 1]
    assert not grid.is_even and grid.num_new == 2


# Sources


class _Streamer(BaseHTTPRequestHandler):
    """Sends parts of bytes, each to one more visitor; waits between them as a camera does."""

    parts: list[bytes]
    pause_s = 0.0

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "video/mp2t")
        self.end_headers()
        if self.parts:
            part = self.parts.pop(0)
            for start in range(0, len(part), 188 * 20):
                self.wfile.write(part[start : start + 188 * 20])
                time.sleep(self.pause_s)

    def log_message(self, *_args: object) -> None:
        pass


@contextmanager
def http_server(*parts: bytes, pause_s: float = 0.0) -> Iterator[str]:
    handler = type("Streamer", (_Streamer,), {"parts": list(parts), "pause_s": pause_s})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/live.ts"
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture(scope="module")
def transport_stream(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = write_video(tmp_path_factory.mktemp("ts") / "a.ts", 60, gop=10, num_b_frames=0, height=36, width=48, fps=FPS)
    return path.read_bytes()


def test_a_live_address_is_the_file(transport_stream: bytes, tmp_path: Path):
    classifier = scene_classifier(5)
    (tmp_path / "a.ts").write_bytes(transport_stream)
    expected = list(classifier.stream(tmp_path / "a.ts", 15 / FPS, 6 / FPS))
    with http_server(transport_stream) as address:
        stream = classifier.stream(address, 15 / FPS, 6 / FPS, patience_s=0.1)
        assert stream._feed.is_live
        with patch.object(NewestOnly, "__iter__", lambda self: self._items):  # as if computing took no time
            windows = list(stream)
    assert len(windows) == len(expected) > 5
    for window, other in zip(windows, expected, strict=True):
        torch.testing.assert_close(window.logits, other.logits, rtol=0, atol=0)
        assert window.start_s == pytest.approx(other.start_s)
    assert "did not come back within 0.1 s" in stream.summary()[0]


@pytest.mark.slow
def test_a_source_that_breaks_comes_back_and_windows_begin_anew(transport_stream: bytes, monkeypatch):
    monkeypatch.setattr("slowfast.inference.streaming.frame_feed.FIRST_WAIT_S", 0.05)
    half = len(transport_stream) // 2 // 188 * 188
    with http_server(transport_stream[:half], b"", transport_stream) as address:
        feed = FrameFeed(address, name=address, patience_s=1.0)
        frames = list(feed.frames())
    assert feed.num_reconnects >= 1 and "did not come back within 1 s" in feed.ended
    segments = sorted({frame.segment for frame in frames})
    assert len(segments) == 2
    first, second = ([frame for frame in frames if frame.segment == segment] for segment in segments)
    assert [frame.number for frame in second] == list(range(60)) and 10 < len(first) < 60
    assert second[0].time_s > 0 and second[1].time_s - second[0].time_s == pytest.approx(1 / FPS)


def test_who_is_slow_gets_the_newest_frame_and_the_others_are_counted():
    def picked() -> Iterator[_Picked]:
        for number in range(20):
            time.sleep(0.005)
            yield _Picked(0, (number,), number / 10, None)

    newest = NewestOnly(picked())
    taken = []
    for item in newest:
        taken.append(item)
        time.sleep(0.03)
    assert 1 < len(taken) < 20 and newest.num_dropped == 20 - len(taken)
    # What was left out is filled by the newest, so that windows keep their length.
    assert [slot for item in taken for slot in item.slots] == list(range(20))
    assert [item.slots[-1] for item in taken] == sorted({item.slots[-1] for item in taken})
    assert taken[-1].slots[-1] == 19


def test_drops_of_a_slow_model_are_told(transport_stream: bytes):
    classifier = scene_classifier(5)
    frame_tokens = type(classifier.model).frame_tokens

    def slowly(model: torch.nn.Module, clips: Tensor) -> tuple[Tensor, ...]:
        time.sleep(0.05)
        return frame_tokens(model, clips)

    with (
        patch.object(type(classifier.model), "frame_tokens", slowly),
        http_server(transport_stream, pause_s=0.01) as address,
    ):
        stream = classifier.stream(address, 5 / FPS, patience_s=0.1)
        windows = list(stream)
    assert windows and windows[-1].num_dropped > 0 and stream.num_dropped >= windows[-1].num_dropped
    assert f"{stream.num_dropped} frames were left out because computing was slower" in " ".join(stream.summary())


def test_what_fails_in_the_thread_is_raised():
    def failing() -> Iterator[_Picked]:
        yield _Picked(0, (0,), 0.0, None)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        list(NewestOnly(failing()))


def test_a_recording_at_an_address_is_read_as_a_file_is(video: Path):
    data = video.read_bytes()

    class Server(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            start = int((self.headers.get("Range") or "bytes=0-").removeprefix("bytes=").split("-")[0])
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
            self.send_header("Content-Length", str(len(data) - start))
            self.end_headers()
            self.wfile.write(data[start:])

        def log_message(self, *_args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    feed = FrameFeed(f"http://127.0.0.1:{server.server_port}/a.mp4", name="a")
    assert not feed.is_live and [frame.number for frame in feed.frames()] == list(range(90))
    assert feed.ended == "" and feed.num_reconnects == 0
    server.shutdown()
    server.server_close()


def test_damaged_frames_are_left_out_and_counted(tmp_path: Path):
    path = write_damaged_video(tmp_path / "damaged.mp4", 60, gop=20, damaged=25)
    stream = scene_classifier(5).stream(path, 10 / FPS)
    windows = list(stream)
    assert stream.end_s == pytest.approx(60 / FPS) and len(windows) > 10
    assert "15 frames were damaged, or decoded from such, and were left out" in stream.summary()


def test_a_truncated_file_says_so(tmp_path: Path):
    path = truncate(write_video(tmp_path / "cut.mp4", 60, is_faststart=True), 40)
    stream = scene_classifier(5).stream(path, 10 / FPS)
    assert list(stream) and any("truncated" in told or "reading failed" in told for told in stream.summary())


def test_a_stream_shorter_than_a_window_says_so(video: Path):
    stream = scene_classifier(5).stream(video, 8.0)
    assert list(stream) == []
    assert stream.summary() == [
        "no window was full: one takes 201 frames (8 s), and the source ended after 3.6 s; --window_s makes it shorter"
    ]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"window_s": 0.0}, "window_s is 0.0; accepted: seconds above 0"),
        ({"window_s": "1"}, "window_s is '1'; accepted: seconds above 0"),
        ({"window_s": 1e300}, "window_s is 1e+300; accepted: seconds above 0, up to 1e+08"),
        ({"patience_s": -1}, "patience_s is -1; accepted: seconds above 0"),
        ({"fps": "25"}, "fps is '25'; accepted: 0.1 to 1000"),
        ({"source": b"content"}, "the source of a stream is of the type bytes; accepted: a path or an address, or a"),
        ({"source": iter([])}, "the source of a stream is of the type list_iterator; accepted: a path"),
        ({"source": io.StringIO()}, "the source of a stream is a file that is open for text; accepted: a path"),
        ({"stride_s": float("nan")}, "stride_s is nan; accepted: seconds above 0"),
        ({"topk": 0}, "topk is 0; accepted: whole numbers from 1"),
        ({"fps": -1.0}, "fps is -1.0; accepted: 0.1 to 1000"),
        ({"source": "nowhere.mp4"}, "nowhere.mp4: No such file or directory"),
        ({"source": "/dev/null"}, "/dev/null: Inappropriate ioctl for device (is it a camera?)"),
        ({"source": "concat:a.mp4"}, "concat:a.mp4: No such file or directory; addresses are opened only"),
    ],
)
def test_wrong_arguments_are_told(arguments: dict, told: str, video: Path):
    with pytest.raises(UserError) as error:
        scene_classifier(5).stream(**{"source": video, "window_s": 1.0} | arguments)
    assert str(error.value).startswith(told)


def test_a_stream_is_read_once(video: Path):
    stream = scene_classifier(5).stream(video, 1.0)
    assert len(list(stream)) > 1
    with pytest.raises(UserError, match="is read already: a stream is iterated over once"):
        list(stream)


def test_windows_far_apart_are_found_at_once(video: Path):
    # Of a stride of a year the next frame was looked for number by number.
    assert len(list(scene_classifier(5).stream(video, 1.0, 3e7))) == 1


def test_nobody_at_an_address_is_told():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{free.getsockname()[1]}/x.ts"
        with pytest.raises(UserError, match=f"^{address}: Connection refused"):
            FrameFeed(address, name=address)


# The command


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return publish(scene_classifier(5), tmp_path_factory.mktemp("folder") / "scene")


def test_the_command_prints_one_line_per_window(model_folder: Path, video: Path, capsys):
    words = ["stream", video, "--model", model_folder, "--window_s", 0.6, "--device", "cpu", "--no_verify"]
    assert uniformer(*words, "--json", "--topk", 2) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["start_s"] for row in rows[:3]] == [0.0, 0.12, 0.24] and len(rows[0]["classes"]) == 2
    assert uniformer(*words, "--stride_s", 0.2) == 0
    printed = capsys.readouterr()
    assert printed.out.splitlines()[0].startswith("     0.00 s to      0.64 s  ")
    assert printed.err.startswith(f"note: {video}: the stride is 0.24 s, not 0.2 s: ")


def test_no_window_begins_before_the_stream():
    """The second frame of this file is shown when the first one is."""
    clip = next((Path(__file__).parents[1] / "clips").glob("*.avi"))
    stream = small_classifier("uniformerv2").stream(clip, window_s=2)
    assert next(iter(stream)).start_s == 0


@pytest.mark.slow
def test_the_command_tells_mistakes_in_one_line(model_folder: Path, video: Path, capsys):
    words = ["--model", model_folder, "--device", "cpu", "--no_verify"]
    assert uniformer("stream", "nowhere.mp4", *words) == 2
    assert capsys.readouterr().err == "error: nowhere.mp4: No such file or directory\n"
    assert uniformer("stream", video, *words, "--window_s", "0") == 2
    assert "argument --window_s/--window: '0'; accepted: numbers above 0" in capsys.readouterr().err
    assert uniformer("stream", video, *words, "--window_s", 20) == 1
    assert "warning: " in capsys.readouterr().err


@pytest.mark.slow
def test_a_reader_that_has_had_enough_is_no_mistake(model_folder: Path, video: Path):
    words = f"stream {video} --model {model_folder} --window_s 0.2 --stride_s 0.04 --device cpu --no_verify --json"
    command = f"{sys.executable} -c 'from slowfast.cli.main import main; main()' {words} | head -n 1"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, timeout=120)
    assert len(done.stdout.splitlines()) == 1 and done.stderr == ""


@pytest.mark.slow
def test_standard_input_is_a_source(model_folder: Path, transport_stream: bytes):
    command = [sys.executable, "-c", "from slowfast.cli.main import main; main()"]
    words = ["stream", "-", "--model", model_folder, "--window_s", "0.6", "--device", "cpu", "--no_verify"]
    done = subprocess.run([*command, *map(str, words)], input=transport_stream, capture_output=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) > 10
