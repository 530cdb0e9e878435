"""How work is done: resuming, shards, prefetching, device and processes.
Nothing here knows what is computed.
"""
