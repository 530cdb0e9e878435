"""Networks: bins, backbones and heads, checkpoints.
Training is in training/, ensembles are in teacher/.
"""
