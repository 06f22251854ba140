"""Find the videos of an index that are most like one.

uniformer search INDEX.npz [INDEX.npz ...] QUERY [--topk 5] [--checkpoint FILE | --model DIR]
"""

import argparse
from collections.abc import Sequence

import numpy as np

from slowfast.config.command_line import exit_with_error, positive_int
from slowfast.errors import UserError
from slowfast.inference.feature_files import FeatureTable, different, nearest, read_features
from slowfast.inference.load import load_model
from slowfast.inference.settings import feature_settings_of


def main(argv: Sequence[str] | None = None, prog: str | None = None) -> None:
    """Parse the command line, look for the nearest, print them."""
    parser = argparse.ArgumentParser(prog=prog, description="Find the videos that are most like one, by the cosine.")
    parser.add_argument("indices", nargs="+", metavar="INDEX", help="files that uniformer features wrote")
    parser.add_argument("query", metavar="QUERY", help="a path in the index, or with a model any video")
    parser.add_argument("--topk", type=positive_int, default=5, metavar="N", help="videos to name (default: 5)")
    parser.add_argument("--checkpoint", metavar="FILE", help="what the index was made with, for other videos")
    parser.add_argument("--model", metavar="DIR", help="the same, a model folder")
    parser.add_argument("--plugins", metavar="FILE.py", action="append", default=[], help="code that the model needs")
    parser.add_argument("--experiment", default="", metavar="NAME", help="folder of exp/ that public weights are of")
    args = parser.parse_args(argv)
    try:
        tables = [read_features(path) for path in args.indices]
        _check_alike(tables, args.indices)
        for cosine_of in nearest(tables, _query(tables, args), args.topk):
            print(f"{cosine_of[1]:7.4f}  {cosine_of[0]}")
    except UserError as error:
        exit_with_error(error)


def _check_alike(tables: Sequence[FeatureTable], paths: Sequence[str]) -> None:
    for table, path in zip(tables, paths, strict=True):
        if table.settings.get("tokens"):
            raise UserError(f"{path}: holds tokens; accepted: features without --tokens")
        if not len(table.paths):
            raise UserError(f"{path}: holds no video")
        if table.settings != tables[0].settings:
            key = next(iter(different(table.settings, tables[0].settings)))
            raise UserError(f"{path}: was made with another {key} than {paths[0]}; make them alike")
        if table.clips.shape[2:] != tables[0].clips.shape[2:]:
            sizes = [each.clips.shape[2] for each in (table, tables[0])]
            raise UserError(f"{path}: has features of {sizes[0]} channels, {paths[0]} of {sizes[1]}; make them alike")


def _query(tables: Sequence[FeatureTable], args: argparse.Namespace) -> np.ndarray:
    """The mean features of the query."""
    for table in tables:
        if args.query in table.paths:
            return table.video[list(table.paths).index(args.query)]
    if (args.checkpoint is None) == (args.model is None):
        raise UserError(f"{args.query}: is not in the index; to compute its features give --checkpoint or --model")
    source, settings = args.checkpoint or args.model, tables[0].settings
    classifier = load_model(source, experiment=args.experiment, plugins=args.plugins)
    if classifier.fingerprint != settings.get("model"):
        raise UserError(f"{source}: is not the model that {args.indices[0]} was made with")
    ours = feature_settings_of(classifier.cfg)
    for key in different(ours, {key: value for key, value in settings.items() if key in ours}):
        raise UserError(
            f"{source}: has {key} {ours.get(key)!r}, and {args.indices[0]} was made with {settings.get(key)!r}"
        )
    query = classifier.features(args.query, layer=settings.get("layer"), views=settings.get("views")).video.numpy()
    if query.shape != tables[0].clips.shape[2:]:
        raise UserError(
            f"{args.indices[0]}: has features of {tables[0].clips.shape[2]} channels, its model {len(query)}"
        )
    return query
