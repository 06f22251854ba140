"""Image ViTs in UniFormerV2: the same function, layer by layer, or a refusal that says why."""

import json

import pytest
import timm
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from slowfast.errors import UserError
from slowfast.models.weights.load import apply_translation, load_source
from slowfast.models.weights.timm_models import translate_timm
from tests.models.weights.image_vits import CLIP, KINDS, TEXT_TOWER, assert_same_tokens, image_vit, tokens_of_layers
from tests.models.weights.layouts import PLAIN_VIT, clip_names, hugging_face_names, rules, saved, tiny_v2

# ---------------------------------------------------------------- the same function


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("has_downsample", [False, True], ids=["", "downsample"])
@pytest.mark.parametrize("has_temporal", [False, True], ids=["", "lmhra"])
def test_each_layer_computes_the_image_vits_tokens(kind, has_downsample, has_temporal):
    arguments, keys = KINDS[kind]
    vit = image_vit(**arguments)
    keys = keys | {"UNIFORMERV2.TEMPORAL_DOWNSAMPLE": has_downsample, "UNIFORMERV2.NO_LMHRA": not has_temporal}
    model = tiny_v2(keys)
    report = apply_translation(model, translate_timm(vit), "timm", rules())
    assert_same_tokens(vit, model, num_frames=4)
    assert report.inflated == ["backbone.conv1.weight"]
    assert {name.split(".")[2] for name in report.missing} <= {
        "temporal_cls_token",
        "balance",
        "dpe",
        "dec",
        "proj",
    } | ({"resblocks"} if has_temporal else set())
    assert any("lmhra" in name for name in report.missing) is has_temporal


@settings(max_examples=10)
@given(st.integers(1, 5), st.sampled_from(sorted(KINDS)), st.integers(0, 2**16))
def test_any_clip_of_equal_frames(num_frames, kind, seed):
    arguments, keys = KINDS[kind]
    vit, model = image_vit(**arguments), tiny_v2(keys)
    apply_translation(model, translate_timm(vit), "timm", rules())
    assert_same_tokens(vit, model, num_frames, seed)


def test_layer_scale_is_folded_into_the_projections():
    vit, model = image_vit(init_values=0.1), tiny_v2(PLAIN_VIT)
    report = apply_translation(model, translate_timm(vit), "timm", rules())
    block = model.backbone.transformer.resblocks[1]
    torch.testing.assert_close(block.attn.out_proj.bias, vit.blocks[1].ls1.gamma * vit.blocks[1].attn.proj.bias)
    note = report.remapped["backbone.transformer.resblocks.1.mlp.c_proj.weight"]
    assert note == "blocks.1.mlp.fc2.weight * blocks.1.ls2.gamma"


@pytest.mark.parametrize("wrapper", [None, "model", "teacher"])
def test_files_of_timms_layout(tmp_path, wrapper):
    vit = image_vit()
    weights = vit.state_dict() | {"mask_token": torch.zeros(1, 1, 24), "decoder_blocks.0.norm1.weight": torch.zeros(8)}
    if wrapper == "teacher":  # DINO's full checkpoint: the backbone beside the projection head
        weights = {f"backbone.{name}": value for name, value in vit.state_dict().items()} | {
            "head.mlp.0.weight": torch.zeros(2, 24)
        }
    content = {wrapper: weights, "student": {}} if wrapper else weights
    model = tiny_v2(PLAIN_VIT)
    report = load_source(model, saved(tmp_path, content), rules())
    assert_same_tokens(vit, model)
    assert "norm.weight" in report.skipped or "head.mlp.0.weight" in report.skipped


def test_original_names_of_layer_scale(tmp_path):
    vit, model = image_vit(init_values=0.1, no_embed_class=True), tiny_v2(PLAIN_VIT)
    weights = {
        name.replace("ls1.gamma", "gamma_1").replace("ls2.gamma", "gamma_2"): v for name, v in vit.state_dict().items()
    }
    load_source(model, saved(tmp_path, {"model": weights}), rules())
    assert_same_tokens(vit, model)


