# boot.py: MicroPython runs it at every start, before main.py. Nothing needs to be done here.
