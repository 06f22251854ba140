"""Colour channels are in the order that DATA.CHANNEL_ORDER says, from the reading of a frame on."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from fvcore.common.config import CfgNode
from PIL import Image
from torch import Tensor
from torch.nn.functional import interpolate

from slowfast.config import load_config
from slowfast.datasets import build_dataset, build_loader
from slowfast.datasets.build import build_eval_dataset
from slowfast.datasets.clip_dataset import TrainClipDataset
from slowfast.datasets.records import SampleKey, VideoRecord
from tests.datasets.tiny_config import tiny_config
from tests.engine.loss_traces import write_lossless

DATASETS = Path(__file__).parents[2] / "configs" / "datasets"
HEIGHT, WIDTH, SIZE = 48, 64, 32
TINY = ["NUM_GPUS", 0, "DATA_LOADER.NUM_WORKERS", 0, "DATA.NUM_FRAMES", 2, "MODEL.MODEL_NAME", "Uniformer"]
TINY += ["TEST.NUM_ENSEMBLE_VIEWS", 1, "TEST.NUM_SPATIAL_CROPS", 1, "TRAIN.BATCH_SIZE", 2]
TINY += ["DATA.TRAIN_CROP_SIZE", SIZE, "DATA.TEST_CROP_SIZE", SIZE, "DATA.TRAIN_JITTER_SCALES", [SIZE, SIZE]]


def colourful(number: int) -> np.ndarray:
    """uint8 (HEIGHT, WIDTH, 3), a picture whose channels are far apart: much red, less green, little blue."""
    picture = np.empty((HEIGHT, WIDTH, 3), np.uint8)
    picture[..., 0] = np.linspace(40, 250, WIDTH)
    picture[..., 1] = np.linspace(20, 180, HEIGHT)[:, None]
    picture[..., 2] = 5 * number
    return picture


def write_frame_folders(root: Path, *, image_name: str, list_names: tuple[str, ...]) -> list[VideoRecord]:
    """Two folders of two JPEG files, and lists of them."""
    rows = []
    for video in range(2):
        (folder := root / f"video_{video}").mkdir()
        for idx in range(2):
            Image.fromarray(colourful(2 * video + idx)).save(folder / image_name.format(idx + 1), quality=90)
        rows.append(f"{folder.name} 2 {video}\n")
    for name in list_names:
        (root / name).write_text("".join(rows))
    return [VideoRecord(str(root / f"video_{video}"), 0, 2) for video in range(2)]


def read_with_opencv(folder: Path, image_name: str, indices: list[int]) -> Tensor:
    """float (T, 3, SIZE, SIZE), BGR: decoded as by the published loader of frames, resized in float, the centre."""
    cv2 = pytest.importorskip("cv2")
    files = [np.frombuffer((folder / image_name.format(idx + 1)).read_bytes(), np.uint8) for idx in indices]
    frames = np.stack([cv2.imdecode(file, cv2.IMREAD_COLOR) for file in files])
    clip = torch.from_numpy(frames).permute(0, 3, 1, 2).float()
    clip = interpolate(clip, size=(SIZE, SIZE * WIDTH // HEIGHT), mode="bilinear", align_corners=False)
    x = -(-(clip.shape[-1] - SIZE) // 2)
    return clip[..., x : x + SIZE]


@pytest.mark.parametrize(
    ("name", "image_name", "lists"),
    [
        ("sthv1", "{:05d}.jpg", "somesomev1_rgb_{}_split.txt"),
        ("sthv2", "img_{:05d}.jpg", "somesomev2_rgb_{}_split.txt"),
        ("hmdb51", "img_{:05d}.jpg", "{}.txt"),
        ("ucf101", "img_{:05d}.jpg", "{}.txt"),
    ],
)
def test_folders_of_frames_are_what_opencv_gives_for_the_published_runs(
    name: str, image_name: str, lists: str, tmp_path: Path
):
    """Only UCF101's were read as videos, in RGB; from folders they have the same order."""
    records = write_frame_folders(
        tmp_path, image_name=image_name, list_names=tuple(lists.format(split) for split in ("train", "val"))
    )
    places = ["DATA.PATH_TO_DATA_DIR", tmp_path, "DATA.PATH_PREFIX", tmp_path]
    cfg = load_config(DATASETS / f"{name}.yaml", [*TINY, *places])
    for dataset in (build_dataset(cfg, "test"), build_dataset(cfg, "val"), build_eval_dataset(cfg, records)):
        indices = dataset.lists[0].sampler(2, view_idx=0, num_views=1, rng=None)
        for video_idx, record in enumerate(records):
            clip = read_with_opencv(Path(record.path), image_name, indices)
            if name == "ucf101":
                clip = clip.flip(1)
            found = dataset[SampleKey(0, video_idx)].views[0].transpose(0, 1).float()  # (T, C, size, size)
            # Decoders and the one rounding after the resize.
            assert (found - clip).abs().max() <= 2 and (found - clip).abs().mean() < 0.5
            assert (found - clip.flip(1)).abs().mean() > 50
    # Of a training clip, whose crop is random, the mean colour tells the order.
    (batch,) = build_loader(cfg, build_dataset(cfg, "train"))
    means = batch.clips.float().mean((0, 2, 3, 4))
    assert means.argmin() == (2 if name == "ucf101" else 0)


@pytest.fixture(scope="module")
def video_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("videos")
    write_lossless(folder / "one.mkv", np.stack([colourful(number) for number in range(12)]))
    for split in ("train", "val", "test"):
        (folder / f"{split}.csv").write_text("one.mkv,0\n")
    return folder


def datasets(cfg: CfgNode) -> Iterator[Tensor]:
    """The views of the only video, as training, validation, testing and scoring of any video have it."""
    for split in ("train", "val", "test"):
        yield build_dataset(cfg, split)[SampleKey(0, 0)].views
    yield build_eval_dataset(cfg, [VideoRecord(cfg.DATA.PATH_TO_DATA_DIR + "/one.mkv", 0)])[SampleKey(0, 0)].views


def test_videos_have_the_order_too(video_folder: Path):
    rgb, bgr = (datasets(tiny_config(video_folder, "DATA.CHANNEL_ORDER", order)) for order in ("rgb", "bgr"))
    for one, other in zip(rgb, bgr, strict=True):
        assert torch.equal(one.flip(1), other) and not torch.equal(one, other)


def test_rgb_is_the_default(video_folder: Path):
    for one, other in zip(
        datasets(tiny_config(video_folder)),
        datasets(tiny_config(video_folder, "DATA.CHANNEL_ORDER", "rgb")),
        strict=True,
    ):
        assert torch.equal(one, other)


def test_augmentation_works_on_channels_in_that_order(video_folder: Path):
    """Colour operations weigh the channels, and see them as the published runs' did."""
    seen: dict[str, Tensor] = {}
    for order in ("rgb", "bgr"):
        cfg = tiny_config(video_folder, "DATA.CHANNEL_ORDER", order)

        def transform(frames: Tensor, rng: np.random.Generator, *, may_flip: bool, order: str = order) -> Tensor:
            seen[order] = frames
            return frames

        lists = build_dataset(cfg, "train").lists
        TrainClipDataset(lists, transform=transform, seed=0, channel_order=order)[SampleKey(0, 0)]
    assert torch.equal(seen["bgr"], seen["rgb"].flip(1))
    # The layout that resizing is fast, and the same, in.
    assert all(frames.is_contiguous(memory_format=torch.channels_last) for frames in seen.values())
