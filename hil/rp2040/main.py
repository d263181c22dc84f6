"""A power switch on a Raspberry Pi Pico (MicroPython): on, off, and off so many microseconds behind the n-th mark of a board.

Wiring: GATE drives the enable input of a load switch in the board's supply (high: on), MARK is a pin of the board that rises before
each step of its flash and falls behind it. A line of text in, a line out, over USB:

    on | off                  -> ok on | ok off
    arm EDGES MICROSECONDS    -> ok armed; the power goes by itself then
    state                     -> ok on | ok off | ok armed | ok cut
    anything else             -> error ...
"""

import sys

import rp2
from machine import Pin

MARK, GATE = 2, 3
# A cycle is 100 ns: a mark is seen within two of them, and a delay is exact to one.
_HZ = 10_000_000
_PER_US = 10
_EDGES_MAX = 1 << 20
_US_MAX = 10_000_000


@rp2.asm_pio(set_init=rp2.PIO.OUT_LOW)
def cut():
    """Take edges - 1 and cycles from the FIFO; count the marks, wait, switch off, and say so."""
    pull(block)  # noqa: F821 - the words of the state machine's assembler, as all of these
    mov(x, osr)  # noqa: F821
    label("edge")  # noqa: F821
    wait(0, pin, 0)  # noqa: F821
    wait(1, pin, 0)  # noqa: F821
    jmp(x_dec, "edge")  # noqa: F821
    pull(block)  # noqa: F821
    mov(x, osr)  # noqa: F821
    label("delay")  # noqa: F821
    jmp(x_dec, "delay")  # noqa: F821
    set(pins, 0)  # noqa: F821
    irq(block, rel(0))  # noqa: F821


class Switch:
    """The switch; it is off until it is told."""

    def __init__(self):
        self._machine = None
        self._gate = Pin(GATE, Pin.OUT, value=0)
        self.state = "off"

    def _stop(self):
        if self._machine is not None:
            self._machine.active(0)
            self._machine = None
            # The state machine had the pin.
            self._gate = Pin(GATE, Pin.OUT, value=int(self.state in ("on", "armed")))

    def turn(self, on):
        """Switch on or off, and disarm."""
        self._stop()
        self._gate.value(int(on))
        self.state = "on" if on else "off"

    def arm(self, edges, us):
        """Let the power go `us` microseconds behind the n-th rising edge from now."""
        self._stop()
        machine = rp2.StateMachine(
            0, cut, freq=_HZ, in_base=Pin(MARK, Pin.IN, Pin.PULL_DOWN), set_base=Pin(GATE)
        )
        machine.irq(self._is_cut)
        machine.exec("set(pins, 1)")
        machine.put(edges - 1)
        machine.put(us * _PER_US)
        self.state = "armed"
        self._machine = machine
        machine.active(1)

    def _is_cut(self, _):
        self.state = "cut"

    def answer(self, line):
        """Do what a line says; return the answer."""
        words = line.split()
        if words in (["on"], ["off"]):
            self.turn(words == ["on"])
            return "ok " + self.state
        if words == ["state"]:
            return "ok " + self.state
        if words[:1] != ["arm"] or len(words) != 3:
            return "error on, off, arm EDGES MICROSECONDS or state"
        try:
            edges, us = int(words[1]), int(words[2])
        except ValueError:
            return "error arm takes two numbers"
        if not (1 <= edges <= _EDGES_MAX and 0 <= us <= _US_MAX):
            return "error 1 to %d edges, 0 to %d microseconds" % (_EDGES_MAX, _US_MAX)
        if self.state != "on":
            return "error it is " + self.state + ": switch it on before arming it"
        self.arm(edges, us)
        return "ok armed"


def main():
    """Answer for ever."""
    switch = Switch()
    while True:
        line = sys.stdin.readline()
        if line.strip():
            print(switch.answer(line))


if __name__ == "__main__":
    main()
