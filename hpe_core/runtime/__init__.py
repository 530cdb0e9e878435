"""What predicting takes: opening a network, of any kind of file. Finding and cutting faces is in
faces and crops; files and tables of predictions are in inference.
"""
