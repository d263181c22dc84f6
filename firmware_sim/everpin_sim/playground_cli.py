"""`everpin sim run`, and what is said to it: `cut`, `on`, `reset`, `clock`, `net`, `status`, `stop`.

Exit status: 0 done, 1 the playground or a device failed, 2 wrong use, no such device, or no playground.
"""

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

from . import fleet
from .playground import NoPlayground, Playground, ask, default_folder
from .sim_common import Misuse, agent_folder, say, unix_of, verb
from .targets import registry
from .targets.events import Event
from .targets.protocol import TargetError
from .weather_cli import chosen_broker

_DEVICES_MAX = 64
_RUN = """\
examples:
  everpin sim run --target unix -n 3       three MicroPython devices, their consoles in this terminal
  everpin sim run --target core --for 30   one CPython device, for thirty seconds
  everpin sim run -n 2 --json              one JSON object for each event, with its device

In another terminal:
  everpin sim cut meter-1                  its power is gone; everpin sim on meter-1 brings it back
  everpin sim clock meter-2 2038-01-19
  everpin sim net meter-3 off
  everpin sim stop

The fleet is a real one: everpin pin, sign and publish work in its folder, which is printed at the start.
"""
_QUIET = ("heap",)


def add(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the verbs to `everpin sim`."""
    made = verb(
        verbs,
        "run",
        "Run devices with a fleet, a broker and a mirror, as a playground",
        _RUN,
        _run,
    )
    made.add_argument(
        "--target",
        choices=registry.names(),
        default="unix",
        help="what the devices are (default: unix)",
    )
    made.add_argument(
        "-n", type=int, default=1, metavar="N", dest="count", help="how many (default: 1)"
    )
    made.add_argument(
        "--for",
        type=float,
        metavar="SECONDS",
        dest="seconds",
        help="end by itself (default: when told, or interrupted)",
    )
    made.add_argument("--agent", metavar="DIR", help="the devices run this copy of agent/")
    made.add_argument(
        "--broker", choices=("mosquitto", "amqtt"), help="default: mosquitto when there"
    )
    _dir(made)
    for name, text, example in (
        ("cut", "Cut a device's power", "everpin sim cut meter-1"),
        ("on", "Switch a device's power on again", "everpin sim on meter-1"),
        ("reset", "Reboot a device", "everpin sim reset meter-1"),
    ):
        _dir(_device(verbs, name, text, example))
    made = _device(
        verbs,
        "clock",
        "Set a device's clock, which runs on from there",
        "everpin sim clock meter-1 2038-01-19\n  everpin sim clock meter-1 unset",
    )
    made.add_argument(
        "time",
        metavar="TIME",
        help='ISO date or time (UTC where no zone is said), "now" or "unset"',
    )
    _dir(made)
    made = _device(
        verbs, "net", "Plug a device's network in or out", "everpin sim net meter-1 off"
    )
    made.add_argument("state", choices=("on", "off"))
    _dir(made)
    for name, text in (
        ("status", "Show the running playground's devices"),
        ("stop", "End the running playground"),
    ):
        _dir(verb(verbs, name, text, f"examples:\n  everpin sim {name}\n", _told))


def _device(
    verbs: "argparse._SubParsersAction[argparse.ArgumentParser]",
    name: str,
    text: str,
    example: str,
) -> argparse.ArgumentParser:
    made = verb(
        verbs, name, text + " in the running playground", f"examples:\n  {example}\n", _told
    )
    made.add_argument(
        "device", metavar="DEVICE", help="meter-1 and so on; everpin sim status lists them"
    )
    return made


def _dir(made: argparse.ArgumentParser) -> None:
    made.add_argument(
        "--dir",
        metavar="DIR",
        help=f"the playground's folder, yours alone (default: {default_folder()})",
    )


def _folder(args: argparse.Namespace) -> Path:
    return default_folder() if args.dir is None else Path(args.dir).absolute()


def _run(args: argparse.Namespace) -> int:
    if not 1 <= args.count <= _DEVICES_MAX:
        raise Misuse(f"-n: from 1 to {_DEVICES_MAX} devices")
    try:
        ground = Playground(
            _folder(args),
            args.target,
            args.count,
            agent_folder(args.agent),
            chosen_broker(args.broker),
        )
    except (NoPlayground, TargetError) as problem:
        raise Misuse(str(problem)) from None
    except (RuntimeError, fleet.VerbFailed) as problem:
        say(str(problem))
        return 1
    out = sys.stderr if args.json else sys.stdout
    print(f"fleet {ground.fleet}, logs {ground.logs}", file=out)
    print(
        f"to publish: everpin publish --fleet {ground.fleet} --broker {ground.operator} --insecure-plain --mirror {ground.mirror}",
        file=out,
        flush=True,
    )
    wide = max(len(name) for name in ground.members)

    def hear(name: str, event: Event) -> None:
        if event.get("event") in _QUIET:
            return
        if args.json:
            print(json.dumps({"device": name} | event), flush=True)
        else:
            print(f"{time.strftime('%H:%M:%S')} {name:<{wide}} | {_line(event)}", flush=True)

    try:
        ground.serve(hear, args.seconds)
    except KeyboardInterrupt:
        pass  # that is how a playground ends
    finally:
        ground.close()
    return 0


def _line(event: Event) -> str:
    said = {k: v for k, v in event.items() if k not in ("event", "at", "trust_digest")}
    if isinstance(said.get("number"), list):
        said["number"] = "-".join(str(part) for part in said["number"])
    return " ".join([str(event.get("event")), *(f"{k}={v}" for k, v in said.items())])


def _told(args: argparse.Namespace) -> int:
    request: dict[str, Any] = {"do": args.verb}
    if hasattr(args, "device"):
        request["device"] = args.device
    if args.verb == "clock":
        request["unix"] = {"unset": None, "now": int(time.time())}.get(args.time, 0)
        if args.time not in ("unset", "now"):
            request["unix"] = unix_of(args.time, "TIME")
    if args.verb == "net":
        request["on"] = args.state == "on"
    try:
        said = ask(_folder(args), request)
    except NoPlayground as problem:
        raise Misuse(str(problem)) from None
    if not said.pop("ok"):
        raise Misuse(str(said["error"]))
    if args.json:
        print(json.dumps(said))
    elif args.verb == "status":
        for name, item in said["devices"].items():
            print(_state(name, item))
    elif "device" in said:
        print(_state(said["device"], said))
    return 0


def _state(name: str, item: dict[str, Any]) -> str:
    number = "-".join(str(part) for part in item["number"] or ["none"])
    power, net = ("on" if item[key] else "off" for key in ("power", "net"))
    return f"{name}: {item['target']}, power {power}, network {net}, clock {item['clock']}, document {number}, last {item['last']}"
