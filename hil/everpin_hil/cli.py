"""`everpin hil`: list, run and replay scenarios; take checks away and see them fail (mutants); random walks (endure).

Exit status: 0 all held, 1 something did not, 2 wrong use.
"""

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

from everpin_sim.sources import agent_folder

from . import bench, claims, endure, evidence, frozen, mutants, page, releases, scenario
from .judge import Case
from .scenario import Scenario, ScenarioError
from .targets import TARGETS, NoTarget, TargetFailed

_TELL_EVERY_S = 5.0

_EXAMPLES = """\
examples:
  everpin hil list                                    every scenario, and which promise it tests
  everpin hil run                                     all of them on the core, in seconds
  everpin hil run --target unix --report out/         on MicroPython; out/report.html shows each device's timeline
  everpin hil run --scenario dst-x3 --agent DIR       with another copy of agent/: a check removed there must make it fail
  everpin hil run --target mcu --report out/ --resume     go on where that run was ended
  everpin hil run --freeze broken/                    end at the first failure; broken/ is the device as it stood then
  everpin hil replay dst-x3@core#7                    one case again, fact by fact
  everpin hil mutants                                 checks of the agent taken away; a scenario catches each
  everpin hil endure --years 10000 --seed 3           random walks over decades
  everpin hil claims out/core out/mcu                 the table of what held, from full runs on these targets
"""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="everpin hil",
        allow_abbrev=False,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="The bench: scenarios as data, played on every target, judged by what the device trusts.",
    )
    verbs = parser.add_subparsers(dest="what", required=True)

    def verb(name: str, text: str) -> argparse.ArgumentParser:
        return verbs.add_parser(name, help=text, description=text, allow_abbrev=False)

    listed = verb("list", "list the scenarios")
    listed.add_argument("--json", action="store_true", help="one JSON object a line")
    run = verb("run", "play scenarios on a target, and judge what the device came to trust")
    run.add_argument("--target", choices=tuple(TARGETS), default="core")
    run.add_argument(
        "--scenario",
        action="append",
        metavar="NAME",
        help="a name, a path of a .toml file, or all (the default); again for more",
    )
    run.add_argument("--seed", type=int, default=1, metavar="N")
    run.add_argument("--agent", metavar="DIR", help="the device runs this copy of agent/")
    run.add_argument(
        "--report", metavar="DIR", help="write cases.jsonl, report.html and junit.xml there"
    )
    run.add_argument(
        "--resume",
        action="store_true",
        help="go on where a run with this --report was ended; cases of another agent are played again",
    )
    run.add_argument(
        "--freeze",
        metavar="DIR",
        help="end at the first failure, and keep there the device as it stood, its flash and what happened; without "
        "it that is frozen/ in the --report, and the run goes on",
    )
    run.add_argument("--json", action="store_true", help="JSON lines, the last one a summary")
    replay = verb("replay", "play one case again and print its facts")
    replay.add_argument("id", metavar="ID", help="NAME@TARGET#SEED, as a run prints it")
    replay.add_argument("--agent", metavar="DIR")
    replay.add_argument("--json", action="store_true", help="the facts as JSON lines")
    broken = verb(
        "mutants", "take checks of the agent away, and name the scenario that catches each"
    )
    broken.add_argument(
        "--patch",
        action="append",
        metavar="FILE",
        help="a unified diff, instead of the bench's own; again for more",
    )
    broken.add_argument(
        "--only", metavar="TEXT", help="those of the bench's own whose name has this in it"
    )
    broken.add_argument("--target", choices=tuple(TARGETS), default="core")
    broken.add_argument("--seed", type=int, default=1, metavar="N")
    broken.add_argument("--agent", metavar="DIR", help="change copies of this copy of agent/")
    broken.add_argument("--json", action="store_true", help="JSON lines, the last one a summary")
    walk = verb("endure", "random walks over decades on the core; two counters that stay zero")
    walk.add_argument(
        "--years", type=int, default=1000, metavar="N", help="device-years (default: 1000)"
    )
    walk.add_argument("--seed", type=int, default=1, metavar="N")
    walk.add_argument("--jobs", type=int, default=1, metavar="N", help="processes (default: 1)")
    walk.add_argument(
        "--log",
        metavar="FILE",
        help="append a line for each walk; a run that was ended goes on from there",
    )
    walk.add_argument(
        "--out",
        metavar="DIR",
        default=".",
        help="where a found case is written as a short scenario (default: here)",
    )
    walk.add_argument("--agent", metavar="DIR", help="the device runs this copy of agent/")
    walk.add_argument("--json", action="store_true", help="one JSON object on standard output")
    old = verb(
        "releases", "devices of earlier releases are upgraded, those of later ones left unwiped"
    )
    old.add_argument("--target", choices=tuple(TARGETS), default="core")
    old.add_argument("--agent", metavar="DIR", help="another copy of agent/ finds these devices")
    old.add_argument(
        "--keep", metavar="VERSION", help="write this agent's devices for the releases after it"
    )
    old.add_argument("--json", action="store_true", help="JSON lines, the last one a summary")
    claimed = verb("claims", "make the table of what held from reports of full runs")
    claimed.add_argument(
        "report", nargs="*", metavar="DIR", help="what a run's --report wrote, one for each target"
    )
    claimed.add_argument("--walks", metavar="LOG", help="what endure --log wrote")
    claimed.add_argument("--agent", metavar="DIR", help="the walks are of this copy of agent/")
    claimed.add_argument("--write", metavar="PAGE", help="put it between that page's marks")
    claimed.add_argument(
        "--facts",
        metavar="FILE",
        help="what it is made of, as JSON: written, and before that read for what is not given here",
    )
    return parser


