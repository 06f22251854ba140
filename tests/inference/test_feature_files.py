"""Files of features that something else wrote, or that were edited or damaged, and runs that differ."""

import json
import os
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from slowfast.errors import UserError
from slowfast.inference.feature_files import FeatureTable, FeatureWriter, nearest, read_features
from slowfast.inference.results import Features

PATHS = ["a.mp4", "b.mp4", "new\nline.mp4", "no text \udcff.mp4"]
CLIPS = np.random.default_rng(0).standard_normal((4, 2, 6), dtype=np.float32)
SETTINGS = '{"model": "x", "layer": null, "tokens": false, "views": "2x1"}'


def write(path: Path, **changes: Any) -> Path:
    content = {"paths": np.array(PATHS), "clips": CLIPS, "settings": SETTINGS} | changes
    np.savez_compressed(path, **content)
    return path


@pytest.mark.parametrize(
    "changes",
    [
        *({"clips": clips} for clips in (CLIPS[:, 0], np.float32(3), CLIPS.astype(str), CLIPS[:2], CLIPS[:, :0])),
        *({"clips": clips} for clips in (CLIPS * np.nan, CLIPS.astype(complex), np.concatenate([CLIPS] * 2))),
        *({"paths": paths} for paths in (np.arange(4), np.array(PATHS)[:, None], np.array("x"), np.array(PATHS[:2]))),
        *({"settings": settings} for settings in ("[]", "null", "3", "{", "[" * 100_000, np.array(3))),
    ],
)
def test_an_edited_file_is_told(changes: Mapping[str, Any], tmp_path: Path):
    with pytest.raises(UserError, match=r"edited\.npz: is no file of features, as uniformer features writes it \("):
        read_features(write(tmp_path / "edited.npz", **changes))


def test_files_of_another_kind_are_told(tmp_path: Path):
    np.save(tmp_path / "a.npy", CLIPS)
    save_file(
        {"clips": torch.zeros(1, 1, 2).bfloat16()}, tmp_path / "a.safetensors", {"paths": '["a"]', "settings": "{}"}
    )
    save_file({"clips": torch.zeros(1, 1, 2)}, tmp_path / "b.safetensors", {"paths": "4", "settings": "{}"})
    os.mkfifo(tmp_path / "pipe.npz")
    for name in ("a.npy", "a.safetensors", "b.safetensors", "pipe.npz"):
        with pytest.raises(UserError, match="is no file of features"):
            read_features(tmp_path / name)


def test_a_name_that_no_file_has_is_told(tmp_path: Path):
    with (
        pytest.raises(UserError, match="cannot be made: File name too long"),
        FeatureWriter(tmp_path / f"{'a' * 260}.npz", {}),
    ):
        pass


def test_a_damaged_file_is_told_or_read(tmp_path: Path):
    content = write(tmp_path / "whole.npz").read_bytes()
    chance, num_told = random.Random(0), 0
    for _ in range(100):
        damaged = bytearray(content)
        for _ in range(3):
            damaged[chance.randrange(len(damaged))] = chance.randrange(256)
        (tmp_path / "damaged.npz").write_bytes(damaged)
        try:
            read_features(tmp_path / "damaged.npz")
        except UserError:
            num_told += 1
    assert num_told > 50


def test_large_features_have_directions_too():
    table = FeatureTable(PATHS, CLIPS * np.float32(1e30), {})
    plain = nearest([FeatureTable(PATHS, CLIPS, {})], CLIPS[1].mean(axis=0), 4)
    found = nearest([table], table.video[1], 4)
    assert [path for path, _ in found] == [path for path, _ in plain] and found[0][0] == "b.mp4"
    assert [value for _, value in found] == pytest.approx([value for _, value in plain], abs=1e-6)


@pytest.mark.parametrize("key", ["precision", "DATA.MEAN"])
def test_parts_of_other_settings_are_not_mixed(key: str, tmp_path: Path):
    target, settings = tmp_path / "f.npz", {"model": "x", "precision": "float32", "DATA.MEAN": (0.5, 0.5, 0.5)}
    with FeatureWriter(target, settings) as writer:
        writer.add(Features("a.mp4", torch.ones(1, 2)))
    told = f"was begun with {key} .*, and here it is 'other'; remove the folder"
    with pytest.raises(UserError, match=told), FeatureWriter(target, settings | {key: "other"}):
        pass
    with FeatureWriter(target, settings) as writer:
        assert writer.done == {"a.mp4"}
        writer.add(Features("b.mp4", torch.ones(1, 2)))
        assert writer.finish(["b.mp4"]).paths == ["b.mp4"] and writer.num_left_out == 1
    assert json.loads(json.dumps(dict(read_features(target).settings)))["model"] == "x"


def test_a_damaged_part_is_removed_and_its_videos_are_computed_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("slowfast.inference.feature_files.PART_VIDEOS", 1)
    videos = {name: Features(name, torch.full((1, 2), float(number))) for number, name in enumerate("abcd")}
    with FeatureWriter(tmp_path / "f.npz", {}) as writer:
        for name in "abc":
            writer.add(videos[name])
    part = tmp_path / "f.npz.parts" / "part-000000.npz"
    part.write_bytes(part.read_bytes()[:100])
    told = rf"^{part}: is no file of features, .*; remove it, and its videos are computed again$"
    with pytest.raises(UserError, match=told), FeatureWriter(tmp_path / "f.npz", {}):
        pass
    part.unlink()
    with FeatureWriter(tmp_path / "f.npz", {}) as writer:
        assert writer.done == {"b", "c"}
        for name in "ad":
            writer.add(videos[name])
        table = writer.finish(list("abcd"))
    assert table.paths == list("abcd") and table.clips[:, 0, 0].tolist() == [0, 1, 2, 3]


def test_two_runs_do_not_write_the_same_file(tmp_path: Path):
    video = Features("a", torch.ones(1, 2))
    first, second = FeatureWriter(tmp_path / "f.npz", {}), FeatureWriter(tmp_path / "f.npz", {})
    with first:
        with pytest.raises(UserError, match=r"f\.npz\.parts is in use: .* or choose another --output;"), second:
            pass
        first.add(video)
        first.finish(["a"])
    with pytest.raises(UserError, match=r"f\.npz: is there already; remove it"), second:
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["f.npz"]
