"""Process services: distribution, logging, reproducibility. Nothing here knows of video."""
