"""Convert a checkpoint of a video model to the form of the authors' code, of MMAction2 or of this project.

uniformer convert IN OUT --to {authors,mmaction2,ours} [--classes LIST] [--source-classes LIST]
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from slowfast.datasets.labels import class_key, label_list_names, load_label_list
from slowfast.errors import UserError
from slowfast.models.weights.export import FORMS, convert_checkpoint


def main(argv: Sequence[str] | None = None, prog: str | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog=prog,
        description="Convert a checkpoint of a video model.",
        epilog=f"A LIST is a file of class names, one per line, or one of {', '.join(label_list_names())}.",
    )
    parser.add_argument(
        "source", metavar="IN", help="file or address of a checkpoint of the authors, MMAction2 or ours"
    )
    parser.add_argument("target", metavar="OUT", type=Path, help="file to write; .safetensors by its suffix")
    parser.add_argument("--to", required=True, choices=FORMS, help="the code that is to read it")
    parser.add_argument("--classes", default="", metavar="LIST", help="classes to keep, in their new order")
    parser.add_argument("--source-classes", default="", metavar="LIST", help="classes of IN, where that does not tell")
    args = parser.parse_args(argv)
    try:
        lines = convert_checkpoint(
            args.source,
            args.target,
            form=args.to,
            load_list=load_label_list,
            class_key=class_key,
            classes=args.classes,
            source_classes=args.source_classes,
        )
    except UserError as error:
        sys.exit(f"error: {error}")
    print("\n".join(lines))
