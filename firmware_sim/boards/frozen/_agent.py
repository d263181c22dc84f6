"""Runs the agent of this board for ever, as `everpin.ports.micropython.main` does, on the medium that the board is set to."""

import gc

import onboard

gc.collect()
onboard.run()
