"""What the verbs of `everpin sim` share: how they are declared, how they tell, and the exit status of wrong use."""

import argparse
import datetime
import sys
from collections.abc import Callable
from pathlib import Path


class Misuse(Exception):
    """Wrong use, or a tool that is lacking: exit status 2; the text says what and what to do."""


def say(text: str) -> None:
    """Print a message for people."""
    print("everpin: " + text, file=sys.stderr)


def verb(
    verbs: "argparse._SubParsersAction[argparse.ArgumentParser]",
    name: str,
    text: str,
    examples: str,
    run: Callable[[argparse.Namespace], int],
) -> argparse.ArgumentParser:
    """Return a new verb with --json; `run` may raise `Misuse`."""
    made = verbs.add_parser(
        name,
        help=text[0].lower() + text[1:],
        description=text + ".",
        epilog=examples,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    made.add_argument(
        "--json",
        action="store_true",
        help="one JSON object on standard output; progress goes to standard error",
    )

    def guarded(args: argparse.Namespace) -> int:
        try:
            return run(args)
        except Misuse as problem:
            say(str(problem))
            return 2

    made.set_defaults(run=guarded)
    return made


def agent_folder(given: str | None) -> Path:
    """Return the folder of the agent that devices run: this one, or a copy; raise `Misuse`."""
    if given is None:
        import everpin

        return Path(str(everpin.__file__)).resolve().parent.parent
    if not (Path(given) / "everpin" / "core").is_dir():
        raise Misuse(f"{given}: no copy of agent/ (it has no everpin/core)")
    return Path(given).resolve()


def unix_of(text: str, where: str) -> int:
    """Return an ISO date or time, UTC where it names no zone, as Unix seconds; raise `Misuse`."""
    try:
        found = datetime.datetime.fromisoformat(text)
    except ValueError:
        raise Misuse(
            f"{where} {text}: a date looks like 2038-01-19, a time like 2038-01-19T03:14:08"
        ) from None
    return int(found.replace(tzinfo=found.tzinfo or datetime.UTC).timestamp())
