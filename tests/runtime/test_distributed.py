"""One process is the case without a group: the same calls, nothing to wait for."""

import pytest
import torch
import torch.distributed as dist
from torch import nn

from slowfast.runtime import distributed

CPU = torch.device("cpu")


def test_a_single_process_is_the_main_one():
    assert not distributed.is_distributed()
    assert distributed.is_main() and distributed.rank() == 0 and distributed.world_size() == 1


def test_collectives_of_one_process_give_its_own_values():
    assert distributed.gather_objects({"a": 1}) == [{"a": 1}]
    distributed.barrier()
    distributed.destroy_process_group()


def test_a_single_process_keeps_the_bare_model():
    model = nn.Linear(2, 2)
    assert distributed.wrap_model(model, CPU) is model
    assert distributed.unwrap_model(model) is model


@pytest.mark.parametrize(("num_gpus", "expected"), [(0, 1), (1, 1), (8, 8)])
def test_a_node_has_a_process_a_gpu_and_at_least_one(monkeypatch: pytest.MonkeyPatch, num_gpus: int, expected: int):
    monkeypatch.delenv("LOCAL_WORLD_SIZE", raising=False)
    assert distributed.processes_per_node(num_gpus) == expected


def test_torchrun_says_how_many_processes_a_node_has(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "3")
    assert distributed.processes_per_node(0) == 3


def test_a_group_of_one_process_works_like_any_other(tmp_path):
    """The collectives themselves, over gloo; several processes are tests/engine/test_launch.py's."""
    distributed.init_process_group(f"file://{tmp_path / 'meeting'}", 0, 1, CPU)
    try:
        assert distributed.is_distributed() and dist.get_backend() == "gloo"
        assert distributed.rank() == 0 and distributed.world_size() == 1 and distributed.is_main()
        assert distributed.gather_objects([1, "a"]) == [[1, "a"]]
        distributed.barrier()
        model = nn.Linear(2, 2)
        wrapped = distributed.wrap_model(model, CPU)
        assert wrapped is not model and distributed.unwrap_model(wrapped) is model
    finally:
        distributed.destroy_process_group()
    assert not distributed.is_distributed()
