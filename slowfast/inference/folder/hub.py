"""Model folders on the Hugging Face Hub. Needs the extra ``hub``."""

import os
import re
from pathlib import Path
from types import ModuleType

from slowfast.errors import UserError
from slowfast.runtime.extras import import_extra

PREFIX = "hf:"
# Of a repository nothing else is fetched: no code, and no weights in other formats.
FILES = ["config.json", "model.safetensors", "README.md", "proof.*"]
_NAME = r"[A-Za-z0-9][\w.-]{0,95}"


def fetch_folder(name: str) -> Path:
    """Fetch a model folder, or find it in the hub's own cache.

    Args:
        name: "hf:owner/name", or "hf:owner/name@revision" with a branch, tag or commit.

    Raises:
        UserError: if it cannot be had, or ``huggingface_hub`` is not installed.
    """
    owner_and_name, revision = parse(name)
    hub = _library()
    try:
        return Path(hub.snapshot_download(owner_and_name, revision=revision, allow_patterns=FILES))
    except Exception as error:  # of many kinds, and those of the HTTP library below
        raise UserError(f"{name}: cannot be fetched: {_told(error)}") from None


def push_folder(folder: str | os.PathLike, name: str) -> str:
    """Put a model folder into a repository of the hub, which is made if need be.

    Args:
        folder: as ``publish`` writes it.
        name: "owner/name"; the token is the one that ``hf auth login`` has kept, or HF_TOKEN.

    Returns:
        The address of the commit.

    Raises:
        UserError: if the hub refuses, or ``huggingface_hub`` is not installed.
    """
    owner_and_name, revision = parse(PREFIX + name)
    if revision is not None:
        raise UserError(f"{name}: a revision cannot be pushed to; name owner/name")
    api = _library().HfApi()
    try:
        api.create_repo(owner_and_name, exist_ok=True)
        commit = api.upload_folder(
            repo_id=owner_and_name, folder_path=str(folder), allow_patterns=FILES, commit_message="A model folder"
        )
    except Exception as error:
        raise UserError(f"{name}: {folder} cannot be pushed: {_told(error)}") from None
    return str(commit.commit_url)


def parse(name: str) -> tuple[str, str | None]:
    """Owner/name and revision of "hf:owner/name@revision".

    Raises:
        UserError: if it has another form.
    """
    found = re.fullmatch(rf"{PREFIX}({_NAME}/{_NAME})(?:@([\w./-]{{1,200}}))?", name)
    if not found:
        raise UserError(f"{name!r}; accepted: {PREFIX}owner/name or {PREFIX}owner/name@revision")
    return found[1], found[2]


def _library() -> ModuleType:
    return import_extra("huggingface_hub", extra="hub", purpose="the Hugging Face Hub")


def _told(error: Exception) -> str:
    """One line, without the advice to pass arguments that are not ours."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__
