"""Repeated augmentation: several seeded clips per video, each with its label, whatever the number of workers."""

from pathlib import Path

import av
import numpy as np
import pytest
import torch
from fvcore.common.config import CfgNode
from torch import Tensor

from slowfast.config.defaults import get_cfg
from slowfast.datasets import VideoReader, build_dataset, build_loader
from slowfast.datasets.collate import collate
from slowfast.datasets.records import Batch, Sample, SampleKey
from slowfast.datasets.sampling import sparse_indices
from slowfast.datasets.transforms import functional

NUM_VIDEOS, NUM_FRAMES, CROP_SIZE = 6, 4, 24


@pytest.fixture(scope="module")
def video_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six videos of 12 frames, 48 x 36, and their lists; video i has label i % 3."""
    root = tmp_path_factory.mktemp("videos")
    rng = np.random.default_rng(0)
    for video_idx in range(NUM_VIDEOS):
        with av.open(str(root / f"{video_idx}.mp4"), "w") as container:
            stream = container.add_stream("mpeg4", rate=10)
            stream.width, stream.height, stream.pix_fmt = 48, 36, "yuv420p"
            blocks = rng.integers(0, 256, (12, 9, 12, 3), dtype=np.uint8)
            for frame in blocks.repeat(4, 1).repeat(4, 2):
                container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
            container.mux(stream.encode(None))
    rows = "".join(f"{root / f'{i}.mp4'} {i % 3}\n" for i in range(NUM_VIDEOS))
    for split in ("train", "val"):
        (root / f"{split}.csv").write_text(rows)
    return root


def make_cfg(root: Path, **aug: object) -> CfgNode:
    cfg = get_cfg()
    cfg.NUM_GPUS, cfg.RNG_SEED, cfg.MODEL.NUM_CLASSES = 0, 7, 3
    cfg.TRAIN.DATASET, cfg.TRAIN.BATCH_SIZE = "kinetics_sparse", 2
    cfg.DATA.PATH_TO_DATA_DIR, cfg.DATA.NUM_FRAMES = str(root), NUM_FRAMES
    cfg.DATA.TRAIN_CROP_SIZE = cfg.DATA.TEST_CROP_SIZE = CROP_SIZE
    cfg.DATA.TRAIN_JITTER_SCALES_RELATIVE, cfg.DATA.TRAIN_JITTER_ASPECT_RELATIVE = [0.5, 1.0], [0.75, 1.3333]
    cfg.DATA_LOADER.NUM_WORKERS = 0
    published = {"ENABLE": True, "NUM_SAMPLE": 2, "AA_TYPE": "rand-m7-n4-mstd0.5-inc1", "RE_PROB": 0.5}
    for key, value in (published | aug).items():
        cfg.AUG[key] = value
    return cfg


def load_epoch(cfg: CfgNode, epoch: int = 0) -> list[Batch]:
    loader = build_loader(cfg, build_dataset(cfg, "train"))
    loader.sampler.set_epoch(epoch)
    return list(loader)


def test_a_batch_holds_the_repeats_of_a_video_side_by_side_with_their_labels(video_root: Path) -> None:
    batches = load_epoch(make_cfg(video_root, NUM_SAMPLE=3))
    assert len(batches) == NUM_VIDEOS // 2
    for batch in batches:
        assert batch.clips.shape == (2 * 3, 3, NUM_FRAMES, CROP_SIZE, CROP_SIZE)
        assert batch.clips.dtype == torch.uint8 and batch.clips.is_contiguous()
        assert torch.equal(batch.labels, batch.video_idx % 3)
        assert torch.equal(batch.video_idx, batch.video_idx[::3].repeat_interleave(3))
        assert len({clip.numpy().tobytes() for clip in batch.clips}) == 6
    videos = torch.cat([batch.video_idx for batch in batches]).tolist()
    assert sorted(videos) == sorted(3 * list(range(NUM_VIDEOS)))


def test_any_number_of_workers_gives_the_same_clips(video_root: Path) -> None:
    cfg = make_cfg(video_root)
    alone = load_epoch(cfg, epoch=1)
    cfg.DATA_LOADER.NUM_WORKERS = 2
    shared_out = load_epoch(cfg, epoch=1)
    assert len(alone) == len(shared_out) == 3
    for one, other in zip(alone, shared_out, strict=True):
        assert torch.equal(one.clips, other.clips)
        assert torch.equal(one.labels, other.labels)


def test_draws_depend_on_seed_epoch_video_and_repeat_alone(video_root: Path) -> None:
    cfg = make_cfg(video_root)

    def views(epoch: int, video_idx: int) -> Tensor:
        return build_dataset(cfg, "train")[SampleKey(epoch, video_idx)].views

    first = views(0, 1)
    assert torch.equal(first, views(0, 1))
    assert not torch.equal(first[0], first[1])
    assert not torch.equal(first, views(1, 1))
    # A repeat stays what it is when there are more of them.
    cfg.AUG.NUM_SAMPLE = 3
    assert torch.equal(first, views(0, 1)[:2])
    cfg.RNG_SEED = 8
    assert not torch.equal(first, views(0, 1)[:2])


def test_repeats_show_the_same_frames_read_once(video_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cfg = make_cfg(video_root, AA_TYPE="", COLOR_JITTER=0.0, RE_PROB=0.0, NUM_SAMPLE=4)
    cfg.DATA.TRAIN_JITTER_SCALES_RELATIVE = cfg.DATA.TRAIN_JITTER_ASPECT_RELATIVE = []
    # Crops as large as the frames, so that nothing but the flip is left to draw.
    cfg.DATA.TRAIN_JITTER_SCALES, cfg.DATA.TRAIN_CROP_SIZE, cfg.DATA.RANDOM_FLIP = [36, 36], 36, False
    reads = []
    read = VideoReader.read
    monkeypatch.setattr(VideoReader, "read", lambda self, indices: reads.append(list(indices)) or read(self, indices))
    monkeypatch.setattr(functional, "random_crop", lambda frames, size, rng: frames)
    views = build_dataset(cfg, "train")[SampleKey(0, 2)].views
    assert len(reads) == 1 and len(reads[0]) == NUM_FRAMES
    assert torch.equal(views, views[:1].expand_as(views))


def test_without_augmentation_there_is_one_clip_cropped_and_flipped_only(video_root: Path) -> None:
    cfg = make_cfg(video_root, ENABLE=False)
    dataset = build_dataset(cfg, "train")
    for video_idx in range(NUM_VIDEOS):
        rng = np.random.default_rng((7, 3, video_idx))
        with VideoReader(str(video_root / f"{video_idx}.mp4")) as video:
            frames = video.read(sparse_indices(video.num_frames, NUM_FRAMES, None, rng=rng))
        frames = frames.permute(0, 3, 1, 2)
        box = functional.draw_resized_crop(36, 48, area_range=(0.5, 1.0), aspect_range=(0.75, 1.3333), rng=rng)
        expected = functional.resized_crop(frames, box, CROP_SIZE)
        expected = expected.flip(-1) if rng.random() < 0.5 else expected
        views = dataset[SampleKey(3, video_idx)].views
        assert torch.equal(views, expected.transpose(0, 1)[None])


def test_validation_is_not_augmented_and_has_one_label_a_video(video_root: Path) -> None:
    cfg = make_cfg(video_root, NUM_SAMPLE=3)
    plain = make_cfg(video_root, ENABLE=False)
    batches, expected = (list(build_loader(c, build_dataset(c, "val"))) for c in (cfg, plain))
    assert sum(len(batch.labels) for batch in batches) == NUM_VIDEOS
    for batch, other in zip(batches, expected, strict=True):
        assert len(batch.clips) == len(batch.labels)
        assert torch.equal(batch.clips, other.clips)


def test_collate_gives_labels_to_views_only_if_told_to() -> None:
    samples = [Sample(torch.zeros(2, 3, 1, 4, 4, dtype=torch.uint8), label, 10 + label) for label in (5, 6)]
    assert collate(samples).labels.tolist() == [5, 6]
    batch = collate(samples, has_label_per_view=True)
    assert batch.labels.tolist() == [5, 5, 6, 6] and batch.video_idx.tolist() == [15, 15, 16, 16]
    assert len(batch.clips) == 4
