"""RandAugment and colour jitter: timm's and torchvision's results on every frame, one draw a clip."""

import random
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps
from torchvision.transforms import functional as tv

from slowfast.config.defaults import get_cfg
from slowfast.datasets.transforms.clip_operations import Operation, Region, apply_operations
from slowfast.datasets.transforms.pipeline import TrainTransform
from slowfast.datasets.transforms.rand_augment import ColorJitter, RandAugment, augment
from slowfast.errors import UserError

timm = pytest.importorskip("timm.data.auto_augment")

HEIGHT, WIDTH = 44, 56
WHOLE = Region(0, 0, HEIGHT, WIDTH)
PUBLISHED = ("rand-m7-n4-mstd0.5-inc1", "rand-m5-n2-mstd0.25")
NAMES = (
    *("AutoContrast", "Equalize", "Invert", "Rotate", "Posterize", "Solarize", "SolarizeAdd", "Color"),
    *("Contrast", "Brightness", "Sharpness", "ShearX", "ShearY", "TranslateX", "TranslateY"),
)


def make_clip(num_frames: int = 3) -> np.ndarray:
    """uint8 (T, H, W, 3): slopes, noise and a flat patch, every frame another and of little contrast."""
    rng = np.random.default_rng(5)
    t, y, x, c = np.ogrid[:num_frames, :HEIGHT, :WIDTH, :3]
    clip = 20 + 10 * t + 2.0 * y + 1.5 * x + 12 * c + rng.normal(0, 5, (num_frames, HEIGHT, WIDTH, 3))
    clip[:, 10:25, 12:30] = 77 + 20 * c
    return clip.clip(0, 255).astype(np.uint8)


def base_name(timm_name: str) -> str:
    return timm_name.removesuffix("Increasing").removesuffix("Rel")


def timm_frames(clip: np.ndarray, operations: list[Operation]) -> np.ndarray:
    """What timm's functions make of every frame."""
    functions = {base_name(name): timm.NAME_TO_OP[name] for name in timm._RAND_TRANSFORMS}
    # Pillow 13 refuses 0 bits, which made all black before.
    functions["Posterize"] = lambda image, bits, **_: (
        ImageOps.posterize(image, bits) if bits else image.point([0] * 768)
    )
    frames = []
    for frame in clip:
        image = Image.fromarray(frame)
        for name, argument, resample in operations:
            arguments = () if name in ("AutoContrast", "Equalize", "Invert") else (argument,)
            image = functions[name](image, *arguments, fillcolor=(128, 128, 128), resample=resample)
        frames.append(np.asarray(image))
    return np.stack(frames)


def arguments_drawn(policy: str, num_draws: int = 500) -> dict[str, set[float]]:
    """Every argument that a policy without noise gives to each of its operations."""
    drawn: dict[str, set[float]] = {}
    for operation in RandAugment.from_policy(f"{policy}-n{num_draws}-p1", "bicubic").draw(np.random.default_rng(0)):
        drawn.setdefault(operation.name, set()).add(operation.argument)
    return drawn


def as_any_timm_reads_it(policy: str) -> str:
    """Without inc0, which is the default and which timm before 1.0.29 took for inc1."""
    return policy.replace("-inc0", "")


@pytest.mark.parametrize("is_increasing", [0, 1])
@pytest.mark.parametrize("magnitude", [0, 3, 7, 10, 15])
def test_arguments_are_those_of_timm(magnitude: int, is_increasing: int, monkeypatch: pytest.MonkeyPatch) -> None:
    policy = f"rand-m{magnitude}-inc{is_increasing}"
    expected = {}
    for operation in timm.rand_augment_transform(as_any_timm_reads_it(policy), {"translate_const": 19}).ops:
        arguments = set()
        for toss in (0.0, 1.0):
            monkeypatch.setattr(timm, "random", SimpleNamespace(random=lambda toss=toss: toss))
            has_level = operation.level_fn is not None
            arguments.add(operation.level_fn(min(magnitude, 10), operation.hparams)[0] if has_level else 0.0)
        expected[base_name(operation.name)] = arguments
    assert arguments_drawn(policy) == expected


@pytest.mark.parametrize("resample", [Image.Resampling.BICUBIC, Image.Resampling.BILINEAR])
@pytest.mark.parametrize("name", NAMES)
def test_every_operation_is_that_of_timm(name: str, resample: Image.Resampling) -> None:
    clip = make_clip()
    region = Region(7, 11, 30, 41)
    for policy in ("rand-m2-inc1", "rand-m7-inc1", "rand-m7", "rand-m10-inc1"):
        for argument in arguments_drawn(policy, 200)[name]:
            operation = Operation(name, argument, resample)
            expected = timm_frames(clip, [operation])
            np.testing.assert_array_equal(apply_operations(clip, [operation], WHOLE), expected)
            np.testing.assert_array_equal(apply_operations(clip, [operation], region), region.cut(expected))
    np.testing.assert_array_equal(clip, make_clip())


