"""The estimate of a step's peak memory: what it follows, and that it is what real tensors take."""

import pytest
import torch
import torch.nn.functional as F

from slowfast.benchmarks.complexity import without_memory
from slowfast.benchmarks.step_memory import LiveMemory, step_memory_bytes
from tests.models.tiny_models import tiny_uniformer, tiny_uniformerv2

SHAPE = (2, 3, 4, 32, 32)
ONE_LAYER = {
    "UNIFORMERV2__LAYERS": 1,
    "UNIFORMERV2__N_LAYERS": 1,
    "UNIFORMERV2__RETURN_LIST": [0],
    "UNIFORMERV2__MLP_DROPOUT": [0.5],
    "UNIFORMERV2__NO_LMHRA": True,
}


def test_live_memory_follows_allocation_and_release():
    with LiveMemory() as memory:
        first = torch.zeros(100)
        view = first[10:].view(9, 10)
        assert memory.live_bytes == 400
        second = first + 1
        assert memory.live_bytes == 800
        del first
        assert memory.live_bytes == 800  # the view holds the storage
        del view
        assert memory.live_bytes == 400
        second.add_(1)
        assert (memory.live_bytes, memory.peak_bytes) == (400, 800)


def test_a_tensor_from_before_counts_once_it_is_added():
    tensor = torch.zeros(50)
    with LiveMemory() as memory:
        memory.add(tensor)
        memory.add(tensor.view(5, 10))
        assert memory.live_bytes == 200


@pytest.mark.parametrize("build", [tiny_uniformer, tiny_uniformerv2])
def test_the_estimate_is_what_real_tensors_take(build):
    model = build().train()
    with LiveMemory() as memory:
        for tensor in (*model.parameters(), *model.buffers()):
            memory.add(tensor)
        moments = [torch.empty_like(parameter) for parameter in model.parameters() for _ in range(2)]
        F.cross_entropy(model(torch.randn(SHAPE)), torch.zeros(SHAPE[0], dtype=torch.int64)).backward()
    assert len(moments) == 2 * len(list(model.parameters()))
    assert step_memory_bytes(build(), SHAPE) == pytest.approx(memory.peak_bytes, rel=0.01)


def test_the_largest_model_takes_no_memory():
    with torch.device("meta"):
        model = torch.nn.Linear(10**6, 10**6)
    with without_memory(model) as copy:
        assert copy(torch.empty(1, 10**6)).shape == (1, 10**6)


@pytest.mark.slow
def test_weights_gradients_and_moments_are_the_floor_and_clips_add_to_it():
    model = tiny_uniformerv2(**ONE_LAYER)
    one, two, three = (step_memory_bytes(model, (num_clips, *SHAPE[1:])) for num_clips in (4, 8, 12))
    assert one > 4 * sum(4 * parameter.numel() for parameter in model.parameters())
    assert three - two == pytest.approx(two - one, rel=0.01)


def test_checkpointing_and_freezing_take_less():
    shape = (8, *SHAPE[1:])
    default = step_memory_bytes(tiny_uniformerv2(UNIFORMERV2__NO_LMHRA=True), shape)
    for keys in ({"MODEL__USE_CHECKPOINT": True, "MODEL__CHECKPOINT_NUM": [3]}, {"UNIFORMERV2__FROZEN": True}):
        assert step_memory_bytes(tiny_uniformerv2(UNIFORMERV2__NO_LMHRA=True, **keys), shape) < 0.8 * default
