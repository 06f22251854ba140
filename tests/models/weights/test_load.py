"""Video checkpoints into models: every source, what is refused, and the report."""

import pytest
import torch

from slowfast.config import load_config
from slowfast.datasets.labels import load_label_list
from slowfast.errors import UserError
from slowfast.models import build_model
from slowfast.models.weights.load import load_source, load_weights
from slowfast.models.weights.mmaction2 import v1_to_mmaction2, v2_to_mmaction2
from tests.golden_rule import golden_input, golden_state_dict, load_golden, relative_l2
from tests.models.tiny_models import tiny_light
from tests.models.weights.layouts import (
    B16_NAMES,
    golden_weights,
    mmaction2_names,
    randomized,
    rules,
    saved,
    tiny_v1,
    tiny_v2,
)

HEADS = ("head", "head_cls")  # of the lightweight models
PRUNING = ((), (), (1, *(0.5,) * 7), (0.5,) * 2)
XXS_BLOCKS = {"depth": (2, 5, 8, 2), "prune_ratio": PRUNING, "trade_off": PRUNING}
V2_HEAD = "backbone.transformer.proj.2"
K400 = load_label_list("kinetics400_uniformer")


def assert_equal_weights(model, expected):
    state = model.state_dict()
    assert list(state) == list(expected)
    for name, value in expected.items():
        torch.testing.assert_close(state[name], value, rtol=0, atol=0, msg=name)


# ---------------------------------------------------------------- sources


@pytest.mark.parametrize("wrapper", ["model_state", "model", None])
@pytest.mark.parametrize(
    ("golden", "build"),
    [
        ("uniformer_s_k400_16x224", lambda: tiny_v1(MODEL__NUM_CLASSES=400)),
        ("uniformer_s_split_8x224", lambda: tiny_v1(MODEL__NUM_CLASSES=400, UNIFORMER__SPLIT=True)),
        ("uniformer_xxs_4x128", lambda: tiny_light(num_classes=400, layer_scale=0.1, **XXS_BLOCKS)),
        ("uniformer_xxs_8x160", lambda: tiny_light(num_classes=400, **XXS_BLOCKS)),
        ("uniformerv2_b16_k400_8x224", lambda: tiny_v2(B16_NAMES, MODEL__NUM_CLASSES=400)),
        (
            "uniformerv2_b16_frozen_8x224",
            lambda: tiny_v2(B16_NAMES, MODEL__NUM_CLASSES=400, UNIFORMERV2__FROZEN=True),
        ),
    ],
    ids=["v1", "v1_split", "light_layer_scale", "light", "v2", "v2_frozen"],
)
def test_checkpoints_of_the_authors(tmp_path, wrapper, golden, build):
    model = build()
    assert [name for name, _ in load_golden(golden)["state_dict"]] == list(model.state_dict())
    weights = golden_weights(model)
    path = saved(tmp_path, {wrapper: weights, "epoch": 54} if wrapper else weights)
    report = load_source(model, path, rules(K400))
    assert_equal_weights(model, weights)
    assert sorted(report.matched) == sorted(weights)
    assert (report.inflated, report.remapped, report.skipped, report.missing) == ([], {}, [], [])
    assert "the authors' UniFormer" in report.layout


@pytest.mark.slow
@pytest.mark.parametrize("name", ["uniformer_s_k400_16x224", "uniformerv2_b16_k400_8x224"])
def test_a_published_model_through_mmaction2s_names(tmp_path, name):
    golden = load_golden(name)
    ignored = ("DATA.INPUT_CHANNEL_NUM",)
    keys = [word for key, value in golden["config"].items() if key not in ignored for word in (key, value)]
    model = build_model(load_config(None, keys)).eval()
    path = saved(tmp_path, {"state_dict": mmaction2_names(golden_state_dict(golden["state_dict"]))})
    load_source(model, path, rules(load_label_list("kinetics400_alphabetical"), is_test=True))
    with torch.inference_mode():
        logits = model(golden_input(golden["input_shape"]))
    assert relative_l2(logits, torch.tensor([golden["logits"]])) < 1e-4


def test_authors_something_something_with_temporal_blocks(tmp_path):
    names = {
        "UNIFORMERV2.LAYERS": 12,
        "UNIFORMERV2.N_LAYERS": 8,
        "UNIFORMERV2.RETURN_LIST": list(range(4, 12)),
        "UNIFORMERV2.MLP_DROPOUT": [0.5] * 8,
        "UNIFORMERV2.TEMPORAL_DOWNSAMPLE": True,
    }
    model = tiny_v2(names, MODEL__NUM_CLASSES=174)
    assert [name for name, _ in load_golden("uniformerv2_b16_ssv2_16x224")["state_dict"]] == list(model.state_dict())
    weights = golden_weights(model)
    path = saved(tmp_path, {"model_state": weights}, "sthv2_uniformerv2_b16_16x224.pyth")
    load_source(model, path, rules(load_label_list("something_something_v2")))
    assert_equal_weights(model, weights)


