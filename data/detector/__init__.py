"""Trains the detector that the demo ships: a pipeline of its own, see dvc.yaml."""
