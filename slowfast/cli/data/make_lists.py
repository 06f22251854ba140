"""Make the list files of a data set from its official annotation files, or from a folder of class folders.

uniformer data lists {folder,kinetics,mit,sthv1,sthv2,anet,hacs,ucf101,hmdb51} ROOT OUT [...]
"""

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from slowfast.config.command_line import exit_with_error
from slowfast.datasets.labels import label_list_names
from slowfast.datasets.preparation.make_lists import OFFICIAL_SETS, make_folder_lists, make_official_lists
from slowfast.datasets.preparation.parallel import worker_count
from slowfast.errors import UserError
from slowfast.runtime.processes import num_cores


def add_folder_arguments(parser: argparse.ArgumentParser, media: str) -> None:
    """What all commands share."""
    parser.add_argument("root", metavar="ROOT", type=Path, help=f"folder {media}; DATA.PATH_PREFIX later")
    parser.add_argument("out", metavar="OUT", type=Path, help="folder of the lists; DATA.PATH_TO_DATA_DIR later")
    parser.add_argument("--workers", type=worker_count, default=num_cores(), help="threads that look for files")


def add_official_parser(commands: argparse._SubParsersAction, name: str) -> None:
    """Add the command of a data set with official annotation files."""
    entry = OFFICIAL_SETS[name]
    parser = commands.add_parser(name, help=f"lists of {name} from its official annotation files")
    add_folder_arguments(parser, "above the videos" if entry.has_videos else "above the folders of frames")
    parser.add_argument("--annotations", required=True, type=Path, help="folder of the official files, or the one file")
    lists = ", ".join(label_list_names())
    default = f" (default {entry.classes})" if entry.classes else ", needed because there are several orders"
    parser.add_argument(
        "--classes",
        metavar="LIST",
        default="",
        help=f"class names in the order of the labels: a file, or one of {lists}{default}",
    )
    if entry.frame_list:
        parser.add_argument(
            "--image-template", default="", help=f"file name of a frame (default {entry.image_template})"
        )
    if entry.frame_list and entry.has_videos:
        parser.add_argument("--frames", action="store_true", help="list folders of frames instead of videos")
    if entry.has_numbered_splits:
        parser.add_argument("--split", type=int, choices=(1, 2, 3), default=1, help="which of the splits (default 1)")
    if name == "kinetics":
        parser.add_argument(
            "--official-test",
            action="store_true",
            help="test list from the annotations of the test set; without, it is the validation list",
        )


def main(argv: Sequence[str] | None = None, prog: str | None = None) -> None:
    """Parse the command line, do the work and print what came of it."""
    parser = argparse.ArgumentParser(prog=prog, description="Make list files.")
    commands = parser.add_subparsers(dest="name", required=True, metavar="DATASET")
    folder = commands.add_parser("folder", help="lists of your own videos, ROOT/<class>/<video>, split at random")
    add_folder_arguments(folder, "of the class folders")
    folder.add_argument("--val-share", type=float, default=0.1, help="of each class, to validate on (default 0.1)")
    folder.add_argument("--test-share", type=float, default=0.1, help="of each class, to test on (default 0.1)")
    folder.add_argument("--seed", type=int, default=0, help="of the random split")
    for name in OFFICIAL_SETS:
        add_official_parser(commands, name)
    args = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    try:
        if args.name == "folder":
            summaries = make_folder_lists(
                args.root,
                args.out,
                val_share=args.val_share,
                test_share=args.test_share,
                seed=args.seed,
                num_workers=args.workers,
            )
        else:
            summaries = make_official_lists(
                args.name,
                args.root,
                args.out,
                args.annotations,
                classes=args.classes,
                has_frames=getattr(args, "frames", False),
                image_template=getattr(args, "image_template", ""),
                split_number=getattr(args, "split", 1),
                has_official_test=getattr(args, "official_test", False),
                num_workers=args.workers,
            )
    except UserError as error:
        exit_with_error(error)
    print("\n".join(summary.line() for summary in summaries))
    if any(summary.dropped for summary in summaries):
        print(f"what was dropped: {args.out / 'missing.csv'}")
