"""What torch.compile needs of a machine."""

import os
import shutil
import sys

import torch

from slowfast.errors import UserError


def check_compiler(option: str, device: torch.device) -> None:
    """Refuse to compile a model where its kernels could not be built; without this, PyTorch fails in the first step.

    Args:
        option: what asks for it, for the message.
        device: that computes; for the CPU torch.compile writes C++, which $CXX builds, or else the system's usual one.

    Raises:
        UserError: if there is no such compiler.
    """
    if device.type != "cpu":
        return
    compiler = os.environ.get("CXX") or ("clang++" if sys.platform == "darwin" else "g++")
    if shutil.which(compiler) is None:
        raise UserError(
            f"{option} needs a C++ compiler on the CPU, and {compiler} is not here; install it (on Debian: apt-get "
            f"install g++), name another in the environment's CXX, or leave {option} out"
        )
