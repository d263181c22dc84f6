"""A real board on a serial port: the player and the agent's bytecode mounted from here by mpremote, the store on the board's littlefs.

`EVERPIN_BOARD` names a folder with a `board.toml` (docs/esp32.md). MicroPython must be on the board; nothing else is written to it but
a folder of its file system. Where its power can be switched, each tape begins with a cold boot, else with a soft reset.
"""

import json
import os
import subprocess
import tempfile
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from everpin_sim.targets.board_wiring import Wiring, wiring
from everpin_sim.targets.protocol import TargetError

from .machines import programs
from .protocol import NoTarget, Target, TargetFailed

_BOOT_S = 2.0
_SWITCH_S = 30.0
_LOOK = "import on_board; on_board.look()"


class Power(ABC):
    """A board's power."""

    @abstractmethod
    def on(self) -> None:
        """Switch it on."""

    @abstractmethod
    def off(self) -> None:
        """Switch it off."""


class Commands(Power):
    """The power as board.toml has it: a command each."""

    def __init__(self, at: Wiring) -> None:
        self._at = at

    def on(self) -> None:
        """Switch it on."""
        self._run(self._at.power_on)

    def off(self) -> None:
        """Switch it off."""
        self._run(self._at.power_off)

    @staticmethod
    def _run(command: tuple[str, ...]) -> None:
        try:
            subprocess.run(command, check=True, timeout=_SWITCH_S, capture_output=True)
        except (OSError, subprocess.SubprocessError) as problem:
            raise TargetFailed(f"{command[0]}: {problem}") from None


class Board(Target):
    """A board at `at`, the one that `EVERPIN_BOARD` describes when that is None; `power` switches it, where something does."""

    name = "board"

    def __init__(self, at: Wiring | None = None, power: Power | None = None) -> None:
        if at is None:
            where = os.environ.get("EVERPIN_BOARD")
            if not where:
                raise NoTarget("EVERPIN_BOARD names no folder with a board.toml (docs/bench.md)")
            try:
                at = wiring(Path(where))
            except TargetError as problem:
                raise NoTarget(str(problem)) from None
            if at.power_on and at.power_off:
                power = Commands(at)
        self.at = at
        self._power = power

    def play(self, folders: list[Path], agent: Path) -> Iterator[dict[str, Any]]:
        """Play on it, tape after tape."""
        return self.on_it(folders, agent, cold=self._power is not None)

    def on_it(self, folders: list[Path], agent: Path, cold: bool) -> Iterator[dict[str, Any]]:
        """Play on it; `cold`: its power is switched before each tape."""
        with tempfile.TemporaryDirectory(prefix="everpin-hil-board-") as scratch:
            root = Path(scratch)
            _mounted(root, agent, self.at)
            for number, folder in enumerate(folders):
                tape = root / f"tape-{number}"
                tape.mkdir()
                for path in folder.iterdir():
                    (tape / path.name).write_bytes(path.read_bytes())
                if cold and self._power is not None:
                    self._power.off()
                    time.sleep(self.at.off_s)
                    self._power.on()
                    time.sleep(_BOOT_S)
                mark = self.at.mark_pin if self.at.mark_pin >= 0 else None
                code = f"import on_board; on_board.play('{tape.name}', {number}, {mark})"
                yield from _say(root, self.at, code, "end")

    def look(self, agent: Path) -> dict[str, Any]:
        """Return the trust that lies on its flash, as a boot finds it; raise `TargetFailed`."""
        with tempfile.TemporaryDirectory(prefix="everpin-hil-board-") as scratch:
            root = Path(scratch)
            _mounted(root, agent, self.at)
            *_, found = _say(root, self.at, _LOOK, "boot")
        return found


def _mounted(root: Path, agent: Path, at: Wiring) -> None:
    """Put into a folder what the board imports: a board finds it before what is on its own flash."""
    try:
        from everpin_fleet.board import agent_files
        from everpin_fleet.board.boards import BOARDS
    except ImportError:
        raise NoTarget("a board needs the extra `board`: pip install 'everpin[board]'") from None
    for name, data in programs().items():
        (root / name).write_bytes(data)
    kind = BOARDS.get(at.board)
    if kind is None:
        raise NoTarget(f"{at.board}: no such board; there are {', '.join(BOARDS)}")
    for name, data in agent_files.compiled(agent, kind.march).items():
        target = root / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)


def _say(root: Path, at: Wiring, code: str, last: str) -> Iterator[dict[str, Any]]:
    """Run code on the board with `root` mounted; yield the facts that it says, of which `last` must be the last."""
    from everpin_fleet.board.repl import Repl

    command = Repl(at.port, at.silent_s).argv("mount", str(root), "exec", code)
    kind, noise = "", ""
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:  # fmt: skip
        silent = threading.Timer(at.silent_s, process.kill)
        silent.start()
        try:
            for line in process.stdout or ():
                silent.cancel()
                silent = threading.Timer(at.silent_s, process.kill)
                silent.start()
                try:
                    fact = json.loads(line)
                except ValueError:
                    fact = None
                if isinstance(fact, dict) and "f" in fact:
                    kind = fact["f"]
                    yield fact
                else:
                    noise = (noise + line)[-2000:]
        finally:
            silent.cancel()
            process.kill()
    if kind != last:
        raise TargetFailed(noise.strip() or "the board fell silent")