def test_openai_visual_state_dict(tmp_path):
    vit, model = image_vit(**CLIP), tiny_v2()
    weights = {name: value.half() for name, value in clip_names(vit.state_dict()).items()}
    vit.load_state_dict({name: value.half().float() for name, value in vit.state_dict().items()})
    report = load_source(model, saved(tmp_path, weights), rules())
    assert_same_tokens(vit, model)
    assert report.layout == "OpenAI's CLIP"
    assert sorted(report.skipped) == ["ln_post.bias", "ln_post.weight", "proj"]


@pytest.mark.parametrize(("kind", "activation"), [("clip", "quick_gelu"), ("gelu_clip", "gelu")])
def test_open_clip_needs_its_activation_told(tmp_path, kind, activation):
    vit = image_vit(**KINDS[kind][0], init_values=0.5)
    weights = {f"visual.{name}": value for name, value in clip_names(vit.state_dict()).items()} | TEXT_TOWER
    path = saved(tmp_path, {"state_dict": {f"module.{name}": value for name, value in weights.items()}})
    with pytest.raises(UserError, match=r"does not tell its activation; set UNIFORMERV2\.ACTIVATION to quick_gelu"):
        load_source(tiny_v2(), path, rules())
    model = tiny_v2(UNIFORMERV2__ACTIVATION=activation)
    report = load_source(model, path, rules())
    assert_same_tokens(vit, model)
    assert set(TEXT_TOWER) <= set(report.skipped)


def test_timm_tower_of_open_clip(tmp_path):
    vit, model = image_vit(), tiny_v2(PLAIN_VIT)
    weights = {f"visual.trunk.{name}": value for name, value in vit.state_dict().items()} | TEXT_TOWER
    load_source(model, saved(tmp_path, weights), rules())
    assert_same_tokens(vit, model)


@pytest.mark.parametrize("prefix", ["", "vision_model."])
def test_hugging_face_clip(tmp_path, prefix):
    vit = image_vit(**CLIP)
    weights = hugging_face_names(clip_names(vit.state_dict()))
    weights = {prefix + name: value for name, value in weights.items()}
    if prefix:
        weights |= {"text_model.final_layer_norm.weight": torch.zeros(8), "logit_scale": torch.zeros(())}
    path = saved(tmp_path, weights, "pytorch_model.bin")
    with pytest.raises(UserError, match="does not tell its activation"):
        load_source(tiny_v2(), path, rules())
    vision = {"hidden_act": "quick_gelu", "layer_norm_eps": 1e-5, "num_attention_heads": 3}
    config = tmp_path / "config.json"
    config.write_text(json.dumps({"vision_config": vision} if prefix else vision))
    model = tiny_v2()
    load_source(model, path, rules())
    assert_same_tokens(vit, model)
    for change, told in (
        ({"hidden_act": "gelu"}, "set UNIFORMERV2.ACTIVATION gelu"),
        ({"layer_norm_eps": 1e-6}, "set UNIFORMERV2.NORM_EPS 1e-06"),
        ({"hidden_act": "gelu_new"}, "has the activation gelu_new; accepted: quick_gelu and gelu"),
        ({"num_attention_heads": 4}, "has 4 attention heads, but UNIFORMERV2.BACKBONE has 3"),
    ):
        config.write_text(json.dumps(vision | change))
        with pytest.raises(UserError, match=told):
            load_source(tiny_v2(), path, rules())


def test_positions_are_resized_to_the_native_grid():
    vit, model = image_vit(img_size=32, **CLIP), tiny_v2()
    report = apply_translation(model, translate_timm(vit), "timm", rules())
    assert report.resized == ["backbone.positional_embedding"]
    torch.testing.assert_close(model.backbone.positional_embedding[0], vit.pos_embed[0, 0])


