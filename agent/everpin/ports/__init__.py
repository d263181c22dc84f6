"""Thin I/O, one folder per interpreter; which one is chosen once, where the program starts."""
