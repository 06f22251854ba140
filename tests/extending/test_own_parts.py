"""A data set, a transform, a loss and an optimizer from outside the package work like ours."""

import json
import re
from collections.abc import Set
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from fvcore.common.config import CfgNode

from slowfast.config import load_config
from slowfast.datasets import build_dataset, build_loader
from slowfast.datasets.catalog import DATASET_REGISTRY
from slowfast.datasets.reading.source import FrameSource
from slowfast.datasets.records import Erasures, FailedVideo, SampleKey
from slowfast.datasets.transforms.pipeline import TrainTransform
from slowfast.datasets.transforms.random_erasing import erase
from slowfast.datasets.transforms.registry import TRANSFORM_REGISTRY
from slowfast.engine.run import run
from slowfast.errors import UserError
from slowfast.solver.loss import LOSS_REGISTRY, build_loss
from tests.registration import registered
from tests.run_state import checkpoint, metrics
from tests.videos import number_of, numbered_frame

TINY = Path(__file__).parents[1] / "tiny.yaml"
COLOURS = ["AUG.ENABLE", True, "AUG.AA_TYPE", "", "AUG.COLOR_JITTER", 0.0]

pytestmark = pytest.mark.usefixtures("own_parts")


def config(folder: Path, *overrides: object) -> CfgNode:
    names = ("TRAIN.DATASET", "Arrays", "TEST.DATASET", "arrays", "DATA.PATH_TO_DATA_DIR", str(folder))
    return load_config(TINY, [*names, "OUTPUT_DIR", str(folder / "run"), *overrides])


def test_a_run_trains_and_tests_with_all_of_them(arrays: Path):
    overrides = [*COLOURS, "AUG.EXTRA_TRANSFORMS", ["grey"], "MODEL.LOSS_FUNC", "focal", "MIXUP.ENABLE", True]
    cfg = config(arrays, *overrides, "SOLVER.OPTIMIZING_METHOD", "nadam", "SOLVER.MAX_EPOCH", 1)
    run(cfg, torch.device("cpu"))
    losses = [line["loss"] for line in metrics(arrays / "run", "train")]
    assert len(losses) == 2 and all(0 < loss < 3 for loss in losses)
    assert "mu_product" in checkpoint(arrays / "run", 0)["optimizer_state"]["state"][0]
    report = json.loads((arrays / "run" / "test" / "report.json").read_text())
    assert (report["expected"], report["scored"]) == (8, 8)


def test_an_own_source_is_read_sampled_and_cropped_like_ours(arrays: Path):
    dataset = build_dataset(config(arrays), "test")
    sample = dataset[SampleKey(0, 3)]
    assert sample.views.shape == (6, 3, 2, 16, 16) and sample.label == 1
    assert all(30 <= number_of(frame) < 36 for frame in sample.views[1].permute(1, 2, 3, 0))
    (arrays / "3.npy").write_text("no array")
    failure = dataset[SampleKey(0, 3)]
    assert isinstance(failure, FailedVideo) and failure.video_idx == 3 and "pickle" in failure.cause


def test_an_own_source_gives_rgb_and_clips_have_the_order_of_the_config(arrays: Path):
    np.save(arrays / "3.npy", np.random.default_rng(0).integers(0, 256, (6, 20, 24, 3), np.uint8))
    for split in ("train", "test"):
        rgb = build_dataset(config(arrays), split)[SampleKey(0, 3)].views
        bgr = build_dataset(config(arrays, "DATA.CHANNEL_ORDER", "bgr"), split)[SampleKey(0, 3)].views
        assert torch.equal(bgr, rgb.flip(1)) and not torch.equal(bgr, rgb)


@pytest.mark.parametrize(
    ("frames", "cause"),
    [
        (np.zeros((0, 8, 8, 3), np.uint8), "it has no frames"),
        (np.zeros((4, 8, 8, 3), np.float32), r"frame \d is float32 \(8, 8, 3\); accepted: uint8 \(H, W, 3\)"),
        (np.zeros((4, 8, 8), np.uint8), r"frame \d is uint8 \(8, 8\); accepted: uint8 \(H, W, 3\)"),
        (np.zeros((4, 8, 8, 4), np.uint8), r"frame \d is uint8 \(8, 8, 4\); accepted"),
        (np.zeros((4, 0, 8, 3), np.uint8), r"frame \d is uint8 \(0, 8, 3\); accepted"),
    ],
)
def test_a_file_of_something_else_is_one_failed_video(arrays: Path, frames: np.ndarray, cause: str):
    """Such a file must not end a training of days."""
    np.save(arrays / "3.npy", frames)
    failure = build_dataset(config(arrays), "test")[SampleKey(0, 3)]
    assert isinstance(failure, FailedVideo) and re.fullmatch(cause + ".*", failure.cause)
    sample = build_dataset(config(arrays), "train")[SampleKey(0, 3)]
    assert [failed.video_idx for failed in sample.replaced] == [3]


