"""What all devices of a swarm share: documents, chains, the broker's port; and what its parent process has written down of it."""

from dataclasses import dataclass
from typing import Any

from ..little_fleet import LittleFleet


@dataclass(frozen=True)
class Ground:
    """What all devices of a swarm share."""

    fleet: LittleFleet
    port: int
    seed: int
    root: bytes
    first: bytes
    newest: bytes
    forged: bytes
    chains: dict[
        str, list[bytes]
    ]  # "genuine", "stolen" (pinned at first, forbidden later), "stranger"

    def wrong(self, names: list[str]) -> list[bytes]:
        """Return documents that are none, or none any more, by the names that a plan has for them."""
        documents = {
            "old": self.first,
            "forged": self.forged,
            "mutilated": self.newest[:-40],
            "empty": b"",
            "long": self.newest + b"\x00" * 8192,
        }
        return [documents[name] for name in names]


def name_of(number: int) -> str:
    """Return the name of a device."""
    return f"d{number:06d}"


def load(config: dict[str, Any]) -> Ground:
    """Return the ground that the parent has written down."""
    fleet = LittleFleet(config["fleet"], config["port"], [f"mqtt://127.0.0.1:{config['port']}"])
    made = {key: bytes.fromhex(config[key]) for key in ("root", "first", "newest", "forged")}
    chains = {name: [bytes.fromhex(item) for item in chain] for name, chain in config["chains"].items()}  # fmt: skip
    return Ground(fleet, config["port"], config["seed"], chains=chains, **made)
