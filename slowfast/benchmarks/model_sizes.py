"""Sizes of the model that a config names, without building it in memory."""

from collections.abc import Iterable
from itertools import chain
from typing import NamedTuple

import torch
from fvcore.common.config import CfgNode
from torch import nn

from slowfast.benchmarks.complexity import Complexity, measure_complexity
from slowfast.benchmarks.step_memory import step_memory_bytes
from slowfast.config.load import flatten, load_config
from slowfast.models import build_model


class ModelSizes(NamedTuple):
    """Sizes of a config's model.

    Attributes:
        clip: (T, H, W) of a test clip.
        complexity: of one forward of such a clip.
        step_bytes: peak memory of a training step with one clip, without activation checkpointing.
        clip_bytes: what every further clip of the batch adds.
        checkpointed_step_bytes, checkpointed_clip_bytes: the same with the config's checkpointing; None without.
    """

    clip: tuple[int, int, int]
    complexity: Complexity
    step_bytes: int
    clip_bytes: int
    checkpointed_step_bytes: int | None
    checkpointed_clip_bytes: int | None


def model_sizes(cfg: CfgNode) -> ModelSizes:
    """Count and estimate; see ``slowfast.benchmarks.complexity`` and ``slowfast.benchmarks.step_memory``."""
    test_clip = (cfg.DATA.NUM_FRAMES, cfg.DATA.TEST_CROP_SIZE, cfg.DATA.TEST_CROP_SIZE)
    complexity = measure_complexity(_build_on_meta(cfg), (3, *test_clip))
    step = _step_memory(_without_checkpointing(cfg))
    checkpointed_step = _step_memory(cfg) if cfg.MODEL.USE_CHECKPOINT else (None, None)
    return ModelSizes(test_clip, complexity, *step, *checkpointed_step)


def describe_sizes(sizes: ModelSizes) -> list[str]:
    """One line per figure."""
    t, h, w = sizes.clip
    counts = sizes.complexity
    lines = [
        f"one clip of {t} x {h} x {w}",
        f"parameters                    {counts.num_parameters / 1e6:10.2f} M",
        f"  of these trained            {counts.num_trained_parameters / 1e6:10.2f} M",
        f"multiply-adds, fvcore's rule  {counts.fvcore_multiply_adds / 1e9:10.2f} G",
        f"  plain formulation, all      {counts.plain_multiply_adds / 1e9:10.2f} G",
        f"  as computed here            {counts.multiply_adds / 1e9:10.2f} G",
        f"activations                   {counts.num_activations / 1e6:10.2f} M",
        f"peak memory of a step         {_memory(sizes.step_bytes, sizes.clip_bytes)}",
    ]
    if sizes.checkpointed_step_bytes is not None:
        memory = _memory(sizes.checkpointed_step_bytes, sizes.checkpointed_clip_bytes)
        lines.append(f"  with MODEL.CHECKPOINT_NUM   {memory}")
    return lines


def sizes_table(rows: Iterable[tuple[str, ModelSizes]]) -> list[str]:
    """A Markdown table, one row per model."""
    lines = [
        "| model | parameters (M) | multiply-adds (G): fvcore's rule | plain, all | here | activations (M) "
        "| step, one clip (GiB) | each further clip (GiB) |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, sizes in rows:
        counts = sizes.complexity
        values = [
            f"{counts.num_parameters / 1e6:.2f}",
            *(
                f"{count / 1e9:.2f}"
                for count in (counts.fvcore_multiply_adds, counts.plain_multiply_adds, counts.multiply_adds)
            ),
            f"{counts.num_activations / 1e6:.0f}",
            *(f"{num_bytes / 2**30:.2f}" for num_bytes in (sizes.step_bytes, sizes.clip_bytes)),
        ]
        lines.append("| " + " | ".join([name, *values]) + " |")
    return lines


def _step_memory(cfg: CfgNode) -> tuple[int, int]:
    """Of one clip, and what a second one adds."""
    model = _build_on_meta(cfg)
    clip_shape = (3, cfg.DATA.NUM_FRAMES, cfg.DATA.TRAIN_CROP_SIZE, cfg.DATA.TRAIN_CROP_SIZE)
    one, two = (step_memory_bytes(model, (num_clips, *clip_shape)) for num_clips in (1, 2))
    return one, two - one


def _build_on_meta(cfg: CfgNode) -> nn.Module:
    with torch.device("meta"):
        return build_model(cfg)


def _without_checkpointing(cfg: CfgNode) -> CfgNode:
    return load_config(None, [*chain.from_iterable(flatten(cfg)), "MODEL.USE_CHECKPOINT", False])


def _memory(step_bytes: int, clip_bytes: int) -> str:
    return f"{step_bytes / 2**30:10.2f} GiB, and {clip_bytes / 2**30:.2f} GiB per further clip"