def _say(text: str) -> None:
    print("everpin: " + text, file=sys.stderr)


def agent_of(given: str | None) -> Path:
    """Return the agent's folder; raise `ScenarioError` for one that is none."""
    agent = Path(given).resolve() if given else agent_folder()
    if not (agent / "everpin" / "core").is_dir():
        raise ScenarioError(f"{agent}: no copy of agent/ (it has no everpin/core)")
    return agent


def _list(args: argparse.Namespace) -> int:
    for name in scenario.names():
        found = scenario.load(name)
        if args.json:
            line = {"scenario": name, "kind": found.kind, "promise": found.promise}
            line |= {"event": found.said.get("event", ""), "title": found.title}
            print(json.dumps(line))
        else:
            event = found.said.get("event", "")
            print(f"{name:<28}{found.kind:<9}{found.promise:<7}{event:<13}{found.title}")
    return 0


def _chosen(given: list[str] | None) -> list[Scenario]:
    names = given or ["all"]
    if "all" in names:
        names = scenario.names()
    return [scenario.load(name) for name in names]


def describe(case: Case) -> str:
    """Return a case in one line, or with a line for each failure."""
    said = [f"{'ok  ' if case.ok else 'FAIL'}  {case.scenario:<28}{case.target:<6}"]
    if case.static_control != "none":
        said.append(f"static control {case.static_control};")
    if case.cut_off_s:
        said.append(f"cut off {page.span(case.cut_off_s)}, back by {case.came_back_by}")
    lines = [" ".join(said).rstrip(), *(f"      {why}" for why in case.failures)]
    return "\n".join(lines)


def _run(args: argparse.Namespace) -> int:
    chosen = _chosen(args.scenario)
    agent = agent_of(args.agent)
    seconds: dict[str, float] = {}
    done = 0

    def tell(case: Case, took: float) -> None:
        nonlocal done
        done += 1
        seconds[case.id] = took
        if args.json:
            print(json.dumps({**case.line(), "seconds": round(took, 3)}), flush=True)
            print(f"{done}/{len(chosen)} {case.scenario}", file=sys.stderr)
        else:
            print(describe(case), flush=True)

    if args.resume and not args.report:
        raise ScenarioError("--resume: --report names the folder of the run that was ended")
    if args.freeze and Path(args.freeze).exists():
        raise ScenarioError(f"--freeze: {args.freeze} is there already; name a folder that is not")
    log = None
    freeze = Path(args.freeze) if args.freeze else None
    if args.report:
        if freeze is None:
            freeze = Path(args.report) / "frozen"
            frozen.discard(freeze)
        path = Path(args.report) / "facts.jsonl"
        if not args.resume:
            path.unlink(missing_ok=True)
        log = bench.Log(path, agent)
    began = time.monotonic()
    cases = bench.run(chosen, args.target, args.seed, agent, tell, log, bool(args.freeze))
    found = bench.summary(cases)
    failed = next((case for case in cases if not case.ok), None)
    if failed and freeze:
        (item,) = [item for item in chosen if item.name == failed.scenario]
        frozen.freeze(failed, item, agent, freeze)
        _say(f"the device as it stood is in {freeze}: README.txt says how to look at it")
    if args.report:
        evidence.write(Path(args.report), cases, found, seconds)
        _say(f"evidence in {args.report}: cases.jsonl, report.html, junit.xml")
    if args.json:
        print(json.dumps(found))
    else:
        took = time.monotonic() - began
        print(", ".join(f"{value} {key}" for key, value in found.items()) + f" in {took:.1f} s")
        for case in cases:
            if not case.ok:
                print(frozen.replay(case, agent))
    return 0 if cases and not (found["failed"] or found["stranded"] or found["intruders"]) else 1


def _replay(args: argparse.Namespace) -> int:
    name, _, rest = args.id.rpartition("@")
    target, _, seed = rest.partition("#")
    if not name or target not in TARGETS or not seed.isdigit():
        raise ScenarioError(
            f"'{args.id}' is no case; such are NAME@TARGET#SEED, with a target of {', '.join(TARGETS)}"
        )
    (case,) = bench.run([scenario.load(name)], target, int(seed), agent_of(args.agent))
    for fact in case.facts:
        if args.json:
            print(json.dumps(fact))
        else:
            rest = {k: v for k, v in fact.items() if k not in ("t", "f", "s", "digest")}
            print(page.when(fact["t"]), fact["f"], " ".join(f"{k}={v}" for k, v in rest.items()))
    print(describe(case), file=sys.stderr)
    return 0 if case.ok else 1


