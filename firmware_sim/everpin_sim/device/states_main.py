"""The trust states of an update path in process, for a sweep on another machine: `states_main.py FOLDER PATH OPS` prints one JSON map.

"states" is [(state, its numbers, operation whose servers it accepts)], "after" the index of the state after each operation; bytes
are hexadecimal. Where not even the uncut run goes well it is {"failed": (what, why)}. Device dialect.
"""

import json
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from everpin_sim.device import lives, mediums
    from everpin_sim.device.oracle import Oracle
else:
    import lives
    import mediums
    from oracle import Oracle


def main(folder: str, name: str, ops: str) -> None:
    """Print it."""
    lives.remember_signatures(True)
    try:
        oracle = Oracle(lives.Path(folder, name, int(ops) or None), mediums.Memory())
    except lives.Failed as failed:
        print(json.dumps({"failed": (failed.what, str(failed))}))
        return
    states = []
    for state, numbers, op in oracle.states:
        version, number, since, forbidden = numbers
        plain = (version, number, since, [digest.hex() for digest in forbidden])
        states.append((state.hex(), plain, op))
    print(json.dumps({"states": states, "after": oracle.after}))


if __name__ == "__main__":
    main(*sys.argv[1:])
