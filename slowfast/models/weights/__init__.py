"""Weights from any public source: read, recognised, fitted to a model, checked, written."""