@pytest.mark.parametrize("label", [2, -1, -100])
@pytest.mark.parametrize("split", ["train", "test"])
def test_a_label_of_no_class_is_refused(arrays: Path, split: str, label: int):
    """In a test it would count as a wrong prediction; -100 is what PyTorch's cross entropy leaves out."""
    path = arrays / f"{split}.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"3.npy": label}))
    message = rf"^{split} list: .*/3.npy has label {label}; accepted: 0 to 1, as MODEL.NUM_CLASSES is 2$"
    with pytest.raises(UserError, match=message):
        build_dataset(config(arrays), split)


def test_a_data_set_of_other_classes_is_refused(arrays: Path):
    entry = replace(DATASET_REGISTRY.get("arrays"), load_class_names=lambda cfg: ["a", "b", "c"])
    with registered(DATASET_REGISTRY, entry, name="named"):
        cfg = config(arrays, "TRAIN.DATASET", "named")
        with pytest.raises(UserError, match=r"^the data set names 3 classes, but MODEL.NUM_CLASSES is 2$"):
            build_dataset(cfg, "train")


def test_a_source_that_leaves_out_a_frame_is_one_failed_video(arrays: Path):
    class Forgetful(FrameSource):
        def __init__(self, path: str):
            self.path, self.num_frames = path, 6

        def _read_frames(self, wanted: Set[int]) -> dict[int, np.ndarray]:
            return {idx: numbered_frame(idx) for idx in sorted(wanted)[1:]}

    entry = replace(DATASET_REGISTRY.get("arrays"), build_opener=lambda cfg: Forgetful)
    with registered(DATASET_REGISTRY, entry, name="forgetful"):
        failure = build_dataset(config(arrays, "TEST.DATASET", "forgetful"), "test")[SampleKey(0, 3)]
    assert isinstance(failure, FailedVideo)
    assert re.fullmatch(r"frame \d was asked for and not given by its source", failure.cause)


@pytest.mark.slow
@pytest.mark.parametrize("num_workers", [0, 1])
def test_own_parts_reach_loading_processes(arrays: Path, num_workers: int):
    cfg = config(arrays, *COLOURS, "AUG.EXTRA_TRANSFORMS", ["grey"], "DATA_LOADER.NUM_WORKERS", num_workers)
    batches = list(build_loader(cfg, build_dataset(cfg, "train")))
    assert [len(batch.clips) for batch in batches] == [4, 4]


# Transforms


def frames() -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(0).integers(0, 256, (2, 3, 24, 24), np.uint8))


def transform(folder: Path, *overrides: object) -> TrainTransform:
    return TrainTransform.from_config(config(folder, *COLOURS, *overrides))


