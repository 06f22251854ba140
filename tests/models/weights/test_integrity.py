"""Damaged weights are refused, not used: checksums, our own hash, types and values."""

import json
import random
import struct
import zipfile
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from slowfast.datasets.labels import class_key, load_label_list
from slowfast.errors import UserError
from slowfast.models.weights import integrity
from slowfast.models.weights.export import convert_checkpoint
from slowfast.models.weights.files import read_checkpoint
from slowfast.models.weights.integrity import HASHES_KEY, tensor_hashes
from slowfast.models.weights.load import load_source, load_weights
from tests.models.weights.image_vits import CLIP, image_vit
from tests.models.weights.layouts import clip_names, golden_weights, rules, saved, tiny_v1, tiny_v2
from tests.models.weights.test_files import save_archive

NAMES = list("abcde")


def ours(model: torch.nn.Module, folder: Path) -> str:
    """A checkpoint of ours with the model's golden weights."""
    content = {"model_state": golden_weights(model), "class_names": NAMES, "config": None}
    return saved(folder, content | {HASHES_KEY: tensor_hashes(content)})


def damage(path: str | Path, draws: random.Random, num_bytes: int = 64) -> None:
    """Write random bytes into the largest tensor of a zip file."""
    with zipfile.ZipFile(path) as archive:
        part = max((info for info in archive.infolist() if "/data/" in info.filename), key=lambda info: info.file_size)
    with open(path, "r+b") as file:
        file.seek(part.header_offset + 26)
        name_size, extra_size = struct.unpack("<HH", file.read(4))
        start = part.header_offset + 30 + name_size + extra_size
        file.seek(start + draws.randrange(part.file_size - num_bytes))
        file.write(draws.randbytes(num_bytes))


def test_random_bytes_in_a_checkpoint_are_found(tmp_path):
    model, path, draws = tiny_v2(), ours(tiny_v2(), tmp_path), random.Random(0)
    whole = Path(path).read_bytes()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    for _ in range(6):
        Path(path).write_bytes(whole)
        damage(path, draws)
        torch.load(path, weights_only=True)  # which tells nothing
        with pytest.raises(UserError, match=r"weights\.pyth: the checksum of its part 'weights/data/\d+' does not fit"):
            load_source(model, path, rules(NAMES))
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    Path(path).write_bytes(whole)
    load_source(model, path, rules(NAMES))


@pytest.mark.parametrize("hashes", [3, "a hash", ["a", "b"]])
def test_hashes_that_are_no_table_are_refused(tmp_path, hashes):
    path = saved(tmp_path, {"model_state": golden_weights(tiny_v2()), "class_names": NAMES, HASHES_KEY: hashes})
    with pytest.raises(
        UserError, match=r"weights\.pyth: its tensor_hashes are .*, and no table of hashes; the file is damaged"
    ):
        load_source(tiny_v2(), path, rules(NAMES))


def test_torchscript_archives_are_checked_too(tmp_path):
    path = tmp_path / "clip.pt"
    save_archive(clip_names(image_vit(**CLIP).state_dict()), path)
    damage(path, random.Random(0))
    with pytest.raises(UserError, match=r"the checksum of its part .* does not fit"):
        load_source(tiny_v2(), f"jit:{path}", rules())


def test_a_file_is_read_in_blocks_and_once(tmp_path, monkeypatch):
    path, sizes = ours(tiny_v2(), tmp_path), []
    monkeypatch.setattr(integrity, "_BLOCK_BYTES", 256)
    read = zipfile.ZipExtFile.read
    monkeypatch.setattr(zipfile.ZipExtFile, "read", lambda content, size=-1: sizes.append(size) or read(content, size))
    integrity.check_archive(Path(path))
    assert len(sizes) > 100 and set(sizes) == {256}
    number = len(sizes)
    integrity.check_archive(Path(path))
    assert len(sizes) == number
    Path(path).touch()
    integrity.check_archive(Path(path))
    assert len(sizes) == 2 * number


def test_what_another_process_checks_is_left_alone(tmp_path):
    path = ours(tiny_v2(), tmp_path)
    damage(path, random.Random(0), 1)
    assert "model_state" in read_checkpoint(path, is_checked=True)
    load_source(tiny_v2(), path, rules(NAMES), is_checked=True)


