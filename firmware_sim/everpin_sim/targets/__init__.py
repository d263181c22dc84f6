"""Devices to run the agent on, all behind one small interface (protocol.py). Adding a target is one file."""
