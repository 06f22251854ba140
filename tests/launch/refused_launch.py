"""A launch that is refused, and what srun would tell it."""

import pytest
import torch
from fvcore.common.config import CfgNode

from slowfast.launch.launch import launch


def job_that_must_not_run(cfg: CfgNode, device: torch.device) -> None:
    raise AssertionError("the job was started")


def error_of_launch(cfg: CfgNode, capsys: pytest.CaptureFixture[str], **arguments) -> str:
    """The one line that ``launch`` leaves with."""
    with pytest.raises(SystemExit) as stop:
        launch(cfg, job_that_must_not_run, **arguments)
    captured = capsys.readouterr()
    assert stop.value.code == 1 and captured.out == ""
    (line,) = captured.err.splitlines()
    assert line.startswith("error: ")
    return line.removeprefix("error: ")


def set_task(monkeypatch: pytest.MonkeyPatch, **changes: object) -> None:
    """What srun tells the third of four tasks on two nodes, whose names only SLURM knows."""
    for name in ("LOCAL_RANK", "LOCAL_WORLD_SIZE", "WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    task = {"JOB_ID": 3000, "STEP_ID": 1, "STEP_NUM_TASKS": 4, "STEP_TASKS_PER_NODE": "2(x2)", "PROCID": 2}
    task |= {"LOCALID": 0, "NODEID": 1, "STEP_NODELIST": "localhost,n[7-9]", "JOB_NODELIST": "n1"}
    for name, value in (task | changes).items():
        monkeypatch.setenv(f"SLURM_{name}", str(value))
