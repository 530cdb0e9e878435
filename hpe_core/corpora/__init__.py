"""Corpora: readers of the official layouts, labels, splits, leaks, selection, inventory.
One module per layout. Nothing here reads pixels: that is faces/.
"""
