"""A machine without a compiler is told before anything is compiled."""

import re

import pytest
import torch

from slowfast.errors import UserError
from slowfast.runtime.compiler import check_compiler

CPU = torch.device("cpu")


def test_a_missing_compiler_is_told_with_what_to_install(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("CXX", "no-such-compiler")
    message = (
        "MODEL.COMPILE True needs a C++ compiler on the CPU, and no-such-compiler is not here; install it (on Debian: "
        "apt-get install g++), name another in the environment's CXX, or leave MODEL.COMPILE True out"
    )
    with pytest.raises(UserError, match=f"^{re.escape(message)}$"):
        check_compiler("MODEL.COMPILE True", CPU)
    check_compiler("MODEL.COMPILE True", torch.device("meta"))  # as of any device whose kernels are no C++


def test_the_compiler_that_the_environment_names_counts(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("CXX", "sh")  # any program that is there
    check_compiler("--compile", CPU)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(UserError, match="sh is not here"):
        check_compiler("--compile", CPU)
    monkeypatch.delenv("CXX")
    with pytest.raises(UserError, match=r"(g|clang)\+\+ is not here"):
        check_compiler("--compile", CPU)