@pytest.mark.parametrize("form", ["pyth", "safetensors"])
def test_other_tensors_than_those_that_were_saved_are_found_by_our_hash(tmp_path, form):
    model, path = tiny_v2(), ours(tiny_v2(), tmp_path)
    lists = {"load_list": load_label_list, "class_key": class_key}
    if form == "safetensors":
        target = tmp_path / "ours.safetensors"
        convert_checkpoint(path, target, form="ours", **lists)
        load_source(model, str(target), rules(NAMES))
        header = target.read_bytes()
        metadata = json.loads(header[8 : 8 + int.from_bytes(header[:8], "little")])["__metadata__"]
        weights = load_file(target)
        weights["backbone.class_embedding"][0] += 1
        save_file(weights, target, metadata)
    else:
        target = tmp_path / "again.pyth"
        content = torch.load(path, weights_only=True)
        content["model_state"]["backbone.class_embedding"][0] += 1
        torch.save(content, target)
    told = rf"{target}: the tensors of its model_state are not those that were saved: their hash differs"
    with pytest.raises(UserError, match=told):
        load_source(model, str(target), rules(NAMES))
    with pytest.raises(UserError, match=told):
        convert_checkpoint(str(target), tmp_path / "out.pth", form="authors", **lists)


def test_a_hash_tells_names_types_shapes_and_values_apart():
    def hash_of(**tensors: torch.Tensor) -> str:
        return tensor_hashes({"model_state": tensors})["model_state"]

    one = torch.tensor([1.0, 2.0])
    others = [
        hash_of(b=one),
        hash_of(a=one.double()),
        hash_of(a=one.view(1, 2)),
        hash_of(a=one.view(torch.int32)),
        hash_of(a=-one),
        hash_of(a=one, b=one),
    ]
    assert len({hash_of(a=one), *others}) == 7
    assert hash_of(a=one, b=-one) == hash_of(b=-one, a=torch.stack([one, one], 1)[:, 0])
    assert tensor_hashes(
        {"optimizer_state": {"state": {0: {"step": torch.tensor(1.0)}}}, "ema_state": None}
    ).keys() == {"optimizer_state"}


def test_checkpoints_of_ours_without_a_hash_still_load(tmp_path):
    model = tiny_v1()
    content = {"model_state": golden_weights(model), "class_names": NAMES}
    assert load_source(model, saved(tmp_path, content), rules(NAMES)).layout == "a checkpoint of this project"


@pytest.mark.parametrize("dtype", [torch.int8, torch.int64, torch.bool, torch.float8_e4m3fn, torch.complex64])
@pytest.mark.parametrize("origin", ["authors", "ours", "clip"])
def test_weights_of_other_types_are_refused(tmp_path, dtype, origin):
    model = tiny_v2()
    weights, name = golden_weights(model), "backbone.transformer.resblocks.1.mlp.c_fc.weight"
    if origin == "clip":
        weights = clip_names(image_vit(**CLIP).state_dict())
        name = "transformer.resblocks.1.mlp.c_fc.weight"
    weights[name] = weights[name].to(dtype)
    content = {"model_state": weights} | ({"class_names": NAMES} if origin == "ours" else {})
    kind = str(dtype).removeprefix("torch.")
    told = rf"weights\.pyth.*: {name} has the type {kind}; accepted: float32, float16, bfloat16 and float64"
    with pytest.raises(UserError, match=told):
        load_source(model, saved(tmp_path, content), rules(order="same"))
    if origin != "clip":
        with pytest.raises(UserError, match=f"{name} has the type {kind}"):
            load_weights(model, weights, "weights.pyth")
    if origin == "ours":
        with pytest.raises(UserError, match=f"{name} has the type {kind}"):
            convert_checkpoint(
                saved(tmp_path, content), tmp_path / "out", form="ours", load_list=load_label_list, class_key=class_key
            )


def test_half_precision_and_counts_load(tmp_path):
    model = tiny_v1()
    weights = golden_weights(model)
    for dtype in (torch.float16, torch.bfloat16, torch.float64):
        cast = {name: value.to(dtype) if value.is_floating_point() else value for name, value in weights.items()}
        assert any(value.dtype == torch.int64 for value in cast.values())  # BatchNorm counts its batches
        load_source(model, saved(tmp_path, cast), rules(order="same"))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_values_that_are_not_finite_are_named_and_counted(tmp_path, value, dtype):
    model = tiny_v1()
    weights = golden_weights(model)
    names = [name for name in weights if name.endswith("norm1.running_var")]
    for name in names:
        weights[name] = weights[name].to(dtype)
        weights[name][1:3] = value
    path = saved(tmp_path, {"model_state": weights, "class_names": NAMES})
    size = weights[names[0]].numel()
    told = rf"weights\.pyth: 2 of the {size} values of {names[0]} are not finite .*; {len(names) - 1} more tensors"
    with pytest.raises(UserError, match=told):
        load_source(model, path, rules(NAMES))
    lists = {"load_list": load_label_list, "class_key": class_key}
    with pytest.raises(UserError, match=told):
        convert_checkpoint(path, tmp_path / "out.pth", form="mmaction2", **lists)