def test_an_own_transform_comes_after_the_flip_and_before_erasing(arrays: Path):
    seen = []

    def record(clip: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
        seen.append(clip.clone())
        return torch.full_like(clip, 7)

    without = build_dataset(config(arrays, *COLOURS, "AUG.RE_PROB", 0.0), "train")[SampleKey(0, 3)]
    with registered(TRANSFORM_REGISTRY, record, name="record"):
        extra = ("AUG.EXTRA_TRANSFORMS", ["record", "record"])
        dataset = build_dataset(config(arrays, *COLOURS, "AUG.RE_PROB", 1.0, *extra), "train")
        sample = dataset[SampleKey(0, 3)]
    assert torch.equal(seen[0].transpose(0, 1), without.views[0]) and (seen[1] == 7).all()
    # Erasing overwrites what it gives, once that is normalised.
    assert (sample.views == 7).all() and without.erasures == ((),)
    assert 0 < (erase(sample.views.float(), Erasures.of_clips(sample.erasures)) != 7).float().mean() < 1


def test_an_own_transform_draws_from_the_clips_generator(arrays: Path):
    """So a sample hangs on (seed, epoch, video, repeat) alone, and the draws before it are as without it."""
    for idx in range(8):
        np.save(arrays / f"{idx}.npy", np.random.default_rng(idx).integers(0, 256, (6, 20, 24, 3), np.uint8))
    cfg = config(arrays, *COLOURS, "AUG.RE_PROB", 0.5, "AUG.EXTRA_TRANSFORMS", ["grey"], "AUG.NUM_SAMPLE", 2)
    samples = [build_dataset(cfg, "train")[SampleKey(2, idx)].views for idx in range(8)]
    for idx in reversed(range(8)):
        assert torch.equal(build_dataset(cfg, "train")[SampleKey(2, idx)].views, samples[idx])
    clips = torch.cat(samples)
    is_grey = (clips == clips[:, :1]).flatten(1).all(dim=1)
    assert 0 < is_grey.sum() < len(clips)


def test_no_extra_transforms_are_no_change(tmp_path: Path):
    plain = transform(tmp_path)
    assert plain.extra == ()
    one, other = np.random.default_rng(1), np.random.default_rng(1)
    assert torch.equal(plain(frames(), one), transform(tmp_path, "AUG.EXTRA_TRANSFORMS", [])(frames(), other))
    assert one.bit_generator.state == other.bit_generator.state


@pytest.mark.parametrize(
    ("result", "given"),
    [
        (lambda clip: clip.float(), "(torch.float32, (2, 3, 16, 16))"),
        (lambda clip: clip[:1], "(torch.uint8, (1, 3, 16, 16))"),
        (lambda clip: clip.numpy(), "ndarray"),
        (lambda clip: None, "NoneType"),
    ],
)
def test_a_transform_that_gives_something_else_is_named(tmp_path: Path, result, given: str):
    with registered(TRANSFORM_REGISTRY, lambda clip, rng: result(clip), name="odd"):
        train = transform(tmp_path, "AUG.EXTRA_TRANSFORMS", ["odd"])
        with pytest.raises(UserError) as error:
            train(frames(), np.random.default_rng(0))
    assert str(error.value) == (
        f"AUG.EXTRA_TRANSFORMS odd gives {given}; accepted: (torch.uint8, (2, 3, 16, 16)), the type and shape of the "
        "frames that it takes"
    )


def enlarge(clip: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    return clip.repeat(1, 1, 2, 2)


@pytest.mark.parametrize("num_workers", [0, 1])
def test_a_loading_process_tells_a_mistake_in_one_line(arrays: Path, num_workers: int):
    with registered(TRANSFORM_REGISTRY, enlarge), pytest.raises(UserError) as error:
        cfg = config(arrays, *COLOURS, "AUG.EXTRA_TRANSFORMS", ["enlarge"], "DATA_LOADER.NUM_WORKERS", num_workers)
        next(iter(build_loader(cfg, build_dataset(cfg, "train"))))
    assert re.fullmatch(r"AUG\.EXTRA_TRANSFORMS enlarge gives .*\(2, 3, 32, 32\)\); accepted: .*", str(error.value))


# Losses


def test_an_own_loss_takes_the_targets_that_it_declares(tmp_path: Path):
    loss = build_loss(config(tmp_path, "MODEL.LOSS_FUNC", "focal"))
    logits = torch.randn(5, 2, requires_grad=True)
    labels = torch.tensor([0, 1, 1, 0, 1])
    assert torch.equal(loss(logits, labels), loss(logits, F.one_hot(labels).float()))
    loss(logits, labels).backward()
    assert 0 < loss(logits, labels) < F.cross_entropy(logits, labels) and logits.grad.abs().sum() > 0
    refused = r"DATA.MULTI_LABEL is True and MODEL.LOSS_FUNC focal; several labels per video"
    with pytest.raises(UserError, match=refused):
        config(tmp_path, "MODEL.LOSS_FUNC", "focal", "DATA.MULTI_LABEL", True)


def test_a_loss_may_be_made_from_the_config(tmp_path: Path):
    class Scaled:
        @classmethod
        def from_config(cls, cfg: CfgNode):
            return lambda logits, targets: cfg.MODEL.NUM_CLASSES * F.cross_entropy(logits, targets)

    logits, targets = torch.zeros(3, 2), torch.zeros(3, dtype=torch.int64)
    with registered(LOSS_REGISTRY, Scaled, name="scaled"):
        loss = build_loss(config(tmp_path, "MODEL.LOSS_FUNC", "scaled"))
    assert loss(logits, targets).item() == pytest.approx(2 * np.log(2))
