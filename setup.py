"""Only what pyproject.toml cannot say: the repository's configs go into the package that is built."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).parent


class BuildWithConfigs(build_py):
    """Copies configs/ and the experiments' configs to slowfast/shipped, where slowfast/config/shipped.py looks first.

    An editable installation has none there, and finds those of the repository.
    """

    def run(self) -> None:
        super().run()
        if self.editable_mode:
            return
        for path in [*ROOT.glob("configs/**/*.yaml"), *ROOT.glob("exp/*/*.yaml")]:
            target = Path(self.build_lib) / "slowfast" / "shipped" / path.relative_to(ROOT)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)


setup(cmdclass={"build_py": BuildWithConfigs})
