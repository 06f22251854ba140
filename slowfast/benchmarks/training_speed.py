"""Throughput of training: loading and computing together, each by itself, and with several processes."""

import gc
import logging
import math
import pickle
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain, count, islice, repeat
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from fvcore.common.config import CfgNode

from slowfast.benchmarks.complexity import count_operations
from slowfast.benchmarks.measure import device_name, matrix_product, time_alternately
from slowfast.benchmarks.step_timer import Rate, StepTimer
from slowfast.config.load import flatten, load_config
from slowfast.config.sections import sections_in_use
from slowfast.datasets.records import Batch
from slowfast.engine.build import build_run
from slowfast.engine.rank_agreement import StepFlags
from slowfast.engine.step import count_replaced, take_step
from slowfast.engine.train_run import TrainRun
from slowfast.errors import UserError
from slowfast.launch.launch import launch
from slowfast.launch.process_group import group_of_srun, group_of_torchrun
from slowfast.models import build_model
from slowfast.runtime import distributed
from slowfast.runtime.interruption import stop_signal
from slowfast.runtime.memory import resident_bytes
from slowfast.runtime.processes import environment_variable
from slowfast.solver.optimizer import set_learning_rate

logger = logging.getLogger(__name__)

TOGETHER, COMPUTING, LOADING = "loading and computing", "computing alone", "loading alone"
PARTS = (TOGETHER, COMPUTING, LOADING)
# Batches a worker has to load for a rate; with fewer it matters which of them was about to deliver.
BATCHES_PER_WORKER = 4
_ROUNDS = 4  # in which the parts take turns
_PEAK_ROUNDS = 3  # products of matrices in each


@dataclass(frozen=True)
class TrainMeasurement:
    """Figures of training with one number of processes.

    Attributes:
        num_processes: on this machine.
        num_workers: that load data for each of them.
        device: of the first process.
        precision: type that the model computes in.
        videos_per_step, clips_per_step: of all processes.
        num_batches: loaded by each process while it was measured.
        rates: of each of PARTS.
        flop_per_s: of the first process computing alone, two per multiply-add of forward and backward that is
            performed, by the shortest step.
        peak_share: of that in a matrix product on the same device, which all processes compute at the same time.
        memory_bytes: of the first process: on a GPU the most that its tensors took, else what it has in RAM.
    """

    num_processes: int
    num_workers: int
    device: str
    precision: str
    videos_per_step: int
    clips_per_step: int
    num_batches: int
    rates: dict[str, Rate]
    flop_per_s: float
    peak_share: float
    memory_bytes: int

    @property
    def loading_advantage(self) -> float:
        """How many times as fast as computing alone loading alone is."""
        return self.rates[LOADING].videos_per_s / self.rates[COMPUTING].videos_per_s


def benchmark_training(
    cfg: CfgNode, process_counts: Sequence[int], *, num_steps: int, num_warmup: int
) -> list[TrainMeasurement]:
    """Measure training from random weights with each number of processes in turn, on this machine alone.

    Steps are those of training, without logging, validation and checkpoints; what a run writes goes to a temporary
    folder. ``TRAIN.BATCH_SIZE`` is that of the node for any number of processes. With ``NUM_GPUS 0`` they compute on
    the CPU.

    Args:
        cfg: the whole config.
        process_counts: numbers of processes.
        num_steps: measured of each part.
        num_warmup: steps before the first of them, at least 1.

    Raises:
        UserError: if another program starts the processes, or they cannot share a batch.
        SystemExit: after one line on standard error, if training cannot start or is asked to stop.
    """
    group = group_of_torchrun() or group_of_srun()
    if group is not None:
        raise UserError(f"this was started by {group.started_by}; start it once, it starts the processes itself")
    for num_processes in process_counts:
        if cfg.TRAIN.BATCH_SIZE % num_processes:
            raise UserError(
                f"TRAIN.BATCH_SIZE {cfg.TRAIN.BATCH_SIZE} cannot be shared by {num_processes} processes; make it a "
                f"multiple of every --processes"
            )
    measurements = []
    for num_processes in process_counts:
        # This is how ``launch`` is asked for so many processes, on a machine without GPUs, too.
        count = environment_variable("LOCAL_WORLD_SIZE", str(num_processes))
        with TemporaryDirectory(prefix="benchmark_train_") as folder, count:
            result = Path(folder, "measurement.pickle")
            job = partial(_measure_and_save, result=result, num_steps=num_steps, num_warmup=num_warmup)
            launch(_config_of_run(cfg, Path(folder, "run"), num_processes), job)
            measurements.append(pickle.loads(result.read_bytes()))
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()  # a single process is this one, and leaves the GPU to those after it
    return measurements


