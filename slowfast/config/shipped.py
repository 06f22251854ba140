"""Where the files are that come with the package: the configs of models, data sets, schedules and experiments."""

from pathlib import Path

from slowfast.errors import UserError

_PACKAGE = Path(__file__).resolve().parents[1]
# An installed package has them inside, where setup.py puts them; a checkout has them beside it.
_PLACES = (_PACKAGE / "shipped", _PACKAGE.parent)


def shipped_folder(name: str) -> Path:
    """The folder "configs" or "exp".

    Raises:
        UserError: if it is not there; says where it was looked for.
    """
    for place in _PLACES:
        if (place / name).is_dir():
            return place / name
    looked = " and ".join(str(place) for place in _PLACES)
    raise UserError(
        f"the configs that come with the package are missing: there is no {name} in {looked}; install again"
    )


def shipped_configs(kind: str) -> dict[str, Path]:
    """The configs of one kind, by name.

    Args:
        kind: "models", "datasets" or "schedules".

    Raises:
        UserError: if the package stands without them.
    """
    return {path.stem: path for path in sorted((shipped_folder("configs") / kind).glob("*.yaml"))}


def experiment_configs() -> dict[str, Path]:
    """The configs of the experiments, by the experiment's name.

    Raises:
        UserError: if the package stands without them.
    """
    return {path.parent.name: path for path in sorted(shipped_folder("exp").glob("*/config.yaml"))}
