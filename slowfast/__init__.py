"""UniFormer and UniFormerV2 for video classification: config -> datasets -> models -> engine -> evaluation."""

__version__ = "0.1.0"
