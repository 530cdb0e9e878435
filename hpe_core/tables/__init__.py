"""What the stage `tables` makes: tables, figures and model cards, ours beside the paper's.
Numbers come from evaluation/.
"""
