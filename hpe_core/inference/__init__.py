"""What the commands of `hpe` do: files and videos in, poses out.
Options and help are cli/, the public door is predictor.py.
"""
