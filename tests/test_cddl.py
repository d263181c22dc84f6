"""What devices write is what the CDDL says: reports, acks, and the records on flash."""

import tomllib

import cbor2
import pycddl
import pytest

import cddl
from everpin.core import cbor, eat, report, sealing
from everpin.core.store import Store


def test_reports_are_what_the_cddl_says() -> None:
    events = report.Events()
    seen = {
        report.PORT: 8883,
        report.NOTED: 0,
        report.SUBDOMAINS: True,
        report.EXPIRES: 1_800_000_000,
        report.SERVED: b"s" * 24,
        report.VALIDATED: b"v" * 16,
    }
    events.note(report.PIN_FAILURE, "broker.example", 31, (1, 2), b"p" * 32, 1_790_000_000, seen)
    events.note(report.ACCEPTED)
    for kind in report.OPENED:
        events.note(kind, "api.example", 0, (1, 2))
    more = {
        report.UNCONFIRMED: [0, 15],
        report.OPENED_SO_FAR: events.opened,
        report.NOW_EXPIRED: [1],
    }
    args = (b"k" * 32, "acme", "m", b"e" * 8, 1, (1, 2), 1, events.copy(), b"n" * 16, False)
    for made in (report.make(*args), report.make(*args, more, 3600)):
        cddl.validate(made, "report")
        report.open_report(b"k" * 32, "acme", "m", made)


def test_what_the_cddl_does_not_know_of_a_report_is_refused_by_it() -> None:
    """The rules are tight enough to say something: each of these is one byte or one key off."""
    claims = cbor2.loads(
        cbor2.loads(
            report.make(
                b"k" * 32, "acme", "m", b"e" * 8, 1, (1, 2), 1, [{1: 1, 2: 1}], b"n" * 16, True
            )
        ).value[2]
    )
    cddl.rule("report-claims").validate_cbor(cbor2.dumps(claims))
    body = claims[-70001]
    for changed in (
        {key: value for key, value in claims.items() if key != 268},
        claims | {10: b"n" * 15},
        claims | {265: "urn:uuid:00000000-0000-4000-8000-000000000000"},
        claims | {261: -1},
        claims | {-70001: body | {9: [16]}},
        claims | {-70001: body | {11: {9: -1}}},
        claims | {-70001: body | {6: [{1: 1, 2: 1, 12: b"short"}]}},
        claims | {-70001: body | {6: [{1: 1, 2: 1, 10: False}]}},
    ):
        with pytest.raises(pycddl.ValidationError):
            cddl.rule("report-claims").validate_cbor(cbor2.dumps(changed))


def test_the_profile_and_version_of_a_report_are_those_of_the_cddl_and_the_release() -> None:
    assert f'265: "{eat.REPORT_PROFILE}"' in cddl.TEXT
    project = tomllib.loads((cddl.TOP / "pyproject.toml").read_text("utf-8"))["project"]
    assert (project["name"], project["version"]) == (eat.NAME, eat.VERSION)


def test_acks_are_what_the_cddl_says() -> None:
    cddl.validate(
        report.make_ack(b"k" * 32, "acme", "m", b"n" * 16, (1, 2), 1_790_000_000),
        "ack",
    )


def test_records_on_flash_are_what_the_cddl_says() -> None:
    import making
    import tools

    flash = making.flash()
    agent = making.agent(flash)
    making.give(agent, "pins-6-forbid-a.cbor")
    trust = Store(flash).load()
    cddl.rule("commit-body").validate_cbor(trust.encode())
    cddl.rule("base-record").validate_cbor(cbor.loads(trust.encode(), 20000)[11])
    factory = cbor.loads(tools.data("factory.cbor"), 20000)
    # Validated one by one: the two documents lie in it as byte strings.
    cddl.validate(factory[5], "root")
    cddl.validate(factory[6], "pins")
    sealed = tools.data("secrets.cbor")
    plain = sealing.open_sealed(tools.data("device.key"), "acme", "meter-1", sealed)
    cddl.rule("secrets").validate_cbor(plain)
