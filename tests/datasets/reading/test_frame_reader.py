"""Folders of images: exact frames by number, and errors that name the file."""

import io
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from slowfast.datasets.reading.frame_reader import FrameFolderReader
from slowfast.datasets.reading.source import VideoReadError
from tests.videos import number_of, numbered_frame, write_frames


@pytest.mark.parametrize("template", ["{:05d}.jpg", "img_{:05d}.jpg", "{}.png"])
def test_frame_i_is_file_i_plus_1(tmp_path: Path, template: str):
    write_frames(tmp_path, 12, template)
    with FrameFolderReader(tmp_path, 12, image_template=template) as video:
        assert video.num_frames == 12
        frames = video.read([0, 3, 11])
    assert frames.shape == (3, 32, 32, 3) and frames.dtype == torch.uint8
    assert [number_of(frame) for frame in frames] == [100, 103, 111]


def test_indices_come_in_any_order_and_repeat(tmp_path: Path):
    frames = FrameFolderReader(write_frames(tmp_path, 4), 4).read([3, 0, 3, 2])
    assert [number_of(frame) for frame in frames] == [103, 100, 103, 102]


def test_frames_are_exactly_those_of_the_files(tmp_path: Path):
    image = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)
    Image.fromarray(image).save(tmp_path / "00001.png")
    assert (FrameFolderReader(tmp_path, 1, image_template="{:05d}.png").read([0])[0] == image).all()


def test_grey_images_become_rgb(tmp_path: Path):
    Image.fromarray(np.full((4, 6), 77, np.uint8)).save(tmp_path / "00001.png")
    frames = FrameFolderReader(tmp_path, 1, image_template="{:05d}.png").read([0])
    assert frames.shape == (1, 4, 6, 3) and (frames == 77).all()


@pytest.mark.parametrize("indices", [[4], [-1], [0, 9]])
def test_indices_outside_the_video_are_refused(tmp_path: Path, indices: list[int]):
    with pytest.raises(IndexError, match=r"is outside \[0, 4\)"):
        FrameFolderReader(write_frames(tmp_path, 4), 4).read(indices)


def test_a_missing_file_is_named_with_what_the_list_says(tmp_path: Path):
    write_frames(tmp_path, 4)
    with pytest.raises(VideoReadError, match=r"its file 00007.jpg is missing; the list says 9 frames.*\{:05d\}.jpg"):
        FrameFolderReader(tmp_path, 9).read([0, 6])


def truncated_jpeg() -> bytes:
    data = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    Image.fromarray(noise).save(data, "jpeg")
    return data.getvalue()[:-200]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "it is no image"),
        (b"no image at all", "it is no image"),
        (truncated_jpeg(), "truncated"),
        (b"\x89PNG\r\n\x1a\nbroken", ""),
    ],
)
def test_a_damaged_file_is_named(tmp_path: Path, content: bytes, message: str):
    write_frames(tmp_path, 2)
    (tmp_path / "00002.jpg").write_bytes(content)
    with pytest.raises(VideoReadError, match=f"its file 00002.jpg cannot be read: .*{message}"):
        FrameFolderReader(tmp_path, 2).read([0, 1])


def test_files_of_several_sizes_are_refused(tmp_path: Path):
    write_frames(tmp_path, 1)
    Image.fromarray(numbered_frame(1, 16, 32)).save(tmp_path / "00002.jpg")
    with pytest.raises(VideoReadError, match="its frames change their size: 16 x 32 and 32 x 32 pixels"):
        FrameFolderReader(tmp_path, 2).read([0, 1])


def test_a_missing_folder_and_a_file_are_refused(tmp_path: Path):
    with pytest.raises(VideoReadError, match="No such file or directory"):
        FrameFolderReader(tmp_path / "none", 3)
    (tmp_path / "video.mp4").touch()
    with pytest.raises(VideoReadError, match="is not a folder of frames"):
        FrameFolderReader(tmp_path / "video.mp4", 3)


def test_a_folder_in_place_of_a_file_is_refused(tmp_path: Path):
    os.mkdir(tmp_path / "00001.jpg")
    with pytest.raises(VideoReadError, match=r"its file 00001\.jpg cannot be read: Is a directory"):
        FrameFolderReader(tmp_path, 1).read([0])
