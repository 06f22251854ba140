"""How long loading takes beside what people used before: decord, torchcodec, and Pillow frame by frame.

Every contender is a function without arguments that does the whole work from the file on. Contenders take turns in one
process, each on one core; of their times the medians count.
"""

import random
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import interpolate
from torch.utils.data import DataLoader, Dataset

from slowfast.datasets.clip_dataset import EvalClipDataset, TrainClipDataset
from slowfast.datasets.lists.video_list import VideoList
from slowfast.datasets.reading.video_reader import VideoReader
from slowfast.datasets.records import SampleKey, VideoRecord
from slowfast.datasets.sampling import sparse_indices
from slowfast.datasets.transforms.functional import draw_resized_crop, normalize, resized_size, spatial_crop
from slowfast.datasets.transforms.pipeline import EvalTransform, TrainTransform
from slowfast.datasets.transforms.rand_augment import RandAugment
from slowfast.runtime.fork_server import fork_server

CLIP_LEN, CROP_PX = 8, 224
NUM_TEMPORAL_VIEWS, CROPS = 4, (0, 1, 2)
POLICY = "rand-m7-n4-mstd0.5-inc1"
AREA_RANGE, ASPECT_RANGE = (0.08, 1.0), (0.75, 4 / 3)
MEAN, STD = torch.full((3,), 0.45), torch.full((3,), 0.225)
# Of 60 s per video, as in training; the thread that keeps the time is part of the work.
TIMEOUT_S = 60.0

Contender = Callable[[], object]


class Timing(NamedTuple):
    """Medians, in seconds: time on the processor (of all threads), and time that passed."""

    cpu_s: float
    wall_s: float


def alternate(contenders: dict[str, Contender], repeats: int) -> dict[str, Timing]:
    """Let contenders work in turn, once to warm up and then ``repeats`` times."""
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in contenders}
    for repeat in range(repeats + 1):
        for name, work in contenders.items():
            cpu_s, wall_s = time.process_time(), time.perf_counter()
            work()
            if repeat > 0:
                times[name].append((time.process_time() - cpu_s, time.perf_counter() - wall_s))
    return {name: Timing(*map(statistics.median, zip(*values, strict=True))) for name, values in times.items()}


def sparse_frames(path: Path) -> dict[str, Contender]:
    """8 frames, spread over the video, as uint8 (T, H, W, 3)."""
    with VideoReader(path) as video:
        indices = sparse_indices(video.num_frames, CLIP_LEN, 0)

    def ours() -> Tensor:
        with VideoReader(path) as video:
            return video.read(indices)

    contenders: dict[str, Contender] = {"ours": ours}
    if has_decord():
        contenders["decord"] = partial(_read_with_decord, path, indices)
    if has_torchcodec():
        contenders["torchcodec"] = partial(_read_with_torchcodec, path, indices)
    return contenders


def twelve_views(path: Path) -> dict[str, Contender]:
    """4 temporal times 3 spatial test views of one video: all at once, or each loaded by itself."""
    videos = _list_of_one(path)
    dataset = EvalClipDataset(
        [videos],
        transform=EvalTransform(size=CROP_PX, spatial_idxs=CROPS),
        num_temporal_views=NUM_TEMPORAL_VIEWS,
        timeout_s=TIMEOUT_S,
    )
    with VideoReader(path) as video:
        num_frames = video.num_frames
    views = [(view, crop) for view in range(NUM_TEMPORAL_VIEWS) for crop in CROPS]
    indices = [sparse_indices(num_frames, CLIP_LEN, view, NUM_TEMPORAL_VIEWS) for view in range(NUM_TEMPORAL_VIEWS)]

    def load_own_view(view: int, crop: int) -> object:
        return EvalClipDataset(
            [replace(videos, sampler=lambda **_: indices[view])],
            transform=EvalTransform(size=CROP_PX, spatial_idxs=(crop,)),
            timeout_s=TIMEOUT_S,
        )[SampleKey(0, 0)]

    contenders: dict[str, Contender] = {
        "ours": lambda: dataset[SampleKey(0, 0)],
        "twelve of ours": lambda: [load_own_view(view, crop) for view, crop in views],
    }
    if has_decord():
        contenders["twelve of decord"] = lambda: [
            _evaluate_in_floats(_read_with_decord(path, indices[view]), crop) for view, crop in views
        ]
    return contenders


