"""The stages: one module each, run as `python -m pipeline.NAME`, and commands beside the graph."""

import gc
import sys

# A stage imports a million objects that stay. Looking for garbage among them takes a fifth of a
# stage's start with torch; `stage.run` turns the collector on again. sys.argv[0] is "-m" only while
# Python is looking for the module to run.
if sys.argv[0] == "-m":
    gc.disable()
