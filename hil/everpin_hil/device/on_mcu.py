"""Plays a tape on the emulated microcontroller, its flash the board's own medium. Device dialect."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from everpin_hil.device import play_main
    from everpin_hil.device.fused import FusedFlash

    onboard: Any
else:
    import onboard  # the firmware's own
    import play_main
    from fused import FusedFlash


def play(folder: str, number: int) -> None:
    """Play one tape from the board's window."""
    print()  # ends the line on which the prompt has answered
    onboard.make()
    play_main.play(folder, number, FusedFlash(onboard.flash))