def _mutants(args: argparse.Namespace) -> int:
    chosen = mutants.own()
    if args.patch:
        chosen = [
            mutants.Mutant(Path(name).name, patch=Path(name).resolve()) for name in args.patch
        ]
        for item in chosen:
            if item.patch is None or not item.patch.is_file():
                raise ScenarioError(f"{item.name}: no such file")
    elif args.only:
        chosen = [item for item in chosen if args.only in item.name]
        if not chosen:
            raise ScenarioError(f"no mutant has '{args.only}' in its name")

    def tell(found: mutants.Found) -> None:
        if args.json:
            line = {"mutant": found.mutant.name, "caught": bool(found.by), "scenario": found.by}
            print(json.dumps({**line, "why": found.why, "tried": found.tried}), flush=True)
        else:
            print(f"{'caught' if found.by else 'MISSED'}  {found.mutant.name}", flush=True)
            print(f"        {found.by}: {found.why}" if found.by else "        by no scenario")

    every = mutants.hunt_all(chosen, agent_of(args.agent), args.target, args.seed, tell)
    missed = sum(not found.by for found in every)
    if args.json:
        print(json.dumps({"mutants": len(every), "caught": len(every) - missed, "missed": missed}))
    else:
        print(f"{len(every)} mutants, {missed} missed")
    return 0 if every and not missed else 1


def _releases(args: argparse.Namespace) -> int:
    agent = agent_of(args.agent)
    if args.keep:
        if (releases.FOLDER / args.keep).exists():
            raise ScenarioError(f"{args.keep}: its devices are kept already, and never change")
        for path in releases.keep(args.keep, agent):
            print(path)
        return 0
    count = failed = 0
    for path in releases.releases():
        for found in releases.check(path, args.target, agent):
            count += 1
            failed += bool(found.why)
            if args.json:
                print(json.dumps({**vars(found), "ok": not found.why}), flush=True)
            else:
                verdict = "FAIL" if found.why else "ok  "
                print(f"{verdict}  {found.release:<8}{found.device:<24}{found.check}", flush=True)
                if found.why:
                    print(f"      {found.why}")
    if args.json:
        print(json.dumps({"cases": count, "failed": failed}))
    else:
        print(f"{count} cases, {failed} failed")
    return 1 if failed else 0


def _claims(args: argparse.Namespace) -> int:
    kept = claims.kept(Path(args.facts)) if args.facts else {}
    if not args.report and not kept:
        raise ScenarioError(
            "claims: name the reports of full runs, or --facts with an earlier one"
        )
    found = claims.collect([Path(name) for name in args.report]) if args.report else kept
    walks = kept.get("walks")
    if args.walks:
        walks = claims.walked(Path(args.walks), agent_of(args.agent))
    if walks:
        found["walks"] = walks
    table = claims.render(found)
    if args.write:
        page_ = Path(args.write)
        page_.write_text(claims.put(page_.read_text("utf-8"), table), "utf-8")
    if args.facts:
        Path(args.facts).write_text(json.dumps(found, indent=1) + "\n", "utf-8")
    print(table, end="")
    rows = [*found["targets"].values(), *([walks] if walks else [])]
    return 1 if any(row["failed"] for row in rows) else 0


def _endure(args: argparse.Namespace) -> int:
    if args.years < 1 or args.jobs < 1:
        raise ScenarioError("--years and --jobs: at least 1")
    log = Path(args.log) if args.log else None
    walks = endure.Endurance(args.seed, args.years, agent_of(args.agent), log)
    told = time.monotonic()

    def tell(line: dict[str, Any]) -> None:
        nonlocal told
        if line["wrong"]:
            path = Path(args.out) / f"walk-{args.seed}-{line['walk']}.toml"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(line["scenario"], "utf-8")
            _say(f"{line['wrong']}: {line['why'][0]}")
            _say(
                f"{line['short']} of {line['steps']} steps are in {path}: everpin hil run --seed {args.seed} --scenario {path}"
            )
        if time.monotonic() - told > _TELL_EVERY_S:
            told = time.monotonic()
            print(
                f"{walks.years:.0f} of {args.years} years, {len(walks.found)} found",
                file=sys.stderr,
            )

    walks.run(args.jobs, tell)
    found = walks.summary()
    if args.json:
        print(json.dumps(found))
    else:
        print(", ".join(f"{value} {key}" for key, value in found.items()))
    return 0 if walks.walks and not found["failed"] else 1


_VERBS = {
    "releases": _releases,
    "claims": _claims,
    "endure": _endure,
    "mutants": _mutants,
    "list": _list,
    "run": _run,
    "replay": _replay,
}


def main(argv: list[str]) -> int:
    """Run `everpin hil …`; `argv` begins with "hil"."""
    try:
        args = _parser().parse_args(argv[1:])
    except SystemExit as ended:
        return int(ended.code or 0)
    try:
        return _VERBS[args.what](args)
    except (ScenarioError, NoTarget, TargetFailed) as problem:
        _say(str(problem))
        return 2 if isinstance(problem, ScenarioError) else 1
