"""Files of weights from http(s) addresses: into a cache, whole, and with their checksum."""

import hashlib
import http.client
import logging
import re
from pathlib import Path
from urllib.parse import urlsplit

from iopath.common.file_io import HTTPURLHandler, PathManager, get_cache_dir

from slowfast.errors import UserError
from slowfast.models.weights.integrity import first_line
from slowfast.runtime import distributed

logger = logging.getLogger(__name__)

DRIVE_DOWNLOAD = "https://drive.usercontent.google.com/download?id={}&export=download&confirm=t"

_paths = PathManager()
_paths.register_handler(HTTPURLHandler())


def is_address(name: str) -> bool:
    """Whether ``name`` is an http(s) address."""
    return name.startswith(("http://", "https://"))


def direct_address(address: str) -> str:
    """The address of the file itself: Google Drive's addresses of a viewer page are translated."""
    found = re.match(r"https://drive\.google\.com/(?:file/d/|open\?id=|uc\?(?:.*&)?id=)([\w-]+)", address)
    return DRIVE_DOWNLOAD.format(found[1]) if found else address


def download(address: str) -> Path:
    """The file in iopath's cache ($FVCORE_CACHE, else ~/.torch/iopath_cache), downloaded if it is not there.

    The checksum is compared with the one that the address names; where it names none, it is logged.

    Raises:
        UserError: if it cannot be had, arrives shorter than announced, or has another checksum; it is not kept then.
    """
    url, _, fragment = address.partition("#")
    checksum = re.fullmatch(r"sha256=([0-9a-f]{8,64})", fragment.lower())
    if fragment and not checksum:
        raise UserError(f"{address}: accepted after #: sha256= and at least the first 8 hexadecimal digits")
    direct = direct_address(url)
    try:
        cache_dir = str(Path(get_cache_dir(), urlsplit(direct).netloc.replace(":", "_")))
        path = Path(_paths.get_local_path(direct, cache_dir=cache_dir))
    except (OSError, ValueError, AssertionError, http.client.HTTPException) as error:  # iopath asserts some
        raise UserError(f"{address}: cannot be downloaded: {first_line(error)}; {by_hand(url)}") from None
    actual = _sha256(path) if checksum or distributed.is_main() else ""
    if not checksum:
        if actual:
            logger.info("%s: SHA-256 %s (%s#sha256=%s checks it)", path, actual, url, actual[:16])
    elif not actual.startswith(checksum[1]):
        told = f"{discard(path, url)} has the SHA-256 {actual}, not {checksum[1]}"
        raise UserError(f"{told}; download it again, or correct the digits if the file is meant")
    return path


def discard(path: Path, location: str) -> str:
    """Take a refused download out of the cache; returns how to call it in a message."""
    if not is_address(location):
        return f"{path}:"
    path.unlink(missing_ok=True)
    return f"{location}: what arrived"


def by_hand(location: str) -> str:
    """What to do about an address that does not give the file."""
    remedy = "download the weights in a browser and name the file instead"
    if "google.com" in location:
        remedy += " (Google Drive answers with a page where too many people have downloaded a file, or one must log in)"
    return remedy


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
