"""Model folders from elsewhere, whose hashes are right and whose files say what no model says."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file

from slowfast.errors import UserError
from slowfast.inference import load_model, publish
from slowfast.inference.folder.folder_files import file_hash, names_hash
from tests.inference.models import small_classifier
from tests.videos import write_video


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return publish(small_classifier("uniformerv2"), tmp_path_factory.mktemp("hostile") / "model")


@pytest.fixture
def folder(published: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(published, tmp_path / "model"))


def rewrite(folder: Path, name: str, change: Callable[[dict[str, Any]], Any]) -> None:
    """Change a JSON file, and make the hashes in proof.json those of what is there."""
    content = json.loads((folder / name).read_text())
    change(content)
    (folder / name).write_text(json.dumps(content))
    if name == "config.json":

        def rehash(proof: dict[str, Any]) -> None:
            proof["files"]["config.json"] = file_hash(folder / "config.json")
            if content["class_names"] is None or "a\ud800" not in content["class_names"]:
                proof["class_names"] = names_hash(content["class_names"])

        rewrite(folder, "proof.json", rehash)


def refusal(folder: Path, **options: Any) -> str:
    with pytest.raises(UserError) as told:
        load_model(folder, device="cpu", **options)
    return str(told.value).removeprefix(f"{folder}")


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("class_names", ["a"] * 4, ": has 5 classes, and 4 names are given for them"),
        ("class_names", "abcde", "/config.json: its class names are no list of texts"),
        ("class_names", [1, 2, 3, 4, 5], "/config.json: its class names are no list of texts"),
        ("class_names", ["a\ud800", "b", "c", "d", "e"], "/config.json: its class names are no list of texts"),
        ("class_note", ["x"], "/config.json: its class_note is no text"),
        ("license", 7, "/config.json: its license is no text"),
        ("notes", {"test": "a\ud800"}, "/config.json: its notes are no texts by name"),
        ("notes", ["x"], "/config.json: its notes are no texts by name"),
        ("window_s", float("nan"), "/config.json: its window_s is nan; accepted: seconds above 0"),
        ("window_s", "10", "/config.json: its window_s is '10'; accepted: seconds above 0"),
        ("window_s", -1, "/config.json: its window_s is -1; accepted: seconds above 0"),
        ("plugins", [1], "/config.json: lacks its settings or plugins"),
    ],
)
def test_values_of_other_types_are_told(key: str, value: object, told: str, folder: Path):
    rewrite(folder, "config.json", lambda config: config.update({key: value}))
    assert refusal(folder, verify=False).startswith(told)


def test_settings_are_told_with_their_file_and_ask_for_no_memory_that_the_weights_do_not_fill(folder: Path):
    rewrite(folder, "config.json", lambda config: config["settings"].update({"DATA.MEAN": "x"}))
    assert refusal(folder).startswith("/config.json: DATA.MEAN takes a list, each item a finite number")
    rewrite(folder, "config.json", lambda config: config["settings"].pop("DATA.MEAN"))
    rewrite(folder, "config.json", lambda config: config["settings"].update({"MODEL.NUM_CLASSES": 10**6}))
    rewrite(folder, "config.json", lambda config: config.update(class_names=None))
    assert "(5,) for (1000000,)" in refusal(folder, verify=False)
    rewrite(folder, "config.json", lambda config: config["settings"].update({"MODEL.NUM_CLASSES": 5}))
    rewrite(folder, "config.json", lambda config: config["settings"].update({"DATA.TEST_CROP_SIZE": 10**7}))
    assert refusal(folder) == "/config.json: DATA.TEST_CROP_SIZE is 10000000; accepted: 1 to 10000"


def test_a_proof_for_which_there_is_no_memory_is_told(folder: Path, monkeypatch: pytest.MonkeyPatch):
    def check(*arguments: object) -> float:
        raise MemoryError

    monkeypatch.setattr("slowfast.inference.folder.model_folder.check_proof", check)
    assert refusal(folder) == ": its proof cannot be computed: no memory"


@pytest.mark.parametrize("name", ["model.safetensors", "proof.mp4", "proof.safetensors", "proof.json"])
def test_nobody_waits_for_a_pipe_or_reads_a_device_without_end(name: str, folder: Path):
    (folder / name).unlink()
    os.mkfifo(folder / name)
    assert refusal(folder).startswith(f"/{name}: is a pipe or a device, not a file")
    (folder / name).unlink()
    (folder / name).symlink_to("/dev/zero")
    assert refusal(folder).startswith(f"/{name}: is a pipe or a device, not a file")


@pytest.mark.parametrize("name", ["..", "", "../config.json", "a\0b"])
def test_a_name_that_is_no_file_of_the_folder_is_told(name: str, folder: Path):
    rewrite(folder, "proof.json", lambda proof: proof["files"].update({name: "00"}))
    assert refusal(folder).startswith(f"/proof.json: names the file {name!r}; accepted: files of its folder")


@pytest.mark.parametrize("value", [float("nan"), -1, True, 10**400, "0"])
def test_an_error_that_nobody_measured_is_told(value: object, folder: Path):
    rewrite(folder, "proof.json", lambda proof: proof.update(noise_error=value))
    assert refusal(folder).startswith("/proof.json: lacks the errors that were measured")


@pytest.mark.parametrize("name", ["frames", "pixels", "digest", "middle", "last", "logits"])
def test_a_trace_of_other_types_is_told(name: str, folder: Path):
    trace = load_file(folder / "proof.safetensors")
    for wrong in (trace[name].bool(), trace[name].flatten()[0], trace[name][:0]):
        save_file(trace | {name: wrong}, folder / "proof.safetensors")
        rewrite(
            folder,
            "proof.json",
            lambda p: p["files"].update({"proof.safetensors": file_hash(folder / "proof.safetensors")}),
        )
        dtype = str(wrong.dtype).removeprefix("torch.")
        assert refusal(folder).startswith(f"/proof.safetensors: {name} is {dtype} {tuple(wrong.shape)}, which no proof")


def test_the_video_of_a_proof_never_has_the_name_of_another_file(tmp_path: Path):
    for suffix in (".json", ""):
        video = write_video(tmp_path / "video.mp4", 12, height=36, width=48).rename(tmp_path / f"video{suffix}")
        folder = publish(small_classifier("uniformerv2"), tmp_path / f"model{suffix}", proof_video=video)
        assert (folder / "proof.mp4").is_file() and load_model(folder, device="cpu").proof
    again = publish(load_model(f"{folder}/", device="cpu"), tmp_path / "again")
    assert json.loads((again / "config.json").read_text())["source"] == "made up"


def test_what_is_no_folder_and_no_video_of_a_proof_is_told(tmp_path: Path):
    os.mkfifo(tmp_path / "pipe.mp4")
    with pytest.raises(UserError, match=r"pipe\.mp4: is a pipe or a device, not a file"):
        publish(small_classifier("uniformerv2"), tmp_path / "model", proof_video=tmp_path / "pipe.mp4")
    with pytest.raises(UserError, match="cannot be written: File name too long"):
        publish(small_classifier("uniformerv2"), tmp_path / ("a" * 300))


def test_a_plugin_that_is_not_there_is_told_as_such(folder: Path):
    assert refusal(folder, plugins="nowhere.py") == "--plugins nowhere.py: cannot be read: No such file or directory"
