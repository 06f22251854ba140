"""One run at a time in a folder: a file there says who writes, and is renewed for as long as the run lives.

Locks of the operating system are void on some network disks, so that the lock is a file which exactly one process can
make. Of a holder on this machine the system tells whether it lives. Of one elsewhere only its file can tell: whoever
wants the folder watches it, by a clock of its own, until it is renewed or ``STALE_S`` are over. The clocks of two
machines are never compared.

A lock whose holder is gone is taken over. Who may do that is settled by a claim, a second file that exactly one process
can make, named after the holder; a holder that dies with a claim alone is the next one to be gone.
"""

import contextlib
import logging
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from slowfast.errors import UserError
from slowfast.runtime.files import writing
from slowfast.runtime.interruption import raise_if_stopped
from slowfast.runtime.lock_holder import Holder

logger = logging.getLogger(__name__)

LOCK_NAME = "run.lock"
RENEW_S = 10.0
# Longer than a network disk or a suspended machine usually takes to come back.
STALE_S = 60.0
# A process that is about to end must not wait for a disk that does not answer.
_RELEASE_S = 2.0

_held: set["FolderLock"] = set()


class _Seen(NamedTuple):
    """A lock or claim as it was found: where, its bytes, its time of change, and what the bytes say."""

    path: Path
    content: bytes
    changed_ns: int
    holder: Holder


