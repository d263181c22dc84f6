"""One sweep in a process of its own: `cuts_main.py FOLDER PATH DEPTH MEDIUM OPS CASE HOW`.

OPS 0 and CASE "-" are all of them, HOW is "fast" to end with the first failure or "all".

Prints JSON lines: {"done", "case"} as it goes, {"result"} at the end. Device dialect: either interpreter runs it, with the agent on
its path.
"""

import json
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from everpin_sim.device import lives, mediums
    from everpin_sim.device.cuts import Result, Sweep
else:
    import lives
    import mediums
    from cuts import Result, Sweep

_MEDIUMS = {
    "memory": mediums.Memory,
    "partition": mediums.Partition,
    "littlefs": mediums.Littlefs,
}


def _tell(done: int, case: str) -> None:
    print(json.dumps({"done": done, "case": case}))


def main(folder: str, name: str, depth: str, medium: str, ops: str, case: str, how: str) -> None:
    """Run it."""
    lives.remember_signatures(True)
    result = Result()
    path = lives.Path(folder, name, int(ops) or None)
    try:
        try:
            sweep = Sweep(path, _MEDIUMS[medium]())
        except lives.Failed:
            raise
        except Exception as error:  # noqa: BLE001 - whatever the agent raises there, no device of it comes up
            raise lives.Failed("bricked", "it crashed: " + repr(error))
        result = sweep.run(int(depth), "" if case == "-" else case, _tell, how == "fast")
        distinct = sweep.oracle.distinct
    except lives.Failed as failed:
        # Without a cut already: there is nothing to compare with.
        result.add(name + "/uncut", failed)
        distinct = 1
    said = {
        "steps": result.steps,
        "cases": result.cases,
        "distinct": distinct,
        "failed": result.failed,
    }
    said.update(result.wrong)
    print(json.dumps({"result": said}))


if __name__ == "__main__":
    main(*sys.argv[1:])
