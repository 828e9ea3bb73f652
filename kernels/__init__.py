"""Kernels: raw arrays and kernel text. Nothing in here imports numtorch."""
