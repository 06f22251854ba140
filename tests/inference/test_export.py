"""Exported networks are the same function as the model, say what they are, and are kept only then."""

import base64
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from slowfast.cli.main import main
from slowfast.config import load_config
from slowfast.config.shipped import experiment_configs
from slowfast.datasets.build import build_file_list
from slowfast.engine.scoring import build_normalize
from slowfast.errors import UserError
from slowfast.inference import VideoClassifier, export, export_model, load_model, publish
from slowfast.inference.export_metadata import export_metadata
from slowfast.inference.folder.proof import relative_error
from slowfast.models import build_model
from tests.inference.full_disk import files_end_at
from tests.inference.models import CLASS_NAMES, small_classifier
from tests.models.weights.layouts import randomized
from tests.odd_videos import ORIENTATIONS, turn

pytestmark = pytest.mark.slow

DOCS = Path(__file__).parents[2] / "docs" / "use.md"
# Fewer blocks, since a block is traced in half a second.
SHALLOW = {
    "uniformer": {"UNIFORMER.DEPTH": [1, 1, 1, 1], "DATA.CHANNEL_ORDER": "bgr"},
    "uniformer_light": {"UNIFORMER.DEPTH": [1, 1, 2, 1]},
    "uniformerv2": {"DATA.MEAN": [0.5, 0.4, 0.3], "DATA.STD": [0.3, 0.2, 0.1]},
}
ENDINGS = {"onnx": ".onnx", "torch": ".pt2"}
Run = Callable[[Tensor], Tensor]


def exporting(family: str) -> VideoClassifier:
    return small_classifier(family, changes=SHALLOW[family])


def skip_without_onnx() -> None:
    try:
        export.check_target("network.onnx", "onnx")
    except UserError as missing:
        pytest.skip(str(missing))


def exported(folder: Path, family: str, form: str) -> tuple[Path, export.Export]:
    """A new file of a model that comes from its folder, and what was told of it."""
    if form == "onnx":
        skip_without_onnx()
    model = load_model(publish(exporting(family), folder / "model"), device="cpu")
    path = folder / f"network{ENDINGS[form]}"
    return path, export_model(model, path, form)


@pytest.fixture(scope="module", params=[(family, form) for family in SHALLOW for form in ENDINGS], ids="-".join)
def network(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, Path, export.Export]:
    """Family, file, and what the export told."""
    family, form = request.param
    return family, *exported(tmp_path_factory.mktemp(family), family, form)


def opened(path: Path) -> tuple[Run, dict]:
    """What runs a file, and its metadata, by the means of the runtime alone."""
    if path.suffix == ".pt2":
        files = {"metadata.json": ""}
        module = torch.export.load(path, extra_files=files).module()
        return module, json.loads(files["metadata.json"])
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    texts = session.get_modelmeta().custom_metadata_map
    return lambda clips: torch.from_numpy(session.run(None, {"clips": clips.numpy()})[0]), {
        name: json.loads(text) for name, text in texts.items()
    }


def test_clips_of_any_number_and_length_have_the_models_logits(network: tuple[str, Path, export.Export]):
    family, path, told = network
    run, _ = opened(path)
    model = exporting(family)
    normalize = build_normalize(model.cfg, torch.device("cpu"))
    size = model.cfg.DATA.TEST_CROP_SIZE
    # A program of torch.export takes one frame after temporal downsampling for a case of its own, and refuses it.
    lengths = (4, 6, 16) if path.suffix == ".pt2" and family == "uniformer" else (2, 4, 6, 16)
    has_free_frames = family != "uniformer_light"  # the number of kept tokens is a part of the program
    lengths = lengths if has_free_frames else (4,)
    for num_clips, num_frames in [(1, 4), (3, 4), *((2, length) for length in lengths)]:
        clips = torch.randint(0, 256, (num_clips, 3, num_frames, size, size), dtype=torch.uint8)
        with torch.no_grad():
            expected = model.model(normalize(clips))
        assert relative_error(run(clips), expected) < 1e-5
    assert told.has_free_frames == has_free_frames and told.error < 1e-5 and told.files == (path,)
    assert str(told).startswith(f"{path}: reproduces the proof: its logits differ by ")
    assert str(told).endswith("; other numbers of frames, too" if has_free_frames else "; no other number of frames")
    if not has_free_frames:
        with pytest.raises(Exception, match=r"(?i)dimension|guard|expected"):
            run(clips[:, :, :2])
    assert sorted(file.name for file in path.parent.iterdir()) == ["model", path.name]


