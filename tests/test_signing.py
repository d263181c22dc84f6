"""Several signers, rotation of roots, lost root keys: with the operator's verbs, judged by the device's own acceptance."""

import json
import shutil
from pathlib import Path
from typing import Any

import cbor2
import pytest

from everpin.ports.cpython import cli
from everpin_fleet import bodies, keys, signing
from everpin_sim import pki

_POLICY = """
fleet = "acme"
channel = "meters"
rescue = ["http://mirror.example/pins"]
forbidden = []

{signers}

[[brokers]]
host = "broker.example"
port = 8883

[[hosts]]
name = "broker.example"
"""
_ONE = '[signers]\nroot = ["alice"]\npins = ["ops"]\n'


def group(role: str, threshold: int, *names: str) -> str:
    listed = ", ".join(f'"{name}"' for name in names)
    return f"[[signers.{role}]]\nthreshold = {threshold}\nkeys = [{listed}]\n"


class Ground:
    """A fleet whose signers are `signers`, with keys and two pins; nothing is signed."""

    def __init__(self, folder: Path, names: tuple[str, ...] = ("alice", "bob", "carol", "ops")):
        self.folder = folder
        self.where = ("--fleet", str(folder))
        folder.mkdir()
        (folder / "master.key").touch(mode=0o600)
        (folder / "master.key").write_bytes(b"m" * 32)
        self.pins: list[str] = []
        self.policy(_ONE)
        for name in names:
            self.key(name)
        for number in (1, 2):
            self.add_pin(f"pin-{number}")

    def key(self, name: str, *how: str) -> None:
        assert cli.main(["key", *self.where, "new", name, "--no-passphrase", *how]) == 0

    def policy(self, signers: str) -> None:
        """Write the policy with other signers; the hosts' pins stay."""
        text = _POLICY.format(signers=signers)
        for pin in self.pins:
            text += f'[[hosts.pins]]\nsha256 = "{pin}"\n'
        (self.folder / "policy.toml").write_text(text)

    def add_pin(self, name: str) -> None:
        from everpin.core import spki
        from everpin_fleet.bodies import base64_of

        made = pki.root(name, pki._an_hour_ago() + pki.datetime.timedelta(days=9))
        der = made.certificate.public_bytes(pki.serialization.Encoding.DER)
        self.pins.append(base64_of(spki.pin(der)))
        self.policy(_ONE)

    def sign(self, *how: str, status: int = 0) -> None:
        assert cli.main(["sign", *self.where, "--yes", *how]) == status

    def verify(self, capsys: pytest.CaptureFixture[str], *paths: Path) -> list[dict[str, Any]]:
        capsys.readouterr()
        cli.main(["verify", *map(str, paths), "--trust", str(self.folder), "--json"])
        return [json.loads(line) for line in capsys.readouterr().out.splitlines()]

    def root(self, version: int) -> Path:
        return self.folder / "root" / f"{version}.cbor"

    def document(self, r: int, s: int) -> Path:
        return self.folder / "pins" / f"{r}-{s}.cbor"


@pytest.fixture
def ground(tmp_path: Path) -> Ground:
    return Ground(tmp_path / "acme")


def _refused(capsys: pytest.CaptureFixture[str], *argv: str) -> str:
    capsys.readouterr()
    assert cli.main(list(argv)) == 1
    said = capsys.readouterr().err
    assert said.startswith("everpin: ") and said.count("\n") == 1, said
    return said


def _signers_of(path: Path) -> int:
    found = cbor2.loads(path.read_bytes())
    return 1 if found.tag == 18 else len(found.value[3])


def test_one_signer_makes_a_cose_sign1_and_two_a_cose_sign(ground: Ground) -> None:
    ground.sign()
    assert cbor2.loads(ground.document(1, 1).read_bytes()).tag == 18
    ground.policy(group("root", 2, "alice", "bob", "carol") + group("pins", 2, "ops", "alice"))
    ground.sign("root")
    ground.sign()
    assert (_signers_of(ground.root(2)), _signers_of(ground.document(2, 2))) == (2, 2)


def test_a_chain_of_roots_is_what_devices_walk(
    ground: Ground, capsys: pytest.CaptureFixture[str]
) -> None:
    ground.sign()
    for signers in (
        group("root", 2, "alice", "bob", "carol") + group("pins", 1, "ops"),
        group("root", 1, "bob") + group("pins", 1, "carol"),
    ):
        ground.policy(signers)
        ground.sign("root")
        ground.sign()
    rows = ground.verify(
        capsys,
        ground.document(3, 3),
        ground.root(3),
        ground.root(2),
        ground.document(2, 2),
        ground.root(3),
        ground.document(2, 2),
        ground.document(3, 3),
    )
    assert [(row["accepted"], row["error"], row["number"]) for row in rows] == [
        # The pins rule of root 3 is another key's; root 3 itself is signed by alice as well, but it is not the next.
        (False, "unsigned", None),
        (False, "root-missing", None),
        (True, None, 2),
        (True, None, [2, 2]),
        (True, None, 3),
        (True, None, [2, 2]),
        (True, None, [3, 3]),
    ]


