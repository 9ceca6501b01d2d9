"""Multimodal CTR prediction as a Kedro project; see README.md for where to start."""

__version__ = "0.1.0"