def test_the_metadata_say_how_to_use_it(network: tuple[str, Path, export.Export]):
    family, path, _ = network
    run, about = opened(path)
    cfg = exporting(family).cfg
    assert about["format"] == "uniformer-video export 1" and about["architecture"] == cfg.MODEL.MODEL_NAME
    assert about["class_names"] == CLASS_NAMES and about["num_frames"] == 4
    assert about["has_free_frames"] is (family != "uniformer_light")
    assert about["short_side_px"] == about["crop_px"] == cfg.DATA.TEST_CROP_SIZE
    assert about["channel_order"] == cfg.DATA.CHANNEL_ORDER == ("bgr" if family == "uniformer" else "rgb")
    assert about["mean"] == list(cfg.DATA.MEAN) and about["std"] == list(cfg.DATA.STD)
    assert about["views"] == {"clips": 2, "crops": 3} and about["activation"] == "softmax"
    if family == "uniformer":
        sampling = {"kind": "dense", "dataset": "kinetics", "stride": 4, "has_offset_views": False}
        assert about["sampling"] == sampling
        assert about["average_over_views"] == "logits"
    else:
        assert about["sampling"] == {"kind": "sparse", "dataset": "kinetics_sparse"}
        assert about["average_over_views"] == ("logits" if family == "uniformer_light" else "probabilities")
    assert about["settings"]["DATA.NUM_FRAMES"] == 4 and about["source"] == "model"
    proof = about["proof"]
    values = np.frombuffer(base64.b64decode(proof["clip_base64"]), np.uint8)
    clip = torch.from_numpy(values.copy()).view(proof["clip_shape"])
    assert clip.shape == (1, 3, 4, cfg.DATA.TEST_CROP_SIZE, cfg.DATA.TEST_CROP_SIZE) and values.std() > 20
    assert relative_error(run(clip)[0], torch.tensor(proof["logits"])) < 1e-5


def test_no_batch_norm_is_left_where_a_linear_layer_reads_it(network: tuple[str, Path, export.Export]):
    _, path, _ = network
    if path.suffix == ".pt2":
        nodes = torch.export.load(path).graph.nodes
        names = {str(node.target) for node in nodes if node.op == "call_function"}
    else:
        import onnx

        names = {node.op_type for node in onnx.load(path).graph.node}
    assert names and not [name for name in names if "norm" in name.lower() and "layer" not in name.lower()]


def test_the_model_is_left_as_it_is(tmp_path: Path):
    model = exporting("uniformer")
    before = {name: value.clone() for name, value in model.model.state_dict().items()}
    kinds = [type(part) for part in model.model.modules()]
    with patch.object(export, "_traced", side_effect=UserError("stop")), pytest.raises(UserError, match="stop"):
        export_model(model, tmp_path / "network.pt2", "torch")
    after = model.model.state_dict()
    assert kinds == [type(part) for part in model.model.modules()] and before.keys() == after.keys()
    assert all(torch.equal(value, after[name]) for name, value in before.items())


def broken(model: nn.Module) -> list[str]:
    """In place of ``fold_batch_norms``: one row of the classifier is a little larger."""
    head = model.get_classifier()
    head.weight[0] *= 1.01
    return []