@pytest.mark.parametrize(
    ("build", "to_mmaction2"), [(tiny_v1, v1_to_mmaction2), (tiny_v2, v2_to_mmaction2)], ids=["v1", "v2"]
)
def test_mmaction2_ports_in_both_directions(tmp_path, build, to_mmaction2):
    model = build(MODEL__NUM_CLASSES=400)
    weights = golden_weights(model)
    ported = mmaction2_names(weights)
    assert {name: value.tolist() for name, value in to_mmaction2(weights).items()} == {
        name: value.tolist() for name, value in ported.items()
    }
    path = saved(tmp_path, {"meta": {"epoch": 3}, "state_dict": ported | {"data_preprocessor.mean": torch.zeros(3)}})
    report = load_source(model, path, rules(load_label_list("kinetics400_alphabetical")))
    assert_equal_weights(model, weights)
    assert "MMAction2" in report.layout
    assert report.skipped == ["data_preprocessor.mean"]
    head = "head" if build is tiny_v1 else V2_HEAD
    assert report.remapped[f"{head}.weight"] == "cls_head.fc_cls.weight"


def test_a_frozen_model_goes_to_mmaction2_and_back(tmp_path):
    frozen, clips = randomized(tiny_v2(UNIFORMERV2__FROZEN=True)), torch.randn(2, 3, 4, 16, 16)
    exported = v2_to_mmaction2(frozen.state_dict())
    assert (exported["backbone.transformer.balance"] == -1e4).all()
    path = saved(tmp_path, {"state_dict": exported})
    for keys in ({"UNIFORMERV2__FROZEN": True}, {}):
        model = tiny_v2(**keys)
        report = load_source(model, path, rules(order="same"))
        torch.testing.assert_close(model(clips), frozen(clips), rtol=0, atol=0)
        assert report.skipped == (["backbone.transformer.balance"] if keys else [])


def test_a_balance_that_has_an_effect_is_not_dropped(tmp_path):
    path = saved(tmp_path, {"state_dict": mmaction2_names(golden_weights(tiny_v2()))})
    with pytest.raises(UserError, match=r"unknown \(backbone\.transformer\.balance\).*UNIFORMERV2\.FROZEN"):
        load_source(tiny_v2(UNIFORMERV2__FROZEN=True), path, rules(order="same"))


@pytest.mark.parametrize("key", ["SPLIT", "STD"])
def test_what_mmaction2_does_not_build_is_not_exported(key):
    with pytest.raises(UserError, match=f"UNIFORMER.{key} True"):
        v1_to_mmaction2(tiny_v1(**{f"UNIFORMER__{key}": True}).state_dict())


@pytest.mark.parametrize("keys", [{}, {"UNIFORMER__SPLIT": True}, {"UNIFORMER__STD": True}], ids=str)
def test_image_weights_of_uniformer_are_inflated_over_time(tmp_path, keys):
    model = tiny_v1(**keys)
    image = {
        name: value.sum(2) if value.ndim == 5 else value
        for name, value in golden_weights(model).items()
        if ".t_" not in name
    }
    image["head.weight"], image["head.bias"] = torch.randn(1000, 48), torch.randn(1000)
    initial = {name: value.clone() for name, value in model.state_dict().items()}
    report = load_source(model, saved(tmp_path, {"model": image}), rules(resets_other_size=True))
    state = model.state_dict()
    kernels = [name for name, value in state.items() if value.ndim == 5]
    assert report.inflated == kernels
    for name in kernels:
        torch.testing.assert_close(state[name].sum(2), image[name])
        torch.testing.assert_close(state[name], state[name][:, :, :1].expand_as(state[name]))
    kept = [name for name in state if ".t_" in name or name.startswith("head.")]
    assert report.missing == kept
    assert all(torch.equal(state[name], initial[name]) for name in kept)
    assert "1000 classes instead of 5: it starts afresh" in report.head.note
    assert report.skipped == ["head.weight", "head.bias"]


def test_image_weights_with_layer_scale_are_refused(tmp_path):
    weights = {name: value.sum(2) if value.ndim == 5 else value for name, value in golden_weights(tiny_v1()).items()}
    path = saved(tmp_path, weights | {"blocks3.0.gamma_1": torch.ones(32)})
    with pytest.raises(UserError, match=r"blocks3\.0\.gamma_1, for which our model has no place"):
        load_source(tiny_v1(), path, rules())


