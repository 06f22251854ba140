"""tools/model_info.py: the sizes of one config and the table of the published models."""

import pytest
from torch import Tensor, nn

from slowfast.benchmarks.complexity import Complexity
from slowfast.benchmarks.model_sizes import ModelSizes, model_sizes
from slowfast.config import load_config
from tests.command_line import ROOT, run_tool

TINY = ROOT / "configs" / "models" / "uniformerv2_tiny.yaml"
SIZES = ModelSizes(
    clip=(8, 32, 48),
    complexity=Complexity(1_230_000, 500_000, 3 * 10**9, 4 * 10**9, 35 * 10**8, 6 * 10**6),
    step_bytes=2**31,
    clip_bytes=2**29,
    checkpointed_step_bytes=2**30,
    checkpointed_clip_bytes=2**28,
)


def test_one_model(monkeypatch):
    monkeypatch.setattr("slowfast.cli.model_info.model_sizes", lambda cfg: SIZES)
    lines = run_tool("model_info", "--cfg", TINY).out.splitlines()
    assert lines[0] == "one clip of 8 x 32 x 48"
    assert [(line[:30].strip(), line[30:].strip()) for line in lines[1:]] == [
        ("parameters", "1.23 M"),
        ("of these trained", "0.50 M"),
        ("multiply-adds, fvcore's rule", "3.00 G"),
        ("plain formulation, all", "4.00 G"),
        ("as computed here", "3.50 G"),
        ("activations", "6.00 M"),
        ("peak memory of a step", "2.00 GiB, and 0.50 GiB per further clip"),
        ("with MODEL.CHECKPOINT_NUM", "1.00 GiB, and 0.25 GiB per further clip"),
    ]


@pytest.mark.slow
def test_sizes_are_those_without_checkpointing():
    keys = ["DATA.TRAIN_CROP_SIZE", 64, "UNIFORMERV2.LAYERS", 2, "UNIFORMERV2.N_LAYERS", 1]
    keys += ["UNIFORMERV2.RETURN_LIST", [1], "UNIFORMERV2.MLP_DROPOUT", [0.1], "UNIFORMERV2.NO_LMHRA", True]
    checkpointing = ["MODEL.USE_CHECKPOINT", True, "MODEL.CHECKPOINT_NUM", [2]]
    default, checkpointed = (model_sizes(load_config(TINY, keys + more)) for more in ([], checkpointing))
    assert default.checkpointed_step_bytes is None
    assert checkpointed[:4] == default[:4]
    assert checkpointed.checkpointed_clip_bytes < default.clip_bytes


def test_a_bad_config_is_one_line():
    outcome = run_tool("model_info", "--cfg", TINY, "UNIFORMERV2.WIDTH", "100", "UNIFORMERV2.HEADS", "3")
    assert outcome.code == 2
    assert outcome.error.startswith("UNIFORMERV2.WIDTH is 100")


@pytest.mark.parametrize("tool", ["model_info", "benchmark_model"])
def test_an_operation_without_a_formula_is_one_line(tool: str, monkeypatch: pytest.MonkeyPatch):
    class Products(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.product = nn.Bilinear(8, 8, 2)

        def forward(self, clips: Tensor) -> Tensor:
            return self.product(*2 * [clips.mean((1, 2, 3))[:, :8].contiguous()])

    for place in ("model_sizes", "model_speed"):
        monkeypatch.setattr(f"slowfast.benchmarks.{place}.build_model", lambda cfg: Products())
    outcome = run_tool(tool, "--cfg", TINY)
    assert outcome.code == 2
    assert outcome.error.startswith("aten._trilinear.default of PyTorch ")


def test_the_table_has_a_row_for_every_published_model(monkeypatch):
    shapes = []

    def recorded(cfg):
        shapes.append((cfg.MODEL.MODEL_NAME, cfg.DATA.NUM_FRAMES, cfg.DATA.TEST_CROP_SIZE))
        return SIZES

    monkeypatch.setattr("slowfast.cli.model_info.model_sizes", recorded)
    lines = run_tool("model_info", "--all").out.splitlines()
    assert len(lines) == 2 + 27
    assert lines[2].startswith("| UniFormer-XXS 4x128 | ")
    assert len({line.count("|") for line in lines}) == 1
    assert [f"{t}x{px}" in line for line, (_, t, px) in zip(lines[2:], shapes, strict=True)] == [True] * 27


@pytest.mark.slow
@pytest.mark.parametrize(
    ("stem", "millions", "giga"),
    [("uniformer_b", 49.8, 96.7), ("uniformerv2_l14", 354.1, 640.2)],
)
def test_the_models_configs_have_the_published_sizes(stem, millions, giga):
    complexity = model_sizes(load_config(ROOT / "configs" / "models" / f"{stem}.yaml")).complexity
    assert complexity.num_parameters / 1e6 == pytest.approx(millions, abs=0.05)
    assert complexity.fvcore_multiply_adds / 1e9 == pytest.approx(giga, abs=0.05)
