"""From an image to the crops of its faces: images, detector, boxes, matching, cutting.
Nothing here knows of corpora or labels.
"""