def _config_of_run(cfg: CfgNode, output_dir: Path, num_processes: int) -> CfgNode:
    """The same training on one node, from random weights, as no weight makes a step slower or faster."""
    changes = {
        "OUTPUT_DIR": str(output_dir),
        "NUM_SHARDS": 1,
        "NUM_GPUS": num_processes if cfg.NUM_GPUS > 0 else 0,
        "TEST.BATCH_SIZE": num_processes * cfg.TEST.BATCH_SIZE,  # of the validation, which does not take place
        "TENSORBOARD.ENABLE": False,
        "TRAIN.LOGGERS": [],
        "TRAIN.CHECKPOINT_FILE_PATH": "",
    }
    for section in sections_in_use(cfg):
        changes |= section.random_start
    return load_config(None, [*chain.from_iterable(flatten(cfg)), *chain.from_iterable(changes.items())])


def _measure_and_save(cfg: CfgNode, device: torch.device, *, result: Path, num_steps: int, num_warmup: int) -> None:
    """The job of every process."""
    run = build_run(cfg, device)
    with closing(run.metrics):
        measurement = measure_training(run, num_steps=num_steps, num_warmup=num_warmup)
    if distributed.is_main():
        result.write_bytes(pickle.dumps(measurement))
    distributed.barrier()


def measure_training(run: TrainRun, *, num_steps: int, num_warmup: int) -> TrainMeasurement:
    """Measure computing, loading, and both together in the processes of a run; all of them call this.

    The parts take turns, so that what else the machine does falls on all of them alike. Loading begins by emptying the
    workers' queue, so that none of what they prepared beforehand makes it, or both together, look faster than they are;
    computing begins when the queue is full again and the workers rest.
    """
    cfg, device, loader = run.cfg, run.device, run.train_loader
    batch = _first_batch(run)
    num_flop, peak_flop_per_s = _flop_per_step(cfg, batch), 0.0
    cached, loaded = _Steps(run, repeat(batch)), _Steps(run, _batches(run))
    timers = {COMPUTING: cached.train, LOADING: loaded.load, TOGETHER: loaded.train}
    timers = {part: StepTimer(device, step) for part, step in timers.items()}
    num_queued = math.ceil(loader.num_workers * (loader.prefetch_factor or 0) / cfg.SOLVER.ACCUM_STEPS)
    num_rounds = min(_ROUNDS, num_steps)
    for i in range(num_rounds):
        logger.info("processes: %d, round %d of %d", distributed.world_size(), i + 1, num_rounds)
        num_own = num_steps * (i + 1) // num_rounds - num_steps * i // num_rounds
        num_before = num_warmup if i == 0 else 1
        timers[COMPUTING].take(num_own, num_warmup=num_before)
        peak_flop_per_s = max(peak_flop_per_s, _peak_flop_per_s(run))
        timers[LOADING].take(num_own, num_warmup=max(num_before, num_queued))
        timers[TOGETHER].take(num_own, num_warmup=num_before)
        if i + 1 < num_rounds:
            time.sleep(num_queued * timers[LOADING].mean_s())
    clips_per_step = run.videos_per_step * loader.dataset.num_repeats
    rates = {
        part: timer.rate(videos_per_step=run.videos_per_step, clips_per_step=clips_per_step)
        for part, timer in timers.items()
    }
    flop_per_s = num_flop / rates[COMPUTING].min_s
    is_gpu = device.type == "cuda"
    return TrainMeasurement(
        num_processes=distributed.world_size(),
        num_workers=loader.num_workers,
        device=device_name(device),
        precision="float32" if run.autocast_dtype is None else f"{str(run.autocast_dtype).split('.')[1]} autocast",
        videos_per_step=run.videos_per_step,
        clips_per_step=clips_per_step,
        num_batches=num_steps * cfg.SOLVER.ACCUM_STEPS,
        rates=rates,
        flop_per_s=flop_per_s,
        peak_share=flop_per_s / peak_flop_per_s,
        memory_bytes=torch.cuda.max_memory_allocated(device) if is_gpu else resident_bytes(),
    )


