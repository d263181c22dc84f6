"""Thousands of agents with the real core, in-memory flash and faults of their own, in a few processes, against a real broker."""
