"""The emulated microcontroller: real firmware, the player passed through its window, the store on the littlefs of its NOR flash."""

import contextlib
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from everpin_sim import build_mcu
from everpin_sim.debian import NotAvailable
from everpin_sim.targets.bench import Bench

from .machines import Played, in_order, progress, told
from .protocol import FLASH, PLAYER, NoTarget, Target, TargetFailed

_PROGRAMS = (FLASH / "cutflash.py", *sorted(PLAYER.glob("*.py")))
_PLAY = (
    "import onboard; onboard.mount_window('/bench'); import on_mcu; on_mcu.play('/bench/tape', {})"
)


class Mcu(Target):
    """Boards with the firmware of that copy of the agent; each tape has one that is new."""

    name = "mcu"

    def play(self, folders: list[Path], agent: Path) -> Iterator[dict[str, Any]]:
        """Play on boards; raise `NoTarget` where none can be built."""
        try:
            firmware = build_mcu.build(agent=agent, tell=progress)
        except NotAvailable as problem:
            raise NoTarget(str(problem)) from None
        except build_mcu.BuildFailed as problem:
            raise TargetFailed(str(problem)) from None
        programs = {path.name: path.read_bytes() for path in _PROGRAMS}
        local = threading.local()
        with (
            tempfile.TemporaryDirectory(prefix="everpin-hil-mcu-") as scratch,
            contextlib.ExitStack() as stack,
        ):

            def board() -> Bench:
                """Return this thread's."""
                made: Bench | None = getattr(local, "board", None)
                if made is None:
                    folder = Path(scratch) / str(threading.get_ident())
                    folder.mkdir()
                    # Nothing on it asks what time it is, so its clock need not be counted in instructions.
                    made = local.board = Bench(firmware, folder, icount="")
                    stack.callback(made.close)
                return made

            def one(number: int) -> Played:
                tape = {
                    f"tape/{path.name}": path.read_bytes() for path in folders[number].iterdir()
                }
                bench = board()
                bench.renew()
                bench.pass_files(programs | tape)
                life = bench.life(_PLAY.format(number))
                ended = f"the emulator ended with {life.ended} (control.h)"
                return told(life.said, life.trace.strip() or ended)

            yield from in_order(len(folders), one)