@pytest.mark.parametrize("policy", PUBLISHED)
def test_policy_on_a_clip_is_that_of_timm_on_every_frame(policy: str) -> None:
    clip = make_clip()
    frames = torch.from_numpy(clip).permute(0, 3, 1, 2)
    box = (3, 5, 33, 29)
    rand_augment = RandAugment.from_policy(policy, "bicubic")
    num_operations = 0
    for seed in range(25):
        operations = rand_augment.draw(np.random.default_rng(seed))
        num_operations += len(operations)
        expected = Region(*box).cut(timm_frames(clip, operations))
        actual = augment(frames, rand_augment, box, np.random.default_rng(seed))
        assert actual.dtype == torch.uint8 and actual.shape == (3, 3, 33, 29)
        np.testing.assert_array_equal(actual.permute(0, 2, 3, 1).numpy(), expected)
        # The layout in memory makes no difference.
        other = augment(frames.contiguous(), rand_augment, box, np.random.default_rng(seed))
        assert torch.equal(actual, other)
    assert num_operations > 20
    np.testing.assert_array_equal(clip, make_clip())


@pytest.mark.parametrize("policy", [*PUBLISHED, ""])
def test_equal_frames_stay_equal(policy: str) -> None:
    frames = torch.from_numpy(make_clip(1)).permute(0, 3, 1, 2).repeat(4, 1, 1, 1)
    drawn = RandAugment.from_policy(policy, "random") if policy else ColorJitter(strength=0.4)
    num_changed = 0
    for seed in range(10):
        clip = augment(frames, drawn, WHOLE, np.random.default_rng(seed))
        assert torch.equal(clip, clip[:1].expand_as(clip))
        num_changed += not torch.equal(clip, frames)
    assert num_changed > 5


def test_policy_is_read_as_timm_reads_it() -> None:
    for policy in (*PUBLISHED, "rand", "rand-p0.3-n3-mmax20-m12-inc0-mstd101", "rand-m9-mstd0.5-inc1"):
        hparams = {"translate_const": 19}
        expected = timm.rand_augment_transform(as_any_timm_reads_it(policy), hparams)
        operation = expected.ops[0]
        actual = RandAugment.from_policy(policy, "bicubic")
        assert actual.num_operations == expected.num_layers
        assert (actual.prob, actual.magnitude) == (operation.prob, operation.magnitude)
        assert min(actual.magnitude_std, 101) == min(operation.magnitude_std, 101)
        assert actual.max_magnitude == (operation.magnitude_max or 10)
        assert actual.is_increasing == (expected.ops[4].name == "PosterizeIncreasing")


def test_draws_have_the_distribution_of_timm() -> None:
    rand_augment = RandAugment.from_policy("rand-m7-n4-mstd0.5-inc1", "bicubic")
    rng = np.random.default_rng(0)
    draws = [rand_augment.draw(rng) for _ in range(4000)]
    assert np.mean([len(draw) for draw in draws]) == pytest.approx(4 * 0.5, abs=0.05)
    operations = [operation for draw in draws for operation in draw]
    counts = [sum(operation.name == name for operation in operations) for name in NAMES]
    assert sum(counts) == len(operations)
    assert min(counts) > 0.8 * len(operations) / len(NAMES)
    degrees = np.array([operation.argument for operation in operations if operation.name == "Rotate"])
    assert np.mean(degrees > 0) == pytest.approx(0.5, abs=0.07)
    assert np.mean(np.abs(degrees)) == pytest.approx(21, abs=0.3)
    assert np.std(np.abs(degrees)) == pytest.approx(1.5, abs=0.2)


def test_uniform_magnitudes_and_upper_bound() -> None:
    def rotations(policy: str) -> np.ndarray:
        operations = RandAugment.from_policy(f"{policy}-n3000-p1", "bicubic").draw(np.random.default_rng(0))
        return np.abs([operation.argument for operation in operations if operation.name == "Rotate"])

    uniform = rotations("rand-m10-mstd101")
    assert uniform.min() < 2 and uniform.max() > 28 and uniform.mean() == pytest.approx(15, abs=2)
    assert rotations("rand-m15-mstd0.5").max() == 30
    assert rotations("rand-m15-mmax12").max() == 36


