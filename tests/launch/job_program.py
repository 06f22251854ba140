"""A program that launches one of the jobs below, which fail, hang or stop in ways that training can.

python -m tests.launch.job_program JOB [KEY VALUE ...] [--init_method tcp://HOST:PORT --shard_id I]
"""

import argparse
import faulthandler
import os
import signal
import sys
import time
from pathlib import Path

import torch
import torch.distributed as dist
from fvcore.common.config import CfgNode

from slowfast.config import load_config
from slowfast.errors import UserError
from slowfast.launch.launch import launch
from slowfast.runtime import distributed
from slowfast.runtime.interruption import raise_if_stopped


def meet_for_ever(rank: int) -> None:
    """Collectives one after the other, as training has them, on every rank but those that end before."""
    values = torch.ones(4)
    while True:
        dist.all_reduce(values)
        values /= distributed.world_size()
        time.sleep(0.01)


def note_pid(cfg: CfgNode) -> int:
    """Write this process's id to OUTPUT_DIR/RANK once all are there, and return the rank."""
    distributed.barrier()
    path = Path(cfg.OUTPUT_DIR, str(distributed.rank()))
    path.with_suffix(".part").write_text(str(os.getpid()))
    path.with_suffix(".part").rename(path)
    return distributed.rank()


def finish(cfg: CfgNode, device: torch.device) -> None:
    """End well, rank 0 first."""
    time.sleep(0.3 * note_pid(cfg))


def work(cfg: CfgNode, device: torch.device) -> None:
    """Go on until something else ends it."""
    meet_for_ever(note_pid(cfg))


def mistake_on_last(cfg: CfgNode, device: torch.device) -> None:
    """The user's mistake, which only the last rank meets."""
    if note_pid(cfg) == distributed.world_size() - 1:
        raise UserError("train.csv:7: no label")
    meet_for_ever(0)


def defect_on_first(cfg: CfgNode, device: torch.device) -> None:
    """A defect on rank 0, while the others wait for it."""
    if note_pid(cfg) == 0:
        raise ZeroDivisionError("a defect")
    meet_for_ever(1)


def defect_while_others_hang(cfg: CfgNode, device: torch.device) -> None:
    """A defect on the last rank, while the others are in a wait that no lost connection ends, as NCCL's."""
    if note_pid(cfg) == distributed.world_size() - 1:
        raise ZeroDivisionError("a defect")
    time.sleep(600)


def crash_on_last(cfg: CfgNode, device: torch.device) -> None:
    """A crash in native code."""
    if note_pid(cfg) == distributed.world_size() - 1:
        faulthandler.disable()
        os.kill(os.getpid(), signal.SIGSEGV)
    meet_for_ever(0)


def exit_on_last(cfg: CfgNode, device: torch.device) -> None:
    """An exit that nobody announced."""
    if note_pid(cfg) == distributed.world_size() - 1:
        os._exit(3)
    meet_for_ever(0)


def stop_when_asked(cfg: CfgNode, device: torch.device) -> None:
    """Look between steps whether to stop, as evaluation does: whoever is asked stops by itself."""
    note_pid(cfg)
    while True:
        distributed.barrier()
        raise_if_stopped()
        time.sleep(0.02)


def fill_memory(cfg: CfgNode, device: torch.device) -> None:
    """What a GPU that is full does on the last rank."""
    if distributed.rank() == distributed.world_size() - 1:
        raise torch.OutOfMemoryError(
            "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 79.11 GiB of which 1.20 GiB "
            "is free. If reserved but unallocated memory is large try setting PYTORCH_ALLOC_CONF."
        )
    meet_for_ever(0)


JOBS = {
    job.__name__: job
    for job in (
        *(finish, work, stop_when_asked, fill_memory),
        *(mistake_on_last, defect_on_first, defect_while_others_hang, crash_on_last, exit_on_last),
    )
}


def main() -> None:
    """Launch a job."""
    parser = argparse.ArgumentParser()
    parser.add_argument("job", choices=JOBS)
    parser.add_argument("--init_method", default="")
    parser.add_argument("--shard_id", type=int, default=0)
    parser.add_argument("overrides", nargs="*")
    args = parser.parse_args()
    cfg = load_config(None, ["NUM_GPUS", "0", *args.overrides])
    launch(cfg, JOBS[args.job], init_method=args.init_method, shard_id=args.shard_id)
    print("ended well", file=sys.stdout, flush=True)


if __name__ == "__main__":
    main()
