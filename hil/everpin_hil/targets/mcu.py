"""The emulated microcontroller: real firmware, the player passed through its window, the store on the littlefs of its NOR flash."""

import contextlib
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from everpin_sim import build_mcu
from everpin_sim.targets.bench import Bench

from .machines import Played, built, files, in_order, programs, told
from .protocol import Target

_PLAY = (
    "import onboard; onboard.mount_window('/bench'); import on_mcu; on_mcu.play('/bench/tape', {})"
)


class Mcu(Target):
    """Boards with the firmware of that copy of the agent; each tape has one that is new."""

    name = "mcu"

    def play(self, folders: list[Path], agent: Path) -> Iterator[dict[str, Any]]:
        """Play on boards; raise `NoTarget` where none can be built."""
        firmware = built(build_mcu.build, agent)
        player = programs()
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
                bench = board()
                bench.renew()
                bench.pass_files(player | files(folders[number]))
                life = bench.life(_PLAY.format(number))
                ended = f"the emulator ended with {life.ended} (control.h)"
                return told(life.said, life.trace.strip() or ended)

            yield from in_order(len(folders), one)