def test_interpolation_is_chosen() -> None:
    def resamples(interpolation: str) -> set[Image.Resampling]:
        operations = RandAugment.from_policy("rand-n50-p1", interpolation).draw(np.random.default_rng(0))
        return {operation.resample for operation in operations}

    assert resamples("bicubic") == {Image.Resampling.BICUBIC}
    assert resamples("bilinear") == {Image.Resampling.BILINEAR}
    assert resamples("random") == {Image.Resampling.BICUBIC, Image.Resampling.BILINEAR}


@pytest.mark.parametrize(
    "policy",
    ["randaugment", "auto-m7", "rand-m", "rand-m7.5", "rand-x3", "rand--m7", "rand-p1.5", "rand-inc2", "rand-w0"],
)
def test_unknown_policy_is_an_error_that_names_the_key(policy: str) -> None:
    with pytest.raises(UserError, match=rf"AUG\.AA_TYPE '{policy}'.*accepted: rand-m7-n4-mstd0\.5-inc1"):
        RandAugment.from_policy(policy, "bicubic")


def test_unknown_interpolation_is_an_error_that_names_the_key() -> None:
    with pytest.raises(UserError, match=r"AUG\.INTERPOLATION 'nearest' is none of bicubic, bilinear, random"):
        RandAugment.from_policy(PUBLISHED[0], "nearest")


def test_colour_jitter_is_that_of_torchvision() -> None:
    clip = make_clip()
    frames = torch.from_numpy(clip).permute(0, 3, 1, 2)
    functions = {"Brightness": tv.adjust_brightness, "Contrast": tv.adjust_contrast, "Color": tv.adjust_saturation}
    orders, factors = set(), []
    for seed in range(40):
        operations = ColorJitter(strength=0.4).draw(np.random.default_rng(seed))
        orders.add(tuple(operation.name for operation in operations))
        factors += [operation.argument for operation in operations]
        images = [Image.fromarray(frame) for frame in clip]
        for operation in operations:
            images = [functions[operation.name](image, operation.argument) for image in images]
        actual = augment(frames, ColorJitter(strength=0.4), WHOLE, np.random.default_rng(seed))
        np.testing.assert_array_equal(actual.permute(0, 2, 3, 1).numpy(), np.stack(images))
    assert len(orders) == 6
    assert 0.6 <= min(factors) < 0.65 and 1.35 < max(factors) <= 1.4


def test_strong_colour_jitter_keeps_factors_above_zero() -> None:
    rng = np.random.default_rng(0)
    factors = [op.argument for _ in range(50) for op in ColorJitter(strength=2.0).draw(rng)]
    assert min(factors) >= 0 and max(factors) > 2.5


def transform_of(**aug: object) -> TrainTransform:
    cfg = get_cfg()
    cfg.DATA.TRAIN_CROP_SIZE = 32
    cfg.AUG.ENABLE = True
    for key, value in aug.items():
        cfg.AUG[key] = value
    return TrainTransform.from_config(cfg)


def test_colour_jitter_is_used_only_without_a_policy() -> None:
    assert transform_of(AA_TYPE=PUBLISHED[0], COLOR_JITTER=0.4) == transform_of(AA_TYPE=PUBLISHED[0], COLOR_JITTER=0.9)
    assert transform_of(AA_TYPE="", COLOR_JITTER=0.4).policy == ColorJitter(strength=0.4)
    assert transform_of(AA_TYPE="", COLOR_JITTER=0.0).policy is None


def test_transform_augments_whole_frames_before_the_crop() -> None:
    frames = torch.from_numpy(make_clip()).permute(0, 3, 1, 2)
    for jitter in ({"area_range": (0.3, 1.0)}, {"area_range": None}):
        settings = {"size": 32, "aspect_range": (0.75, 1.3333), "short_side_range": (36, 40), "flip_prob": 1.0} | jitter
        policy = RandAugment.from_policy("rand-m7-n0", "bicubic")
        plain = TrainTransform(**settings)(frames, np.random.default_rng(3))
        assert torch.equal(TrainTransform(**settings, policy=policy)(frames, np.random.default_rng(3)), plain)
        clip = TrainTransform(**settings, policy=RandAugment.from_policy("rand-n6-p1", "bicubic"))(
            frames, np.random.default_rng(3)
        )
        assert clip.shape == (3, 3, 32, 32) and clip.dtype == torch.uint8
        assert not torch.equal(clip, plain)


def test_draws_leave_the_global_generators_alone() -> None:
    frames = torch.from_numpy(make_clip()).permute(0, 3, 1, 2)
    transform = transform_of(AA_TYPE=PUBLISHED[0], RE_PROB=1.0)
    clips = []
    for state in (1, 2):
        random.seed(state)
        np.random.seed(state)
        torch.manual_seed(state)
        clips.append(transform(frames, np.random.default_rng(9)))
    assert torch.equal(*clips)
    assert not torch.equal(clips[0], transform(frames, np.random.default_rng(10)))