@pytest.mark.parametrize("form", ENDINGS)
def test_what_differs_is_not_kept(form: str, tmp_path: Path):
    if form == "onnx":
        skip_without_onnx()
    path = tmp_path / f"network{ENDINGS[form]}"
    told = (
        rf"network{ENDINGS[form]}: was not kept: what was exported differs from the model in the proof's logits by "
        rf"0\.0\d+ of the largest one; accepted: 0\.0001$"
    )
    with patch.object(export, "fold_batch_norms", broken), pytest.raises(UserError, match=told):
        export_model(exporting("uniformerv2"), path, form)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_no_longer_what_was_published_is_not_exported(tmp_path: Path):
    model = load_model(publish(exporting("uniformerv2"), tmp_path / "model"), device="cpu")
    with torch.no_grad():
        model.model.get_classifier().weight[0] *= 1.01
    with pytest.raises(UserError, match="differs from the published model in its logits"):
        export_model(model, tmp_path / "network.pt2", "torch")


def test_what_cannot_be_written_is_told(tmp_path: Path):
    model = exporting("uniformerv2")
    (tmp_path / "mine.pt2").write_text("mine")
    (tmp_path / "file").write_text("no folder")
    (tmp_path / "large.onnx.data").write_text("weights of another file")
    for name, form, told in (
        ("network.tflite", "tflite", r"form 'tflite'; accepted: onnx, torch$"),
        ("network.onnx", "torch", r"network\.onnx: accepted as a file of the form torch: names that end in \.pt2$"),
        ("mine.pt2", "torch", r"mine\.pt2: is there already; name a new file$"),
        ("large.onnx", "onnx", r"large\.onnx\.data: is there already; name a new file$"),
    ):
        with pytest.raises(UserError, match=told):
            export_model(model, tmp_path / name, form)
    with (
        patch.object(export, "_traced", side_effect=AssertionError("too late")),
        pytest.raises(UserError, match=r"file/network\.pt2: cannot be written: Not a directory$"),
    ):
        export_model(model, tmp_path / "file" / "network.pt2", "torch")
    assert (tmp_path / "mine.pt2").read_text() == "mine" and len(list(tmp_path.iterdir())) == 3


def test_a_full_disk_is_one_line_and_leaves_nothing(tmp_path: Path):
    model = load_model(publish(exporting("uniformerv2"), tmp_path / "model"), device="cpu")
    with files_end_at(20_000), pytest.raises(UserError, match=r"network\.pt2: cannot be written: File too large$"):
        export_model(model, tmp_path / "network.pt2", "torch")
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_releases_that_were_not_tried_are_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(torch, "__version__", "2.6.0+cpu")
    with pytest.raises(UserError, match=r"^an export to ONNX needs PyTorch 2.14 or newer, and this is 2.6.0\+cpu; "):
        export.check_target("network.onnx", "onnx")


@pytest.mark.parametrize("name", ["onnx", "onnxscript", "onnxruntime"])
def test_a_missing_package_is_one_line_that_names_the_extra(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
):
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(SystemExit) as stop:
        main(["export", str(tmp_path / "network.onnx"), "--to", "onnx", "--model", str(tmp_path)])
    assert stop.value.code == 2
    error = capsys.readouterr().err
    missing = ("onnx", "onnxscript", "onnxruntime")[: ("onnx", "onnxscript", "onnxruntime").index(name) + 1]
    assert error.startswith(f"error: an export to ONNX needs the package {missing[-1]}, which cannot be imported (")
    assert error.endswith("; pip install 'uniformer-video[export]'\n") and error.count("\n") == 1


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture):
    folder = publish(exporting("uniformerv2"), tmp_path / "model")
    target = tmp_path / "network.pt2"
    main(["export", str(target), "--to", "torch", "--model", str(folder)])
    printed = capsys.readouterr().out
    assert printed.startswith(f"{target}: reproduces the proof: its logits differ by ") and target.is_file()
    for words, told in (
        (["--to", "tflite"], "argument --to: invalid choice: 'tflite' (choose from "),
        (["--to", "torch"], f"error: {target}: is there already; name a new file\n"),
        ([], "the following arguments are required: --to"),
    ):
        with pytest.raises(SystemExit) as stop:
            main(["export", str(target), *words, "--model", str(folder)])
        assert stop.value.code == 2 and told in capsys.readouterr().err


