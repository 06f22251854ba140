"""Under which name this package is installed, and who else claims its files."""

from importlib import metadata

DISTRIBUTION = "uniformer-video"


def told_other_distributions() -> str:
    """One line if another installed distribution brings a package ``slowfast``, too, else "".

    That name is another project's on the package index since 2020, and was ours before the distribution had one.
    """
    others = sorted(set(metadata.packages_distributions().get("slowfast", ())) - {DISTRIBUTION})
    if not others:
        return ""
    names = " ".join(others)
    return (
        f"the package slowfast is installed by {names}, too, and the files of both mix; pip uninstall {names} "
        f"{DISTRIBUTION}, then install {DISTRIBUTION} again"
    )
