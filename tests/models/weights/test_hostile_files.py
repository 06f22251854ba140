"""Files of weights that are broken or made to do harm: one line of ours, and bounded time and memory."""

import json
import re
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from slowfast.errors import UserError
from slowfast.models.weights.files import find_weights, read_checkpoint, state_dict_of
from slowfast.models.weights.load import load_source
from slowfast.models.weights.sources import translate
from tests.models.weights.image_vits import CLIP, image_vit
from tests.models.weights.layouts import clip_names, golden_weights, hugging_face_names, rules, saved, tiny_v1, tiny_v2

NAMES = list("abcde")
TREE = "\n".join(["A: &a0 [1, 1]", *(f"A{i}: &a{i} [*a{i - 1}, *a{i - 1}]" for i in range(1, 60))])
PREFIXES = ["module.", "_orig_mod.", "module._orig_mod.", "model.", "model.net.", "_fsdp_wrapped_module."]


class Trap:
    """Unpickling this prints."""

    def __reduce__(self):
        return print, ("it ran",)


def refusal(name: object) -> str:
    with pytest.raises(UserError) as error:
        load_source(tiny_v2(), str(name), rules(NAMES))
    assert str(error.value).isprintable() and "weights_only" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        ({"config": "MODEL: [1"}, "config:1: not valid YAML: while parsing a flow sequence"),
        ({"config": "- a"}, "config:1: a config is a mapping of keys to values"),
        ({"config": "MODEL: {MODEL_NAME: [1]}"}, r"MODEL.MODEL_NAME in its config is \[1\]"),
        ({"config": 3}, "its config is 3, and accepted is the text of one"),
        ({"config": TREE}, r"config:16: holds more than 100000 values with its aliases \(\*\) written out"),
        ({"class_names": "abcde"}, "its class_names hold 'abcde', and accepted is a list of names"),
        ({"class_names": ["a", 3, "c", "d", "e"]}, "its class_names hold 3, and accepted is a list of names"),
        ({"class_names": ["a", "b"]}, "has 5 classes, but 2 class names"),
    ],
)
def test_broken_metadata(tmp_path, keys, told):
    content = {"model_state": golden_weights(tiny_v2()), "class_names": NAMES, **keys}
    path = saved(tmp_path, content)
    assert path in refusal(path) and re.search(told, refusal(path))


@pytest.mark.parametrize("key", ["class_names", "config", "tensor_hashes"])
def test_metadata_of_safetensors_that_is_no_json(tmp_path, key):
    path = tmp_path / "a.safetensors"
    save_file({"a": torch.ones(2)}, path, {"format": "pt", key: '["a"'})
    assert f"{path}: {key} in its metadata is no JSON: " in refusal(path)


@pytest.mark.parametrize(
    "header", [b"{", b"[]", b'{"a": 1}', b'{"a":{"dtype":"F99","shape":[1],"data_offsets":[0,4]}}']
)
def test_headers_of_safetensors(tmp_path, header):
    path = tmp_path / "a.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header + b"\0" * 4)
    assert f"{path}: cannot be read as .safetensors: " in refusal(path)
    path.write_bytes((1 << 60).to_bytes(8, "little") + header)
    assert f"{path}: cannot be read as .safetensors: " in refusal(path)


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (torch.eye(4).to_sparse(), "is a tensor of the layout sparse_coo"),
        (torch.empty(4, device="meta"), r"is a tensor without values here \(device meta\)"),
        (torch.ones(1).expand(1 << 31), "asks for 8,5[0-9,]* in memory; accepted: 4 times its size"),
    ],
)
def test_tensors_of_other_kinds(tmp_path, value, told):
    weights = golden_weights(tiny_v2()) | {"backbone.class_embedding": value}
    with pytest.raises(UserError, match=told):
        load_source(tiny_v2(), saved(tmp_path, {"model_state": weights}), rules(order="same"))


def test_keys_that_are_no_names(tmp_path):
    assert "holds 2 tensors under keys that are no names, such as 0" in refusal(
        saved(tmp_path, {"state_dict": {0: torch.ones(2), 1: torch.ones(2), "a": torch.ones(2)}})
    )


