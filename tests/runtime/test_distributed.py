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
    assert distributed.gather_everywhere(3) == [3] and distributed.from_main("a") == "a"
    values = torch.tensor([1.0, 2.0])
    assert torch.equal(distributed.sum_over_processes(values.clone()), values)
    assert torch.equal(distributed.largest_over_processes(values.clone()), values)
    distributed.barrier()
    distributed.destroy_process_group()


def test_a_single_process_keeps_the_bare_model():
    model = nn.Linear(2, 2)
    assert distributed.wrap_model(model, CPU) is model
    assert distributed.unwrap_model(model) is model


def count_averages(wrapped: nn.Module, *, is_on: bool) -> int:
    """Gradient exchanges of one backward pass."""
    num_exchanges = 0

    def count(state: object, bucket: dist.GradBucket) -> torch.futures.Future[torch.Tensor]:
        nonlocal num_exchanges
        num_exchanges += 1
        future = torch.futures.Future()
        future.set_result(bucket.buffer())
        return future

    wrapped.register_comm_hook(None, count)
    with distributed.gradient_sync(wrapped, is_on=is_on):
        wrapped(torch.ones(1, 2)).sum().backward()
    return num_exchanges


def test_gradients_that_only_add_up_are_not_exchanged(tmp_path):
    distributed.init_process_group(f"file://{tmp_path / 'rendezvous'}", 0, 1, CPU)
    try:
        for is_on, expected in ((False, 0), (True, 1)):
            assert count_averages(distributed.wrap_model(nn.Linear(2, 2), CPU), is_on=is_on) == expected
    finally:
        distributed.destroy_process_group()
    with distributed.gradient_sync(nn.Linear(2, 2), is_on=False):  # a single process has nothing to leave out
        pass


@pytest.mark.parametrize(("num_gpus", "expected"), [(0, 1), (1, 1), (8, 8)])
def test_a_node_has_a_process_a_gpu_and_at_least_one(monkeypatch: pytest.MonkeyPatch, num_gpus: int, expected: int):
    monkeypatch.delenv("LOCAL_WORLD_SIZE", raising=False)
    assert distributed.processes_per_node(num_gpus) == expected


def test_torchrun_says_how_many_processes_a_node_has(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "3")
    assert distributed.processes_per_node(0) == 3


def test_a_group_of_one_process_works_like_any_other(tmp_path):
    """The collectives themselves, over gloo; several processes are tests/launch/test_launch.py's."""
    distributed.init_process_group(f"file://{tmp_path / 'rendezvous'}", 0, 1, CPU)
    try:
        assert distributed.is_distributed() and dist.get_backend() == "gloo"
        assert distributed.rank() == 0 and distributed.world_size() == 1 and distributed.is_main()
        assert distributed.gather_objects([1, "a"]) == [[1, "a"]]
        distributed.barrier()
        model = nn.Linear(2, 2)
        wrapped = distributed.wrap_model(model, CPU)
        assert wrapped is not model and distributed.unwrap_model(wrapped) is model
        assert distributed.gather_everywhere("a") == ["a"] and distributed.from_main({"b": 2}) == {"b": 2}
        distributed.share_buffers(nn.BatchNorm1d(2))
    finally:
        distributed.destroy_process_group()
    assert not distributed.is_distributed()
