"""Hostile ground: carriers, brokers, networks, clocks and mirrors that do one wrong thing each, by name."""