def test_pytorchs_advice_does_not_reach_the_user(tmp_path):
    for content in ({"a": Trap()}, {"a": torch.ones(1), "b": np.float64(1.0)}, {"a": {1, 2}, "b": Trap}):
        told = refusal(saved(tmp_path, {"model_state": content}))
        assert "cannot be read as a checkpoint" in told
    (tmp_path / "weights.pyth").write_bytes(b"\x80\x02c__builtin__\nprint\n.")
    assert "cannot be read as a checkpoint" in refusal(tmp_path / "weights.pyth")


@pytest.mark.parametrize("part", ["weights/data/0", "weights/data.pkl"])
def test_a_zip_bomb_is_not_unpacked(tmp_path, part):
    """A part of zeros that packs a thousandfold; a real one asks for 8 GiB."""
    whole, bomb = saved(tmp_path, {"model_state": {"a": torch.ones(4)}}), tmp_path / "bomb.pyth"
    with zipfile.ZipFile(whole) as source, zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as target:
        for info in source.infolist():
            target.writestr(info.filename, bytes(1 << 26) if info.filename == part else source.read(info))
    assert bomb.stat().st_size < 1 << 18
    for is_checked in (True, False):
        with pytest.raises(UserError, match=r"bomb\.pyth: has [\d,]+ bytes and asks for 67,\d{3},\d{3} in memory"):
            read_checkpoint(bomb, is_checked=is_checked)


@pytest.mark.parametrize("address", ["http://[", "http://[::1", "https://a:b:c/x", "http://"])
def test_addresses_that_are_none(tmp_path, monkeypatch, address):
    monkeypatch.setenv("FVCORE_CACHE", str(tmp_path))
    monkeypatch.setenv("NO_PROXY", "*")
    assert f"{address}: cannot be downloaded: " in refusal(address)


@pytest.mark.parametrize("name", ["a\0b", "a" * 5000, "jit:a\0b", "/root/\udcff"])
def test_names_that_no_file_has(name):
    assert "no such checkpoint file" in refusal(name)
    assert find_weights(name, "weights") is None


@pytest.mark.parametrize("prefix", PREFIXES)
def test_prefixes_that_all_names_share_are_taken_off(tmp_path, prefix):
    for model, names in ((tiny_v1(), None), (tiny_v2(), None), (tiny_v2(), NAMES)):
        weights = golden_weights(model)
        content = {"model_state": {f"{prefix}{name}": value for name, value in weights.items()}}
        content |= {"class_names": names} if names else {}
        report = load_source(model, saved(tmp_path, content), rules(names, order="" if names else "same"))
        assert (f"without the prefix {prefix}" in report.layout) == prefix.startswith("model")
        assert all(torch.equal(value, weights[name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize("prefix", ["model.", "net.encoder."])
def test_prefixes_of_image_vits(tmp_path, prefix):
    vit = image_vit(**CLIP)
    weights = clip_names(vit.state_dict())
    for names in (weights, hugging_face_names(weights), vit.state_dict()):
        told = translate({f"{prefix}{name}": value for name, value in names.items()})
        plain = translate(names)
        assert told.layout == f"{plain.layout}, without the prefix {prefix}"
        assert told.weights.keys() == plain.weights.keys()


def test_compilers_and_wrappers_inside_names():
    weights = {"a._orig_mod.b": torch.ones(1), "a._checkpoint_wrapped_module._orig_mod.c": torch.ones(1)}
    assert list(state_dict_of(weights)) == ["a.b", "a.c"]
    with pytest.raises(UserError, match="holds weights twice"):
        state_dict_of(weights | {"a.b": torch.ones(1)})
    assert list(state_dict_of({"module.a": torch.ones(1), "b": torch.ones(1)})) == ["module.a", "b"]


def test_a_config_beside_hugging_faces_file_that_is_none(tmp_path):
    weights = hugging_face_names(clip_names(image_vit(**CLIP).state_dict()))
    path = saved(tmp_path, weights)
    for config in ({"vision_config": [1]}, {"hidden_act": [1]}, {"hidden_act": "gelu", "layer_norm_eps": "x"}):
        Path(tmp_path, "config.json").write_text(json.dumps(config))
        refusal(path)
    Path(tmp_path, "config.json").write_text("[" * 100_000)
    refusal(path)
