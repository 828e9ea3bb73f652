"""Modules `torch` and `torchvision` for Python processes that a script under the runner spawns: the runner
puts this folder on sys.path, which multiprocessing hands to them."""
