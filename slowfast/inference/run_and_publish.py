"""The jobs of ``uniformer run`` and ``uniformer test``: train, test, write the test's page, publish the best model."""

import logging
from pathlib import Path

import torch
from fvcore.common.config import CfgNode

from slowfast.engine.checkpoint import CheckpointFolder
from slowfast.engine.output_dir import output_locked
from slowfast.engine.run import run
from slowfast.engine.test import IncompleteTest, test
from slowfast.errors import UserError
from slowfast.inference.folder.model_folder import FOLDER_NAME, publish
from slowfast.inference.load import load_model
from slowfast.inference.pages.report_content import write_page
from slowfast.inference.run_notes import notes_of_run
from slowfast.runtime import distributed

logger = logging.getLogger(__name__)


def run_and_publish(cfg: CfgNode, device: torch.device) -> None:
    """Train if ``TRAIN.ENABLE``, test if ``TEST.ENABLE``; of a training, write the best model to ``OUTPUT_DIR``/model.

    What cannot be shown or published is a warning: checkpoints and reports are written by then.

    Raises:
        IncompleteTest: at the end, if a test video has no scores; the model of the training is none the worse.
    """
    incomplete = None
    try:
        run(cfg, device)
    except IncompleteTest as error:
        incomplete = error
    if cfg.TEST.ENABLE:
        _show_test(cfg)
    if cfg.TRAIN.ENABLE and cfg.TRAIN.PUBLISH:
        with output_locked(Path(cfg.OUTPUT_DIR)):
            if distributed.is_main():
                _publish_best(cfg)
    if incomplete is not None:
        raise incomplete


def test_and_show(cfg: CfgNode, device: torch.device, dump: Path | None = None) -> None:
    """Test as ``slowfast.engine.test.test`` does, and write the page.

    Raises:
        IncompleteTest: at the end, if a test video has no scores.
    """
    incomplete = None
    try:
        test(cfg, device, dump)
    except IncompleteTest as error:
        incomplete = error
    _show_test(cfg)
    if incomplete is not None:
        raise incomplete


test_and_show.__test__ = False  # not a test case, whatever its name says to pytest


def _show_test(cfg: CfgNode) -> None:
    """Write the page of the test that has just ended, if ``TEST.PAGE`` asks for it and its scores are kept."""
    if not cfg.TEST.PAGE or cfg.TEST.SCORES == "none":
        return
    folder = Path(cfg.OUTPUT_DIR, "test")
    with output_locked(folder):
        if distributed.is_main():
            again = f"uniformer report {cfg.OUTPUT_DIR} writes it later, TEST.PAGE False leaves it out"
            try:
                logger.info("page for people: %s", write_page(folder, plugins=cfg.PLUGINS))
            except UserError as error:
                logger.warning("the page of the test is not written: %s; %s", error, again)
            except Exception:  # videos and code from outside may fail in any way, and the report is written
                logger.warning("the page of the test is not written; %s", again, exc_info=True)


def _publish_best(cfg: CfgNode) -> None:
    checkpoints = CheckpointFolder(Path(cfg.OUTPUT_DIR))
    folder = Path(cfg.OUTPUT_DIR, FOLDER_NAME)
    again = f"uniformer publish CHECKPOINT {folder} writes it later, TRAIN.PUBLISH False leaves it out"
    try:
        path = checkpoints.best() or checkpoints.newest()
        if path is None:
            logger.warning("no model is published: %s has no checkpoint", checkpoints.folder)
            return
        logger.info("publishing %s to %s", path, folder)
        classifier = load_model(path, plugins=cfg.PLUGINS, device="cpu")
        publish(classifier, folder, notes=notes_of_run(path), replaces=True)
        logger.info("%s: %s", folder, load_model(folder, plugins=cfg.PLUGINS, device="cpu").proof)
    except UserError as error:
        logger.warning("the model is not published: %s; %s", error, again)
    except Exception:  # a model from outside may fail in any way, and the run has done what it was for
        logger.warning("the model is not published; %s", again, exc_info=True)
