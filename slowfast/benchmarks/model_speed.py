"""Speed of the model that a config names: samples and operations per second, memory, and how it compares."""

from functools import partial
from itertools import chain, product
from typing import NamedTuple

import torch
import torch.nn.functional as F
from fvcore.common.config import CfgNode
from torch import Tensor, nn

from slowfast.benchmarks.complexity import count_operations
from slowfast.benchmarks.measure import Timing, matrix_product, peak_memory_bytes, time_alternately
from slowfast.models import build_model, logits_of_heads
from slowfast.models.reference import use_reference
from slowfast.runtime.compiler import check_compiler
from slowfast.runtime.memory import resident_bytes

FORWARD, STEP = "forward", "forward + backward"
OURS, COMPILED, PLAIN = "here", "here, compiled", "plain"
_PEAK = "matrix product"


class Measurement(NamedTuple):
    """Figures of one pass (FORWARD, STEP) of one formulation (OURS, COMPILED, PLAIN).

    Attributes:
        timing: of one call with the whole batch.
        samples_per_s: clips, by the median of wall time.
        flop_per_s: operations per second, two per multiply-add that is performed, by the shortest wall time.
        peak_share: of that in the device's matrix product, by its shortest wall time, timed between the calls.
        peak_flop_per_s: the device's matrix product.
        memory_bytes: the most that weights, gradients, activations and workspaces took; on the CPU, by which the
            process grew since before the model was built.
    """

    pass_name: str
    formulation: str
    timing: Timing
    samples_per_s: float
    flop_per_s: float
    peak_share: float
    peak_flop_per_s: float
    memory_bytes: int


def benchmark(
    cfg: CfgNode,
    device: torch.device,
    *,
    batch_size: int,
    num_rounds: int,
    dtype: torch.dtype,
    has_compiled: bool,
    against_plain: bool,
) -> list[Measurement]:
    """Time the forward (evaluation mode, no gradient, DATA.TEST_CROP_SIZE) and forward + backward (training mode,
    DATA.TRAIN_CROP_SIZE, without the optimizer's update) of random weights on random clips.

    Formulations take turns in this process.

    Args:
        cfg: the whole config.
        device: CPU or GPU.
        batch_size: clips per call.
        num_rounds: timed calls of each formulation and pass.
        dtype: float32, or bfloat16 by autocast.
        has_compiled: time ``torch.compile`` of the model, too.
        against_plain: time the model's reference (``use_reference``), too.
    """
    if has_compiled:
        check_compiler("--compile", device)
        torch.compile(nn.Identity())  # brings in the compiler, which is not the model's memory
    idle_bytes = resident_bytes() if device.type == "cpu" else 0
    model = build_model(cfg).to(device)
    formulations = {OURS: model}
    if against_plain:
        formulations[PLAIN] = use_reference(model)
        # Of the two, one is at work and the other in memory.
        idle_bytes += sum(tensor.nbytes for tensor in chain(model.parameters(), model.buffers()))
    if has_compiled:
        formulations[COMPILED] = torch.compile(model)

    crops_px = {FORWARD: cfg.DATA.TEST_CROP_SIZE, STEP: cfg.DATA.TRAIN_CROP_SIZE}
    clips = {name: _random_clips(batch_size, cfg.DATA.NUM_FRAMES, px, device) for name, px in crops_px.items()}
    memory_bytes = {}
    # The compiled model last: compiling takes memory for good.
    for pass_name, name in sorted(product(PASSES, formulations), key=lambda pair: pair[1] == COMPILED):
        function = partial(PASSES[pass_name], formulations[name], clips[pass_name], dtype)
        function()  # compiles, and brings up libraries' own memory
        memory_bytes[pass_name, name] = peak_memory_bytes(function, device) - idle_bytes
        formulations[name].zero_grad(set_to_none=True)

    measurements = []
    for pass_name, call_once in PASSES.items():
        functions = {
            name: partial(call_once, formulation, clips[pass_name], dtype) for name, formulation in formulations.items()
        }
        matrices, num_multiply_adds = matrix_product(device, dtype)
        timings = time_alternately({_PEAK: matrices, **functions}, num_rounds, device)
        peak_flop_per_s = 2 * num_multiply_adds / timings[_PEAK].min_wall_s
        for name in functions:
            num_flop = 2 * _multiply_adds(cfg, clips[pass_name], name, pass_name)
            flop_per_s = num_flop / timings[name].min_wall_s
            measurements.append(
                Measurement(
                    pass_name,
                    name,
                    timings[name],
                    samples_per_s=batch_size / timings[name].wall_s,
                    flop_per_s=flop_per_s,
                    peak_share=flop_per_s / peak_flop_per_s,
                    peak_flop_per_s=peak_flop_per_s,
                    memory_bytes=memory_bytes[pass_name, name],
                )
            )
    return measurements


