"""Trained models in their users' hands: load one, predict, take its features, publish it."""

from slowfast.inference.classifier import Features, Prediction, VideoClassifier
from slowfast.inference.load import load_model
from slowfast.inference.model_folder import publish
from slowfast.inference.proof import ProofError

__all__ = ["Features", "Prediction", "ProofError", "VideoClassifier", "load_model", "publish"]