# ---------------------------------------------------------------- real libraries, where they are installed


def test_real_hugging_face_model(tmp_path):
    transformers = pytest.importorskip("transformers")
    size = {"hidden_size": 24, "intermediate_size": 96, "num_hidden_layers": 3, "num_attention_heads": 3}
    source = transformers.CLIPVisionModel(transformers.CLIPVisionConfig(**size, image_size=16, patch_size=4)).eval()
    source.save_pretrained(tmp_path)
    model, images = tiny_v2(), torch.randn(2, 3, 16, 16)
    load_source(model, str(tmp_path / "model.safetensors"), rules())
    with torch.inference_mode():
        expected = source(images, output_hidden_states=True).hidden_states[1:]
    blocks = model.backbone.transformer.resblocks
    actual = tokens_of_layers(blocks, lambda: model(images.unsqueeze(2).expand(-1, -1, 2, -1, -1)))
    for ours, theirs in zip(actual, expected, strict=True):
        torch.testing.assert_close(ours[:, 1], theirs, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("is_quick", [False, True])
def test_real_open_clip_model(tmp_path, is_quick):
    open_clip = pytest.importorskip("open_clip")
    vision = {"image_size": 16, "layers": 3, "width": 24, "head_width": 8, "patch_size": 4, "ls_init_value": 0.5}
    text = {"context_length": 8, "vocab_size": 20, "width": 16, "heads": 2, "layers": 1}
    source = open_clip.model.CLIP(8, vision_cfg=vision, text_cfg=text, quick_gelu=is_quick).eval()
    path = saved(tmp_path, source.state_dict())
    model, images = tiny_v2(UNIFORMERV2__ACTIVATION="quick_gelu" if is_quick else "gelu"), torch.randn(2, 3, 16, 16)
    load_source(model, path, rules())
    expected = tokens_of_layers(source.visual.transformer.resblocks, lambda: source.encode_image(images))
    blocks = model.backbone.transformer.resblocks
    actual = tokens_of_layers(blocks, lambda: model(images.unsqueeze(2).expand(-1, -1, 2, -1, -1)))
    for ours, theirs in zip(actual, expected, strict=True):
        torch.testing.assert_close(ours[:, 1], theirs, rtol=1e-4, atol=1e-4)


# ---------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("kind", "keys", "told"),
    [
        ("supervised", {}, "ACTIVATION gelu, UNIFORMERV2.PRE_NORM False, UNIFORMERV2.NORM_EPS 1e-06"),
        ("deit3", PLAIN_VIT | {"UNIFORMERV2.NORM_EPS": 1e-5}, "set UNIFORMERV2.NORM_EPS 1e-06"),
        ("clip", PLAIN_VIT, "ACTIVATION quick_gelu, UNIFORMERV2.PRE_NORM True, UNIFORMERV2.NORM_EPS 1e-05"),
        ("gelu_clip", {}, "set UNIFORMERV2.ACTIVATION gelu"),
    ],
)
def test_another_function_is_refused_naming_the_keys(kind, keys, told):
    model = tiny_v2(keys)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(UserError, match=told):
        apply_translation(model, translate_timm(image_vit(**KINDS[kind][0])), "timm", rules())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("beit_base_patch16_224", "BEiT's attention adds a bias for relative positions"),
        ("beitv2_base_patch16_224", "BEiT's attention adds a bias for relative positions"),
        ("deit_tiny_distilled_patch16_224", "a distillation token"),
        ("vit_small_patch14_reg4_dinov2", "register tokens"),
        ("vit_base_patch16_siglip_224", "without class token"),
        ("vit_base_patch16_rpn_224", "ResPostBlock"),
        ("eva02_tiny_patch14_224", "cannot be carried over exactly"),
        ("resnet18", "a ResNet of timm cannot be carried over"),
    ],
)
def test_what_cannot_be_carried_exactly_is_refused_with_the_reason(name, reason):
    with pytest.raises(UserError, match=reason) as error:
        translate_timm(timm.create_model(name, **({} if name == "resnet18" else {"depth": 1})))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(("changes", "reason"), [({"qk_norm": True}, "normalises"), ({"reg_tokens": 2}, "register")])
