"""The RP2040 switch of hil/rp2040 as a labgrid power driver: on, off, and off behind the n-th mark of a board."""

from typing import Any

import attr
import serial
from labgrid.driver import Driver
from labgrid.driver.exception import ExecutionError
from labgrid.driver.powerdriver import PowerResetMixin
from labgrid.factory import target_factory
from labgrid.protocol import PowerProtocol
from labgrid.resource import Resource
from labgrid.step import step

_ANSWER_S = 3.0


@target_factory.reg_resource
@attr.s(eq=False)
class RP2040Switch(Resource):  # type: ignore[misc]
    """A Raspberry Pi Pico with hil/rp2040/main.py on it; `port` is its USB serial port."""

    port: str = attr.ib(validator=attr.validators.instance_of(str))


@target_factory.reg_driver
@attr.s(eq=False)
class RP2040SwitchDriver(Driver, PowerResetMixin, PowerProtocol):  # type: ignore[misc]
    """Switches the power. `delay` is how long it stays off in a cycle, in seconds."""

    bindings = {"switch": RP2040Switch}  # noqa: RUF012 - as labgrid reads it
    delay: float = attr.ib(default=1.0, validator=attr.validators.instance_of(float))

    def __attrs_post_init__(self) -> None:
        super().__attrs_post_init__()
        self._port: Any = None

    def on_activate(self) -> None:
        """Open its port."""
        self._port = serial.serial_for_url(self.switch.port, timeout=_ANSWER_S)

    def on_deactivate(self) -> None:
        """Close its port; the power stays as it is."""
        self._port.close()
        self._port = None

    def _ask(self, line: str) -> str:
        self._port.reset_input_buffer()
        self._port.write(line.encode() + b"\n")
        while answer := self._port.readline().decode(errors="replace").strip():
            word, _, rest = answer.partition(" ")
            if word == "ok":
                return str(rest)
            if word == "error":
                raise ExecutionError(f"{self.switch.port}: {line}: {rest}")
            # A terminal repeats what it is told.
        raise ExecutionError(
            f"{self.switch.port}: no answer to '{line}'; is hil/rp2040/main.py on it?"
        )

    @Driver.check_active  # type: ignore[untyped-decorator]
    @step()  # type: ignore[untyped-decorator]
    def on(self) -> None:
        """Switch it on."""
        self._ask("on")

    @Driver.check_active  # type: ignore[untyped-decorator]
    @step()  # type: ignore[untyped-decorator]
    def off(self) -> None:
        """Switch it off."""
        self._ask("off")

    @Driver.check_active  # type: ignore[untyped-decorator]
    @step()  # type: ignore[untyped-decorator]
    def cycle(self) -> None:
        """Switch it off and on again."""
        import time

        self.off()
        time.sleep(self.delay)
        self.on()

    @Driver.check_active  # type: ignore[untyped-decorator]
    @step()  # type: ignore[untyped-decorator]
    def arm(self, edges: int, us: int) -> None:
        """Let the power go `us` microseconds behind the n-th mark from now."""
        self._ask(f"arm {edges} {us}")

    @Driver.check_active  # type: ignore[untyped-decorator]
    @step()  # type: ignore[untyped-decorator]
    def get(self) -> str:
        """Return "on", "off", "armed" or "cut"."""
        return self._ask("state")
