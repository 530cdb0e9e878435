"""Networks at work on faces: which networks, which faces, boxes moved on purpose, what they say.
What it is worth is measured in evaluation/, which runs no network.
"""