def test_variants_in_files_are_refused_too(tmp_path, changes, reason):
    with pytest.raises(UserError, match=reason):
        load_source(tiny_v2(PLAIN_VIT), saved(tmp_path, image_vit(**changes).state_dict()), rules())


def test_an_unknown_weight_is_not_dropped(tmp_path):
    weights = clip_names(image_vit(**CLIP).state_dict()) | {"transformer.resblocks.0.extra": torch.zeros(3)}
    with pytest.raises(UserError, match=r"has transformer\.resblocks\.0\.extra, for which our model has no place"):
        load_source(tiny_v2(), saved(tmp_path, weights), rules())


@pytest.mark.parametrize("dropped", ["blocks.1.", "norm_pre.weight", "pos_embed"])
def test_a_missing_part_of_the_vit_is_named(tmp_path, dropped):
    weights = {n: v for n, v in image_vit(**CLIP).state_dict().items() if not n.startswith(dropped)}
    named = {"blocks.1.": r"resblocks\.1", "norm_pre.weight": r"ln_pre\.weight", "pos_embed": "positional_embedding"}
    model = tiny_v2(UNIFORMERV2__ACTIVATION="quick_gelu")
    with pytest.raises(UserError, match=rf"missing \(backbone\..*{named[dropped]}\)"):
        load_source(model, saved(tmp_path, weights), rules())


def test_an_image_vit_has_no_classifier_to_test(tmp_path):
    path = saved(tmp_path, clip_names(image_vit(**CLIP).state_dict()))
    with pytest.raises(UserError, match="has no classifier to test"):
        load_source(tiny_v2(), path, rules(is_test=True))


# ---------------------------------------------------------------- timm:<model>


def test_timm_models_are_downloaded_when_asked_for(monkeypatch):
    vit, asked = image_vit(), []

    def create_model(name, **arguments):
        asked.append((name, arguments))
        return vit

    monkeypatch.setattr(timm, "create_model", create_model)
    model = tiny_v2(PLAIN_VIT)
    load_source(model, "timm:vit_base_patch16_224.augreg_in21k", rules())
    assert asked == [("vit_base_patch16_224.augreg_in21k", {"pretrained": True, "num_classes": 0})]
    assert_same_tokens(vit, model)


def test_offline_timm_says_how_to_supply_a_file(monkeypatch):
    def create_model(name, **arguments):
        raise OSError("no route to host\nand more")

    monkeypatch.setattr(timm, "create_model", create_model)
    with pytest.raises(
        UserError, match=r"cannot get the weights: no route to host; .*torch\.save\(.*PRETRAIN"
    ) as error:
        load_source(tiny_v2(), "timm:vit_base_patch16_224", rules())
    assert "\n" not in str(error.value)


def test_unknown_timm_models_are_named():
    with pytest.raises(UserError, match="timm has no model of that name; the nearest are vit_base_patch16_224"):
        load_source(tiny_v2(), "timm:vit_base_patch16_2244", rules())


@pytest.mark.parametrize("name", ["vit_base_patch16_clip_224.openai", "vit_large_patch14_clip_336.openai"])
def test_timms_gelu_models_of_quickgelu_weights_are_refused(monkeypatch, name):
    monkeypatch.setattr(timm, "create_model", lambda *args, **kwargs: pytest.fail("downloaded"))
    with pytest.raises(UserError, match=rf"PRETRAIN to timm:{name.replace('clip', 'clip_quickgelu')}"):
        load_source(tiny_v2(), f"timm:{name}", rules())
