"""Pipelines that make data: the demo corpora and the detector."""
