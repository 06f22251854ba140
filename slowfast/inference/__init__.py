"""Trained models in their users' hands: load one, predict, take its features."""

from slowfast.inference.classifier import Features, Prediction, VideoClassifier
from slowfast.inference.load import load_model

__all__ = ["Features", "Prediction", "VideoClassifier", "load_model"]
