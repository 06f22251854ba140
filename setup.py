"""Installation of the `slowfast` package; `pip install -e .` is the supported way."""

from setuptools import find_packages, setup

setup(
    name="slowfast",
    version="0.1.0",
    description="UniFormer and UniFormerV2 for video classification",
    license="Apache-2.0",
    packages=find_packages(include=["slowfast", "slowfast.*"]),
    package_data={"slowfast.datasets.labels": ["*.txt", "*.json"]},
    python_requires=">=3.10",
    # Each has a lower bound, which is a release that exists: .ci/oldest.sh runs the tests with just these.
    install_requires=[
        "torch>=2.6",
        "torchvision>=0.21",
        "fvcore>=0.1.5.post20221221",
        "yacs>=0.1.8",  # the first with values that may be None
        "pyyaml>=6.0",
        "iopath>=0.1.9",
        "simplejson>=3.17.6",
        "av>=15",
        "numpy>=1.24",
        "pillow>=9.1",
        "safetensors>=0.4",
        "timm>=1.0.3",  # image ViTs to start from
        "scikit-learn>=1.2",  # the handwritten digits of the quickstart
        "tensorboard>=2.12",
        "matplotlib>=3.8",  # curves of training
        "tqdm>=4.64",
        "submitit>=1.5",  # jobs for SLURM
    ],
    extras_require={"test": ["pytest", "pytest-xdist", "hypothesis", "ruff", "opencv-python-headless"]},
)
