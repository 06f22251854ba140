"""Time and memory of this machine."""

import subprocess
import sys
import time

import pytest
import torch

from slowfast.benchmarks import measure
from slowfast.benchmarks.measure import device_name, matrix_product, peak_memory_bytes, time_alternately
from slowfast.runtime.memory import resident_bytes

CPU = torch.device("cpu")


def test_functions_take_turns_after_a_warm_up():
    calls = []
    functions = {name: lambda name=name: calls.append(name) for name in ("a", "b")}
    timings = time_alternately(functions, 3, CPU)
    assert "".join(calls) == "ab" + "ab" * 3
    assert list(timings) == ["a", "b"]


def test_wall_time_and_cpu_time_are_told_apart():
    durations_s = iter([0.0, 0.05, 0.02, 0.02])
    timing = time_alternately({"sleep": lambda: time.sleep(next(durations_s))}, 3, CPU)["sleep"]
    assert 0.02 <= timing.min_wall_s <= timing.wall_s
    assert timing.min_cpu_s <= timing.cpu_s < 0.01


def test_matrix_product_is_of_square_matrices(monkeypatch):
    monkeypatch.setattr(measure, "MATRIX_SIZES", {"cpu": 8})
    function, num_multiply_adds = matrix_product(CPU, torch.bfloat16)
    assert function().shape == (8, 8)
    assert function().dtype == torch.bfloat16
    assert num_multiply_adds == 8**3


PEAKS = """
import torch
from slowfast.benchmarks.measure import peak_memory_bytes
from slowfast.runtime.memory import resident_bytes
cpu, before = torch.device("cpu"), resident_bytes()
for num_megabytes in (256, 64):
    print(peak_memory_bytes(lambda: torch.ones(num_megabytes * 2**18).sum(), cpu) - before)
"""


@pytest.mark.slow
def test_peak_memory_is_of_the_call_alone():
    """In a process of its own: what others freed in this one would hide what the call takes."""
    outcome = subprocess.run([sys.executable, "-c", PEAKS], capture_output=True, text=True, check=True)
    large, small = map(int, outcome.stdout.split())
    assert large > 200 * 2**20
    if measure._CLEAR_REFS.exists():
        assert small < 150 * 2**20


def test_without_a_peak_to_reset_it_is_that_of_the_process(monkeypatch, tmp_path):
    monkeypatch.setattr(measure, "_CLEAR_REFS", tmp_path / "missing" / "clear_refs")
    calls = []
    assert peak_memory_bytes(lambda: calls.append(1), CPU) >= 0.9 * resident_bytes()
    assert calls == [1]


def test_the_name_of_a_cpu_tells_its_threads():
    assert device_name(CPU).endswith(f"threads: {torch.get_num_threads()}")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_peak_memory_of_a_gpu_is_of_tensors():
    device = torch.device("cuda")
    before = torch.cuda.memory_allocated()
    peak = peak_memory_bytes(lambda: torch.ones(2**20, device=device).sum(), device)
    assert 4 * 2**20 <= peak - before < 5 * 2**20
