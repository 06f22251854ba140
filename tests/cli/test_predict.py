"""The commands that use a trained model, on three real clips and on what is no video."""

import csv
import io
import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from slowfast.errors import UserError
from slowfast.inference import VideoClassifier, load_model, publish
from slowfast.inference.feature_files import read_features
from tests.command_line import uniformer
from tests.inference.models import CLASS_NAMES, small_classifier

CLIPS = Path(__file__).parents[1] / "clips"
VIDEOS = sorted(str(path) for path in CLIPS.glob("mmaction2_*"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return publish(small_classifier("uniformerv2"), tmp_path_factory.mktemp("cli") / "model")


@pytest.fixture(scope="module")
def classifier(folder: Path) -> VideoClassifier:
    return load_model(folder, device="cpu", verify=False)


def run(capsys: pytest.CaptureFixture, *words: object) -> tuple[int, str, str]:
    """Status, standard output and standard error of a command."""
    code = uniformer(*words)
    out, err = capsys.readouterr()
    return code, out, err


def test_predictions_of_a_folder(folder: Path, classifier: VideoClassifier, capsys: pytest.CaptureFixture):
    assert len(VIDEOS) == 3
    code, out, err = run(capsys, "predict", CLIPS, "--model", folder, "--topk", 2, "--device", "cpu")
    lines = []
    for each in classifier.predict(VIDEOS, topk=2):
        lines += [each.path, *(f"  {100 * value:5.1f} %  {name}" for name, value in each.classes)]
    assert (code, err) == (0, f"note: {CLIPS}: left out: 1 .md\n") and out.splitlines() == lines


@pytest.mark.slow
def test_forms_and_views(folder: Path, classifier: VideoClassifier, capsys: pytest.CaptureFixture):
    expected = classifier.predict(VIDEOS, views="1x3")
    words = ["predict", *VIDEOS, "--model", folder, "--views", "1x3", "--device", "cpu"]
    _, out, _ = run(capsys, *words, "--json")
    for line, each in zip(out.splitlines(), expected, strict=True):
        content = json.loads(line)
        assert content["path"] == each.path
        assert [(item["name"], pytest.approx(item["probability"], abs=1e-6)) for item in content["classes"]] == [
            *each.classes
        ]
    _, out, _ = run(capsys, *words, "--csv")
    rows = list(csv.DictReader(io.StringIO(out)))
    assert list(rows[0])[:7] == ["path", "label", "prediction", "scores", "label_name", "name_1", "probability_1"]
    scores = torch.tensor([[*map(float, row["scores"].split())] for row in rows])
    torch.testing.assert_close(scores, torch.stack([each.scores for each in expected]), rtol=0, atol=1e-5)


def test_standard_input(folder: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(Path(VIDEOS[0]).read_bytes())))
    code, out, _ = run(capsys, "predict", "-", "--model", folder, "--device", "cpu")
    assert code == 0 and out.splitlines()[0] == "input 0" and len(out.splitlines()) == 1 + len(CLASS_NAMES)
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO()))
    code, _, err = run(capsys, "predict", "-", "--model", folder)
    assert code == 2 and err == "error: -: standard input is empty; accepted: the bytes of a video file\n"
    code, out, err = run(capsys, "predict", "-", VIDEOS[0], "-", "--model", folder)
    assert (code, out) == (2, "")
    assert err == "error: -: is named 2 times, and standard input is read once; accepted: once\n"


def test_what_is_no_video_is_told_and_the_others_go_on(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture):
    bad = {"text.mp4": b"no video", "empty.mp4": b"", "cut.mp4": Path(VIDEOS[0]).read_bytes()[:2000]}
    videos, nothing = tmp_path / "videos", tmp_path / "nothing"
    videos.mkdir()
    nothing.mkdir()
    for name, content in bad.items():
        (videos / name).write_bytes(content)
    (nothing / "notes.txt").touch()
    code, out, err = run(capsys, "predict", videos, nothing, VIDEOS[2], tmp_path / "none.avi", "--model", folder)
    assert code == 1 and out.splitlines()[0] == VIDEOS[2]
    note, *told, summary = err.splitlines()
    assert note == f"note: {nothing}: left out: 1 .txt"
    unread = [*(videos / name for name in sorted(bad)), nothing, tmp_path / "none.avi"]
    assert all(line.startswith(f"error: {path}: ") for line, path in zip(told, unread, strict=True))
    assert told[1].endswith(": it is empty") and "has no videos; accepted: files that end in " in told[3]
    assert summary == "error: 5 of 6 videos have no result"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (
            ["http://127.0.0.1:9/a.mp4"],
            "http://127.0.0.1:9/a.mp4: is an address, which only uniformer stream opens",
        ),
        (["{video}", "--views", "3x2"], "views '3x2'; accepted: temporal clips x spatial crops"),
        (["{video}", "--classes", "ucf101"], "--model says its experiment and classes itself"),
    ],
)
def test_mistakes_are_one_line(
    words: list[str], told: str, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture
):
    places = {"tmp": tmp_path, "video": VIDEOS[0]}
    code, out, err = run(capsys, "predict", *(word.format(**places) for word in words), "--model", folder)
    assert code == 2 and out == ""
    assert err.startswith(f"error: {told.format(**places)}") and err.count("\n") == 1