class _Steps:
    """Takes one step after the other, over the ends of epochs.

    Args:
        run: of this process.
        batches: its batches, without end.
    """

    def __init__(self, run: TrainRun, batches: Iterator[Batch]) -> None:
        self.run = run
        self.batches = batches
        self.num_steps = self.num_replaced = 0
        self.flags = StepFlags(run.device)

    def train(self) -> float:
        """Take a step of training; returns the seconds of waiting for data."""
        run, (epoch, step_idx) = self.run, self._begin()
        set_learning_rate(run.optimizer, run.schedule(epoch + step_idx / run.steps_per_epoch))
        result = take_step(run, self.batches, epoch, step_idx, self.num_replaced)
        self.num_replaced += result.num_replaced
        self.flags.exchange(result, is_save_due=False, is_stop_asked=False)
        return result.data_time_s

    def load(self) -> float:
        """Wait for the batches of a step and leave them; returns the seconds that it took."""
        run, start = self.run, time.perf_counter()
        self._begin()
        for batch in islice(self.batches, run.cfg.SOLVER.ACCUM_STEPS):
            self.num_replaced += _count_replaced(run, batch, self.num_replaced)
        return time.perf_counter() - start

    def _begin(self) -> tuple[int, int]:
        """Epoch and step of the next one; unreadable videos count by the epoch."""
        stop = stop_signal()
        if stop is not None:
            raise UserError(f"stopped by {stop.name} before all was measured")
        epoch, step_idx = divmod(self.num_steps, self.run.steps_per_epoch)
        self.num_steps += 1
        if step_idx == 0:
            self.num_replaced = 0
        return min(epoch, self.run.cfg.SOLVER.MAX_EPOCH - 1), step_idx


def _batches(run: TrainRun) -> Iterator[Batch]:
    """This process's batches of epoch after epoch."""
    for epoch in count():
        run.train_loader.sampler.set_epoch(epoch)
        yield from run.train_loader


def _count_replaced(run: TrainRun, batch: Batch, num_before: int) -> int:
    """As training does."""
    max_share = run.cfg.DATA_LOADER.MAX_REPLACED
    return count_replaced(batch, num_before, num_videos=run.own_videos_per_epoch, max_share=max_share)


def _first_batch(run: TrainRun) -> Batch:
    """The first batch of this process, on its device; loaded without starting a worker."""
    loader = run.train_loader
    loader.sampler.set_epoch(0)
    samples = [loader.dataset[key] for key in islice(loader.sampler, loader.batch_size)]
    batch = loader.collate_fn(samples)
    _count_replaced(run, batch, 0)
    return replace(batch, replaced=()).to(run.device)


def _flop_per_step(cfg: CfgNode, batch: Batch) -> int:
    """Operations of this process's forward and backward passes, two per multiply-add."""
    with torch.device("meta"):
        model = build_model(cfg)
    num_clips, (num_frames, height, width) = len(batch.clips), batch.clips.shape[2:]
    counter = count_operations(model, (num_clips, 3, num_frames, height, width), has_backward=True)
    return 2 * counter.multiply_adds * cfg.SOLVER.ACCUM_STEPS


def _peak_flop_per_s(run: TrainRun) -> float:
    """A matrix product's, in the type of the training; all processes compute theirs at the same time."""
    product, num_multiply_adds = matrix_product(run.device, run.autocast_dtype or torch.float32)
    distributed.barrier()
    timing = time_alternately({"": product}, _PEAK_ROUNDS, run.device)[""]
    return 2 * num_multiply_adds / timing.min_wall_s
