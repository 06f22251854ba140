"""docs/api.md names what users call: all of it, and nothing that is not there."""

import inspect
import re
from pathlib import Path

import pytest

import slowfast
from slowfast import inference
from slowfast.errors import UserError
from slowfast.inference import Features, Prediction, Stream, VideoClassifier, WindowPrediction

PAGE = (Path(__file__).parents[1] / "docs" / "api.md").read_text()
NAMES = set(re.findall(r"`(?:slowfast\.)?(\w+)", PAGE))
RESULTS = (Prediction, Features, WindowPrediction)


def public(kind: type) -> set[str]:
    return {name for name in vars(kind) if not name.startswith("_")}


def test_everything_that_users_call_is_named():
    assert {*inference.__all__, "create_model", "list_models", "load_model"} <= NAMES
    assert f"slowfast.errors.{UserError.__name__}" in PAGE
    assert public(VideoClassifier) <= NAMES
    for kind in RESULTS:
        assert set(kind.__dataclass_fields__) <= NAMES
    assert {"notes", "summary"} <= NAMES and "summary" in public(Stream)


@pytest.mark.parametrize(
    "function",
    [slowfast.load_model, VideoClassifier.predict, VideoClassifier.features, VideoClassifier.stream],
    ids=lambda function: function.__name__,
)
def test_the_defaults_are_those_of_the_page(function):
    (call,) = re.findall(rf"`(?:slowfast\.)?{function.__name__}\(([^`]*)\)`", PAGE)
    given = dict(part.split("=") for part in call.split(", ") if "=" in part)
    parameters = inspect.signature(function).parameters
    assert given == {name: repr(parameters[name].default).replace("'", '"') for name in given}


def test_every_public_function_says_what_it_takes_and_raises():
    for function in (slowfast.load_model, inference.publish, inference.export_model, VideoClassifier.predict):
        text = inspect.getdoc(function)
        assert all(f"{part}:" in text for part in ("Args", "Raises"))
