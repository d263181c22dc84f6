"""labgrid drivers that play scenarios: on a target that needs no hardware, and on a board behind a serial port and any power driver."""

import abc
import contextlib
import tempfile
import time
from pathlib import Path
from typing import Any

import attr
from labgrid.driver import Driver
from labgrid.factory import target_factory
from labgrid.protocol import PowerProtocol
from labgrid.resource import RawSerialPort, Resource
from labgrid.step import step

from everpin_sim.sources import agent_folder
from everpin_sim.targets.board_wiring import Wiring

from .. import bench, scenario, tape
from ..judge import Case, Fact
from ..targets import TARGETS, Target, TargetFailed
from ..targets.board import Board, Power

_MACHINES = ("core", "unix", "mcu", "pi")
_BOOT_S = 2.0


class Player(abc.ABC):
    """What a test asks for: `target.get_driver(Player).run("dst-x3")`."""

    @abc.abstractmethod
    def run(self, name: str, seed: int = 1, agent: Path | None = None) -> Case:
        """Play a scenario; return its case, judged, and compared with the core."""


def _run(player: Target, name: str, seed: int, agent: Path | None) -> Case:
    (case,) = bench.run(
        [scenario.load(name)], player.name, seed, agent or agent_folder(), player=player
    )
    return case


@target_factory.reg_resource
@attr.s(eq=False)
class EverpinMachine(Resource):  # type: ignore[misc]
    """A target of the bench that needs no hardware: `core`, `unix`, `mcu` or `pi`."""

    target_name: str = attr.ib(validator=attr.validators.in_(_MACHINES))


@target_factory.reg_driver
@attr.s(eq=False)
class EverpinMachineDriver(Driver, Player):  # type: ignore[misc]
    """Plays scenarios on it."""

    bindings = {"machine": EverpinMachine}  # noqa: RUF012 - as labgrid reads it

    @Driver.check_active  # type: ignore[untyped-decorator]
    @step(args=["name", "seed"])  # type: ignore[untyped-decorator]
    def run(self, name: str, seed: int = 1, agent: Path | None = None) -> Case:
        """Play a scenario; return its case."""
        return _run(TARGETS[self.machine.target_name](), name, seed, agent)


class _Driven(Power):
    """labgrid's power driver, as the bench switches a board."""

    def __init__(self, driver: Any) -> None:
        self._driver = driver

    def on(self) -> None:
        """Switch it on."""
        self._driver.on()

    def off(self) -> None:
        """Switch it off."""
        self._driver.off()


@target_factory.reg_driver
@attr.s(eq=False)
class EverpinBoardDriver(Driver, Player):  # type: ignore[misc]
    """Plays scenarios on a board that has MicroPython. `board` is its chip, `mark_pin` the pin that rises during a step of its flash."""

    bindings = {"port": RawSerialPort, "power": PowerProtocol}  # noqa: RUF012 - as labgrid reads it
    board: str = attr.ib(default="esp32", validator=attr.validators.instance_of(str))
    mark_pin: int = attr.ib(default=-1, validator=attr.validators.instance_of(int))
    silent_s: float = attr.ib(default=30.0, validator=attr.validators.instance_of(float))

    def _target(self) -> Board:
        at = Wiring(
            port=self.port.port, board=self.board, silent_s=self.silent_s, mark_pin=self.mark_pin
        )
        return Board(at, _Driven(self.power))

    @Driver.check_active  # type: ignore[untyped-decorator]
    @step(args=["name", "seed"])  # type: ignore[untyped-decorator]
    def run(self, name: str, seed: int = 1, agent: Path | None = None) -> Case:
        """Play a scenario; return its case."""
        return _run(self._target(), name, seed, agent)

    @Driver.check_active  # type: ignore[untyped-decorator]
    @step(args=["name", "edges", "us"])  # type: ignore[untyped-decorator]
    def cut(self, name: str, edges: int, us: int, seed: int = 1, agent: Path | None = None) -> str:
        """Let the power really go `us` microseconds behind the n-th step of the flash; return what is wrong then, "" for nothing.

        The power driver must be an RP2040SwitchDriver. What the board boots with is a state that the scenario has on the core.
        """
        with tempfile.TemporaryDirectory(prefix="everpin-hil-cut-") as scratch:
            folder = tape.write(tape.make(scenario.load(name), seed), Path(scratch) / "tape")
            wanted = agent or agent_folder()
            known = [
                (fact["number"], fact["root"])
                for fact in TARGETS["core"]().play([folder], wanted)
                if fact["f"] in ("boot", "state")
            ]
            target = self._target()
            self.power.on()
            time.sleep(_BOOT_S)
            self.power.arm(edges, us)
            played: list[Fact] = []
            with contextlib.suppress(TargetFailed):
                # Not `play`: that begins with a cold boot, which would disarm the switch.
                played.extend(target.on_it([folder], wanted, cold=False))
            if self.power.get() != "cut":
                return f"the cut was never met: the scenario has fewer than {edges} steps"
            time.sleep(target.at.off_s)
            self.power.on()
            time.sleep(_BOOT_S)
            found = target.look(wanted)
        if (found["number"], found["root"]) not in known:
            return (
                f"it boots with {found['number']} under root {found['root']}, which it never had"
            )
        return ""
