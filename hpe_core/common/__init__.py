"""Shared by all rooms and stages: errors, geometry, files and tables on disk, dvc.lock, the loader
of params.yaml. Nothing here knows about faces, networks or corpora.
"""
