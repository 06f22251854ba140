"""A row of a list opens the file of that name, and never another one or an address."""

import os
import shutil
import socketserver
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from slowfast.datasets.reading.source import VideoReadError
from slowfast.datasets.reading.video_reader import VideoReader
from tests.videos import number_of, write_video


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, with a video in mp4 and ts."""
    monkeypatch.chdir(tmp_path)
    write_video(tmp_path / "a.mp4", 3, first_number=7)
    write_video(tmp_path / "a.ts", 60, first_number=7)
    return tmp_path


class Server(socketserver.ThreadingTCPServer):
    """Counts who asks, and hangs up."""

    allow_reuse_address = True
    num_asked = 0

    def finish_request(self, request, client_address) -> None:
        self.num_asked += 1


@pytest.fixture
def server() -> Iterator[Server]:
    with Server(("127.0.0.1", 0), socketserver.BaseRequestHandler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def playlist(what: str) -> str:
    return f"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n{what}\n#EXT-X-ENDLIST\n"


def manifest(what: str) -> str:
    return (
        '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" '
        'mediaPresentationDuration="PT2S" profiles="urn:mpeg:dash:profile:isoff-on-demand:2011"><Period>'
        '<AdaptationSet mimeType="video/mp4"><Representation id="1" bandwidth="1">'
        f"<BaseURL>{what}</BaseURL></Representation></AdaptationSet></Period></MPD>"
    )


def session(what: str) -> str:
    return f"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 33\na=control:{what}\n"


REFERENCES = {
    "a.ffconcat": lambda what: f"ffconcat version 1.0\nfile {what}\n",
    "a.m3u8": playlist,
    "a.mpd": manifest,
    "a.sdp": session,
    # The suffix does not matter to FFmpeg.
    "b.mp4": playlist,
    "c.mp4": lambda what: f"ffconcat version 1.0\nfile {what}\n",
}


@pytest.mark.parametrize("name", REFERENCES)
def test_a_file_that_names_others_is_refused(folder: Path, server: Server, name: str):
    host, port = server.server_address
    for what in ("a.ts", f"http://{host}:{port}/a.ts", f"tcp://{host}:{port}"):
        (folder / name).write_text(REFERENCES[name](what))
        with pytest.raises(VideoReadError, match=r"playlists, .*DATA\.ALLOW_STREAMS True|Invalid data found"):
            VideoReader(folder / name)
    assert server.num_asked == 0


def test_an_address_or_a_protocol_is_a_name_of_a_file_that_is_not_there(folder: Path, server: Server):
    host, port = server.server_address
    for name in (f"http://{host}:{port}/a.mp4", f"tcp://{host}:{port}", "concat:a.ts|a.ts", "subfile,,start,0,:a.mp4"):
        with pytest.raises(VideoReadError, match=r"No such file.*; addresses are opened only with DATA\.ALLOW_STREAMS"):
            VideoReader(name)
    for name in ("file:a.mp4", "a*.mp4", "/dev/video99"):
        with pytest.raises(VideoReadError, match="No such file"):
            VideoReader(name)
    assert server.num_asked == 0


def test_pictures_are_no_video(folder: Path):
    for number in range(3):
        Image.fromarray(np.zeros((32, 32, 3), np.uint8)).save(folder / f"p{number:05d}.png")
    for name in ("p%05d.png", "p00001.png", "p*.png"):
        with pytest.raises(VideoReadError, match=r"No such file|is no file of a known video format"):
            VideoReader(name)


@pytest.mark.parametrize("name", ["concat:a.mp4", "http:b.mp4", "file:b.mp4", "b%05d.mp4", "12:30:05.mp4", "-b.mp4"])
@pytest.mark.parametrize("is_relative", [True, False])
def test_a_name_that_looks_like_a_protocol_or_a_pattern_is_a_name(folder: Path, name: str, is_relative: bool):
    shutil.copy(folder / "a.mp4", folder / name)
    with VideoReader(name if is_relative else folder / name) as reader:
        assert [number_of(frame) for frame in reader.read([0, 2])] == [7, 9]


def test_what_is_no_file_is_not_opened(folder: Path):
    """A pipe would be waited for until something else writes to it."""
    os.mkfifo(folder / "pipe.mp4")
    for name in ("pipe.mp4", "/dev/null"):
        with pytest.raises(VideoReadError, match="is a pipe or a device, not a file"):
            VideoReader(name)
    for name in ("missing%05d.png", "a.mp4\0b"):
        with pytest.raises(VideoReadError, match=r"^(No such file or directory|embedded null byte)$"):
            VideoReader(name)


def test_large_files_are_opened_again_by_the_same_rules(folder: Path, monkeypatch: pytest.MonkeyPatch):
    shutil.copy(folder / "a.mp4", folder / "concat:b.mp4")
    monkeypatch.setattr("slowfast.datasets.reading.stream_packets.MAX_KEPT_BYTES", 1)
    with VideoReader("concat:b.mp4") as reader:
        assert number_of(reader.read([1])[0]) == 8


@pytest.mark.parametrize(("name", "text"), [("a.ffconcat", REFERENCES["a.ffconcat"]), ("a.m3u8", playlist)])
def test_a_key_opens_what_is_named(folder: Path, server: Server, name: str, text: Callable[[str], str]):
    (folder / name).write_text(text("a.ts"))
    with VideoReader(name, allow_streams=True) as reader:
        assert number_of(reader.read([0])[0]) == 7
    with pytest.raises(VideoReadError):
        VideoReader("http://{}:{}/a.mp4".format(*server.server_address), allow_streams=True)
    assert server.num_asked > 0
