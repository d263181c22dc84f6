"""MicroPython: TLS and the runner."""
