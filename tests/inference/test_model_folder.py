"""A model folder proves that it is what was published: 30 corruptions are refused, and 20 sound uses are not."""

import hashlib
import json
import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from unittest.mock import patch

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

import slowfast
from slowfast.datasets.reading.source import FrameSource
from slowfast.datasets.transforms import functional
from slowfast.errors import UserError
from slowfast.inference import ProofError, publish
from slowfast.models import build_model
from slowfast.models.reference import use_reference
from tests.inference.full_disk import files_end_at
from tests.inference.models import CLASS_NAMES, FAMILIES, small_classifier
from tests.videos import write_video

Change = Callable[[Path], AbstractContextManager | None]


@pytest.fixture(scope="module", params=list(FAMILIES))
def published(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a small model of each family; tests must not change it."""
    return publish(small_classifier(request.param), tmp_path_factory.mktemp("published") / request.param)


def load(folder: Path, **arguments: object) -> slowfast.inference.VideoClassifier:
    return slowfast.load_model(folder, device="cpu", **arguments)


def rehash(folder: Path) -> None:
    """What hides a change of the files from their hashes."""
    hashes = json.loads((folder / "proof.json").read_text())
    hashes["files"] = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in hashes["files"]}
    (folder / "proof.json").write_text(json.dumps(hashes))


def change_weights(change: Callable[[dict[str, Tensor]], object]) -> Change:
    def do(folder: Path) -> None:
        weights = load_file(folder / "model.safetensors")
        change(weights)
        save_file(weights, folder / "model.safetensors")

    return do


def first_matrix(weights: dict[str, Tensor], *, is_square: bool = False) -> Tensor:
    """The first matrix of more than one row and column."""
    matrices = (value for name, value in weights.items() if name.endswith("weight") and value.ndim == 2)
    large = (value for value in matrices if min(value.shape) > 1)
    return next(value for value in large if not is_square or len(set(value.shape)) == 1)


def zero_biases(weights: dict[str, Tensor]) -> None:
    for name, value in weights.items():
        if name.endswith(("in_proj_bias", "qkv.bias")):
            third = len(value) // 3
            value[third : 2 * third] = 0  # of the keys: the logits hardly move


def swap_rows(weights: dict[str, Tensor]) -> None:
    matrix = first_matrix(weights)
    matrix[[0, 1]] = matrix[[1, 0]]


def transpose(weights: dict[str, Tensor]) -> None:
    matrix = first_matrix(weights, is_square=True)
    matrix.copy_(matrix.T.clone())


def cast_all(dtype: torch.dtype, scale: float = 1.0) -> Callable[[dict[str, Tensor]], None]:
    def do(weights: dict[str, Tensor]) -> None:
        for name, value in weights.items():
            weights[name] = (value * scale).to(dtype) if value.is_floating_point() else value

    return do


def change_config(change: Callable[[dict], object], *, is_hidden: bool = True) -> Change:
    def do(folder: Path) -> None:
        config = json.loads((folder / "config.json").read_text())
        change(config)
        (folder / "config.json").write_text(json.dumps(config))
        if is_hidden:
            rehash(folder)

    return do


def set_key(key: str, value: object) -> Change:
    return change_config(lambda config: config["settings"].update({key: value}))


def change_bytes(name: str, change: Callable[[bytearray], object]) -> Change:
    def do(folder: Path) -> None:
        content = bytearray((folder / name).read_bytes())
        change(content)
        (folder / name).write_bytes(content)

    return do


def flip_bit(content: bytearray) -> None:
    content[len(content) // 2] ^= 4


def truncate(content: bytearray) -> None:
    del content[2 * len(content) // 3 :]


def change_model(change: Callable[[nn.Module], object]) -> Change:
    """The code builds another network from the same config and the same weights."""

    def changed(cfg: object) -> nn.Module:
        model = build_model(cfg)
        change(model)
        return model

    return lambda folder: patch("slowfast.inference.load.build_model", changed)


def set_epsilon(model: nn.Module) -> None:
    for part in model.modules():
        if isinstance(part, nn.LayerNorm | nn.BatchNorm3d):
            part.eps *= 3


def change_activation(model: nn.Module) -> None:
    for part in list(model.modules()):
        for name, child in part.named_children():
            if isinstance(child, nn.GELU):
                setattr(part, name, nn.SiLU())


def reset_statistics(model: nn.Module) -> None:
    """Of the layers that normalise over the batch, or else over the channels: they forget what was loaded."""

    def forget(part: nn.Module, *_: object) -> None:
        with torch.no_grad():
            part.running_mean.zero_() if isinstance(part, nn.BatchNorm3d) else part.bias.zero_()

    for part in model.modules():
        if isinstance(part, nn.LayerNorm | nn.BatchNorm3d):
            part.register_load_state_dict_post_hook(forget)


def change_frames(change: Callable[[FrameSource, list[int]], Tensor]) -> Change:
    def read(video: FrameSource, indices: list[int]) -> Tensor:
        with video:
            return change(video, indices)

    return lambda folder: patch("slowfast.datasets.clip_dataset._read_and_close", read)


def next_frames(video: FrameSource, indices: list[int]) -> Tensor:
    return video.read([min(idx + 1, video.num_frames - 1) for idx in indices])


def change_crop(frames: Tensor, size: int, idx: int) -> Tensor:
    return torch.roll(functional_crop(frames, size, idx), 1, dims=-1)


functional_crop, functional_resize = functional.spatial_crop, functional.resize_short_side


def replace_function(name: str, function: Callable) -> Change:
    return lambda folder: patch.object(functional, name, function)


CORRUPTIONS: dict[str, tuple[Change, str]] = {
    "the biases of the keys are zero": (change_weights(zero_biases), "is not the tensor that was published"),
    "one weight is 1 % larger": (
        change_weights(lambda weights: first_matrix(weights)[0, :1].mul_(1.01)),
        "is not the tensor",
    ),
    "a row is zero": (change_weights(lambda weights: first_matrix(weights)[1].zero_()), "is not the tensor"),
    "two rows are swapped": (change_weights(swap_rows), "is not the tensor"),
    "a matrix is transposed": (change_weights(transpose), "is not the tensor"),
    "a layer is missing": (change_weights(lambda weights: weights.pop(sorted(weights)[0])), "lacks "),
    "a layer is there twice": (
        change_weights(lambda weights: weights.update({"again": next(iter(weights.values())).clone()})),
        "has too much: again",
    ),
    "a weight is no number": (
        change_weights(lambda weights: first_matrix(weights)[0, :1].fill_(float("nan"))),
        "is not the tensor",
    ),
    "weights of 8 bits": (change_weights(cast_all(torch.int8, 50)), "is not the tensor"),
    "weights that overflow in float16": (change_weights(cast_all(torch.float16, 1e6)), "is not the tensor"),
    "another epsilon": (change_model(set_epsilon), "in its features"),
    "another activation": (change_model(change_activation), "in its features"),
    "running statistics are forgotten": (change_model(reset_statistics), "in its features"),
    "classes are permuted": (
        change_config(lambda config: config["class_names"].reverse(), is_hidden=False),
        "its hash differs",
    ),
    "a class has another name": (
        change_config(lambda config: config["class_names"].__setitem__(1, "leaping")),
        "its class names are not those that were published",
    ),
    "a name is missing": (change_config(lambda config: config["class_names"].pop()), "its class names are not"),
    "blue and red are swapped": (set_key("DATA.CHANNEL_ORDER", "bgr"), "in its pixels"),
    "another mean": (set_key("DATA.MEAN", [0.485, 0.45, 0.45]), "in its pixels"),
    "another standard deviation": (set_key("DATA.STD", [0.225, 0.229, 0.225]), "in its pixels"),
    "crops lie a pixel further": (replace_function("spatial_crop", change_crop), "in its pixels"),
    "another short side": (
        replace_function("resize_short_side", lambda frames, size: functional_resize(frames, size + 4)),
        "in its pixels",
    ),
    "left and right are swapped": (change_frames(lambda video, idxs: video.read(idxs).flip(2)), "in its pixels"),
    "every frame is the next one": (change_frames(next_frames), "in its pixels"),
    "frames are reversed": (change_frames(lambda video, idxs: video.read(idxs[::-1])), "in its pixels"),
    "another sampling": (set_key("TEST.DATASET", ""), "in its frames"),
    "another number of frames": (set_key("DATA.NUM_FRAMES", 8), "in its frames: 2 clips of 8 frames"),
    "other views": (set_key("TEST.NUM_ENSEMBLE_VIEWS", 4), "in its frames: 4 clips of 4 frames"),
    "bit rot in the weights": (change_bytes("model.safetensors", flip_bit), "is not the tensor"),
    "bit rot in the video": (change_bytes("proof.mp4", flip_bit), "proof.mp4: is not the file that was published"),
    "a truncated file": (change_bytes("model.safetensors", truncate), "cannot be read"),
}
assert len(CORRUPTIONS) == 30


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_corruptions_are_refused(name: str, published: Path, tmp_path: Path):
    change, told = CORRUPTIONS[name]
    if name == "another sampling":
        change = set_key("TEST.DATASET", "kinetics_sparse" if published.name == "uniformer" else "kinetics")
    if name == "another activation" and published.name == "uniformerv2":
        change = set_key("UNIFORMERV2.ACTIVATION", "gelu")
    folder = shutil.copytree(published, tmp_path / "model")
    context = change(folder)
    with pytest.raises(UserError) as error:
        if context is None:
            load(folder)
        else:
            with context:
                load(folder)
    assert told in str(error.value) and "\n" not in str(error.value)
    assert ("published model" in told) <= isinstance(error.value, ProofError)


SOUND: dict[str, dict] = {
    **{f"float32, {n} threads": {"num_threads": n} for n in (1, 2, 3)},
    **{f"bfloat16, {n} threads": {"num_threads": n, "precision": "bfloat16"} for n in (1, 2, 3)},
    **{f"batches of {n}": {"batch_size": n} for n in (1, 2, 3, 5, 6, 8, 64)},
    "batches of 5 in bfloat16": {"batch_size": 5, "precision": "bfloat16"},
    "a copy elsewhere": {"is_copied": True},
    "weights in another order of the file": {"is_reordered": True},
    "without the video": {"verify": False},
    "reading processes": {"num_workers": 1},
    "a compiled model": {"is_compiled": True},
    "its reference formulation": {"is_reference": True},
}
assert len(SOUND) == 20
FAST = ("float32, 1 threads", "bfloat16, 1 threads", "batches of 5", "weights in another order of the file")


@pytest.mark.parametrize(
    "name", [name if name in FAST else pytest.param(name, marks=pytest.mark.slow) for name in SOUND]
)
def test_sound_uses_are_not_refused(name: str, published: Path, video_set: Path, tmp_path: Path):
    use = dict(SOUND[name])
    num_threads = use.pop("num_threads", 1)
    batch_size = use.pop("batch_size", 8)
    is_compiled, is_reference = use.pop("is_compiled", False), use.pop("is_reference", False)
    folder = published
    if use.pop("is_copied", False):
        folder = shutil.copytree(published, tmp_path / "a copy")
    if use.pop("is_reordered", False):
        folder = shutil.copytree(published, tmp_path / "reordered")
        weights = load_file(folder / "model.safetensors")
        save_file(dict(reversed(weights.items())), folder / "model.safetensors", {"written by": "another program"})
    videos = sorted((video_set / "videos").glob("*.mp4"))[:3] or sorted(video_set.rglob("*.mp4"))[:3]
    expected = small_classifier(published.name).predict(videos)
    before = torch.get_num_threads()
    torch.set_num_threads(num_threads)
    try:
        classifier = load(folder, **use)
        if is_reference:
            use_reference(classifier.model)
        if is_compiled:
            classifier.model.compile(backend="eager")
        found = classifier.predict(videos, batch_size=batch_size)
    finally:
        torch.set_num_threads(before)
    has_proof = use.get("verify", True)
    assert ("published function" in classifier.proof) == has_proof and ("not proved" in classifier.proof) != has_proof
    limit = 0.05 if use.get("precision") == "bfloat16" else 1e-5
    if published.name == "uniformer_light" and limit > 1e-5:
        limit = 0.5  # a token more or less of 8 is much
    for ours, theirs in zip(found, expected, strict=True):
        assert float((ours.scores - theirs.scores).abs().max() / theirs.scores.abs().max()) < limit


@pytest.mark.slow
def test_several_labels_are_said(tmp_path: Path):
    classifier = small_classifier("uniformerv2", changes={"DATA.MULTI_LABEL": True, "MODEL.LOSS_FUNC": "bce_logit"})
    loaded = load(publish(classifier, tmp_path / "model"))
    assert loaded.cfg.DATA.MULTI_LABEL and "published function" in loaded.proof


def test_a_folder_says_everything(published: Path):
    config = json.loads((published / "config.json").read_text())
    assert config["class_names"] == CLASS_NAMES and config["settings"]["DATA.NUM_FRAMES"] == 4
    classifier = load(published)
    assert classifier.class_names == CLASS_NAMES and classifier.views == (2, 3)
    assert not classifier.model.training
    card = (published / "README.md").read_text()
    assert "| classes | waving, jumping, reading, baking bread, drawing a cat |" in card
    assert "error" not in card and str(Path.home()) not in card + json.dumps(config)


def test_a_video_of_ones_own_proves_as_well(published: Path, video_set: Path, tmp_path: Path):
    video = next(iter(sorted(video_set.rglob("*.mp4"))))
    folder = publish(small_classifier(published.name), tmp_path / "model", proof_video=video, license_name="MIT")
    assert (folder / "proof.mp4").read_bytes() == video.read_bytes()
    assert "published function" in load(folder).proof and "| licence | MIT |" in (folder / "README.md").read_text()


@pytest.mark.slow
def test_a_folder_that_is_published_again_says_the_same_of_its_weights(tmp_path: Path):
    classifier = small_classifier("uniformerv2")
    classifier.source, classifier.window_s = "runs/odd\udcff.pyth", 6.5
    notes = {"test": "top-1 97 %", "seed": 3}
    first = publish(classifier, tmp_path / "first", license_name="MIT", notes=notes)
    again = publish(load(first), tmp_path / "again", notes={"seed": 4})
    assert (again / "README.md").read_text() == (first / "README.md").read_text().replace("seed: 3", "seed: 4")
    told = [json.loads((folder / "config.json").read_text()) for folder in (first, again)]
    assert told[1] == told[0] | {"notes": {"test": "top-1 97 %", "seed": "4"}} and told[1]["license"] == "MIT"
    other = publish(load(first), tmp_path / "other", license_name="Apache-2.0")
    assert "| licence | Apache-2.0 |" in (other / "README.md").read_text()


def test_a_full_disk_is_one_line_and_leaves_nothing(published: Path, tmp_path: Path):
    classifier = small_classifier(published.name)
    with files_end_at(20_000), pytest.raises(UserError, match=r"model: cannot be written: .*File too large"):
        publish(classifier, tmp_path / "model")
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_what_cannot_be_published_is_told(published: Path, tmp_path: Path):
    classifier = small_classifier(published.name)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").write_text("mine")
    with pytest.raises(UserError, match=r"full: is not empty; name a new folder$"):
        publish(classifier, tmp_path / "full")
    with pytest.raises(UserError, match=r"full: is not empty; name a new folder$"):
        publish(classifier, tmp_path / "full", replaces=True)
    with pytest.raises(UserError, match=r"notes\.txt: is a file; name a new folder$"):
        publish(classifier, tmp_path / "full" / "notes.txt")
    (tmp_path / "text.mp4").write_text("no video")
    whole = write_video(tmp_path / "whole.mkv", 40)
    (tmp_path / "cut.mkv").write_bytes(whole.read_bytes()[: whole.stat().st_size * 3 // 4])
    whole.unlink()
    causes = {"text.mp4": "Invalid data found", "none.mp4": "cannot be read: No such file", "cut.mkv": "is truncated: "}
    for name, cause in causes.items():
        with pytest.raises(UserError) as error:
            publish(classifier, tmp_path / "new", proof_video=tmp_path / name)
        assert str(error.value).startswith(f"the video of the proof, {tmp_path / name}: {cause}")
    assert {path.name for path in tmp_path.iterdir()} == {"full", *list(causes)[::2]}
    target = publish(classifier, tmp_path / "again")
    with pytest.raises(UserError, match="is not empty"):
        publish(classifier, target)
    assert "published function" in load(publish(classifier, target, replaces=True)).proof


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "proof.json", "proof.mp4", "proof.safetensors"])
def test_a_missing_file_is_told(name: str, published: Path, tmp_path: Path):
    folder = shutil.copytree(published, tmp_path / "model")
    (folder / name).unlink()
    with pytest.raises(UserError, match=r"is missing|it has no config\.json"):
        load(folder)