def test_weights_of_several_processes(tmp_path):
    model = tiny_v2()
    weights = golden_weights(model)
    load_source(model, saved(tmp_path, {f"module.{n}": v for n, v in weights.items()}), rules(order="same"))
    assert_equal_weights(model, weights)


def test_positions_of_another_grid_are_resized(tmp_path):
    larger = randomized(tiny_v2(UNIFORMERV2__NATIVE_SIZE=32))
    model = tiny_v2()
    path = saved(tmp_path, {"model_state": larger.state_dict(), "class_names": None})
    report = load_source(model, path, rules())
    assert report.resized == ["backbone.positional_embedding"]
    assert model.backbone.positional_embedding.shape == (17, 24)
    torch.testing.assert_close(model.backbone.positional_embedding, larger.backbone.positions(4))


# ---------------------------------------------------------------- what does not fit


@pytest.mark.parametrize(
    ("dropped", "named"),
    [
        ("backbone.transformer.resblocks.1.", "backbone.transformer.resblocks.1"),
        ("backbone.transformer.dec.0.", "backbone.transformer.dec.0"),
        ("backbone.transformer.dpe.1.", "backbone.transformer.dpe.1"),
        ("backbone.ln_pre.", "backbone.ln_pre.weight, backbone.ln_pre.bias"),
    ],
)
def test_missing_blocks_and_weights_are_named(tmp_path, dropped, named):
    model = tiny_v2()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    weights = {name: value for name, value in golden_weights(model).items() if not name.startswith(dropped)}
    with pytest.raises(UserError, match=rf"missing \({named}\)".replace(".", r"\.")):
        load_source(model, saved(tmp_path, weights), rules(order="same"))
    assert_equal_weights(model, before)


@pytest.mark.parametrize(
    ("build", "hint"),
    [
        (lambda: tiny_v2(UNIFORMERV2__NO_LMHRA=True), "UNIFORMERV2.NO_LMHRA"),
        (lambda: tiny_v2(UNIFORMERV2__TEMPORAL_DOWNSAMPLE=True), "UNIFORMERV2.TEMPORAL_DOWNSAMPLE"),
        (lambda: tiny_v2(UNIFORMERV2__LAYERS=4), r"1 block missing \(backbone.*resblocks\.3\).*UNIFORMERV2.BACKBONE"),
        (
            lambda: tiny_v2(UNIFORMERV2__LAYERS=2, UNIFORMERV2__RETURN_LIST=[0, 1]),
            r"1 unknown \(backbone.*resblocks\.2\).*UNIFORMERV2.BACKBONE",
        ),
        (lambda: tiny_v2(UNIFORMERV2__WIDTH=12, UNIFORMERV2__N_DIM=12), "UNIFORMERV2"),
    ],
    ids=["lmhra", "downsample", "deeper", "shallower", "width"],
)
def test_another_architecture_is_refused_with_a_hint(tmp_path, build, hint):
    path = saved(tmp_path, golden_weights(tiny_v2()))
    with pytest.raises(UserError, match=rf"does not fit the config's model.*{hint}") as error:
        load_source(build(), path, rules(order="same"))
    assert "\n" not in str(error.value)


def test_weights_of_the_other_family_are_refused(tmp_path):
    path = saved(tmp_path, golden_weights(tiny_v1()))
    with pytest.raises(UserError, match=r"weights of Uniformer, but MODEL.MODEL_NAME is Uniformerv2"):
        load_source(tiny_v2(), path, rules())


def test_no_matching_weight_is_an_error(tmp_path):
    path = saved(tmp_path, {"layer1.0.conv1.weight": torch.zeros(1)})
    with pytest.raises(UserError, match=r"none of its weights \(layer1\.0\.conv1\.weight\).*accepted: checkpoints of"):
        load_source(tiny_v2(), path, rules())


def test_a_file_without_weights_is_an_error(tmp_path):
    with pytest.raises(UserError, match=r"weights\.pyth: no weights in it, but epoch"):
        load_source(tiny_v2(), saved(tmp_path, {"epoch": 3}), rules())


