"""What happens to each device of a swarm, drawn from the seed and the device's number alone."""

import random
from dataclasses import dataclass, field

# fault: (what it does, the share of devices that it meets by default)
FAULTS = {
    "asleep": ("sleeps when the update is pushed, and finds it retained", 0.15),
    "unreachable": ("its first dials fail, so that it asks a rescue carrier", 0.10),
    "intruder": ("its first dials after the push meet an intruder: a stranger's key, or the stolen, forbidden one", 0.15),
    "replay": ("gets old, forged, mutilated and empty documents around the true one", 0.15),
    "duplicate": ("gets each message three times", 0.10),
    "lossy": ("loses its connection as soon as it has the update", 0.10),
    "cut": ("loses its power at a step of its flash while it writes the update", 0.10),
    "full": ("its flash is full from a step on while it writes the update, until it has said so", 0.05),
    "reboot": ("reboots between acceptance and confirmation", 0.10),
    "clock": ("its clock is unset, in 1970, beyond 2038, or another each time", 0.20),
}  # fmt: skip
_CUT_KINDS = ("before", "first", "half", "last", "after")
# The commit of a document takes so many steps of the flash at least.
_STEPS = 5


class WrongFaults(ValueError):
    """A list of faults that says nothing: the text tells why."""


def shares(text: str) -> dict[str, float]:
    """Return the share of devices that each fault meets; `text` is "all", "none", or "cut,intruder=0.5"."""
    if text == "all":
        return {name: share for name, (_, share) in FAULTS.items()}
    found = dict.fromkeys(FAULTS, 0.0)
    for item in text.split(",") if text != "none" else ():
        name, _, share = item.partition("=")
        if name not in FAULTS:
            raise WrongFaults(f"{name!r} is no fault; there are {', '.join(FAULTS)}")
        try:
            found[name] = float(share) if share else FAULTS[name][1]
        except ValueError:
            raise WrongFaults(f"{item}: a share is a number from 0 to 1") from None
        if not 0 <= found[name] <= 1:
            raise WrongFaults(f"{item}: a share is a number from 0 to 1")
    return found


@dataclass
class Plan:
    """What happens to one device. Counts go down as it happens."""

    faults: list[str] = field(default_factory=list)
    live: bool = True
    fail_dials: int = 0
    intruders: list[str] = field(default_factory=list)
    around: list[str] = field(default_factory=list)
    times: int = 1
    drop: bool = False
    cut: tuple[int, str] | None = None
    full: int | None = None
    reboot: bool = False
    clocks: list[int | None] = field(default_factory=list)


def draw(seed: int, number: int, share: dict[str, float], live: bool) -> Plan:
    """Return the plan of device `number`; `live` tells whether there is room for it to be connected at the push."""
    rnd = random.Random(f"{seed}/{number}/plan")
    plan = Plan()
    for name in FAULTS:
        # Drawn in any case, so that one fault's share changes nothing of another's.
        met, first, second = rnd.random() < share[name], rnd.random(), rnd.randrange(1 << 30)
        if not met:
            continue
        plan.faults.append(name)
        own = random.Random(second)
        if name == "asleep":
            plan.live = False
        elif name == "unreachable":
            plan.fail_dials = own.randint(1, 5)
        elif name == "intruder":
            plan.intruders = [own.choice(("stranger", "stolen")) for _ in range(own.randint(1, 3))]
        elif name == "replay":
            plan.around = own.sample(("old", "forged", "mutilated", "empty", "long"), 4)
        elif name == "duplicate":
            plan.times = 3
        elif name == "lossy":
            plan.drop = True
        elif name == "cut":
            plan.cut = (own.randrange(_STEPS), own.choice(_CUT_KINDS))
        elif name == "full":
            plan.full = own.randrange(_STEPS)
        elif name == "reboot":
            plan.reboot = True
        elif name == "clock":
            fixed = own.choice(([None], [0], [2_147_483_648], [None, 0, 1_790_000_000, 4_000_000_000]))  # fmt: skip
            plan.clocks = list(fixed)
            own.shuffle(plan.clocks)
        del first
    plan.live = plan.live and live
    return plan
