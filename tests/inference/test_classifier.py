"""A trained model in use, from one of our checkpoints alone: predictions and features."""

import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import slowfast
from slowfast.datasets import VideoReader
from slowfast.errors import UserError
from slowfast.inference import VideoClassifier
from slowfast.models.registry import VideoModel
from tests.command_line import Outcome
from tests.inference.full_disk import files_end_at
from tests.inference.models import small_classifier
from tests.run_state import predictions

VIEWS = "10x3"


@pytest.fixture(scope="module")
def test_rows(finished_run: tuple[Path, Outcome]) -> tuple[list[str], torch.Tensor]:
    """Paths and scores of the test of the run."""
    rows = predictions(finished_run[0])
    return [row["path"] for row in rows], torch.tensor([[*map(float, row["scores"].split())] for row in rows])


@pytest.fixture(scope="module")
def classifier(finished_run: tuple[Path, Outcome], tmp_path_factory: pytest.TempPathFactory) -> VideoClassifier:
    """Loaded from a checkpoint alone: neither lists nor config of its run are near."""
    alone = tmp_path_factory.mktemp("alone") / "model.pyth"
    shutil.copyfile(finished_run[0] / "checkpoints" / "checkpoint_last.pyth", alone)
    return slowfast.load_model(alone, device="cpu")


def test_predictions_are_the_scores_of_the_test(classifier: VideoClassifier, test_rows: tuple):
    paths, scores = test_rows
    found = classifier.predict(paths)
    assert [each.path for each in found] == paths
    torch.testing.assert_close(torch.stack([each.scores for each in found]), scores, rtol=0, atol=1e-5)
    for each in found:
        torch.testing.assert_close(each.probabilities.sum(), torch.tensor(1.0))
        assert [value for _, value in each.classes] == each.probabilities.sort(descending=True).values.tolist()


def test_all_kinds_of_input_are_one_video(classifier: VideoClassifier, test_rows: tuple, tmp_path: Path):
    path = test_rows[0][0]
    with VideoReader(path) as video:
        frames = video.read(range(video.num_frames))
    for idx, frame in enumerate(frames):
        Image.fromarray(frame.numpy()).save(tmp_path / f"img_{idx + 1}.png")
    expected = classifier.predict(path)
    inputs = [Path(path), Path(path).read_bytes(), frames, frames.numpy(), tmp_path]
    found = classifier.predict(inputs)
    assert [each.path for each in found] == [path, "input 1", "input 2", "input 3", str(tmp_path)]
    for each in found:
        torch.testing.assert_close(each.scores, expected.scores, rtol=0, atol=1e-6)
    assert classifier.predict(frames).classes == found[2].classes


def test_threads_share_one_model(classifier: VideoClassifier, test_rows: tuple):
    paths, _ = test_rows
    expected = [each.scores for each in classifier.predict(paths)]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(classifier.predict, paths * 3))
    for each, scores in zip(found, expected * 3, strict=True):
        torch.testing.assert_close(each.scores, scores, rtol=0, atol=1e-6)
    assert not classifier.model.training


def test_a_video_that_cannot_be_read_leaves_the_others(classifier: VideoClassifier, test_rows: tuple, tmp_path: Path):
    paths, _ = test_rows
    text = tmp_path / "text.mp4"
    text.write_text("no video")
    found = classifier.predict([paths[0], str(text), paths[1], str(tmp_path / "none.mp4")])
    assert [bool(each.error) for each in found] == [False, True, False, True]
    assert "No such file" in found[3].error and found[1].classes == ()
    with pytest.raises(UserError, match=f"^{tmp_path}/none.mp4: "):
        classifier.predict(tmp_path / "none.mp4")
    features = classifier.features([str(text), paths[0]])
    assert features[0].error and not features[1].error


