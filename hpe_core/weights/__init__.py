"""Networks and detectors that come with the package, and what may be done with them.

Not here: how they are opened (`runtime`, `faces`) or made (the pipeline, `data/detector`).
"""
