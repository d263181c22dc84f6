"""`everpin sim weather`: devices live through hostile ground. Exit status: 0 nothing was found, 1 something was, 2 wrong use."""

import argparse
import json
import sys
import tempfile
import threading
from pathlib import Path

from . import weather
from .bed import TARGETS
from .broker import mosquitto_path
from .micropython import NoMicroPython, find
from .sim_common import Misuse, agent_folder, say, verb
from .weathers import WEATHERS

_EXAMPLES = """\
examples:
  everpin sim weather --list                            the weathers, each with one line
  everpin sim weather impostor broker-replay            two of them, on both interpreters
  everpin sim weather all --target unix --jobs 8        all of them on MicroPython, eight at a time
  everpin sim weather clock-2038 --agent DIR --json     over another copy of agent/: a check removed there is found

In each: calm, the weather with an update meanwhile, calm again. Then the device has accepted the operator's documents alone, in
order; a man in the middle got nothing; its memory has not grown; it is alive and has the update. `everpin sim hostile` serves the
hostile things themselves, for a device of yours.
"""


def add(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the verb to `everpin sim`."""
    made = verb(
        verbs, "weather", "Let devices live through hostile ground, by name", _EXAMPLES, _run
    )
    made.add_argument("names", nargs="*", metavar="NAME", help='weathers, or "all"')
    made.add_argument("--list", action="store_true", help="print the weathers")
    made.add_argument(
        "--target",
        choices=(*TARGETS, "both"),
        default="both",
        help="core is CPython, unix MicroPython, a process each (default: both)",
    )
    made.add_argument("--agent", metavar="DIR", help="the devices run this copy of agent/")
    made.add_argument(
        "--broker", choices=("mosquitto", "amqtt"), help="default: mosquitto when there"
    )
    made.add_argument("--jobs", type=int, default=4, metavar="N", help="at a time (default: 4)")


def _names(given: list[str]) -> list[str]:
    if not given:
        raise Misuse("say which weather, or all; everpin sim weather --list has them")
    names = list(WEATHERS) if given == ["all"] else given
    for name in names:
        if name not in WEATHERS:
            raise Misuse(f"{name}: no such weather; everpin sim weather --list has them")
    return names


def chosen_broker(given: str | None) -> str:
    """Return the kind of broker: what was asked for, else mosquitto when it is there; raise `Misuse`."""
    if given == "mosquitto" and mosquitto_path() is None:
        raise Misuse("mosquitto is not installed; apt-get install mosquitto")
    return given or ("mosquitto" if mosquitto_path() else "amqtt")


def _run(args: argparse.Namespace) -> int:
    if args.list:
        if args.json:
            print(json.dumps({item.name: item.what for item in WEATHERS.values()}))
        else:
            print("\n".join(f"{item.name:<28}{item.what}" for item in WEATHERS.values()))
        return 0
    names = _names(args.names)
    if args.jobs < 1:
        raise Misuse("--jobs: one at least")
    targets = list(TARGETS) if args.target == "both" else [args.target]
    if "unix" in targets:
        try:
            find()
        except NoMicroPython as lacking:
            raise Misuse(str(lacking)) from None
    lock = threading.Lock()

    def tell(found: weather.Found) -> None:
        with lock:
            memory = f"{found.rss_kib} KiB, {found.grown_kib:+} KiB"
            state = "held" if found.ok else "FOUND: " + "; ".join(found.why)
            print(f"{found.weather:<28}{found.target:<6}{found.seconds:6.1f} s  {memory:<24}{state}",
                  file=sys.stderr if args.json else sys.stdout, flush=True)  # fmt: skip

    with tempfile.TemporaryDirectory(prefix="everpin-weather-") as folder:
        try:
            found = weather.run(
                names, targets, agent_folder(args.agent), chosen_broker(args.broker), Path(folder),
                args.jobs, tell,
            )  # fmt: skip
        except RuntimeError as problem:
            say(str(problem))
            return 1
    ok = all(item.ok for item in found)
    if args.json:
        print(json.dumps({"ok": ok, "weathers": [item.plain() for item in found]}))
    else:
        wrong = sum(not item.ok for item in found)
        print(f"{len(found)} lived through, {wrong} with something found")
    return 0 if ok else 1
