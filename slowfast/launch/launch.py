"""One entry for one process, several on a node, several nodes, torchrun and srun."""

import contextlib
import errno
import logging
import os
import re
import signal
import sys
import threading
from collections.abc import Callable, Iterator

import torch
import torch.distributed as dist
from fvcore.common.config import CfgNode

from slowfast.config.plugins import import_plugins
from slowfast.errors import UserError
from slowfast.launch.heartbeat import (
    LINGER_S,
    Heartbeat,
    end_process,
    find_server,
    open_server,
    print_error,
    process_name,
)
from slowfast.launch.heartbeat_server import HeartbeatServer
from slowfast.launch.node_processes import run_processes
from slowfast.launch.process_group import Group, group_of_srun, group_of_torchrun, open_store
from slowfast.launch.slurm import requeue_job
from slowfast.runtime import distributed
from slowfast.runtime.interruption import (
    STOP_SIGNALS,
    Interrupted,
    exit_status,
    ignore_stop_signals,
    stop_signals_noted,
)
from slowfast.runtime.log import setup_logging
from slowfast.runtime.processes import end_loading, too_many_files

logger = logging.getLogger(__name__)

Job = Callable[[CfgNode, torch.device], None]


def launch(cfg: CfgNode, job: Job, *, init_method: str = "", shard_id: int = 0) -> None:
    """Run ``job(cfg, device)`` in every process of this node and exit non-zero if one of any node fails.

    Under torchrun, and as one of several tasks of srun, this process is one of those that were started. Otherwise
    ``NUM_GPUS`` processes are started (this one does the work itself if it is the only one); ``NUM_GPUS 0`` is one
    process on the CPU. The error that came first is printed, by the process that met it, and all others end. A job that
    raises ``Interrupted`` has ended well where a scheduler asked for it; after Ctrl-C and SIGHUP the exit status is
    that of shells (130 and 129), so that no script goes on.

    Args:
        cfg: NUM_GPUS, NUM_SHARDS, PEER_TIMEOUT_S and DATA_LOADER.NUM_WORKERS are read, and for messages the keys of
            batch and learning rate.
        job: a module-level function.
        init_method: rendezvous of the nodes, as tcp://HOST:PORT; needed for NUM_SHARDS > 1 without torchrun or srun.
        shard_id: 0-based index of this node.
    """
    try:
        group = group_of_torchrun() or (None if init_method else group_of_srun())
        if group is not None:
            _check_group(cfg, group)
            _run_member(group, cfg, job)
            return
        _check_rendezvous(cfg, init_method, shard_id)
        _check_gpus(cfg.NUM_GPUS)
        num_processes = distributed.processes_per_node(cfg.NUM_GPUS)
        if num_processes * cfg.NUM_SHARDS == 1:
            _run_alone(cfg, job)
            return
        run_processes(
            _run_child,
            (cfg, job),
            num_processes=num_processes,
            num_nodes=cfg.NUM_SHARDS,
            node_idx=shard_id,
            init_method=init_method,
            timeout_s=cfg.PEER_TIMEOUT_S,
        )
    except UserError as error:
        print_error(f"error: {error}")
        sys.exit(1)


def _check_gpus(num_gpus: int) -> None:
    available = torch.cuda.device_count()
    if num_gpus > available:
        raise UserError(
            f"NUM_GPUS {num_gpus}, but this machine has {available}; set NUM_GPUS to at most {available}"
            f"{' (0 runs on the CPU)' if available == 0 else ''}"
        )