def code_of_the_documentation() -> str:
    return DOCS.read_text().partition("```python\nimport json\n")[2].partition("```")[0]


@pytest.mark.parametrize(
    "changes",
    [
        {"TEST.DATASET": "kinetics"},
        {"TEST.DATASET": "kinetics", "DATA.USE_OFFSET_SAMPLING": True},
        {"TEST.DATASET": "sth", "DATA.STH_VIDEO_FPS": 24.0},
    ],
)
def test_the_reader_of_the_documentation_takes_the_frames_of_a_prediction(changes: dict):
    skip_without_onnx()
    reader: dict = {}
    exec(f"import json\n{code_of_the_documentation()}", reader)
    model = small_classifier("uniformer", changes=changes)
    about = export_metadata(
        model, torch.zeros(1, 3, 4, 2, 2, dtype=torch.uint8), torch.zeros(1, 5), has_free_frames=True
    )
    sampler = build_file_list(model.cfg, []).sampler
    for num in (1, 3, 15, 16, 17, 90):
        assert reader["indices"](num, about) == sampler(num, view_idx=0, num_views=1, rng=None)
    assert about["sampling"].get("fps") == (24 if changes["TEST.DATASET"] == "sth" else None)


@pytest.mark.parametrize("form", ENDINGS)
def test_a_model_of_two_frames_of_which_downsampling_makes_one(form: str, tmp_path: Path):
    """What is traced is the case of one frame after it, and no other number of frames is promised."""
    if form == "onnx":
        skip_without_onnx()
    model = small_classifier("uniformerv2", changes={"DATA.NUM_FRAMES": 2, "UNIFORMERV2.TEMPORAL_DOWNSAMPLE": True})
    told = export_model(model, tmp_path / f"network{ENDINGS[form]}", form)
    assert not told.has_free_frames and told.error < 1e-5


def test_the_reader_of_the_documentation_gives_the_models_probabilities(video_set: Path, tmp_path: Path):
    """Its code runs on its own, with the packages that it names; here for weights in a file beside the network."""
    code = code_of_the_documentation()
    with patch.object(export, "EXTERNAL_DATA_BYTES", 0):
        path, told = exported(tmp_path, "uniformerv2", "onnx")
    data = path.with_name("network.onnx.data")
    assert told.files == (path, data) and str(told).endswith("; needs network.onnx.data beside it")
    assert data.stat().st_size > sum(value.numel() for value in exporting("uniformerv2").model.parameters())
    video = sorted(video_set.rglob("*.mp4"))[0]
    phone = turn(Path(shutil.copyfile(video, tmp_path / "phone.mp4")), *ORIENTATIONS["counterclockwise"][0])
    videos = [str(video), str(phone)]
    script = f"import json\n{code}\nprint(json.dumps([classify({str(path)!r}, video) for video in {videos!r}]))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=tmp_path)
    predictions = exporting("uniformerv2").predict(videos, views=(1, 1), topk=5)
    for found, expected in zip(json.loads(done.stdout), predictions, strict=True):
        assert [name for name, _ in found] == [name for name, _ in expected.classes]
        for (_, ours), (_, theirs) in zip(found, expected.classes, strict=True):
            assert abs(ours - theirs) < 0.01


@pytest.mark.slow
@pytest.mark.parametrize("experiment", ["uniformerv2_b16_8x224_k400", "uniformer_s8x8_k400"])
def test_published_sizes(experiment: str, tmp_path: Path):
    skip_without_onnx()

    cfg = load_config(experiment_configs()[experiment], ["NUM_GPUS", 0])
    model = VideoClassifier(randomized(build_model(cfg)), cfg, source="made up")
    assert export_model(model, tmp_path / "network.onnx", "onnx").error < 1e-4
