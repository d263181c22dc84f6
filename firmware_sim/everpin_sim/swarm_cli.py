"""`everpin sim swarm`: thousands of agents take one update. Exit status: 0 all have it, 1 any is stranded or fooled, 2 wrong use."""

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from .sim_common import Misuse, agent_folder, say, verb
from .swarm import run as swarm
from .swarm.faults import FAULTS, WrongFaults, shares
from .weather_cli import chosen_broker

_EXAMPLES = """\
examples:
  everpin sim swarm --devices 1000 --seed 7               all faults, each with its usual share of devices
  everpin sim swarm --devices 5000 --faults none          one push, and nothing goes wrong
  everpin sim swarm --devices 500 --faults cut=0.5,intruder --json
  everpin sim swarm --devices 300 --agent DIR             over another copy of agent/: a check removed there is found

Each device is the real core over flash in memory; the broker is a real one. A device's own time jumps over what it would wait for,
so that equal seeds give equal outcomes ("outcome" is their digest); seconds of this machine stand apart. A device is stranded when
it has not the update accepted, confirmed and reported in the end, or refuses its broker; fooled when it accepts an intruder or a
document that is none.

faults:
"""


def add(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the verb to `everpin sim`."""
    rows = "".join(f"  {n:<12}{w} (a share of {s})\n" for n, (w, s) in FAULTS.items())
    made = verb(
        verbs, "swarm", "Let thousands of agents take one update through one broker", _EXAMPLES + rows, _run,
    )  # fmt: skip
    made.add_argument("--devices", type=int, required=True, metavar="N", help="how many")
    made.add_argument("--seed", type=int, default=1, metavar="S", help="of all that is drawn (default: 1)")  # fmt: skip
    made.add_argument(
        "--faults", default="all", metavar="LIST", help='"all", "none", or names with shares (default: all)'
    )  # fmt: skip
    made.add_argument("--agent", metavar="DIR", help="the devices run this copy of agent/")
    made.add_argument(
        "--broker", choices=("mosquitto", "amqtt"), help="default: mosquitto when there"
    )
    made.add_argument(
        "--processes", type=int, default=min(4, os.cpu_count() or 1), metavar="N", help="of the devices (default: one for each core, four at most)",
    )  # fmt: skip


def _run(args: argparse.Namespace) -> int:
    if args.devices < 1 or args.processes < 1:
        raise Misuse("--devices and --processes: one at least")
    try:
        found_shares = shares(args.faults)
    except WrongFaults as problem:
        raise Misuse(f"--faults: {problem}") from None
    live, room = min(args.devices, swarm.LIVE_MAX), swarm.room()
    if live > room:
        raise Misuse(
            f"{live} connections at once, and this machine allows {room}: raise `ulimit -Hn`"
        )
    wanted = swarm.Wanted(
        args.devices, args.seed, found_shares, agent_folder(args.agent), chosen_broker(args.broker),
        min(args.processes, args.devices),
    )  # fmt: skip

    def tell(text: str) -> None:
        print(text, file=sys.stderr)

    with tempfile.TemporaryDirectory(prefix="everpin-swarm-") as folder:
        try:
            found = swarm.run(wanted, Path(folder), tell)
        except swarm.SwarmFailed as problem:
            say(f"the swarm ended before its time: {problem}")
            return 1
    print(json.dumps(found) if args.json else _text(found))
    return 0 if found["ok"] else 1


def _text(found: dict[str, Any]) -> str:
    faults = ", ".join(
        f"{name} {met} of {drawn}" for name, (drawn, met) in found["faults"].items()
    )
    lags = [
        f"{name} after {lag['median']} (median), {lag['p95']} (95 %), {lag['max']} at most"
        for name, lag in found["lag_s"].items()
    ]
    lines = [
        f"{found['devices']} devices, seed {found['seed']}, {found['broker']}: accepted {found['accepted']:.2%}, "
        f"confirmed {found['confirmed']:.2%}, reported {found['reported']:.2%}",
        f"in the device's own seconds: {'; '.join(lags)}",
        f"faults met: {faults}",
        f"stranded {found['stranded']}, fooled {found['fooled']}",
        *(f"  {device}: {why}" for device, why in found["which"].items()),
        f"outcome {found['outcome']}",
        f"seconds here: {found['seconds']['up']} to come up, {found['seconds']['push']} from the push on",
    ]
    return "\n".join(lines)
