"""The range of the published recipes: computed again from the published values, and what is said outside of it."""

from collections import defaultdict
from pathlib import Path

import pytest

from slowfast.config import load_config
from slowfast.config.sections import recipe_range
from slowfast.engine.run_summary import MARGIN, course_of, recipe_warning
from slowfast.solver.schedule import LearningRateSchedule
from tests.command_line import run_net, tiny_arguments
from tests.config.published_experiments import family_of, flat_overrides, published_defaults, published_runs

ROOT = Path(__file__).parents[2]
B16 = ROOT / "exp" / "uniformerv2_b16_8x224_k400" / "config.yaml"
RECIPES = {
    name: load_config(None, flat_overrides(published_defaults()[family_of(name)] | keys))
    for name, keys in published_runs().items()
}


def effective(cfg) -> tuple[float, int]:
    """Peak learning rate and videos of a step."""
    return LearningRateSchedule.from_config(cfg).base_lr, cfg.TRAIN.BATCH_SIZE * cfg.NUM_SHARDS


def test_the_ranges_are_those_of_the_published_values():
    rates = defaultdict(list)
    for cfg in RECIPES.values():
        lr, num_videos = effective(cfg)
        rates[recipe_range(cfg)].append(lr / num_videos)

    assert {known.model: (min(values), max(values)) for known, values in rates.items()} == {
        known.model: pytest.approx((known.low, known.high), rel=1e-9) for known in rates
    }
    assert sorted(map(len, rates.values())) == [1, 7, 10, 12, 15, 16, 27]


def test_no_published_experiment_is_warned_of():
    warnings = [recipe_warning(cfg, lr=lr, num_videos=n) for cfg in RECIPES.values() for lr, n in [effective(cfg)]]
    assert warnings == [None] * 88


@pytest.mark.parametrize(
    ("policy", "warmup_epochs", "told"),
    [
        ("cosine", 1, ", from 0.01 in warm-up to 0.001 at the end"),
        ("cosine", 0, ", to 0.001 at the end"),
        ("cosine", 4, ", from 0.01 in warm-up to 0.1 at the end"),
        ("steps_with_relative_lrs", 1, ", from 0.01 in warm-up"),
        ("steps_with_relative_lrs", 0, ""),
    ],
)
def test_only_a_warmup_that_takes_place_is_told(policy, warmup_epochs, told):
    schedule = LearningRateSchedule(
        policy=policy,
        base_lr=0.1,
        max_epoch=4,
        end_lr=0.001,
        warmup_epochs=warmup_epochs,
        warmup_start_lr=0.01,
        is_cosine_after_warmup=True,
    )
    assert course_of(schedule) == told


@pytest.mark.parametrize("factor", [0.99, 1.01])
def test_the_margin(factor):
    cfg = load_config(B16)
    known = recipe_range(cfg)
    is_inside = factor < 1
    assert (recipe_warning(cfg, lr=known.high * MARGIN * 256 * factor, num_videos=256) is None) == is_inside
    assert (recipe_warning(cfg, lr=known.low / MARGIN * 256 / factor, num_videos=256) is None) == is_inside


def test_outside_the_range_one_line_names_what_is_set_and_how_to_mend_it():
    cfg = load_config(B16, ["SOLVER.BASE_LR", 0.1])
    assert recipe_warning(cfg, lr=0.1, num_videos=64) == (
        "learning rate 0.1 for 64 videos per step is 0.0016 per video, outside the 7.8e-09 to 3.1e-07 of the published "
        "recipes of UniFormerV2-B/16; for this batch they mean SOLVER.BASE_LR 5e-07 to 2e-05"
    )


def test_one_gpu_with_the_learning_rate_of_eight_is_outside():
    cfg = load_config(ROOT / "exp" / "uniformer_s16x4_k400" / "config.yaml", ["NUM_GPUS", 1, "TRAIN.BATCH_SIZE", 4])
    assert recipe_warning(cfg, lr=1e-4, num_videos=4).startswith("learning rate 0.0001 for 4 videos per step")


def test_the_remedy_counts_the_nodes_that_scale_the_learning_rate():
    cfg = load_config(ROOT / "exp" / "uniformer_b32x4_k600" / "config.yaml", ["SOLVER.BASE_LR", 1e-2])
    lr, num_videos = effective(cfg)
    assert (lr, num_videos) == (pytest.approx(4e-2), 128)
    # Published: 1e-4 for 32 videos and 2.5e-4 for 40, which is 2e-4 for the 32 of a node here.
    assert recipe_warning(cfg, lr=lr, num_videos=num_videos).endswith("they mean SOLVER.BASE_LR 0.0001 to 0.0002")


def test_sgd_compares_with_no_recipe():
    cfg = load_config(B16, ["SOLVER.OPTIMIZING_METHOD", "sgd"])
    assert recipe_warning(cfg, lr=1e-5, num_videos=256) == (
        "SOLVER.OPTIMIZING_METHOD is sgd, whose learning rates compare with no published recipe of UniFormerV2-B/16, "
        "which all have adamw; set it to adamw unless you mean it"
    )


@pytest.mark.parametrize(
    "overrides",
    [
        ["UNIFORMERV2.FROZEN", True],
        ["MODEL.MODEL_NAME", "Uniformer", "UNIFORMER.DEPTH", [1, 1, 1, 1], "MODEL.CHECKPOINT_NUM", [0, 0, 0, 0]],
    ],
)
def test_models_without_a_recipe_are_not_warned_of(overrides):
    assert recipe_warning(load_config(B16, overrides), lr=1.0, num_videos=1) is None


def test_a_custom_backbone_has_no_recipe():
    cfg = load_config(ROOT / "exp" / "quickstart" / "config.yaml")
    assert recipe_warning(cfg, lr=1.0, num_videos=1) is None


def test_other_names_of_a_backbone_mean_the_same():
    cfg = load_config(B16, ["UNIFORMERV2.BACKBONE", "vit_b16"])
    assert recipe_range(cfg).model == "UniFormerV2-B/16"


def test_what_an_epoch_leaves_out_and_processes_that_do_not_start_are_said_once(
    video_set: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("slowfast.datasets.clip_loader.num_cores", lambda: 1)
    monkeypatch.setattr("slowfast.engine.run_summary.num_cores", lambda: 1)
    overrides = ["TRAIN.BATCH_SIZE", 3, "SOLVER.MAX_EPOCH", 2, "DATA_LOADER.NUM_WORKERS", 8]
    outcome = run_net(*tiny_arguments(video_set, tmp_path, *overrides))
    assert (outcome.code, outcome.err) == (0, "")
    left_out = "each epoch leaves out 2 of 8 training videos, others every time: they do not fill a step of 3"
    assert outcome.out.count(left_out) == 1
    assert outcome.out.count("1 loading processes in place of DATA_LOADER.NUM_WORKERS 8: this process has 1 cores") == 1