def describe_measurements(measurements: list[Measurement]) -> list[str]:
    """A Markdown table, and how the formulations compare."""
    lines = []
    for pass_name in (FORWARD, STEP):
        peak = next(row.peak_flop_per_s for row in measurements if row.pass_name == pass_name)
        lines.append(f"matrix product between the calls of {pass_name}: {peak / 1e9:.1f} GFLOP/s")
    lines += [
        "",
        "| pass | formulation | samples/s | median s | shortest s | CPU median s | CPU shortest s | GFLOP/s "
        "| share of matrix product | peak memory (GiB) |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in measurements:
        seconds = " | ".join(f"{value:.3f}" for value in row.timing)
        lines.append(
            f"| {row.pass_name} | {row.formulation} | {row.samples_per_s:.2f} | {seconds} | {row.flop_per_s / 1e9:.1f} "
            f"| {row.peak_share:.0%} | {row.memory_bytes / 2**30:.2f} |"
        )
    lines.append("")
    for pass_name in (FORWARD, STEP):
        rows = {row.formulation: row.timing for row in measurements if row.pass_name == pass_name}
        for name in (COMPILED, PLAIN):
            if name in rows:
                ratios = [ours / other for ours, other in zip(rows[OURS], rows[name], strict=True)]
                lines.append(
                    f"{pass_name}: here takes {ratios[0]:.2f} of the time of '{name}' (median), {ratios[1]:.2f} "
                    f"(shortest); of the CPU time {ratios[2]:.2f} and {ratios[3]:.2f}"
                )
    return lines


def _run_forward(model: nn.Module, clips: Tensor, dtype: torch.dtype) -> None:
    model.eval()
    with torch.no_grad(), _autocast(clips.device, dtype):
        model(clips)


def _run_step(model: nn.Module, clips: Tensor, dtype: torch.dtype) -> None:
    model.train()
    model.zero_grad(set_to_none=True)
    targets = torch.zeros(len(clips), dtype=torch.int64, device=clips.device)
    with _autocast(clips.device, dtype):
        loss = sum(F.cross_entropy(logits, targets) for logits in logits_of_heads(model(clips)))
    loss.backward()


PASSES = {FORWARD: _run_forward, STEP: _run_step}


def _random_clips(batch_size: int, num_frames: int, size_px: int, device: torch.device) -> Tensor:
    return torch.randn(batch_size, 3, num_frames, size_px, size_px, device=device)


def _autocast(device: torch.device, dtype: torch.dtype) -> torch.autocast:
    return torch.autocast(device.type, torch.bfloat16, enabled=dtype == torch.bfloat16)


def _multiply_adds(cfg: CfgNode, clips: Tensor, formulation: str, pass_name: str) -> int:
    """Of one call; without memory, so that what is measured is not disturbed."""
    with torch.device("meta"):
        model = build_model(cfg)
    if formulation == PLAIN:
        model = use_reference(model)
    return count_operations(model, clips.shape, has_backward=pass_name == STEP).multiply_adds
