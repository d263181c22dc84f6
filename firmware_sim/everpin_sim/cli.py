"""`everpin demo`: tells the story, shows it as a table, and exits 1 if any line of it is not true."""

import argparse
import json
import shutil
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.table import Table

from . import build_mcu, build_pi
from .broker import mosquitto_path
from .debian import NotAvailable
from .micropython import NoMicroPython
from .stage import Stage
from .story import Story
from .story_devices import TARGETS, Devices
from .story_rows import Row, Run
from .targets.pi_machine import snapshot

# A board takes seconds for what a process does at once.
_LIFETIME_S = {"unix": 14.0, "mcu": 30.0, "pi": 30.0}

_EXAMPLES = """\
examples:
  everpin demo                        the whole story, in about a minute
  everpin demo --broker mosquitto     with mosquitto instead of the embedded broker
  everpin demo --target mcu           meter and lamp are boards in QEMU, each with its own firmware and flash
  everpin demo --target pi            gateway is a Raspberry Pi in QEMU, Linux and card and all
  everpin demo --agent DIR            with another copy of agent/: a check removed there must make it fail
"""


def _agent(given: str | None) -> Path:
    if given is not None:
        return Path(given).resolve()
    import everpin

    return Path(str(everpin.__file__)).resolve().parent.parent


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="everpin", allow_abbrev=False)
    demo = parser.add_subparsers(dest="verb", required=True).add_parser(
        "demo",
        description="A signed pin update over MQTT carries real devices through a root expiry.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    demo.add_argument(
        "--json",
        action="store_true",
        help="one JSON object on standard output; progress goes to standard error",
    )
    demo.add_argument(
        "--target",
        choices=TARGETS,
        default="unix",
        help="what the devices are: processes of both interpreters (unix); meter and lamp firmware on boards in QEMU (mcu); gateway a Pi there (pi) (default: unix)",
    )
    demo.add_argument("--broker", choices=("amqtt", "mosquitto"), default="amqtt")
    demo.add_argument("--agent", metavar="DIR", help="the devices run this copy of agent/")
    demo.add_argument(
        "--rescue",
        choices=("mqtt", "http", "both"),
        default="both",
        help="the sleeper's way back (default: both, a run each)",
    )
    demo.add_argument(
        "--lifetime",
        type=float,
        metavar="SECONDS",
        help="Alpha Root's remaining life (default: 14, with QEMU 30)",
    )
    demo.add_argument(
        "--fail-fast", action="store_true", help="end at the first line that is not true"
    )
    demo.add_argument("--keep", metavar="DIR", help="keep logs, keys and flash images here")
    return parser


def main(argv: list[str]) -> int:
    """Run the demo; 0 when every line held, 1 when not, 2 for wrong use."""
    try:
        args = _parser().parse_args(argv)
    except SystemExit as ended:
        return int(ended.code or 0)
    console = Console(stderr=args.json, highlight=False)
    agent = _agent(args.agent)
    if not (agent / "everpin" / "core").is_dir():
        print(f"everpin: {agent}: no copy of agent/ (it has no everpin/core)", file=sys.stderr)
        return 1
    if args.broker == "mosquitto" and mosquitto_path() is None:
        print("everpin: mosquitto is not installed; apt-get install mosquitto", file=sys.stderr)
        return 1
    try:
        devices = _devices(args.target, agent, console)
    except (NoMicroPython, NotAvailable, build_mcu.BuildFailed) as problem:
        print(f"everpin: {problem}", file=sys.stderr)
        return 1
    runs = []
    for rescue in ("mqtt", "http") if args.rescue == "both" else (args.rescue,):
        runs.append(_one(args, devices, rescue, console))
        if not runs[-1].ok:
            break
    ok = all(run.ok for run in runs)
    lines = sum(len(run.rows) for run in runs)
    if args.json:
        print(
            json.dumps(
                {
                    "ok": ok,
                    "lines": lines,
                    "broker": args.broker,
                    "target": args.target,
                    "runs": [run.plain() for run in runs],
                }
            )
        )
        return 0 if ok else 1
    for run in runs:
        console.print(_table(run))
    wrong = sum(not row.ok for run in runs for row in run.rows)
    console.print(
        f"[bold green]every line held ({lines})[/]"
        if ok
        else f"[bold red]{wrong} of {lines} lines are not true[/]"
    )
    return 0 if ok else 1


def _devices(target: str, agent: Path, console: Console) -> Devices:
    """Return the devices of a target, what they run built if need be; raise `NoMicroPython`, `NotAvailable` or `BuildFailed`."""

    def tell(text: str) -> None:
        console.print(f"[dim]{text}[/]")

    firmware = build_mcu.build(agent=agent, tell=tell) if target == "mcu" else None
    guest = build_pi.build(agent=agent, tell=tell) if target == "pi" else None
    if guest is not None:
        tell("booting a Pi once, for its snapshot")
        snapshot(guest)
    return Devices(agent, firmware, guest)


def _one(args: argparse.Namespace, devices: Devices, rescue: str, console: Console) -> Run:
    folder = (
        Path(args.keep) / rescue if args.keep else Path(tempfile.mkdtemp(prefix="everpin-demo-"))
    )
    if args.keep:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)

    def title(text: str) -> None:
        console.print(f"\n[bold]{text}[/]")

    def tell(row: Row) -> None:
        mark = "[green]yes[/]" if row.ok else "[bold red]NO[/]"
        said = " ".join(item for item in (row.verdict, row.number) if item)
        console.print(
            f"  {row.at_s:5.1f} s  {mark}  [cyan]{row.device:<8}[/] {row.what}  [dim]{said}[/]"
        )

    console.print(
        f"\n[bold cyan]Run with rescue by {'unverified MQTT' if rescue == 'mqtt' else 'a plain HTTP mirror'}[/]"
    )
    lifetime = args.lifetime or _LIFETIME_S[args.target]
    try:
        stage = Stage(folder, args.broker, devices, rescue, lifetime)
        return Story(stage, rescue, tell, title, args.fail_fast).tell()
    finally:
        if not args.keep:
            shutil.rmtree(folder, ignore_errors=True)


def _table(run: Run) -> Table:
    table = Table(
        "step",
        "device",
        "what",
        "verdict",
        "document",
        "at",
        "held",
        title=f"rescue by {run.rescue}",
    )
    for row in run.rows:
        held = "[green]yes[/]" if row.ok else "[bold red]NO[/]"
        table.add_row(
            str(row.step), row.device, row.what, row.verdict, row.number, f"{row.at_s:.1f} s", held
        )
    down = ", ".join(f"{device} {seconds} s" for device, seconds in run.downtime_s.items())
    table.caption = f"downtime while the broker changed its key: {down or 'none measured'}"
    return table