def training_sample(path: Path) -> dict[str, Contender]:
    """Decode 8 frames, RandAugment, random resized crop, to a tensor; other augmentation in each repeat."""
    dataset = TrainClipDataset(
        [_list_of_one(path)],
        transform=TrainTransform(
            size=CROP_PX,
            area_range=AREA_RANGE,
            aspect_range=ASPECT_RANGE,
            short_side_range=(256, 320),
            policy=RandAugment.from_policy(POLICY, "bicubic"),
        ),
        seed=0,
        timeout_s=TIMEOUT_S,
    )
    epochs = iter(range(10**9))
    contenders: dict[str, Contender] = {"ours": lambda: dataset[SampleKey(next(epochs), 0)]}
    if has_decord() and find_spec("timm"):
        with VideoReader(path) as video:
            num_frames = video.num_frames
        seeds = iter(range(10**9))
        contenders["decord and Pillow"] = lambda: _augment_with_pillow(path, num_frames, next(seeds))
    return contenders


def _list_of_one(path: Path) -> VideoList:
    return VideoList(
        records=[VideoRecord(str(path), 0)],
        open_source=VideoReader,
        sampler=partial(sparse_indices, clip_len=CLIP_LEN),
    )


def has_decord() -> bool:
    """Whether decord is installed."""
    return find_spec("decord") is not None


def has_torchcodec() -> bool:
    """Whether torchcodec is installed and finds FFmpeg's libraries."""
    try:
        import torchcodec.decoders  # noqa: F401
    except (ImportError, OSError, RuntimeError):
        return False
    return True


def _read_with_decord(path: Path, indices: list[int]) -> np.ndarray:
    import decord

    return decord.VideoReader(str(path), num_threads=1).get_batch(indices).asnumpy()


def _read_with_torchcodec(path: Path, indices: list[int]) -> np.ndarray:
    from torchcodec.decoders import VideoDecoder

    decoder = VideoDecoder(str(path), dimension_order="NHWC", num_ffmpeg_threads=1)
    return decoder.get_frames_at(indices).data.numpy()


def _evaluate_in_floats(frames: np.ndarray, crop: int) -> Tensor:
    """Normalise, resize and crop one view, in this order and in float32, as SlowFast does: (C, T, size, size)."""
    clip = normalize(torch.from_numpy(frames).permute(3, 0, 1, 2)[None], MEAN, STD)[0]
    size = resized_size(*clip.shape[-2:], CROP_PX)
    return spatial_crop(interpolate(clip, size=size, mode="bilinear"), CROP_PX, crop)


def _augment_with_pillow(path: Path, num_frames: int, seed: int) -> Tensor:
    """What SlowFast and its children do: RandAugment on each frame, to floats, crop: (C, T, size, size)."""
    from timm.data.auto_augment import rand_augment_transform

    rng = np.random.default_rng(seed)
    frames = _read_with_decord(path, sparse_indices(num_frames, CLIP_LEN, None, rng=rng))
    augment = rand_augment_transform(POLICY, {"interpolation": Image.Resampling.BICUBIC})
    images = []
    for frame in frames:
        random.seed(seed)  # the same operations for all frames
        np.random.seed(seed)
        images.append(np.asarray(augment(Image.fromarray(frame))))
    clip = torch.from_numpy(np.stack(images)).permute(3, 0, 1, 2).float() / 255  # (C, T, H, W)
    y, x, h, w = draw_resized_crop(*clip.shape[-2:], area_range=AREA_RANGE, aspect_range=ASPECT_RANGE, rng=rng)
    return interpolate(clip[..., y : y + h, x : x + w], size=(CROP_PX, CROP_PX), mode="bilinear")


class _MemoryProbe(Dataset):
    """Loads training samples and gives the memory that its process then has, in MiB."""

    def __init__(self, paths: Sequence[Path], num_clips: int) -> None:
        self._paths = paths
        self._num_clips = num_clips
        self._loads: dict[Path, Contender] = {}  # made where they run: functions within functions stay in their process

    def __len__(self) -> int:
        return self._num_clips

    def __getitem__(self, idx: int) -> float:
        path = self._paths[idx % len(self._paths)]
        if path not in self._loads:
            self._loads[path] = training_sample(path)["ours"]
        self._loads[path]()
        num_pages = int(Path("/proc/self/statm").read_text().split()[1])
        return num_pages * 4096 / 2**20


def worker_memory(paths: Sequence[Path], num_clips: int) -> Iterator[float]:
    """Memory of one worker process after each training sample, in MiB (Linux)."""
    probe = _MemoryProbe(paths, num_clips)
    loader = DataLoader(probe, batch_size=None, num_workers=1, multiprocessing_context=fork_server())
    return map(float, loader)
