"""`everpin sim`: emulated devices, and faults by exhaustion on them. Exit status: 0 nothing was found, 1 something was, 2 wrong use."""

import argparse
import json
import shlex
import signal
import sys
import threading
import time
from pathlib import Path

from . import (
    build_cli,
    cuts,
    figures_cli,
    hostile_cli,
    pki_cli,
    playground_cli,
    swarm_cli,
    sweep_report,
    weather_cli,
)
from .build_mcu import BuildFailed
from .debian import NotAvailable
from .micropython import NoMicroPython

_TELL_EVERY_S = 5.0

_EXAMPLES = """\
examples:
  everpin sim cuts --path pins                        one cut, fault or rotten record, in process
  everpin sim cuts --path all --target unix           the same of every path under MicroPython
  everpin sim cuts --path pins --target mcu           on real firmware in QEMU, on its littlefs, by its flash's fuse
  everpin sim cuts --path pins --target pi            on Linux in QEMU, at every write to its card, and by SIGKILL
  everpin sim cuts --path root --depth 2 --json       and a second cut at every step of each recovery
  everpin sim cuts --path pins --agent DIR            over another copy of agent/: a check removed there is found
  everpin sim cuts --case root/2/9/after/4/half       one case alone, by the id that a failure printed

paths:
  pins         two updates, the second before the first is confirmed; then a handshake confirms it
  root         three roots in one go, one with another rule for pins; then pins that require the newest
  contingency  a root, the contingency root at 65536, pins under it
  first-boot   a fresh device: first boot, first update, its confirmation
  reset        back to the factory's documents, then all comes back by its digest

After every cut and reboot: the device boots (else it counts as bricked), its trust is the old one or the new one and the
update comes into force when it is delivered again (else lost), no number falls and no thief is accepted (else lowered).
"""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="everpin sim",
        description="Emulated devices, and faults by exhaustion on them.",
        epilog="everpin sim cuts --help tells more, with examples; so do the others.",
        allow_abbrev=False,
    )
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    sweep = verbs.add_parser(
        "cuts",
        help="cut the power at every flash step of an update",
        description="Cut the power at every flash step of an update path, in every way, and look at what the device is worth then.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    what = sweep.add_mutually_exclusive_group(required=True)
    what.add_argument("--path", choices=(*cuts.PATHS, "all"), help="the update path")
    what.add_argument("--case", metavar="ID", help="run one case alone")
    sweep.add_argument(
        "--depth",
        type=int,
        choices=(1, 2),
        default=1,
        help="events one after the other: 2 adds a cut at every step of the recovery (default: 1)",
    )
    sweep.add_argument(
        "--target",
        choices=cuts.TARGETS,
        default="core",
        help="core is CPython, unix MicroPython; mcu is firmware in QEMU, cut by its flash's fuse, pi is Linux there, cut in what it writes to its card (default: core)",
    )
    sweep.add_argument(
        "--flash",
        choices=cuts.FLASHES,
        help="what the store lies on: the flash itself (default), a block device, or files on a littlefs (with --target unix; mcu's default)",
    )
    sweep.add_argument(
        "--ops",
        type=int,
        default=0,
        metavar="N",
        help="only the first N operations of the path",
    )
    sweep.add_argument("--fail-fast", action="store_true", help="end at the first case that fails")
    sweep.add_argument("--agent", metavar="DIR", help="sweep this copy of agent/")
    sweep.add_argument(
        "--json",
        action="store_true",
        help="one JSON object on standard output; progress goes to standard error",
    )
    sweep.set_defaults(run=_cuts)
    for module in (
        build_cli,
        figures_cli,
        pki_cli,
        weather_cli,
        hostile_cli,
        swarm_cli,
        playground_cli,
    ):
        module.add(verbs)
    return parser


def _say(text: str) -> None:
    print("everpin: " + text, file=sys.stderr)


class _Progress:
    """A line on standard error every few seconds."""

    def __init__(self) -> None:
        self._next = time.monotonic() + _TELL_EVERY_S

    def __call__(self, path: str, done: int, case: str) -> None:
        if time.monotonic() >= self._next:
            print(f"{path}: {done} cases, now {case}", file=sys.stderr)
            self._next = time.monotonic() + _TELL_EVERY_S


def _misused(args: argparse.Namespace) -> str:
    if args.agent is not None and not (Path(args.agent) / "everpin" / "core").is_dir():
        return f"{args.agent}: no copy of agent/ (it has no everpin/core)"
    if args.flash not in (None, "partition") and args.target == "pi":
        return "an emulated Pi has a partition of its card: --flash partition"
    if args.flash == "littlefs" and args.target == "core":
        return "the littlefs is MicroPython's: --flash littlefs needs --target unix or mcu"
    if args.flash == "memory" and args.target == "mcu":
        return "this board has a littlefs and a partition: --flash littlefs or partition"
    if args.target in ("mcu", "pi") and args.depth != 1:
        return f"--target {args.target} cuts once a case: --depth 2 is for --target core and unix"
    if args.ops < 0:
        return "--ops: say how many"
    if args.case is not None and args.case.split("/")[0] not in cuts.PATHS:
        return f"{args.case}: an id begins with one of {', '.join(cuts.PATHS)}"
    return ""


def main(argv: list[str]) -> int:
    """Run `everpin sim …`; `argv` begins with "sim"."""
    try:
        args = _parser().parse_args(argv[1:])
    except SystemExit as ended:
        return int(ended.code or 0)
    return _interruptible(args)


def _interruptible(args: argparse.Namespace) -> int:
    """Run the verb; SIGTERM ends it as an interrupt does, so that no broker or device of it stays behind."""

    def stop(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        return int(args.run(args))
    before = signal.signal(signal.SIGTERM, stop)
    try:
        return int(args.run(args))
    finally:
        signal.signal(signal.SIGTERM, before)


def _cuts(args: argparse.Namespace) -> int:
    problem = _misused(args)
    if problem:
        _say(problem)
        return 2
    if args.case is not None:
        paths: tuple[str, ...] = (args.case.split("/")[0],)
    else:
        paths = cuts.PATHS if args.path == "all" else (args.path,)
    agent = None if args.agent is None else Path(args.agent).resolve()
    # Said in full, for the line that replays a case too.
    usual = {"mcu": "littlefs", "pi": "partition"}.get(args.target, "memory")
    args.flash = args.flash or usual
    reports = []
    for path in paths:
        try:
            found = cuts.sweep(
                path,
                args.depth,
                args.target,
                agent,
                args.flash,
                args.ops,
                args.case or "",
                _Progress(),
                args.fail_fast,
            )
        except (NoMicroPython, NotAvailable) as problem_there:
            _say(str(problem_there))
            return 2
        except (sweep_report.SweepFailed, BuildFailed) as failed:
            _say(f"the sweep of {path} ended before its time:\n{failed}")
            return 1
        reports.append(found)
        if args.fail_fast and not sweep_report.well(found):
            break
    if args.case is not None and not reports[0]["cases"]:
        _say(f"{args.case}: this path has no such case")
        return 2
    whole = reports[0] if len(reports) == 1 else sweep_report.together(reports)
    if args.json:
        print(json.dumps(whole))
    else:
        for report in reports:
            print(_line(report, args))
    return 0 if all(sweep_report.well(report) for report in reports) else 1


def _line(report: sweep_report.Report, args: argparse.Namespace) -> str:
    counts = ", ".join(f"{report[key]} {key}" for key in sweep_report.COUNTS)
    lines = [
        f"{report['path']}: {report['steps']} flash steps, {report['cases']} cases: {counts} ({report['seconds']} s)"
    ]
    lines += [
        f"  {case}  {why}" for case, why in zip(report["failed"], report["why"], strict=True)
    ]
    if report["failed"]:
        again = ["everpin", "sim", "cuts", "--target", args.target, "--flash", args.flash]
        if args.ops:
            again += ["--ops", str(args.ops)]
        if args.agent is not None:
            again += ["--agent", args.agent]
        lines.append("  again: " + shlex.join([*again, "--case", report["failed"][0]]))
    return "\n".join(lines)
