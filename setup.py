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
    install_requires=[
        "torch>=2.6",
        "torchvision>=0.21",
        "fvcore",
        "yacs>=0.1.6",
        "pyyaml",
        "iopath",
        "simplejson",
        "av>=14",
        "numpy",
        "pillow>=9.1",
        "safetensors",
        "timm>=1.0",  # image ViTs to start from
        "scikit-learn",  # the handwritten digits of the quickstart
        "tensorboard",
        "matplotlib>=3.7",  # curves of training
        "tqdm",
        "submitit>=1.5",  # jobs for SLURM
    ],
    extras_require={"test": ["pytest", "pytest-xdist", "hypothesis", "ruff"]},
)
