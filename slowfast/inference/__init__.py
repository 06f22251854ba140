"""Trained models in their users' hands: load one, predict, take its features, publish it."""

from slowfast.inference.classifier import VideoClassifier
from slowfast.inference.load import load_model
from slowfast.inference.model_folder import publish
from slowfast.inference.proof import ProofError
from slowfast.inference.results import Features, Prediction, WindowPrediction
from slowfast.inference.stream import Stream

__all__ = [
    "Features",
    "Prediction",
    "ProofError",
    "Stream",
    "VideoClassifier",
    "WindowPrediction",
    "load_model",
    "publish",
]
