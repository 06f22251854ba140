"""Where the configs are that come with the project."""

from pathlib import Path

from slowfast.errors import UserError

_CONFIGS = Path(__file__).resolve().parents[2] / "configs"


def model_configs() -> dict[str, Path]:
    """The configs of models, by name, such as uniformerv2_b16.

    Raises:
        UserError: if the package stands without the repository's configs.
    """
    folder = _CONFIGS / "models"
    if not folder.is_dir():
        raise UserError(f"there is no folder {folder}; install the repository with pip install -e, or name a config")
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}