@pytest.mark.slow
def test_folders_of_frames_are_videos_and_what_is_left_out_is_told(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture
):
    for name in ("one", "two"):
        for number in range(9):
            (tmp_path / name).mkdir(exist_ok=True)
            Image.new("RGB", (40, 40), (number, 9, 200)).save(tmp_path / name / f"{number}.png")
    (tmp_path / "notes.txt").touch()
    code, out, err = run(capsys, "predict", tmp_path, "--model", folder, "--topk", 1)
    assert code == 0 and out.splitlines()[::2] == [str(tmp_path / "one"), str(tmp_path / "two")]
    assert err == f"note: {tmp_path}: left out: 1 .txt\n"
    shutil.copyfile(VIDEOS[0], tmp_path / "a.mp4")
    code, out, err = run(capsys, "predict", tmp_path, "--model", folder, "--topk", 1)
    assert code == 0 and out.splitlines()[::2] == [str(tmp_path / "a.mp4")]
    assert err == f"note: {tmp_path}: left out: 18 .png, 1 .txt\n"


def test_a_folder_that_is_not_there_is_told(tmp_path: Path, capsys: pytest.CaptureFixture):
    code, _, err = run(capsys, "predict", VIDEOS[0], "--model", tmp_path / "none")
    assert code == 2 and err == f"error: --model {tmp_path}/none: there is no such folder\n"


def test_a_picture_is_told_that_a_folder_of_them_would_do(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture):
    Image.new("RGB", (40, 40)).save(tmp_path / "a.jpg")
    code, _, err = run(capsys, "predict", tmp_path / "a.jpg", "--model", folder, "--views", "1x1")
    told = f"error: {tmp_path}/a.jpg: is a picture; accepted: video files, and folders of images"
    assert code == 1 and err.splitlines()[0] == told


def test_scores_that_are_not_finite_are_no_prediction(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture):
    broken = small_classifier("uniformerv2")
    with torch.no_grad():
        next(iter(broken.model.get_classifier().parameters()))[0] = float("nan")
    found = broken.predict(VIDEOS[:2], views="1x1")
    assert [each.error for each in found] == ["the model's output is not finite in 1 of 1 views"] * 2
    with pytest.raises(UserError, match="the model's output is not finite"):
        broken.predict(VIDEOS[0], views="1x1")
    with torch.no_grad():
        for value in broken.model.parameters():
            value.fill_(float("nan"))
    assert broken.features(VIDEOS, views="1x1")[1].error == "the model's features of it are not finite"


def test_predictions_come_out_one_by_one(classifier: VideoClassifier):
    found = classifier.iterate_predictions([*VIDEOS, "missing.mp4"], views="1x1", batch_size=1)
    assert next(found).path == VIDEOS[0]
    assert [each.path for each in found] == [*VIDEOS[1:], "missing.mp4"]


def test_jobs_make_the_shards(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture):
    words = ["features", CLIPS, "--model", folder, "--output", tmp_path / "f.npz", "--jobs", 2]
    code, _, err = run(capsys, *words, "--shard", "0/2")
    assert code == 2 and err == "error: --jobs makes the shards itself; leave out --shard\n"
    words = ["features", VIDEOS[0], "--model", folder, "--output", tmp_path / "f.npz", "--shard", "1/2"]
    code, _, err = run(capsys, *words)
    assert code == 2 and err == "error: --shard 1/2 has none of the 1 videos; name fewer shards\n"


@pytest.mark.slow
def test_features_go_on_where_they_stopped(
    folder: Path, classifier: VideoClassifier, tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch
):
    monkeypatch.setattr("slowfast.inference.feature_files.PART_VIDEOS", 1)
    expected = [each.clips.numpy() for each in classifier.features(VIDEOS, views="2x1")]
    words = ["features", *VIDEOS, "--model", folder, "--views", "2x1", "--device", "cpu", "--output"]
    whole = tmp_path / "whole.npz"
    assert run(capsys, *words, whole)[0] == 0
    read = VideoClassifier.iterate_features
    taken = []

    def stops(self: VideoClassifier, videos: list, **options: object):
        taken.append(list(videos))
        for number, each in enumerate(read(self, videos, **options)):
            if number == 2:
                raise KeyboardInterrupt
            yield each

    with monkeypatch.context() as patched:
        patched.setattr(VideoClassifier, "iterate_features", stops)
        code, _, err = run(capsys, *words, tmp_path / "resumed.npz")
    assert (code, err) == (130, "stopped by Ctrl-C\n")
    assert not (tmp_path / "resumed.npz").exists()
    code, out, err = run(capsys, *words, tmp_path / "resumed.npz")
    assert code == 0 and err == "2 of 3 videos are done already\n" and "3 videos, features (2, 24) each" in out
    for path in (whole, tmp_path / "resumed.npz"):
        table = read_features(path)
        assert list(table.paths) == VIDEOS
        np.testing.assert_allclose(table.clips, np.stack(expected), rtol=0, atol=1e-5)
        np.testing.assert_allclose(np.load(path)["video"], table.clips.mean(axis=1))
    assert not list(tmp_path.glob("*.parts"))


