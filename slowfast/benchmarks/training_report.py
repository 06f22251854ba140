"""What the benchmark of training prints."""

from collections.abc import Sequence

from fvcore.common.config import CfgNode

from slowfast.benchmarks.training_speed import BATCHES_PER_WORKER, COMPUTING, LOADING, PARTS, TOGETHER, TrainMeasurement

# Sides whose rates differ by less than this factor hold each other up alike.
ALIKE = 1.1


def describe_training(cfg: CfgNode, measurements: Sequence[TrainMeasurement]) -> list[str]:
    """What was measured, a Markdown table, what each number of processes makes of the device, and the bottleneck."""
    first = measurements[0]
    clip = f"{cfg.DATA.NUM_FRAMES} frames of {cfg.DATA.TRAIN_CROP_SIZE} px"
    size = f"{first.videos_per_step} videos ({first.clips_per_step} clips) per step"
    nodes = f", on one node of NUM_SHARDS {cfg.NUM_SHARDS}" if cfg.NUM_SHARDS > 1 else ""
    lines = [f"{cfg.MODEL.MODEL_NAME}, {clip}, {first.precision}, {size}{nodes}", "", *_table(measurements), ""]
    lines += [line for m in measurements for line in (_device_line(m), *_few_batches(m))]
    return lines + [f"{_prefix(m, measurements)}bottleneck: {bottleneck(m)}" for m in measurements]


def bottleneck(measurement: TrainMeasurement) -> str:
    """The slower side, and by how much."""
    advantage = measurement.loading_advantage
    if advantage >= ALIKE:
        return f"computing (loading alone is {advantage:.1f} times as fast)"
    if advantage <= 1 / ALIKE:
        return f"loading (computing alone is {1 / advantage:.1f} times as fast)"
    return f"computing and loading alike (loading alone is {advantage:.2f} times as fast as computing alone)"


def efficiency(measurement: TrainMeasurement, base: TrainMeasurement, part: str) -> float:
    """Videos per second and process, as a share of those with the number of processes that is compared with."""
    own, others = (m.rates[part].videos_per_s / m.num_processes for m in (measurement, base))
    return own / others


def _table(measurements: Sequence[TrainMeasurement]) -> list[str]:
    base = min(measurements, key=lambda m: m.num_processes)
    has_scaling = len(measurements) > 1
    titles = ["processes", "part", "videos/s", "clips/s", "median s per step", "10 % to 90 %", "of it waiting for data"]
    if has_scaling:
        titles += [f"rate, in those of {_processes(base)}", "efficiency"]
    lines = ["| " + " | ".join(titles) + " |", "|---" * len(titles) + "|"]
    for m in measurements:
        for part in PARTS:
            rate = m.rates[part]
            values = [m.num_processes, part, f"{rate.videos_per_s:.4g}", f"{rate.clips_per_s:.4g}"]
            values += [f"{rate.median_s:.4g}", f"{rate.p10_s:.4g} to {rate.p90_s:.4g}", f"{rate.data_time_s:.2g}"]
            if has_scaling:
                share = efficiency(m, base, part)
                values += [f"{share * m.num_processes / base.num_processes:.2f}", f"{share:.0%}"]
            lines.append("| " + " | ".join(map(str, values)) + " |")
    return lines


def _device_line(m: TrainMeasurement) -> str:
    slower = min(m.rates[COMPUTING].videos_per_s, m.rates[LOADING].videos_per_s)
    turns = "" if m.num_workers else ", so that loading and computing take turns"
    return (
        f"{_processes(m)}: {m.device}, DATA_LOADER.NUM_WORKERS {m.num_workers}{turns}; computing alone "
        f"{m.flop_per_s / 1e9:.1f} GFLOP/s per process, {m.peak_share:.0%} of a matrix product; memory "
        f"{m.memory_bytes / 2**30:.2f} GiB per process; both together reach "
        f"{m.rates[TOGETHER].videos_per_s / slower:.0%} of the slower side alone"
    )


def _few_batches(m: TrainMeasurement) -> list[str]:
    if m.num_batches >= BATCHES_PER_WORKER * m.num_workers:
        return []
    return [
        f"warning: {m.num_batches} batches are few for {m.num_workers} workers, which deliver in bursts; give --steps "
        f"for at least {BATCHES_PER_WORKER * m.num_workers} batches"
    ]


def _prefix(m: TrainMeasurement, measurements: Sequence[TrainMeasurement]) -> str:
    return f"{_processes(m)}, " if len(measurements) > 1 else ""


def _processes(m: TrainMeasurement) -> str:
    return f"{m.num_processes} process{'es' if m.num_processes > 1 else ''}"
