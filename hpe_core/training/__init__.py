"""Training: augmented views, the two tasks, losses, the loop and its saved state.
Nothing here sees a test set.
"""
