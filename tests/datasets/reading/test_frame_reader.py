"""Folders of images: exact frames by number, and errors that name the file."""

import io
import os
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import EpsImagePlugin, Image

from slowfast.datasets.reading.frame_reader import FrameFolderReader
from slowfast.datasets.reading.source import VideoReadError
from tests.odd_videos import ORIENTATIONS
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


# Where the numbers of the files begin


@pytest.mark.parametrize("start", [0, 1, 7])
def test_the_first_file_has_the_number_that_is_said(tmp_path: Path, start: int):
    with FrameFolderReader(write_frames(tmp_path, 4, start=start), 4, image_start=start) as video:
        assert [number_of(frame) for frame in video.read([0, 3])] == [100, 103]


@pytest.mark.parametrize(("start", "said"), [(0, 1), (1, 0), (1, 2), (2, 1)])
def test_a_folder_whose_numbers_begin_elsewhere_is_refused_at_once(tmp_path: Path, start: int, said: int):
    with pytest.raises(VideoReadError) as error:
        FrameFolderReader(write_frames(tmp_path, 4, start=start), 4, image_start=said)
    assert str(error.value) == (
        f"its files are numbered from {start} on (0000{start}.jpg), and DATA.IMAGE_START is {said}; "
        f"set DATA.IMAGE_START {start}"
    )


# Pictures that are not 8 bits of red, green and blue


def save_image(folder: Path, image: Image.Image, **options) -> Path:
    image.save(folder / "00001.png", **options)
    return folder


def read_image(folder: Path, template: str = "{:05d}.png", **arguments) -> np.ndarray:
    return FrameFolderReader(folder, 1, image_template=template, **arguments).read([0])[0].numpy()


GREY = np.arange(12, dtype=np.uint8).reshape(3, 4) * 20
COLOURS = np.random.default_rng(0).integers(0, 256, (3, 4, 3), np.uint8)


@pytest.mark.parametrize("mode", ["LA", "RGBA", "P", "1"])
def test_what_is_stored_beneath_transparency_is_read(tmp_path: Path, mode: str):
    alpha = Image.fromarray(GREY)
    if mode in ("LA", "RGBA"):
        image = Image.fromarray(GREY if mode == "LA" else COLOURS)
        image.putalpha(alpha)
        expected = np.repeat(GREY[..., None], 3, 2) if mode == "LA" else COLOURS
        save_image(tmp_path, image)
    elif mode == "P":
        image = Image.fromarray(COLOURS).quantize(12)
        save_image(tmp_path, image, transparency=bytes(range(12)))
        expected = np.asarray(image.convert("RGB"))
    else:
        save_image(tmp_path, Image.fromarray(GREY > 100))
        expected = np.repeat(np.where(GREY > 100, 255, 0)[..., None], 3, 2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_array_equal(read_image(tmp_path), expected)


def test_four_inks_become_three_colours(tmp_path: Path):
    inks = Image.fromarray(np.full((16, 16, 4), (255, 0, 0, 0), np.uint8), "CMYK")
    inks.save(tmp_path / "00001.jpg", quality=100)
    red, green, blue = read_image(tmp_path, "{:05d}.jpg")[8, 8].tolist()
    assert red < 10 and green > 245 and blue > 245  # cyan


@pytest.mark.parametrize(
    ("name", "values", "mode"),
    [
        ("{:05d}.png", np.full((3, 4), 300, np.uint16), "I"),
        ("{:05d}.tif", np.full((3, 4), 70_000, np.int32), "I"),
        ("{:05d}.tif", np.full((3, 4), 0.5, np.float32), "F"),
    ],
)
def test_values_of_more_than_8_bits_are_refused_not_cut_off(tmp_path: Path, name: str, values: np.ndarray, mode: str):
    Image.fromarray(values).save(tmp_path / name.format(1))
    with pytest.raises(
        VideoReadError, match=rf"cannot be read: its values have more than 8 bits \(Pillow's mode {mode}"
    ):
        read_image(tmp_path, name)


@pytest.mark.parametrize("name", ["{:05d}.jpg", "{:05d}.png"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_pictures_are_turned_and_mirrored_as_exif_says(tmp_path: Path, orientation: int, name: str):
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(numbered_frame(12345, 32, 64)).save(tmp_path / name.format(1), exif=exif)
    stored = read_image(tmp_path, name, apply_rotation=False)
    assert number_of(stored) == 12345 and stored.shape == (32, 64, 3)
    # As in EXIF 2.3, 4.6.4: where the first row and the first column of what is stored are shown.
    matrices = {2: (-1, 0, 0, 1), 3: (-1, 0, 0, -1), 4: (1, 0, 0, -1), 5: (0, 1, 1, 0)}
    matrices |= {6: (0, 1, -1, 0), 7: (0, -1, -1, 0), 8: (0, -1, 1, 0), 1: (1, 0, 0, 1)}
    (turn,) = (turn for matrix, turn in ORIENTATIONS.values() if matrix == matrices[orientation])
    np.testing.assert_array_equal(read_image(tmp_path, name), turn(stored))


def test_no_program_is_run_for_a_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Pillow leaves EPS to Ghostscript, by what the file holds."""
    write_frames(tmp_path, 1)
    Image.open(tmp_path / "00001.jpg").save(tmp_path / "00001.eps")
    (tmp_path / "00001.eps").rename(tmp_path / "00001.jpg")
    (tmp_path / "gs").write_text(f"#!/bin/sh\ntouch {tmp_path}/was_run\n")
    (tmp_path / "gs").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setattr(EpsImagePlugin, "gs_binary", None, raising=False)  # what newer ones have found
    with FrameFolderReader(tmp_path, 1) as video, pytest.raises(VideoReadError, match="no image that Pillow knows"):
        video.read([0])
    assert not (tmp_path / "was_run").exists()


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
