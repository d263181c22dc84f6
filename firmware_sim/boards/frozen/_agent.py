"""Runs the agent of this board for ever, as `everpin.ports.micropython.main` does, on the medium that the board is set to."""

import gc

import onboard

# Else the collector waits until the heap is full: what lives long lies all over it then, and nowhere is room for TLS's 16 KiB.
gc.threshold(4096)
onboard.run()