def _check_rendezvous(cfg: CfgNode, init_method: str, shard_id: int) -> None:
    """Whether nodes that are started by hand can find each other."""
    if not 0 <= shard_id < cfg.NUM_SHARDS:
        raise UserError(f"--shard_id {shard_id} is outside [0, NUM_SHARDS {cfg.NUM_SHARDS})")
    if cfg.NUM_SHARDS > 1 and not init_method:
        raise UserError(
            f"NUM_SHARDS {cfg.NUM_SHARDS}, but this would start one node alone; tools/submit.py (for a script of exp/ "
            f"PARTITION=NAME) submits to SLURM; --init_method tcp://HOST:PORT with --shard_id 0 to "
            f"{cfg.NUM_SHARDS - 1} (INIT_METHOD, SHARD_ID), torchrun or srun start each node; NUM_SHARDS 1 "
            f"(NUM_SHARDS=1) takes this node alone{_effect_of_one_node(cfg)}"
        )
    if init_method and not re.fullmatch(r"tcp://.+:\d+|file:///.+", init_method):
        raise UserError(
            f"--init_method {init_method} is no rendezvous address; accepted: tcp://HOST:PORT, file:///PATH"
        )


def _effect_of_one_node(cfg: CfgNode) -> str:
    """What NUM_SHARDS 1 would change in training."""
    if not cfg.TRAIN.ENABLE:
        return ""
    solver, nodes = cfg.SOLVER, cfg.NUM_SHARDS
    batch, lr = cfg.TRAIN.BATCH_SIZE * solver.ACCUM_STEPS, solver.BASE_LR
    rate = f"the same learning rate {lr:g}"
    if solver.BASE_LR_SCALE_NUM_SHARDS:
        rate = f"a learning rate of {lr:g} instead of {lr * nodes:g}"
    return (
        f", with an effective batch of {batch} instead of {batch * nodes} videos (SOLVER.ACCUM_STEPS "
        f"{solver.ACCUM_STEPS * nodes} keeps it) and {rate}"
    )


def _check_group(cfg: CfgNode, group: Group) -> None:
    """Whether what torchrun or srun started is what the config asks for."""
    if group.num_nodes != cfg.NUM_SHARDS:
        raise UserError(
            f"{group.started_by} started {group.num_nodes} nodes, but NUM_SHARDS is {cfg.NUM_SHARDS}; make them equal"
        )
    if cfg.NUM_GPUS not in (0, group.local_size):
        raise UserError(
            f"{group.started_by} started {group.local_size} processes on this node, but NUM_GPUS is {cfg.NUM_GPUS}; "
            f"make them equal (or NUM_GPUS 0 for the CPU)"
        )
    _check_gpus(cfg.NUM_GPUS)


def _run_alone(cfg: CfgNode, job: Job) -> None:
    """Do the job in this process, which has no others."""
    status = 0
    with _stop_signals_noted():
        try:
            device = _device_of(cfg, 0)
            setup_logging(None)
            job(cfg, device)
        except Interrupted as stop:
            _stop(stop.cause, 0)
            status = exit_status(stop.cause)
        except KeyboardInterrupt:
            print_error("error: interrupted from the keyboard; the same command resumes from the last checkpoint")
            status = exit_status("SIGINT")
        except torch.OutOfMemoryError as error:
            raise out_of_memory(cfg, error) from error
        except OSError as error:
            if error.errno not in (errno.EMFILE, errno.ENFILE):
                raise
            raise UserError(too_many_files()) from error
        finally:
            end_loading()
    if status:
        sys.exit(status)


def _run_child(group: Group, cfg: CfgNode, job: Job) -> None:
    """Be one of the processes that ``run_processes`` starts, with stop signals held back until now."""
    try:
        import_plugins(cfg.PLUGINS)
        _run_member(group, cfg, job)
    except UserError as error:  # before others could hear of it
        print_error(f"error: {error}")
        end_process(1)


def _run_member(group: Group, cfg: CfgNode, job: Job) -> None:
    """Join the group, do the job on this process's device, and end well or badly together with the others.

    Raises:
        UserError: if the others cannot be found.
    """
    os.environ["LOCAL_WORLD_SIZE"] = str(group.local_size)
    timeout_s, server = cfg.PEER_TIMEOUT_S, None
    with _stop_signals_noted():
        try:
            store = open_store(group)
            if group.rank == 0 and group.started_by:  # else a parent runs it
                server = open_server(
                    store, group.init_method, size=group.size, timeout_s=timeout_s, served_by=process_name(0)
                )
            before_end = (lambda: None) if server is None else (lambda: server.wait_until_all_left(LINGER_S))
            heartbeat = Heartbeat(group, find_server(store), timeout_s=timeout_s, before_end=before_end)
        except Interrupted as stop:
            _stop(stop.cause, group.rank)
            return
        try:
            _do_unless_stopped(group, cfg, job, store, heartbeat)
            distributed.destroy_process_group()
        except BaseException as error:
            heartbeat.fail(error)
        heartbeat.leave()
        if server is not None:
            _stay_for_others(server, group.node_idx)
    if group.started_by:
        ignore_stop_signals()  # all is done; what the scheduler counts is the exit status


