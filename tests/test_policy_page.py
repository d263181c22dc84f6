"""docs/policy.md: its example is a policy, and its tables have every field that there is, and no other."""

import re
from pathlib import Path

from everpin_fleet import bodies, policy, policy_hosts

PAGE = (Path(__file__).resolve().parent.parent / "docs" / "policy.md").read_text("utf-8")


def test_the_example_is_a_policy_that_devices_take(tmp_path: Path) -> None:
    example = re.search(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    assert example is not None
    path = tmp_path / "policy.toml"
    path.write_text(example[1])
    pins = bodies.as_device_pins(bodies.pins_body(policy.load(path), (1, 1)))
    assert [host.usage for host in pins.hosts] == [3, 2] and pins.hosts[1].anchors


def _fields(heading: str) -> set[str]:
    section = PAGE.split(f"## {heading}\n")[1].split("\n## ")[0]
    cells = re.findall(r"^\| (`[^|]*) \|", section, re.MULTILINE)
    return {name for cell in cells for name in re.findall(r"`(\w+)`", cell)}


def test_the_tables_have_every_field() -> None:
    assert _fields("A host") == set(policy_hosts.FIELDS)
    assert _fields("The whole fleet") == set(policy.FIELDS) - {"hosts"}
