"""A state machine of the RP2040 for tests: the instructions that hil/rp2040/main.py uses, a cycle each, over a waveform.

`rp2` and `machine` are modules to be put in the places of MicroPython's.
"""

import types
from collections.abc import Callable
from typing import Any

Waveform = Callable[[int], int]


class _Assembler:
    """What a program's words do while it is assembled."""

    def __init__(self) -> None:
        self.code: list[tuple[Any, ...]] = []
        self.labels: dict[str, int] = {}

    def words(self) -> dict[str, Any]:
        def word(name: str) -> Callable[..., None]:
            return lambda *args: self.code.append((name, *args))

        names = ("pull", "mov", "wait", "jmp", "set", "irq")
        plain = {name: name for name in ("block", "x", "osr", "pin", "pins", "x_dec")}
        return {
            **{name: word(name) for name in names},
            **plain,
            "label": lambda name: self.labels.__setitem__(name, len(self.code)),
            "rel": lambda number: number,
        }


class Program:
    """An assembled program."""

    def __init__(self, function: Callable[[], None]) -> None:
        made = _Assembler()
        words = made.words()
        exec(function.__code__, {**words})  # noqa: S102 - a program's body is its words
        self.code, self.labels = made.code, made.labels


class StateMachine:
    """It runs when `clock` is called, over what its pin does."""

    made: "list[StateMachine]" = []  # noqa: RUF012 - tests look at the last

    def __init__(
        self, number: int, program: Program, freq: int, in_base: Any, set_base: Any
    ) -> None:
        self.program, self.freq, self.gate = program, freq, set_base
        self.fifo: list[int] = []
        self.handler: Callable[[Any], None] = lambda machine: None
        self.running = 0
        self.cut_at: int | None = None
        StateMachine.made.append(self)

    def irq(self, handler: Callable[[Any], None]) -> None:
        self.handler = handler

    def exec(self, text: str) -> None:
        assert text == "set(pins, 1)"
        self.gate.value(1)

    def put(self, value: int) -> None:
        assert 0 <= value < 1 << 32
        self.fifo.append(value)

    def active(self, on: int) -> None:
        self.running = on

    def clock(self, mark: Waveform, cycles: int) -> None:
        """Run so many cycles; `mark` is the input pin at each."""
        assert self.running
        at, x, osr, code, labels = 0, 0, 0, self.program.code, self.program.labels
        for cycle in range(cycles):
            name, *args = code[at % len(code)]
            step = 1
            if name == "pull":
                if not self.fifo:
                    step = 0
                else:
                    osr = self.fifo.pop(0)
            elif name == "mov":
                assert args == ["x", "osr"]
                x = osr
            elif name == "wait":
                step = int(mark(cycle) == args[0])
            elif name == "jmp":
                if x:
                    at = labels[args[1]] - 1
                x = (x - 1) & 0xFFFFFFFF
            elif name == "set":
                self.gate.value(args[1])
                self.cut_at = cycle
            elif name == "irq":
                self.handler(self)
            at = at % len(code) + step


class Pin:
    """A pin."""

    IN, OUT, PULL_DOWN = 0, 1, 2
    pins: "dict[int, int]" = {}  # noqa: RUF012 - one board

    def __init__(
        self, number: int, mode: int = 0, pull: int = 0, value: int | None = None
    ) -> None:
        self.number = number
        if value is not None:
            self.value(value)

    def value(self, level: int) -> None:
        Pin.pins[self.number] = level


def modules() -> dict[str, types.ModuleType]:
    """Return `rp2` and `machine`."""
    rp2, machine = types.ModuleType("rp2"), types.ModuleType("machine")
    said: dict[str, Any] = {
        "asm_pio": lambda **options: Program,
        "PIO": types.SimpleNamespace(OUT_LOW=0, OUT_HIGH=1),
        "StateMachine": StateMachine,
    }
    rp2.__dict__.update(said)
    machine.__dict__["Pin"] = Pin
    return {"rp2": rp2, "machine": machine}