class FolderLock:
    """A folder for this process alone, as a context; the folder is made if need be, and removed again if left empty.

    Args:
        folder: where the run writes; of several processes one takes the lock.
        key: how messages call it, such as the key of the config that names it.
        renew_s: seconds between renewals.
        stale_s: without a renewal after which a holder counts as gone that the system cannot be asked about.
    """

    def __init__(
        self, folder: Path, *, key: str = "OUTPUT_DIR", renew_s: float = RENEW_S, stale_s: float = STALE_S
    ) -> None:
        self.folder, self.path, self._key = folder, folder / LOCK_NAME, key
        self._renew_s, self._stale_s = renew_s, stale_s
        self._own = Holder.this_process()
        self._made: list[Path] = []
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._keep_renewing, name="folder lock", daemon=True)

    def __enter__(self) -> "FolderLock":
        """Take the lock.

        Raises:
            UserError: if another run has it, or the folder cannot be written to.
            Interrupted: if this process is asked to stop meanwhile.
        """
        try:
            self._make_folder()
            with writing(self.path, f"choose another {self._key}"):
                self._acquire()
        except BaseException:
            self._remove_made()
            raise
        _held.add(self)
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._is_over.set()
        self._thread.join(timeout=_RELEASE_S)
        self.release()

    def check(self) -> None:
        """Make sure that the lock is still this run's, before it writes what another one might read or replace.

        Raises:
            UserError: if another run has taken it over.
        """
        found = None
        with contextlib.suppress(OSError):  # what is written next says it in words
            found = _look(self.path)
        if found is not None and found.holder.id != self._own.id:
            raise UserError(
                f"{self.folder}: {found.holder} has taken this folder over, because this run had not renewed "
                f"{LOCK_NAME} for {self._stale_s:g} s (was its machine suspended, or its disk away?); this run writes "
                f"nothing more there. Start it again once the other one has ended: it resumes"
            )

    def release(self) -> None:
        """Give the folder free, unless another run has taken it over."""
        _held.discard(self)
        self._is_over.set()
        with contextlib.suppress(OSError):
            found = _look(self.path)
            if found is not None and found.holder.id == self._own.id:
                self.path.unlink()
        self._remove_made()

    def _make_folder(self) -> None:
        missing = [folder for folder in (self.folder, *self.folder.parents) if not os.path.exists(folder)]
        for folder in reversed(missing):
            try:
                folder.mkdir()
            except FileExistsError:  # another run has just made it
                continue
            except OSError as error:
                raise UserError(f"{self._key} {self.folder}: {folder} cannot be made: {error.strerror}") from None
            self._made.append(folder)
        if not os.path.isdir(self.folder):
            raise UserError(f"{self._key} {self.folder}: is no folder")

    def _remove_made(self) -> None:
        with contextlib.suppress(OSError):
            while self._made:
                self._made[-1].rmdir()
                self._made.pop()

    # Taking it

    def _acquire(self) -> None:
        while not _create(self.path, self._own.dump()):
            raise_if_stopped()
            chain = list(self._chain())
            if chain and self._is_gone(chain) and self._take_over(chain):
                return

    def _chain(self) -> Iterator[_Seen]:
        """The lock, the claim on it, the claim on that one, ...: the last of them counts."""
        seen = _look(self.path)
        while seen is not None:
            yield seen
            seen = _look(self._claim_on(seen.holder))

    def _claim_on(self, holder: Holder) -> Path:
        return self.path.with_name(f"{LOCK_NAME}.after-{holder.id}")

    def _is_gone(self, chain: list[_Seen]) -> bool:
        """Whether the holder of the lock is gone; False if the lock has changed and is to be looked at again.

        Raises:
            UserError: if the holder lives.
        """
        holder = chain[-1].holder
        is_alive = holder.is_alive()
        if is_alive is None:
            logger.info(
                "%s: waiting for up to %g s whether %s still lives, and renews %s",
                *(self.folder, self._stale_s, holder, LOCK_NAME),
            )
            deadline = time.monotonic() + self._stale_s
            while is_alive is None and time.monotonic() < deadline:
                raise_if_stopped()
                time.sleep(self._stale_s / 60)
                now = [_look(seen.path) for seen in chain]
                has_changed = [seen and seen.holder.id for seen in now] != [seen.holder.id for seen in chain]
                if has_changed or (now != chain and not holder.pid):  # a file that is just being written has no name
                    return False
                is_alive = True if now != chain else None
        if is_alive:
            raise UserError(
                f"{self.folder} is in use: {holder} writes there. Wait for its end, stop it, or choose another "
                f"{self._key}; if you know that it is gone, remove {self.path}"
            )
        return True

    def _take_over(self, chain: list[_Seen]) -> bool:
        """Replace a lock whose holder is gone; False if another process has done so."""
        claim = self._claim_on(chain[-1].holder)
        if not _create(claim, self._own.dump()):
            return False
        # Claims are removed after the lock has been replaced: on a lock that is another one by now, this one is late.
        now = _look(self.path)
        if now is None or now.holder.id != chain[0].holder.id:
            claim.unlink()
            return False
        os.replace(claim, self.path)
        for seen in chain[1:]:
            seen.path.unlink(missing_ok=True)
        logger.warning("%s: %s is gone and has left %s behind; taken over", self.folder, chain[-1].holder, LOCK_NAME)
        return True

    # Keeping it

    def _keep_renewing(self) -> None:
        while not self._is_over.wait(self._renew_s):
            with contextlib.suppress(OSError):  # a disk that is away for a while
                self._renew()

    def _renew(self) -> None:
        """Write the time into the file, if it is still this run's; one that was removed by hand is made again."""
        try:
            with self.path.open("r+b") as file:
                if Holder.parse(file.read()).id == self._own.id:
                    file.seek(0)
                    file.write(self._own.dump())  # of the same length, so that no reader meets half of it
        except FileNotFoundError:
            _create(self.path, self._own.dump())


def release_held_locks() -> None:
    """Release what this process holds, from any thread, before it ends without unwinding; within seconds."""
    for lock in list(_held):
        thread = threading.Thread(target=lock.release, daemon=True)
        thread.start()
        thread.join(timeout=_RELEASE_S)


def _create(path: Path, content: bytes) -> bool:
    """Make a file; False if it is there. Of several processes that do this at once, one succeeds."""
    try:
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
    except FileExistsError:
        return False
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        path.unlink(missing_ok=True)
        raise
    return True


def _look(path: Path) -> _Seen | None:
    """What a file says now; None if it is not there."""
    try:
        with path.open("rb") as file:  # opened each time: only then network disks ask their server
            # In this order: an empty file with the time of its content would look like one that is renewed.
            changed_ns, content = os.fstat(file.fileno()).st_mtime_ns, file.read(1 << 16)
    except FileNotFoundError:
        return None
    except PermissionError:
        content, changed_ns = b"", path.stat().st_mtime_ns
    return _Seen(path, content, changed_ns, Holder.parse(content))
