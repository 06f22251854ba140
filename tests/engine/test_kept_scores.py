"""The file in which a test keeps its scores: whole batches come back to the last bit, whatever cut it off."""

import errno
import logging
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from slowfast.datasets.records import FailedVideo, TruncatedVideo, UnscoredVideo
from slowfast.engine.kept_scores import KeptScores
from slowfast.engine.video_scores import VideoScores, without_scores
from tests.run_state import assert_same

HEADING = {"scored": {"weights": "0a", "DATA.MEAN": [0.45]}}


def some_parts() -> list[VideoScores]:
    """Batches of every kind: all scored, some not, none."""
    values = torch.randn(5, 3)
    return [
        VideoScores(torch.tensor([0, 2]), values[:2], [], probes={"reversed": values[2:4], "half_rate": values[3:]}),
        VideoScores(
            torch.tensor([4]),
            torch.tensor([[1e-42, 3.4e38, -0.0]]),
            failed=[FailedVideo(6, "no \udce9 UTF-8.mp4", 'has "quotes"\nand lines')],
            truncated=[TruncatedVideo(4, "ü.mp4", "ends early")],
            unscored=[UnscoredVideo(5, "b.mp4", "not finite")],
            probes={"reversed": values[:1], "half_rate": torch.tensor([[float("nan"), float("inf"), 0.0]])},
        ),
        without_scores([FailedVideo(7, "c.mp4", "is missing"), FailedVideo(8, "d.mp4", "is missing")]),
        VideoScores(torch.empty(0, dtype=torch.int64), torch.empty(0, 3), [], [], [UnscoredVideo(9, "e.mp4", "odd")]),
        VideoScores(torch.tensor([10]), values[4:], [], probes={"reversed": values[:1], "half_rate": values[1:2]}),
    ]


def keep(path: Path, parts: list[VideoScores]) -> None:
    kept = KeptScores(path)
    kept.begin(HEADING)
    for part in parts:
        kept.append(part)
    kept.close()


def assert_same_parts(parts: list[VideoScores], others: list[VideoScores]) -> None:
    assert len(parts) == len(others)
    for one, other in zip(parts, others, strict=True):
        assert one.video_idx.tolist() == other.video_idx.tolist()
        assert (one.failed, one.truncated, one.unscored) == (other.failed, other.truncated, other.unscored)
        if len(one.video_idx):
            for scores, same in zip(
                (one.scores, *one.probes.values()), (other.scores, *other.probes.values()), strict=True
            ):
                assert torch.equal(scores.view(torch.int32), same.view(torch.int32))  # NaN is equal to itself, too
            assert_same([*one.probes], [*other.probes], "probes")


def test_batches_come_back_to_the_last_bit(tmp_path: Path):
    parts = some_parts()
    keep(tmp_path / "a" / "b.scores", parts)
    found = KeptScores(tmp_path / "a" / "b.scores")
    assert found.heading == HEADING and found.num_videos == 2 + 3 + 2 + 1 + 1
    assert_same_parts(found.parts, parts)


def test_there_is_nothing_without_a_file(tmp_path: Path):
    found = KeptScores(tmp_path / "none" / "b.scores")
    assert found.heading is None and found.parts == [] and not (tmp_path / "none").exists()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_file_that_is_cut_anywhere_keeps_its_whole_batches_and_goes_on(data: st.DataObject, tmp_path: Path):
    parts, path = some_parts(), tmp_path / "b.scores"
    keep(path, parts)
    whole = path.read_bytes()
    path.write_bytes(whole[: data.draw(st.integers(0, len(whole)))])
    found = KeptScores(path)
    num_left = len(found.parts)
    assert_same_parts(found.parts, parts[:num_left])
    if found.heading is None:
        assert num_left == 0
        found.begin(HEADING)
    else:
        found.go_on()
    for part in parts[num_left:]:
        found.append(part)
    found.close()
    assert path.read_bytes() == whole


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_damaged_byte_makes_no_other_score(data: st.DataObject, tmp_path: Path):
    parts, path = some_parts(), tmp_path / "b.scores"
    keep(path, parts)
    content = bytearray(path.read_bytes())
    place = data.draw(st.integers(0, len(content) - 1))
    content[place] ^= data.draw(st.integers(1, 255))
    path.write_bytes(content)
    found = KeptScores(path)
    assert found.heading in (None, HEADING)
    assert_same_parts(found.parts, parts[: len(found.parts)])


@pytest.mark.parametrize("length", [-1, 10**18, 10**30])
def test_a_damaged_length_ends_what_is_kept(length: int, tmp_path: Path):
    parts, path = some_parts(), tmp_path / "b.scores"
    keep(path, parts[:1])
    with path.open("ab") as file:
        file.write(b"%08x %d\n{}" % (0, length))
    assert_same_parts(KeptScores(path).parts, parts[:1])


def test_a_disk_that_gets_full_ends_the_keeping_not_the_test(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    parts, path = some_parts(), tmp_path / "b.scores"
    kept = KeptScores(path)
    kept.begin(HEADING)
    kept.append(parts[0])
    num_bytes = path.stat().st_size

    class FullFile:
        """Takes a few bytes more."""

        def __init__(self, file) -> None:
            self.file, self.num_left = file, 10

        def write(self, content: memoryview) -> int:
            if self.num_left == 0:
                raise OSError(errno.ENOSPC, "No space left on device")
            number, self.num_left = self.file.write(content[: self.num_left]), 0
            return number

        def __getattr__(self, name: str):
            return getattr(self.file, name)

    kept._file = FullFile(kept._file)
    with caplog.at_level(logging.WARNING):
        kept.append(parts[1])
        kept.append(parts[2])
    assert [record.getMessage() for record in caplog.records] == [
        f"{path}: cannot be written: No space left on device; scores are not kept from here on, and a test that is cut "
        f"off later repeats these batches"
    ]
    assert path.stat().st_size == num_bytes
    found = KeptScores(path)
    assert_same_parts(found.parts, parts[:1])
    found.go_on()
    found.append(parts[1])
    found.close()
    assert_same_parts(KeptScores(path).parts, parts[:2])


def test_a_finished_test_leaves_neither_file_nor_folder(tmp_path: Path):
    own, other = (KeptScores(tmp_path / "partial" / name) for name in ("rank_00000.scores", "rank_00001.scores"))
    own.begin(HEADING)
    other.begin(HEADING)
    own.remove()
    assert [path.name for path in (tmp_path / "partial").iterdir()] == ["rank_00001.scores"]
    other.remove()
    assert not (tmp_path / "partial").exists()
