"""Processes that want a folder's lock at the same moment, again and again; prints how many got it in each round."""

import json
import multiprocessing
import sys
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Barrier
from pathlib import Path

from slowfast.errors import UserError
from slowfast.runtime.folder_lock import FolderLock

NUM_PROCESSES = 6
STALE_S = 0.3


def contend(folder: Path, start: Barrier, connection: Connection) -> None:
    """Say whether this process got the lock, and keep it until told to end."""
    start.wait()
    try:
        with FolderLock(folder, stale_s=STALE_S, renew_s=STALE_S / 6):
            connection.send("held")
            connection.recv()
    except UserError as error:
        connection.send(str(error))


def one_round(folder: Path) -> list[str]:
    """What came of each process; those that were refused have ended by then, and the others hold the lock."""
    context = multiprocessing.get_context("fork")
    start = context.Barrier(NUM_PROCESSES)
    pipes = [context.Pipe() for _ in range(NUM_PROCESSES)]
    children = [context.Process(target=contend, args=(folder, start, theirs)) for _, theirs in pipes]
    for child in children:
        child.start()
    told = [ours.recv() for ours, _ in pipes]
    for ours, _ in pipes:
        ours.send("end")
    for child in children:
        child.join()
    return told


def main(root: Path, num_rounds: int, left_behind: list[str]) -> None:
    """Each round has a folder of its own, with the files of ``left_behind`` in it: name, content, name, content, ..."""
    for i in range(num_rounds):
        folder = root / f"round {i}"
        folder.mkdir()
        for name, content in zip(left_behind[::2], left_behind[1::2], strict=True):
            (folder / name).write_text(content)
        told = one_round(folder)
        left = sorted(path.name for path in folder.iterdir())
        print(
            json.dumps({"held": told.count("held"), "errors": [text for text in told if text != "held"], "left": left})
        )


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3:])