def _do_unless_stopped(group: Group, cfg: CfgNode, job: Job, store: dist.Store, heartbeat: Heartbeat) -> None:
    """Do the job together; if this process or another one was asked to stop, come back in peace."""
    try:
        device = _device_of(cfg, group.local_rank)
        heartbeat.wait_for_all(distributed.TIMEOUT.total_seconds())
        distributed.init_process_group(group.init_method, group.rank, group.size, device, store=store)
        setup_logging(None)
        job(cfg, device)
    except Interrupted as stop:
        heartbeat.tell_stopped(stop.cause)
        _stop(stop.cause, group.rank)
    except torch.OutOfMemoryError as error:
        raise out_of_memory(cfg, error) from error
    except Exception as error:
        if not heartbeat.is_stopped_with(error):
            raise
        _stop(heartbeat.stop_cause, group.rank)


def _stay_for_others(server: HeartbeatServer, node_idx: int) -> None:
    """Run the server until the last process has left, and end with an error that another still has."""
    error = server.wait_until_all_left(None)
    if error is not None:
        if not server.has_told(node_idx):
            print_error(f"error: {error}")
        end_process(1)
    server.close()


@contextlib.contextmanager
def _stop_signals_noted() -> Iterator[None]:
    """Note stop signals where a process can: in its main thread. Those held back until now arrive."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    with stop_signals_noted():
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)
        yield


def _stop(cause: str, rank: int) -> None:
    """Say that the job was asked to stop, and see to it that it resumes; one process of the job does."""
    if rank > 0:
        return
    logger.info("stopped by %s; the same command resumes from the last checkpoint", cause)
    if exit_status(cause) == 0:
        requeue_job(cause)


def out_of_memory(cfg: CfgNode, error: torch.OutOfMemoryError) -> UserError:
    """What a user can do about a GPU whose memory is full, after the sizes that the error tells."""
    sizes = re.split(r"\s*(?:If reserved but unallocated|See documentation)", " ".join(str(error).split()))[0]
    return UserError(
        f"{sizes.rstrip('.')}. In training, lower TRAIN.BATCH_SIZE {cfg.TRAIN.BATCH_SIZE} (and raise "
        f"SOLVER.ACCUM_STEPS {cfg.SOLVER.ACCUM_STEPS} as much to keep the effective batch), set MODEL.USE_CHECKPOINT "
        f"True with a larger MODEL.CHECKPOINT_NUM {list(cfg.MODEL.CHECKPOINT_NUM)}, or lower DATA.NUM_FRAMES "
        f"{cfg.DATA.NUM_FRAMES}; in validation and testing, lower TEST.BATCH_SIZE {cfg.TEST.BATCH_SIZE}"
    )


def _device_of(cfg: CfgNode, local_rank: int) -> torch.device:
    """The device that this process computes on, made the current one."""
    if cfg.NUM_GPUS > 0:
        device = torch.device("cuda", local_rank)
        torch.cuda.set_device(device)
        return device
    _leave_cores_to_workers(cfg)
    return torch.device("cpu")


def _leave_cores_to_workers(cfg: CfgNode) -> None:
    """On the CPU, compute on the cores that the data loading leaves over.

    More threads than cores wait for each other, at many times the cost of what they bring.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    own_cores = cores // distributed.processes_per_node(cfg.NUM_GPUS)
    torch.set_num_threads(min(torch.get_num_threads(), max(own_cores - cfg.DATA_LOADER.NUM_WORKERS, 1)))