@pytest.mark.slow
def test_shards_layers_and_tokens(folder: Path, classifier: VideoClassifier, tmp_path: Path, capsys):
    words = ["features", CLIPS, "--model", folder, "--views", "1x1", "--device", "cpu", "--layer", "-2"]
    for shard in ("0/2", "1/2"):
        assert run(capsys, *words, "--shard", shard, "--output", tmp_path / "f.safetensors")[0] == 0
    tables = [read_features(tmp_path / f"f.{idx}-of-2.safetensors") for idx in range(2)]
    assert [list(table.paths) for table in tables] == [VIDEOS[::2], VIDEOS[1::2]]
    assert run(capsys, *words, "--tokens", "--output", tmp_path / "tokens.npz")[0] == 0
    tokens = read_features(tmp_path / "tokens.npz").clips
    assert tokens.ndim == 6
    np.testing.assert_allclose(tokens.mean(axis=(3, 4, 5))[::2], tables[0].clips, rtol=0, atol=1e-5)


@pytest.mark.slow
def test_features_that_cannot_be_written_are_told(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture):
    words = ["features", VIDEOS[0], "--model", folder, "--views", "1x1"]
    code, _, err = run(capsys, *words, "--output", tmp_path / "f.csv")
    assert code == 2 and err == f"error: {tmp_path}/f.csv: accepted: files that end in .npz or .safetensors\n"
    (tmp_path / "there.npz").touch()
    code, _, err = run(capsys, *words, "--output", tmp_path / "there.npz")
    assert code == 2 and err == f"error: {tmp_path}/there.npz: is there already; remove it, or name another file\n"
    (tmp_path / "other.npz.parts").mkdir()
    (tmp_path / "other.npz.parts" / "settings.json").write_text('{"model": "x"}')
    code, _, err = run(capsys, *words, "--output", tmp_path / "other.npz")
    assert code == 2 and "other.npz.parts: was begun with model 'x', and here it is " in err


@pytest.mark.slow
def test_a_mistake_leaves_nothing_that_stops_the_next_run(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture):
    words = ["features", VIDEOS[0], "--model", folder, "--views", "1x1", "--output", tmp_path / "f.npz"]
    code, _, err = run(capsys, *words, "--layer", 99)
    assert code == 2 and "has no block 99" in err
    assert not list(tmp_path.iterdir())
    assert run(capsys, *words)[0] == 0


@pytest.mark.slow
def test_search(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture):
    index = tmp_path / "index.npz"
    run(capsys, "features", CLIPS, "--model", folder, "--views", "1x1", "--device", "cpu", "--output", index)
    code, out, _ = run(capsys, "search", index, VIDEOS[1])
    lines = out.splitlines()
    assert code == 0 and len(lines) == 3 and lines[0] == f" 1.0000  {VIDEOS[1]}"
    copy = shutil.copyfile(VIDEOS[1], tmp_path / "copy.mp4")
    assert run(capsys, "search", index, copy, "--model", folder, "--topk", 1)[1] == f" 1.0000  {VIDEOS[1]}\n"
    code, _, err = run(capsys, "search", index, copy)
    assert code == 2 and "is not in the index; to compute its features give --checkpoint or --model" in err
    other = publish(small_classifier("uniformer"), tmp_path / "other")
    code, _, err = run(capsys, "search", index, copy, "--model", other)
    assert code == 2 and err == f"error: {other}: is not the model that {index} was made with\n"
    code, _, err = run(capsys, "search", copy, copy)
    assert code == 2 and "is no file of features, as uniformer features writes it" in err
    (tmp_path / "text.npz").write_text("notes")
    code, _, err = run(capsys, "search", tmp_path / "text.npz", copy)
    assert code == 2 and "as uniformer features writes it (it is of another kind)" in err and "pickle" not in err


def test_publish(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture):
    code, out, _ = run(capsys, "publish", folder, tmp_path / "again", "--license", "MIT")
    assert code == 0 and out.startswith(f"{tmp_path}/again: this is the published function")
    code, _, err = run(capsys, "publish", folder, tmp_path / "again")
    assert code == 2 and err == f"error: {tmp_path}/again: is not empty; name a new folder\n"
    code, out, err = run(capsys, "publish", folder, tmp_path / "bad", "--push", "bad")
    assert (code, out) == (2, "") and err.startswith("error: 'hf:bad'; accepted: hf:owner/name")
    assert not (tmp_path / "bad").exists()


def test_a_folder_that_does_not_prove_itself_is_removed(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    def load(source: str | Path, **options: object) -> VideoClassifier:
        if source == tmp_path / "other":
            raise UserError("differs from the published model in its logits")
        return load_model(source, **options)

    monkeypatch.setattr("slowfast.cli.publish.load_model", load)
    code, out, err = run(capsys, "publish", folder, tmp_path / "other")
    assert (code, out, err) == (2, "", "error: differs from the published model in its logits\n")
    assert not list(tmp_path.iterdir())