def test_a_ceremony_over_several_machines_ends_in_one_document(
    ground: Ground, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ground.sign()
    machines = {}
    for name in ("bob", "carol"):
        machine = tmp_path / name / "keys"
        machine.mkdir(parents=True)
        for suffix in (".pem", ".pub"):
            shutil.move(ground.folder / "keys" / f"{name}{suffix}", machine)
        public = machine / f"{name}.pub"
        assert cli.main(["key", *ground.where, "import", name, str(public)]) == 0
        machines[name] = machine.parent
    ground.policy(group("root", 3, "alice", "bob", "carol") + group("pins", 1, "ops"))
    # Root 1's rule is alice's alone; the new rule wants all three.
    ground.sign("root")
    draft = ground.folder / "drafts" / "root.draft"
    assert draft.exists() and not ground.root(2).exists()
    for name, machine in machines.items():
        shutil.copy(draft, machine)
        argv = ["cosign", "--fleet", str(machine), str(machine / "root.draft"), "--key", name]
        assert cli.main([*argv, "--yes"]) == 0
    assert "1 of" in capsys.readouterr().out
    ground.sign("root", "--merge", str(machines["bob"] / "root.draft"))
    assert not ground.root(2).exists()
    ground.sign("root", "--merge", str(machines["carol"] / "root.draft"))
    assert ground.root(2).exists() and not draft.exists()
    assert _signers_of(ground.root(2)) == 3
    rows = ground.verify(capsys, ground.root(2))
    assert rows[0]["number"] == 2


def test_what_a_draft_says_cannot_be_changed_on_the_way(
    ground: Ground, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ground.sign()
    ground.policy(group("root", 2, "alice", "bob") + group("pins", 1, "ops"))
    ground.sign("root", "--with", "alice")
    path = ground.folder / "drafts" / "root.draft"
    draft = signing.load(path)
    # Another payload under the same signatures; and the same document under a weaker rule.
    other = tmp_path / "other.draft"
    changed = cbor2.loads(path.read_bytes())
    changed["payload"] = changed["payload"].replace(b"acme", b"evil")
    other.write_bytes(cbor2.dumps(changed))
    said = _refused(capsys, "sign", *ground.where, "root", "--yes", "--merge", str(other))
    assert "does not verify" in said
    changed = cbor2.loads(path.read_bytes())
    changed["rules"][1][0][0] = 1
    other.write_bytes(cbor2.dumps(changed))
    said = _refused(capsys, "sign", *ground.where, "root", "--yes", "--merge", str(other))
    assert "another document" in said
    other.write_bytes(b"junk")
    assert "no draft" in _refused(
        capsys, "sign", *ground.where, "root", "--yes", "--merge", str(other)
    )
    assert signing.load(path).signatures == draft.signatures


def test_a_policy_that_changes_under_a_draft_is_noticed(
    ground: Ground, capsys: pytest.CaptureFixture[str]
) -> None:
    ground.sign()
    ground.policy(group("root", 2, "alice", "bob") + group("pins", 1, "ops"))
    ground.sign("root", "--with", "alice")
    ground.policy(group("root", 2, "alice", "carol") + group("pins", 1, "ops"))
    assert "--discard" in _refused(capsys, "sign", *ground.where, "root", "--yes")
    ground.sign("root", "--discard")
    assert ground.root(2).exists()


def test_lost_root_keys_are_replaced_by_the_committed_ones(
    ground: Ground, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    vaults = tmp_path / "vault"
    (vaults / "keys").mkdir(parents=True)
    digests = []
    for name in ("vault-1", "vault-2", "vault-3"):
        assert cli.main(["key", "--fleet", str(vaults), "new", name, "--no-passphrase"]) == 0
        capsys.readouterr()
        assert cli.main(["key", "--fleet", str(vaults), "digest", name]) == 0
        digests.append(capsys.readouterr().out.strip())

    def committed(*which: int) -> str:
        listed = ", ".join(f'"{digests[number]}"' for number in which)
        return f"[contingency]\nthreshold = 2\ndigests = [{listed}]\n"

    signers = group("root", 1, "alice") + group("pins", 1, "ops")
    ground.policy(signers + committed(0, 1, 2))
    ground.sign()
    # An ordinary root cannot touch the commitment.
    ground.policy(group("root", 1, "alice", "bob") + group("pins", 1, "ops") + committed(0, 1))
    said = _refused(capsys, "sign", *ground.where, "root", "--yes")
    assert "only contingency keys" in said
    # alice's key is lost; bob takes over, with two of the three vault keys, and a commitment to the third and a fresh one.
    (ground.folder / "keys" / "alice.pem").unlink()
    next_signers = group("root", 1, "bob") + group("pins", 1, "ops")
    fresh = tmp_path / "fresh"
    (fresh / "keys").mkdir(parents=True)
    assert cli.main(["key", "--fleet", str(fresh), "new", "vault-4", "--no-passphrase"]) == 0
    capsys.readouterr()
    assert cli.main(["key", "--fleet", str(fresh), "digest", "vault-4"]) == 0
    digests.append(capsys.readouterr().out.strip())
    ground.policy(next_signers + committed(2, 3))
    said = _refused(capsys, "sign", *ground.where, "root", "--contingency", "--yes")
    assert "2 committed key(s) must sign and 0 are known here" in said
    for name in ("vault-1", "vault-2"):
        for suffix in (".pem", ".pub"):
            shutil.copy(vaults / "keys" / f"{name}{suffix}", ground.folder / "keys")
    ground.sign("root", "--contingency")
    assert ground.root(65536).exists() and _signers_of(ground.root(65536)) == 3
    ground.sign()
    rows = ground.verify(capsys, ground.root(65536), ground.document(65536, 2))
    assert [row["number"] for row in rows] == [65536, [65536, 2]]
    # And on from there by ordinary roots.
    ground.policy(group("root", 1, "bob", "carol") + group("pins", 1, "ops") + committed(2, 3))
    ground.sign("root")
    assert ground.verify(capsys, ground.root(65536), ground.root(65537))[-1]["number"] == 65537


def test_a_fleet_without_a_commitment_has_no_contingency_root(
    ground: Ground, capsys: pytest.CaptureFixture[str]
) -> None:
    ground.sign()
    said = _refused(capsys, "sign", *ground.where, "root", "--contingency", "--yes")
    assert "committed to no contingency keys" in said


def test_mistakes_about_roots_are_refused_before_anything_is_signed(
    ground: Ground, capsys: pytest.CaptureFixture[str]
) -> None:
    ground.sign()
    assert "would change nothing" in _refused(capsys, "sign", *ground.where, "root", "--yes")
    ground.policy(group("root", 1, "bob") + group("pins", 1, "ops"))
    assert "--new-signers" in _refused(capsys, "sign", *ground.where, "root", "--yes")
    ground.sign("root", "--new-signers")
    assert ground.root(2).exists() and _signers_of(ground.root(2)) == 2
    ground.policy(group("root", 1, "dave") + group("pins", 1, "ops"))
    assert "everpin key import dave FILE" in _refused(
        capsys, "sign", *ground.where, "root", "--yes"
    )
    for name in ("alice", "bob", "carol"):
        (ground.folder / "keys" / f"{name}.pem").unlink()
    ground.policy(group("root", 1, "bob", "carol") + group("pins", 1, "ops"))
    said = _refused(capsys, "sign", *ground.where, "root", "--yes")
    assert "no key on this machine can sign it" in said and "bob" in said


def test_a_root_whose_successor_could_not_fit_is_refused(
    ground: Ground, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = [
        keys.public_of(name, {1: 5, 3: -46, -1: bytes([number]) * 60})
        for number, name in enumerate(("h1", "h2", "h3"))
    ]
    for key in kept:
        keys.save_public(ground.folder, key.name, key.cose_key)
    # Two HSS signatures for the old rule and two for the new do not fit into 8,192 bytes.
    ground.policy(group("root", 2, "h1", "h2", "h3") + group("pins", 1, "ops"))
    said = _refused(capsys, "sign", *ground.where, "root", "--yes")
    assert "devices take 8192" in said
    ground.policy(
        group("root", 1, "h1", "h2", "h3")
        + group("root", 2, "alice", "bob")
        + group("pins", 1, "ops")
    )
    said = _refused(capsys, "sign", *ground.where, "root", "--yes", "--with", "nobody")
    assert "no key on this machine" in said, "one for each rule does fit"


def test_the_estimate_of_a_successor_is_never_below_what_it_takes(ground: Ground) -> None:
    ground.policy(group("root", 2, "alice", "bob", "carol") + group("pins", 1, "ops"))
    ground.sign()
    held = bodies.as_device_root(
        cbor2.loads(cbor2.loads(ground.root(1).read_bytes()).value[2])[-70001]
    )
    for name in ("a2", "b2", "c2", "o2"):
        ground.key(name)
    ground.policy(group("root", 2, "a2", "b2", "c2") + group("pins", 1, "o2"))
    ground.sign("root", "--new-signers")
    took = ground.root(2).stat().st_size
    assert _signers_of(ground.root(2)) == 4 and took <= bodies.successor_bytes(held)


def test_urgent_is_carried_on_for_those_who_sleep_through_it(ground: Ground) -> None:
    def urgent(r: int, s: int) -> Any:
        payload = cbor2.loads(ground.document(r, s).read_bytes()).value[2]
        return cbor2.loads(payload)[-70001].get(-1)

    ground.sign()
    assert urgent(1, 1) is None
    ground.sign("--urgent")
    ground.sign()
    assert urgent(1, 2) == [1, 2] and urgent(1, 3) == [1, 2]


@pytest.mark.parametrize(
    ("signers", "says"),
    [
        ('[signers]\nroot = ["alice", "bob"]\npins = ["ops"]', "how many must sign"),
        (group("root", 3, "alice", "bob") + group("pins", 1, "ops"), "must be 1 to 2"),
        (group("root", 1, "alice", "alice") + group("pins", 1, "ops"), "different keys"),
        (group("root", 1) + group("pins", 1, "ops"), "different keys"),
        (group("root", 1, "alice"), "signers.pins: names no key"),
        (
            group("root", 1, "alice") + group("pins", 1, "ops") + "[contingency]\nthreshold = 1\n",
            "must hold different digests",
        ),
        (
            group("root", 1, "alice")
            + group("pins", 1, "ops")
            + '[contingency]\ndigests = ["x"]\nthreshold = 1\n',
            "no SHA-256 in base64",
        ),
    ],
)
def test_a_broken_rule_is_refused_by_line_and_field(
    signers: str, says: str, ground: Ground, capsys: pytest.CaptureFixture[str]
) -> None:
    ground.policy(signers)
    said = _refused(capsys, "sign", *ground.where, "--yes")
    assert says in said and "policy.toml:" in said, said


def test_keys_are_listed_with_where_their_private_halves_are(
    ground: Ground, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pem = tmp_path / "dave.pem"
    pem.write_bytes(
        pki.new_key()
        .public_key()
        .public_bytes(
            pki.serialization.Encoding.PEM, pki.serialization.PublicFormat.SubjectPublicKeyInfo
        )
    )
    assert cli.main(["key", *ground.where, "import", "dave", str(pem)]) == 0
    capsys.readouterr()
    assert cli.main(["key", *ground.where, "list", "--json"]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert rows["dave"]["alg"] == "esp256" and rows["dave"]["private"] is False
    assert rows["alice"]["alg"] == "ed25519" and rows["alice"]["private"] is True
    for source in (ground.folder / "policy.toml", tmp_path / "nowhere"):
        _refused(capsys, "key", *ground.where, "import", "eve", str(source))
    _refused(capsys, "key", *ground.where, "import", "dave", str(pem))


def test_a_rule_can_want_two_of_three_people_and_one_hash_based_key(
    ground: Ground, capsys: pytest.CaptureFixture[str]
) -> None:
    for number, role in ((1, "root"), (2, "root"), (3, "pins")):
        ground.key(f"lms-{number}", "--alg", "lms", "--role", role, "--height", "5")
    ground.policy(
        group("root", 2, "alice", "bob", "carol")
        + group("root", 1, "lms-1", "lms-2")
        + group("pins", 1, "ops")
        + group("pins", 1, "lms-3")
    )
    ground.sign()
    assert (_signers_of(ground.root(1)), _signers_of(ground.document(1, 1))) == (3, 2)
    ground.sign()
    assert ground.verify(capsys, ground.document(1, 2))[0]["accepted"]
    # Each role's keys keep to it, and a leaf is spent only where it is needed.
    states = {
        number: (ground.folder / "keys" / f"lms-{number}.state").read_text()
        for number in (1, 2, 3)
    }
    used = {number: text.count('"sha256"') for number, text in states.items()}
    assert used[1] + used[2] == 1 and used[3] == 2, used
    ground.policy(group("root", 1, "lms-3") + group("pins", 1, "ops"))
    said = _refused(capsys, "sign", *ground.where, "root", "--yes", "--new-signers")
    assert "lms-3" in said and "role" in said, said


def test_a_restored_key_state_is_noticed_by_what_was_published(
    ground: Ground, capsys: pytest.CaptureFixture[str]
) -> None:
    ground.key("lms", "--alg", "lms", "--role", "pins", "--height", "5")
    ground.policy(group("root", 1, "alice") + group("pins", 1, "lms"))
    ground.sign()
    state = ground.folder / "keys" / "lms.state"
    backup = state.read_bytes()
    ground.sign()
    state.write_bytes(backup)
    said = _refused(capsys, "sign", *ground.where, "--yes")
    assert "restored from a backup" in said
    assert cli.main(["key", *ground.where, "skip", "lms", "4"]) == 0
    assert "28 signatures left" in capsys.readouterr().out
    ground.sign()
    assert ground.verify(capsys, ground.document(1, 2), ground.document(1, 3))[-1]["accepted"]
