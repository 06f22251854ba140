"""Submit training and testing to SLURM, or run it in the background of this machine.

uniformer submit --cfg exp/NAME/config.yaml --num_shards 4 --num_gpus 8 --partition P [--wait] [KEY VALUE ...]
"""

import argparse
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from slowfast.config import add_config_arguments, load_config_or_exit
from slowfast.config.command_line import exit_with_error, positive_int, whole_number
from slowfast.errors import UserError
from slowfast.inference.run_and_publish import run_and_publish
from slowfast.launch.submission import SubmissionOptions, submit, wait

# Options that sbatch takes as they are.
_PASSED_ON = {
    "qos": "quality of service",
    "account": "account to charge",
    "comment": "comment",
    "constraint": "features that nodes must have",
    "exclude": "nodes not to use",
    "mail": "address that is told of the job's end, failure and requeueing",
}


def main(argv: Sequence[str] | None = None, prog: str | None = None) -> None:
    """Parse the command line, submit, say how to follow and cancel, and wait if asked to."""
    args = _parser(prog).parse_args(argv)
    cfg = load_config_or_exit(args)
    folder = Path(args.job_dir) if args.job_dir else Path(cfg.OUTPUT_DIR) / "submitit"
    try:
        job = submit(cfg, folder, submission_options(args), run_and_publish)
    except UserError as error:
        exit_with_error(error)
    out, err = job.task(0).paths.stdout, job.task(0).paths.stderr
    cancel = f"kill {job.job_id}" if args.cluster == "local" else f"scancel {job.job_id}"
    per_node = max(cfg.NUM_GPUS, 1)
    print(f"job {job.job_id}: nodes {cfg.NUM_SHARDS}, processes on each {per_node}, GPUs on each {cfg.NUM_GPUS}")
    follow = shlex.join(["tail", "-F", str(out), str(err)])
    print(f"job folder: {folder}\nfollow: {follow}\ncancel: {cancel}", flush=True)
    if args.wait:
        state, status = wait(job)
        print(f"job {job.job_id}: {state}", flush=True)
        if status:
            print(f"error: job {job.job_id}: {state}; see {out} and {err}", file=sys.stderr)
        sys.exit(status)


def add_submission_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what a job asks of the cluster: ``SubmissionOptions``, and ``--job_dir``."""
    add = parser.add_argument
    add("--cluster", choices=("slurm", "local"), default="slurm", help="local is this machine (default: slurm)")
    add("--partition", metavar="P", help="partition")
    add("--timeout_min", type=positive_int, metavar="M", help="time limit in minutes (default: 1440; with local, none)")
    add(
        "--signal_delay_s",
        type=positive_int,
        default=120,
        metavar="S",
        help="seconds before the time limit at which the job saves and, under SLURM, requeues itself (default: 120)",
    )
    add(
        "--requeue",
        dest="is_requeueable",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="SLURM only: queue the job again after time-out, pre-emption and failure of a node (default: yes)",
    )
    for name, what in _PASSED_ON.items():
        add(f"--{name}", metavar="TEXT", help=what)
    add("--mem_gb", type=float, metavar="GB", help="memory of each node")
    add(
        "--cpus_per_task",
        type=positive_int,
        metavar="N",
        help="cores per process (default: one, and one for each process that loads data)",
    )
    add("--name", default="slowfast", help="name of the job (default: slowfast)")
    add(
        "--job_dir", metavar="DIR", help="folder of the job's files and logs (default: submitit, beside what it writes)"
    )


def submission_options(args: argparse.Namespace) -> SubmissionOptions:
    """The options that ``add_submission_arguments`` added."""
    names = SubmissionOptions.__dataclass_fields__
    return SubmissionOptions(**{name: value for name, value in vars(args).items() if name in names})


def _parser(prog: str | None) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=prog,
        description="Submit training (TRAIN.ENABLE) and testing (TEST.ENABLE) to SLURM. A job that reaches its time "
        "limit or is pre-empted saves, requeues itself and resumes from there.",
    )
    add = parser.add_argument
    add("--num_shards", type=positive_int, metavar="N", help="nodes (default: NUM_SHARDS of the config)")
    add(
        "--num_gpus",
        type=whole_number,
        metavar="N",
        help="GPUs per node, 0 for the CPU (default: NUM_GPUS of the config)",
    )
    add_submission_arguments(parser)
    add("--wait", action="store_true", help="wait for the end, through all restarts, and exit with the job's status")
    add_config_arguments(parser)
    return parser
