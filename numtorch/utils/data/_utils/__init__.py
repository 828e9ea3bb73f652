"""Collation, fetching, and the worker process of the DataLoader."""