def test_a_lightweight_model_starts_from_its_2d_weights(tmp_path):
    """Kernels are repeated over time and divided; LayerScale, which they lack, keeps its start."""
    model = tiny_light(layer_scale=0.1)
    video = golden_weights(tiny_light(num_classes=1000))
    image = {name: value.sum(2) if value.ndim == 5 else value for name, value in video.items()}
    report = load_source(model, saved(tmp_path, {"model": image}), rules(resets_other_size=True))
    weights = model.state_dict()
    assert report.layout == "ImageNet weights of a lightweight UniFormer"
    inflated = [name for name, value in video.items() if value.ndim == 5]
    assert [name for name in inflated if name not in report.inflated] == []
    name = "patch_embed1.proj.0.weight"
    torch.testing.assert_close(weights[name], image[name].unsqueeze(2).expand(-1, -1, 3, -1, -1) / 3)
    torch.testing.assert_close(weights["blocks4.1.attn.qkv.weight"], image["blocks4.1.attn.qkv.weight"])
    torch.testing.assert_close(weights["cls_token"], image["cls_token"])
    heads = {name for name in weights if name.startswith(HEADS)}
    assert len(heads) == 4 and set(report.missing) == heads | {name for name in weights if "gamma" in name}
    assert not any(torch.equal(weights[f"{head}.weight"], image[f"{head}.weight"][:5]) for head in HEADS)


@pytest.mark.parametrize("has_layer_scale", [False, True])
def test_a_lightweight_checkpoint_is_told_from_the_others(tmp_path, has_layer_scale):
    """Of the three names, two are of one function."""
    weights = golden_weights(tiny_light(layer_scale=0.1 if has_layer_scale else None))
    path = saved(tmp_path, {"model_state": weights})
    model = tiny_light(layer_scale=0.1 if has_layer_scale else None)
    report = load_source(model, path, rules(order="same"))
    assert report.layout == "the authors' UniFormer, lightweight"
    assert_equal_weights(model, weights)
    kind = "Uniformer_light_ls_fp32" if has_layer_scale else "Uniformer_light"
    with pytest.raises(UserError, match=rf"holds weights of {kind}, but MODEL.MODEL_NAME is Uniformer$"):
        load_source(tiny_v1(), path, rules())
    with pytest.raises(UserError, match=r"gamma_1.*see MODEL\.MODEL_NAME \(Uniformer_light_ls_fp32 has LayerScale\)"):
        load_source(tiny_light(layer_scale=None if has_layer_scale else 0.1), path, rules(order="same"))
    with pytest.raises(UserError, match=r"holds weights of Uniformer, but MODEL.MODEL_NAME is Uniformer_light or Uni"):
        load_source(model, saved(tmp_path, golden_weights(tiny_v1())), rules())


@pytest.mark.parametrize("lacking", HEADS)
def test_what_is_said_of_two_heads_is_said_of_the_one_that_counts(tmp_path, lacking):
    model = tiny_light()
    weights = golden_weights(model)
    given = {name: value for name, value in weights.items() if not name.startswith(f"{lacking}.")}
    path = saved(tmp_path, given)
    report = load_source(model, path, rules(order="same"))
    assert (report.head.rows is None) == (lacking == "head")
    assert report.missing == [f"{lacking}.weight", f"{lacking}.bias"]
    with pytest.raises(UserError, match=rf"no classifier to test: {lacking}\.weight and {lacking}\.bias missing"):
        load_source(tiny_light(), path, rules(order="same", is_test=True))


def test_a_run_goes_on_only_with_its_own_weights():
    model = tiny_v2()
    weights = golden_weights(model)
    load_weights(model, weights, "here")
    assert_equal_weights(model, weights)
    with pytest.raises(UserError, match=r"here does not fit.*1 of another shape"):
        load_weights(model, weights | {f"{V2_HEAD}.bias": torch.zeros(4)}, "here")
    with pytest.raises(UserError, match=r"1 missing.*1 unknown"):
        load_weights(model, {name.replace("class_emb", "class_enb"): v for name, v in weights.items()}, "here")


# ---------------------------------------------------------------- the report


def test_the_report_tells_what_was_done(tmp_path):
    model = tiny_v2(MODEL__NUM_CLASSES=400)
    content = {"state_dict": mmaction2_names(golden_weights(model)) | {"data_preprocessor.mean": torch.zeros(3)}}
    report = load_source(model, saved(tmp_path, content), rules(load_label_list("kinetics400_alphabetical")))
    lines = report.lines()
    assert "MMAction2's UniFormerV2" in lines[0]
    assert f"{len(model.state_dict())} weights loaded" in lines[0]
    assert any(
        "remapped: 4 (backbone.transformer.norm -> backbone.transformer.proj.0, cls_head.fc_cls -> " in x for x in lines
    )
    assert any("skipped, not used here: 1 (data_preprocessor.mean)" in x for x in lines)
    assert any("all 400 rows as they are, by the order kinetics400_alphabetical" in x for x in lines)
