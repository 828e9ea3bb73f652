"""The tracing compiler's floors: graphs recorded from running code, and their fusion into kernels.

Today eager mode uses it: a composite entry marked `fuse=True` is traced once and runs as one kernel."""