def test_features_are_what_the_classifier_reads(classifier: VideoClassifier, test_rows: tuple):
    paths, _ = test_rows
    model = classifier.model
    one = classifier.features(paths[0])
    num_clips, num_crops = classifier.views
    assert one.clips.shape == (num_clips * num_crops, model.num_features) and one.clips.dtype is torch.float32
    logits = model.get_classifier()(one.clips)
    torch.testing.assert_close(logits.softmax(dim=1).mean(dim=0), classifier.predict(paths[0]).scores)
    torch.testing.assert_close(one.video, one.clips.mean(dim=0))
    found = classifier.features(paths, views=(1, 1))
    assert [each.path for each in found] == paths and all(len(each.clips) == 1 for each in found)
    tokens = classifier.features(paths[0], layer=-1, tokens=True, views="1x1").clips
    means = classifier.features(paths[0], layer=-1, views="1x1").clips
    assert tokens.ndim == 5
    torch.testing.assert_close(tokens.mean(dim=(2, 3, 4)), means)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"topk": 0}, "topk is 0; accepted: whole numbers from 1"),
        ({"views": "4x2"}, "views '4x2'; accepted: temporal clips x spatial crops, such as 4x3; crops are 1 or 3"),
        ({"views": (0, 1)}, "views (0, 1); accepted: temporal"),
        ({"batch_size": 0}, "batch_size is 0; accepted"),
    ],
)
def test_wrong_arguments_are_told(arguments: dict, told: str, classifier: VideoClassifier, test_rows: tuple):
    with pytest.raises(UserError) as error:
        classifier.predict(test_rows[0][0], **arguments)
    assert str(error.value).startswith(told)


@pytest.mark.parametrize(
    ("frames", "told"),
    [
        (np.zeros((4, 8, 8, 3), np.float32), "input 0 is an array float32 (4, 8, 8, 3); accepted: "),
        (torch.zeros(4, 3, 8, 8, dtype=torch.uint8), "input 0 is a tensor uint8 (4, 3, 8, 8); accepted: "),
        (np.zeros((0, 8, 8, 3), np.uint8), "input 0 is an array uint8 (0, 8, 8, 3); accepted: "),
        (7, "input 0 is int; accepted: a path, bytes"),
    ],
)
def test_frames_of_another_form_are_told(frames: object, told: str, classifier: VideoClassifier):
    with pytest.raises(UserError) as error:
        classifier.predict(frames)
    assert str(error.value).startswith(told)


@pytest.mark.parametrize("layer", [1.5, "1", True, 99])
def test_a_layer_that_there_is_not_is_told(layer: object, classifier: VideoClassifier, test_rows: tuple):
    with pytest.raises(UserError, match=f"has no block {layer!r}; accepted: -"):
        classifier.features(test_rows[0][0], layer=layer)


def test_a_batch_may_be_larger_than_any_list(classifier: VideoClassifier, test_rows: tuple):
    path = test_rows[0][0]
    assert torch.equal(classifier.predict(path, batch_size=10**30).scores, classifier.predict(path).scores)


def test_a_file_that_is_called_like_an_input_is_read(
    classifier: VideoClassifier, test_rows: tuple, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    paths = test_rows[0][:2]
    shutil.copyfile(paths[0], "input 1")
    content = Path(paths[1]).read_bytes()
    expected = [classifier.predict(path, views="1x1").scores for path in paths]
    found = classifier.predict(["input 1", content], views="1x1")
    assert [each.path for each in found] == ["input 1", "input 1 in memory"]
    for each, scores in zip(found, expected, strict=True):
        torch.testing.assert_close(each.scores, scores, rtol=0, atol=1e-6)


def test_bytes_for_which_there_is_no_room_are_told(classifier: VideoClassifier, test_rows: tuple):
    content = Path(test_rows[0][0]).read_bytes()
    with files_end_at(100), pytest.raises(UserError, match=r"input 0: its bytes cannot be kept in .*: File too large"):
        classifier.predict(content)


def test_a_model_from_outside_without_intermediates_has_the_features_of_its_classifier(monkeypatch: pytest.MonkeyPatch):
    classifier = small_classifier("uniformer")
    monkeypatch.setattr(type(classifier.model), "forward_intermediates", VideoModel.forward_intermediates)
    frames = np.zeros((8, 40, 40, 3), np.uint8)
    assert classifier.features(frames, views="1x1").video.shape == (48,)
    for options in ({"layer": 0}, {"tokens": True}):
        with pytest.raises(UserError, match=r"^Uniformer has no forward_intermediates, which features of a layer and "):
            classifier.features(frames, views="1x1", **options)
