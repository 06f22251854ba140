"""Scores of a test, kept batch by batch while it runs, so that a test that was killed goes on with them.

Each process appends to a file of its own. A file is a row of frames: a line of two numbers (the CRC-32 and the length
of what follows), a line of JSON, and float32 scores as bytes. The first frame says what is scored and how; each of the
others is a batch. What a kill has cut off at the end of a file is left out. The files do not wait for the disk: they
outlive a killed process, not always a machine without power.
"""

import json
import logging
import math
import os
import zlib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch

from slowfast.datasets.records import FailedVideo, TruncatedVideo, UnscoredVideo
from slowfast.engine.video_scores import VideoScores, without_scores
from slowfast.errors import UserError
from slowfast.runtime.files import make_folder, system_cause

logger = logging.getLogger(__name__)

_KINDS = {"failed": FailedVideo, "truncated": TruncatedVideo, "unscored": UnscoredVideo}
_LITTLE_ENDIAN = np.dtype("<f4")
_MAX_LINE_BYTES = 64


class KeptScores:
    """The file of one process.

    Args:
        path: of the file; read here, and left as it is until ``begin`` or ``go_on``.

    Attributes:
        heading: of the first frame; None if there is no file, or not so much of it.
        parts: batches that are kept, in the order of the loader.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.heading: Mapping[str, Any] | None = None
        self.parts: list[VideoScores] = []
        self._file: BinaryIO | None = None
        self._end = 0
        with suppress(FileNotFoundError), path.open("rb") as file:
            for content, payload in _frames(file):
                if self.heading is None:
                    self.heading = content
                else:
                    self.parts.append(_part_of(content, payload))
                self._end = file.tell()

    @property
    def num_videos(self) -> int:
        """Videos of the batches that are kept, those without scores among them."""
        return sum(len(part.video_idx) + len(part.failed) + len(part.unscored) for part in self.parts)

    def forget(self) -> None:
        """Leave out of account what the file holds."""
        self.heading, self.parts, self._end = None, [], 0

    def begin(self, heading: Mapping[str, Any]) -> None:
        """Drop what the file holds, and write its first frame.

        Args:
            heading: JSON values.
        """
        self.forget()
        self._open()
        self._write(_frame(heading))

    def go_on(self) -> None:
        """Append to what the file holds, less what was cut off at its end."""
        self._open()

    def append(self, part: VideoScores) -> None:
        """Keep one more batch. If that cannot be done, nothing more is kept, which is said once; the test goes on."""
        if self._file is not None:
            self._write(_frame(*_content_of(part)))

    def close(self) -> None:
        """Write no more; the file stays."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def remove(self) -> None:
        """Close the file and remove it, and its folder if no other file is there."""
        self.close()
        with suppress(OSError):
            self.path.unlink(missing_ok=True)
            self.path.parent.rmdir()

    def _open(self) -> None:
        try:
            make_folder(self.path.parent)
            # Without a buffer: what is written is with the system, whatever becomes of this process.
            self._file = self.path.open("r+b" if self._end else "wb", buffering=0)
            self._file.truncate(self._end)
            self._file.seek(self._end)
        except (OSError, UserError) as error:
            self._give_up(error)

    def _write(self, frame: bytes) -> None:
        if self._file is None:
            return
        rest = memoryview(frame)
        try:
            while rest:  # a disk that gets full takes a part
                rest = rest[self._file.write(rest) :]
            self._end += len(frame)
        except OSError as error:
            with suppress(OSError):
                self._file.truncate(self._end)
            self._give_up(error)

    def _give_up(self, error: Exception) -> None:
        self.close()
        logger.warning(
            "%s: cannot be written: %s; scores are not kept from here on, and a test that is cut off later repeats "
            "these batches",
            *(self.path, system_cause(error)),
        )


def _frame(content: Mapping[str, Any], payload: bytes = b"") -> bytes:
    body = json.dumps(content).encode() + b"\n" + payload
    return b"%08x %d\n" % (zlib.crc32(body), len(body)) + body


def _frames(file: BinaryIO) -> Iterator[tuple[dict[str, Any], bytes]]:
    """Content and bytes of each frame, up to the first that is not whole; the file then stands behind the last one."""
    while words := file.readline(_MAX_LINE_BYTES).split():
        try:
            checksum, length = int(words[0], 16), int(words[1])
        except (IndexError, ValueError):
            return
        if length > os.fstat(file.fileno()).st_size:  # of a damaged file; no memory is enough to read it
            return
        body = file.read(length)
        if len(body) != length or zlib.crc32(body) != checksum:
            return
        line, _, payload = body.partition(b"\n")
        yield json.loads(line), payload


def _content_of(part: VideoScores) -> tuple[dict[str, Any], bytes]:
    """A batch as JSON values, and its scores (1 + probes, n, K) as bytes."""
    tensors = [part.scores, *part.probes.values()]
    content = {
        "video_idx": part.video_idx.tolist(),
        "num_classes": part.scores.shape[1],
        "probes": [*part.probes],
        **{kind: getattr(part, kind) for kind in _KINDS},
    }
    return content, torch.stack(tensors).numpy().astype(_LITTLE_ENDIAN, copy=False).tobytes()


def _part_of(content: Mapping[str, Any], payload: bytes) -> VideoScores:
    """The mirror image of ``_content_of``."""
    videos = {kind: [of_kind(*values) for values in content[kind]] for kind, of_kind in _KINDS.items()}
    if not content["video_idx"]:
        return VideoScores(without_scores().video_idx, without_scores().scores, **videos)
    shape = (1 + len(content["probes"]), len(content["video_idx"]), content["num_classes"])
    assert len(payload) == math.prod(shape) * _LITTLE_ENDIAN.itemsize, "a frame with the checksum of another one"
    scores = torch.from_numpy(np.frombuffer(payload, _LITTLE_ENDIAN).astype(np.float32).reshape(shape))
    probes = dict(zip(content["probes"], scores[1:], strict=True))
    return VideoScores(torch.tensor(content["video_idx"]), scores[0], **videos, probes=probes)
