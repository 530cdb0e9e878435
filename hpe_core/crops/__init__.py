"""The pixels that a network sees: windows of an enlarged crop, and the HDF5 file of crops.
Finding faces and cutting them out of images is in faces/.
"""
