"""Every dependency has an oldest version, which is what CI tries."""

import runpy
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / ".ci" / "oldest_versions.py"


@pytest.fixture(scope="module")
def functions() -> dict:
    return runpy.run_path(str(SCRIPT))


def test_every_dependency_has_an_oldest_version(functions: dict):
    setup = functions["SETUP"].read_text(encoding="utf-8")
    done = subprocess.run([sys.executable, str(SCRIPT)], capture_output=True, text=True, check=True)
    pins = done.stdout.split()
    assert len(pins) == setup.count('",', setup.index("install_requires"), setup.index("extras_require"))
    for pin in pins:
        name, _, version = pin.partition("==")
        assert f'"{name}>={version}"' in setup


def test_bounds_are_read_as_they_stand(functions: dict):
    setup = """setup(install_requires=["a>=1", "b-c >= 0.1.5.post3, <2"], extras_require={"test": ["pytest"]})"""
    assert functions["oldest_versions"](setup) == ["a==1", "b-c==0.1.5.post3"]


@pytest.mark.parametrize("dependency", ["numpy", "numpy<3", "numpy>=1,>=2", "numpy==2.0"])
def test_a_dependency_without_a_lower_bound_is_refused(functions: dict, dependency: str):
    with pytest.raises(ValueError, match=rf"install_requires: {dependency}; accepted: one lower bound, numpy>=VERSION"):
        functions["oldest_versions"](f"setup(install_requires={[dependency]})")


def test_a_setup_without_dependencies_is_refused(functions: dict):
    with pytest.raises(ValueError, match="0 lists install_requires"):
        functions["oldest_versions"]("setup()")
