"""What a model made of one video when it was published, and whether it still makes the same of it.

Hashes tell whether weights are the published ones. Whether the code around them still computes the published function
(another epsilon, another crop, colours in another order) only a video tells that goes the whole way.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from fvcore.common.config import CfgNode
from torch import Tensor

from slowfast.datasets.build import build_eval_lists, build_file_list
from slowfast.datasets.records import FailedVideo, SampleKey, VideoRecord
from slowfast.engine.scoring import build_normalize
from slowfast.errors import UserError
from slowfast.models.registry import VideoModel
from slowfast.runtime.precision import autocast

# Pixels of a view that are compared, per side.
GRID = 8
# In units of the 256 levels: what another build of the decoder may change in single pixels, and in their mean.
PIXEL_TOLERANCE, MEAN_TOLERANCE = 4.0, 0.5
# Of the largest value. Other threads, batches, compilers and CPUs made up to 3e-6.
TOLERANCE = 1e-5
# Where pixels are not quite the same, the network's outputs may differ by so many times what one level of noise made.
NOISE_FACTOR = 3.0
# bfloat16 may be off by so many times what it was at publishing.
BFLOAT16_FACTOR = 3.0


@dataclass(frozen=True)
class Trace:
    """What becomes of a video on its way through a model, stage by stage.

    Attributes:
        frames: int64 (clips, T), the frames of each temporal clip.
        pixels: float32 (views, 3, T, GRID, GRID), some pixels of every view as the network takes them.
        digest: int64 (32,), SHA-256 of all uint8 pixels of all views.
        features: float32 (C,) each, means of the tokens of a block in the middle and of the last one, of one view.
        logits: float32 (K,), of the same view.
    """

    frames: Tensor
    pixels: Tensor
    digest: Tensor
    middle: Tensor
    last: Tensor
    logits: Tensor

    def tensors(self) -> dict[str, Tensor]:
        """By name, to be written."""
        return dict(vars(self))


# Type and number of dimensions of a trace's tensors.
_FORMS = {
    "frames": (torch.int64, 2),
    "pixels": (torch.float32, 5),
    "digest": (torch.int64, 1),
    "middle": (torch.float32, 1),
    "last": (torch.float32, 1),
    "logits": (torch.float32, 1),
}


@dataclass(frozen=True)
class Proof:
    """A trace, and what may differ from it.

    Attributes:
        trace: of the published model, in float32.
        noise_error: how far one level of noise in the pixels moves the outputs, of the largest value.
        bfloat16_error: how far bfloat16 is from float32, of the largest logit.
    """

    trace: Trace
    noise_error: float
    bfloat16_error: float


class ProofError(UserError):
    """A model is not the published one: the message says at which stage it first differs, and by how much."""


def make_proof(model: VideoModel, cfg: CfgNode, video: Path) -> Proof:
    """Trace a video through a model, on the CPU in float32, and measure what noise and bfloat16 make of it.

    Args:
        model: on the CPU, in evaluation mode.
        cfg: the whole config: the views are those of its test.
        video: any video file.

    Raises:
        UserError: if it cannot be read, or ends early.
    """
    views, frames = _views_of(cfg, video, is_new=True)
    trace = _trace(model, cfg, views, frames)
    noise = torch.randint(-1, 2, views.shape, generator=torch.Generator().manual_seed(0), dtype=torch.int16)
    noisy = (views.to(torch.int16) + noise).clamp(0, 255).to(torch.uint8)
    moved = _outputs(model, cfg, noisy)
    noise_error = max(relative_error(ours, theirs) for ours, theirs in zip(moved, _published(trace), strict=True))
    half = _outputs(model, cfg, views, torch.bfloat16)
    return Proof(trace, noise_error, relative_error(half[-1], trace.logits))


def check_proof(model: VideoModel, cfg: CfgNode, video: Path, proof: Proof, told: str) -> float:
    """Trace the video again, and compare stage by stage.

    Args:
        model, cfg, video: as of ``make_proof``.
        proof: of the published model.
        told: the model's folder, for the message.

    Returns:
        The error of the logits, of the largest one.

    Raises:
        ProofError: naming the first stage that differs: frames, pixels, features or logits.
    """
    views, frames = _views_of(cfg, video)
    _check_frames(frames, proof.trace.frames, told)
    trace = _trace(model, cfg, views, frames)
    is_same = _check_pixels(trace, proof.trace, cfg, told)
    bound = TOLERANCE if is_same else max(TOLERANCE, NOISE_FACTOR * proof.noise_error)
    error = 0.0
    stages = ("features (a block in the middle)", "features (the last block)", "logits")
    for stage, ours, theirs in zip(stages, _published(trace), _published(proof.trace), strict=True):
        error = _checked_error(ours, theirs, stage, bound, told)
    return error


def check_bfloat16(model: VideoModel, cfg: CfgNode, video: Path, proof: Proof, told: str) -> float:
    """The same for the logits in bfloat16, wherever the model is.

    Raises:
        ProofError: if they are further off than ``BFLOAT16_FACTOR`` times as far as at publishing, and than the model's
            ``bfloat16_jump``.
    """
    views, _ = _views_of(cfg, video)
    logits = _outputs(model, cfg, views, torch.bfloat16)[-1]
    bound = max(BFLOAT16_FACTOR * max(proof.bfloat16_error, TOLERANCE), model.bfloat16_jump)
    return _checked_error(logits, proof.trace.logits, "logits in bfloat16", bound, told)


def proof_clip(cfg: CfgNode, video: Path) -> Tensor:
    """The view of a video whose features and logits a trace holds, before it is normalised: uint8 (1, 3, T, H, W).

    Raises:
        UserError: if it cannot be read.
    """
    return _views_of(cfg, video)[0][-1:]


def relative_error(ours: Tensor, theirs: Tensor) -> float:
    """The largest difference, of the largest value; infinite if any is not finite."""
    error = float((ours - theirs).abs().max() / theirs.abs().max().clamp_min(torch.finfo(torch.float32).tiny))
    return error if error == error else float("inf")


def read_trace(tensors: Mapping[str, Tensor], path: Path) -> Trace:
    """The mirror image of ``Trace.tensors``.

    Raises:
        UserError: if one is missing, or of another type or number of dimensions.
    """
    missing = [name for name in Trace.__dataclass_fields__ if name not in tensors]
    if missing:
        raise UserError(f"{path}: lacks {', '.join(missing)}; publish the model again")
    trace = Trace(**{name: tensors[name] for name in Trace.__dataclass_fields__})
    for name, (dtype, ndim) in _FORMS.items():
        value = tensors[name]
        if value.dtype != dtype or value.ndim != ndim or not value.numel():
            told = f"{str(value.dtype).removeprefix('torch.')} {tuple(value.shape)}"
            raise UserError(f"{path}: {name} is {told}, which no proof holds; publish the model again")
    return trace


def _views_of(cfg: CfgNode, video: Path, *, is_new: bool = False) -> tuple[Tensor, Tensor]:
    """All views, uint8 (V, 3, T, H, W), and the frames of each temporal clip, int64 (clips, T).

    A new proof takes no video that ends early: what a decoder makes of its end is not sure.
    """
    files = build_file_list(cfg, [VideoRecord(str(video), label=0)])
    sample = build_eval_lists(cfg, [files])[SampleKey(0, 0)]
    if isinstance(sample, FailedVideo):
        raise UserError(f"{video}: {sample.cause}")
    if is_new and sample.truncated is not None:
        raise UserError(f"{video}: is truncated: {sample.truncated.cause}; name a whole one")
    with files.open_source(str(video)) as source:
        num_frames, num_views = source.num_frames, cfg.TEST.NUM_ENSEMBLE_VIEWS
    clips = [
        files.sampler(num_video_frames=num_frames, view_idx=idx, num_views=num_views, rng=None)
        for idx in range(num_views)
    ]
    return sample.views, torch.tensor(clips)


def _trace(model: VideoModel, cfg: CfgNode, views: Tensor, frames: Tensor) -> Trace:
    middle, last, logits = _outputs(model, cfg, views)
    grids = [torch.linspace(0, size - 1, GRID + 2).round().long()[1:-1] for size in views.shape[-2:]]
    some = views[:, :, :, grids[0]][..., grids[1]]
    digest = hashlib.sha256(views.contiguous().numpy()).digest()
    pixels = build_normalize(cfg, torch.device("cpu"))(some)
    return Trace(frames, pixels.contiguous(), torch.tensor(list(digest)), middle, last, logits)


def _outputs(model: VideoModel, cfg: CfgNode, views: Tensor, dtype: torch.dtype | None = None) -> list[Tensor]:
    """Means of the middle and the last block, and logits, of the last view: no view is further from the middle."""
    device = next(model.parameters()).device
    clip = build_normalize(cfg, device)(views[-1:].to(device))
    with torch.inference_mode(), autocast(device, dtype):
        try:
            volumes = model.forward_intermediates(clip, [model.num_layers // 2, model.num_layers - 1])
        except NotImplementedError:  # a model from outside, of which the classifier's input is all that can be had
            pooled = model.forward_head(model.forward_features(clip), pre_logits=True)
            volumes = [pooled[..., None, None, None]] * 2
        logits = model(clip)
    return [*(volume[0].float().mean(dim=(1, 2, 3)).cpu() for volume in volumes), logits[0].float().cpu()]


def _published(trace: Trace) -> tuple[Tensor, Tensor, Tensor]:
    return trace.middle, trace.last, trace.logits


def _check_frames(ours: Tensor, theirs: Tensor, told: str) -> None:
    if ours.shape != theirs.shape:
        sizes = [f"{len(clips)} clips of {clips.shape[1]} frames" for clips in (ours, theirs)]
        raise ProofError(f"{told}: differs from the published model in its frames: {sizes[0]}, published {sizes[1]}")
    for idx, (clip, published) in enumerate(zip(ours.tolist(), theirs.tolist(), strict=True)):
        if clip != published:
            what = f"clip {idx} takes {clip}, published {published}"
            raise ProofError(f"{told}: differs from the published model in its frames: {what}")


def _check_pixels(ours: Trace, theirs: Trace, cfg: CfgNode, told: str) -> bool:
    """Whether the pixels are the very same; refused if they differ by more than decoders do."""
    if ours.pixels.shape != theirs.pixels.shape:
        shapes = f"{tuple(ours.pixels.shape)}, published {tuple(theirs.pixels.shape)}"
        raise ProofError(f"{told}: differs from the published model in the form of its pixels: {shapes}")
    # Back to levels, by the scale that the network's values have here.
    levels = 255 * min(cfg.DATA.STD)
    difference = (ours.pixels - theirs.pixels).abs() * levels
    largest, mean = float(difference.max()), float(difference.mean())
    is_same = torch.equal(ours.digest, theirs.digest)
    bounds = (1e-3, 1e-3) if is_same else (PIXEL_TOLERANCE, MEAN_TOLERANCE)
    if not (largest <= bounds[0] and mean <= bounds[1]):
        raise ProofError(
            f"{told}: differs from the published model in its pixels: by up to {largest:.3g} of 255 levels, {mean:.3g} "
            f"on average; accepted: {bounds[0]:g} and {bounds[1]:g}"
        )
    return is_same


def _checked_error(ours: Tensor, theirs: Tensor, stage: str, bound: float, told: str) -> float:
    if ours.shape != theirs.shape:
        raise ProofError(
            f"{told}: differs from the published model in its {stage}: {len(ours)} values, published {len(theirs)}"
        )
    error = relative_error(ours, theirs)
    if not error <= bound:
        raise ProofError(
            f"{told}: differs from the published model in its {stage}: by {error:.2g} of the largest value; accepted: "
            f"{bound:.2g}"
        )
    return error
