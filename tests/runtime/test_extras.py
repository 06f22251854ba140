"""Optional packages: there, missing, and broken."""

import json
from pathlib import Path

import pytest

from slowfast.errors import UserError
from slowfast.runtime.extras import import_extra


def test_a_package_that_is_there_is_imported():
    assert import_extra("json", extra="export", purpose="a test") is json


def test_a_missing_package_is_one_line_that_names_the_extra():
    with pytest.raises(UserError) as error:
        import_extra("nobody_has_this", extra="export", purpose="an export to ONNX")
    assert str(error.value) == (
        "an export to ONNX needs the package nobody_has_this, which cannot be imported (No module named "
        "'nobody_has_this'); pip install 'uniformer-video[export]'"
    )


def test_a_broken_package_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "broken_package.py").write_text("raise ImportError('built for another NumPy\\nsee the log')\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(UserError, match=r"^a test needs .* \(built for another NumPy\); pip install '.*\[hub\]'$"):
        import_extra("broken_package", extra="hub", purpose="a test")
