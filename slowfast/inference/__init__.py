"""Trained models in their users' hands: predictions, features, streams, publishing and exports."""

from slowfast.inference.classifier import VideoClassifier
from slowfast.inference.export import Export, export_model
from slowfast.inference.folder.model_folder import publish
from slowfast.inference.folder.proof import ProofError
from slowfast.inference.load import load_model
from slowfast.inference.results import Features, Prediction, WindowPrediction
from slowfast.inference.streaming.stream import Stream

__all__ = [
    "Export",
    "Features",
    "Prediction",
    "ProofError",
    "Stream",
    "VideoClassifier",
    "WindowPrediction",
    "export_model",
    "load_model",
    "publish",
]
