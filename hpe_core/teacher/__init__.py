"""The ensemble of offsets: which windows, a network at work on them, their average, the cached
targets, the sweep, and what belongs together. Training a student on the targets is training/.
"""
