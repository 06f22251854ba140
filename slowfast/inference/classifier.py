"""A trained model in use: videos in, class names and probabilities or features out."""

import os
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import cached_property, partial
from typing import BinaryIO

from fvcore.common.config import CfgNode
from torch import Tensor

from slowfast.config import load_config
from slowfast.config.load import flatten
from slowfast.datasets.build import build_eval_lists, build_file_list
from slowfast.datasets.clip_dataset import EvalClipDataset
from slowfast.datasets.records import VideoRecord
from slowfast.engine.scoring import Scorer
from slowfast.errors import UserError
from slowfast.evaluation.accuracy import best_classes
from slowfast.evaluation.views import to_probabilities
from slowfast.inference.arguments import check_count, is_one_video, parse_views, raise_if_failed, stream_name
from slowfast.inference.folder.origin import Origin
from slowfast.inference.inputs import Inputs, VideoInput, gathered
from slowfast.inference.results import Features, Prediction
from slowfast.inference.streaming.frame_feed import FrameFeed
from slowfast.inference.streaming.stream import Stream
from slowfast.models.registry import VideoModel
from slowfast.models.weights.integrity import tensor_hashes


class VideoClassifier:
    """A trained model with what it needs to classify videos; ``load_model`` makes one.

    Videos are paths of files or of folders of images, bytes of a file, or frames uint8 (T, H, W, 3) in RGB as an array
    or a tensor. Several of them are computed together, as many views at once as ``batch_size`` says. Several threads
    may use one object.

    Args:
        model: on its device, in evaluation mode.
        cfg: the whole config.
        class_names: in the order of the scores; None if they are not known.
        class_note: why they are not known, or what is assumed about them.
        source: of the weights, for messages.
        proof: what the proof of a model folder showed; "" for other sources.
        window_s: seconds that the videos lasted that it was trained on, usually; None if the data set's name tells it,
            or nothing does.
        origin: what the model folder that it comes from says of its weights.
    """

    def __init__(
        self,
        model: VideoModel,
        cfg: CfgNode,
        *,
        class_names: Sequence[str] | None = None,
        class_note: str = "",
        source: str = "",
        proof: str = "",
        window_s: float | None = None,
        origin: Origin | None = None,
    ) -> None:
        self.model, self.cfg, self.source, self.proof, self.origin = model, cfg, source, proof, origin or Origin()
        self.class_names, self.class_note, self.window_s = class_names, class_note, window_s
        self.device = next(model.parameters()).device

    def __repr__(self) -> str:
        model, data, views = self.cfg.MODEL, self.cfg.DATA, "x".join(map(str, self.views))
        clip = f"{data.NUM_FRAMES} frames of {data.TEST_CROP_SIZE} px, {views} views"
        return f"VideoClassifier({self.source}: {model.MODEL_NAME}, {model.NUM_CLASSES} classes, {clip}, {self.device})"

    @property
    def views(self) -> tuple[int, int]:
        """Temporal clips and spatial crops per video, unless another number is asked for."""
        return self.cfg.TEST.NUM_ENSEMBLE_VIEWS, self.cfg.TEST.NUM_SPATIAL_CROPS

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the weights: equal for equal models, wherever they came from."""
        weights = {name: value.detach().float().cpu() for name, value in self.model.state_dict().items()}
        return tensor_hashes({"model_state": weights})["model_state"]

    def predict(
        self,
        videos: VideoInput | Sequence[VideoInput],
        *,
        topk: int = 5,
        views: str | tuple[int, int] | None = None,
        batch_size: int = 8,
    ) -> Prediction | list[Prediction]:
        """Classify videos.

        Args:
            videos: one, or a list of them.
            topk: how many classes to name.
            views: temporal clips and spatial crops, such as "4x3" or (4, 3); None takes those of the model's own tests.
            batch_size: views that are computed at once.

        Returns:
            One prediction, or a list of them in the order of the videos. A video of a list that cannot be read has an
            ``error`` instead of classes.

        Raises:
            UserError: if the only video cannot be read, or an argument is wrong.
        """
        if is_one_video(videos):
            prediction = self.predict([videos], topk=topk, views=views, batch_size=batch_size)[0]
            raise_if_failed(prediction.path, prediction.error)
            return prediction
        return list(self.iterate_predictions(videos, topk=topk, views=views, batch_size=batch_size))

    def iterate_predictions(
        self,
        videos: Sequence[VideoInput],
        *,
        topk: int = 5,
        views: str | tuple[int, int] | None = None,
        batch_size: int = 8,
    ) -> Iterator[Prediction]:
        """``predict`` of many videos, one after the other, in their order: none but those of one batch are kept."""
        check_count("topk", topk)
        cfg = self._config_for(views, batch_size)
        with self._inputs(videos, cfg) as inputs:
            for result in self._scorer(cfg, inputs).iterate_records(self.model, inputs.records):
                truncated = {video.video_idx: video.cause for video in result.truncated}
                found = {
                    video.video_idx: Prediction(video.path, error=video.cause)
                    for video in [*result.failed, *result.unscored]
                }
                for idx, scores in zip(result.video_idx.tolist(), result.scores, strict=True):
                    classes, probabilities = self._named(scores, topk)
                    path = inputs.records[idx].path
                    found[idx] = Prediction(path, classes, scores, probabilities, truncated.get(idx, ""))
                yield from (found[idx] for idx in sorted(found))

    def features(
        self,
        videos: VideoInput | Sequence[VideoInput],
        *,
        layer: int | None = None,
        tokens: bool = False,
        views: str | tuple[int, int] | None = None,
        batch_size: int = 8,
    ) -> Features | list[Features]:
        """Compute features.

        Args:
            videos: one, or a list of them.
            layer: 0-based block, negative from the last, whose tokens are averaged; None for what the classifier reads.
            tokens: all tokens of the layer (by default the last one) instead of their mean.
            views: as of ``predict``.
            batch_size: views that are computed at once.

        Returns:
            One object, or a list of them in the order of the videos.

        Raises:
            UserError: if the only video cannot be read, or an argument is wrong.
        """
        if is_one_video(videos):
            features = self.features([videos], layer=layer, tokens=tokens, views=views, batch_size=batch_size)[0]
            raise_if_failed(features.path, features.error)
            return features
        return list(self.iterate_features(videos, layer=layer, tokens=tokens, views=views, batch_size=batch_size))

    def iterate_features(
        self,
        videos: Sequence[VideoInput],
        *,
        layer: int | None = None,
        tokens: bool = False,
        views: str | tuple[int, int] | None = None,
        batch_size: int = 8,
    ) -> Iterator[Features]:
        """``features`` of many videos, one after the other, in their order: none but those of one batch are kept."""
        if layer is not None:
            self.model.layer_indices([layer])
        cfg = self._config_for(views, batch_size)
        compute = partial(_features_of, self.model, layer=layer, has_tokens=tokens)
        with self._inputs(videos, cfg) as inputs:
            scorer = self._scorer(cfg, inputs)
            num_views = cfg.TEST.NUM_ENSEMBLE_VIEWS * cfg.TEST.NUM_SPATIAL_CROPS
            for batch, rows in scorer.compute_records(self.model, inputs.records, compute):
                truncated = {video.video_idx: video.cause for video in batch.truncated}
                found = {video.video_idx: Features(video.path, error=video.cause) for video in batch.failed}
                rows = rows.unflatten(0, (-1, num_views)) if len(rows) else rows
                for idx, row in zip(batch.video_idx.tolist(), rows, strict=True):
                    path = inputs.records[idx].path
                    found[idx] = (
                        Features(path, row, truncated.get(idx, ""))
                        if row.isfinite().all()
                        else Features(path, error="the model's features of it are not finite")
                    )
                yield from (found[idx] for idx in sorted(found))

    def numbers_of_views(self, views: str | tuple[int, int] | None) -> tuple[int, int]:
        """Temporal clips and spatial crops that are meant by "4x3", (4, 3) or None, the model's own.

        Raises:
            UserError: for anything else.
        """
        return self.views if views is None else parse_views(views)

    def stream(
        self,
        source: str | os.PathLike | BinaryIO,
        window_s: float | None = None,
        stride_s: float | None = None,
        *,
        topk: int = 5,
        fps: float | None = None,
        patience_s: float = 60.0,
    ) -> Stream:
        """Classify a video of any length, window by window, as its frames come.

        A window is classified as ``predict`` with the views "1x1" classifies a file that is cut to it. Where frames
        meet only at the end of the network (UniFormerV2 without temporal parts), a frame that several windows look
        at is computed once, with the same result.

        Args:
            source: path of a video file or of a camera (/dev/video0), an address (http, rtsp, ...), or a file that is
                open for reading bytes.
            window_s: seconds that a window spans; None for what the model was trained on.
            stride_s: seconds from one window to the next; None for the distance of two frames that a window looks at,
                or, if every window is computed as a whole, for half a window.
            topk: how many classes to name.
            fps: frames per second, where the source does not say it, or wrongly.
            patience_s: how long a camera or a live address may be silent before it counts as ended.

        Returns:
            Predictions to iterate over, once. Its ``notes`` say what was rounded or assumed, and ``summary()`` at the
            end what was left out.

        Raises:
            UserError: if the source cannot be opened, or an argument is wrong.
        """
        check_count("topk", topk)
        name = stream_name(source)
        feed = FrameFeed(
            source if name == "-" else name,
            name=name,
            fps=fps,
            patience_s=patience_s,
            apply_rotation=self.cfg.DATA.APPLY_ROTATION,
        )
        naming = partial(self._named, topk=topk)
        windows = {"window_s": window_s, "stride_s": stride_s, "usual_window_s": self.window_s}
        return Stream(self.model, self.cfg, feed, naming, **windows)

    def probabilities(self, scores: Tensor) -> Tensor:
        """From a video's scores (..., K) to probabilities.

        Scores are probabilities averaged over the views already, or logits averaged over them (UniFormer's tests,
        TEST.ADD_SOFTMAX False): then a softmax makes them probabilities, or for several labels per video a sigmoid.
        """
        cfg = self.cfg
        options = {"has_probabilities": cfg.TEST.ADD_SOFTMAX, "is_multi_label": cfg.DATA.MULTI_LABEL}
        return to_probabilities(scores, method=cfg.DATA.ENSEMBLE_METHOD, **options).values

    def class_name(self, idx: int) -> str:
        """The name of a class by its number, counted from 0."""
        return f"class {idx}" if self.class_names is None else self.class_names[idx]

    def _named(self, scores: Tensor, topk: int) -> tuple[list[tuple[str, float]], Tensor]:
        """The best classes of scores (K,), and the probabilities of all."""
        probabilities = self.probabilities(scores)
        best = best_classes(probabilities, topk).tolist()
        return [(self.class_name(idx), float(probabilities[idx])) for idx in best], probabilities

    def _config_for(self, views: str | tuple[int, int] | None, batch_size: int) -> CfgNode:
        check_count("batch_size", batch_size)
        keys = ("TEST.NUM_ENSEMBLE_VIEWS", "TEST.NUM_SPATIAL_CROPS", "TEST.BATCH_SIZE")
        own = dict(flatten(self.cfg)) | dict(zip(keys, (*self.numbers_of_views(views), batch_size), strict=True))
        own.pop("PLUGINS", None)
        return load_config(None, [part for pair in own.items() for part in pair])

    def _inputs(self, videos: Sequence[VideoInput], cfg: CfgNode) -> AbstractContextManager[Inputs]:
        open_file = build_file_list(cfg, []).open_source
        return gathered(videos, open_file, apply_rotation=cfg.DATA.APPLY_ROTATION)

    def _scorer(self, cfg: CfgNode, inputs: Inputs) -> Scorer:
        """Scores the inputs as a test of the config would, however they are opened."""
        scorer = Scorer.from_config(cfg, self.device)

        def build_dataset(records: Sequence[VideoRecord]) -> EvalClipDataset:
            return build_eval_lists(cfg, [replace(build_file_list(cfg, records), open_source=inputs.open_source)])

        return scorer.with_dataset(build_dataset, num_workers=0 if inputs.is_in_memory else scorer.workers.num)


def _features_of(model: VideoModel, clips: Tensor, *, layer: int | None, has_tokens: bool) -> Tensor:
    """Float32 (N, C), or with tokens (N, C, T, H, W), on the CPU."""
    if layer is None and not has_tokens:
        return model.forward_head(model.forward_features(clips), pre_logits=True).float().cpu()
    try:
        volume = model.forward_intermediates(clips, [-1 if layer is None else layer])[0].float()
    except NotImplementedError:
        told = "has no forward_intermediates, which features of a layer and tokens need"
        raise UserError(f"{type(model).__name__} {told}; accepted: those that the classifier reads") from None
    return (volume if has_tokens else volume.mean(dim=(2, 3, 4))).cpu()
