"""Real outages: the table has every moment and policy, and a static device fails where the stories say that devices did."""

import pytest
from cryptography import x509
from cryptography.x509 import verification

import history_data
from everpin_sim import history

MOMENTS = [(event, moment) for event, moments in history_data.WANTED.items() for moment in moments]


def test_every_moment_is_in_the_table() -> None:
    assert {event: set(said.moments) for event, said in history.EVENTS.items()} == {
        event: set(moments) for event, moments in history_data.WANTED.items()
    }


def test_what_everpin_asks_operators_for_survives_every_event() -> None:
    for moments in history_data.WANTED.values():
        for wanted in moments.values():
            assert wanted[history_data.POLICIES.index("ee")] == "ok"
            assert wanted[history_data.POLICIES.index("ta")] == "ok"
        assert not all(wanted[-1] for wanted in moments.values())


@pytest.mark.parametrize(("event", "moment"), MOMENTS)
def test_a_static_device_beside_them(event: str, moment: str) -> None:
    """`cryptography`'s verifier with one anchor, dates judged: the firmware that nobody can update."""
    chain = history.chain(event, moment)
    when = history.when(history.EVENTS[event].moments[moment].at).replace(tzinfo=None)
    anchor = history.certificate(history_data.static(event, moment))
    verifier = (
        verification.PolicyBuilder()
        .store(verification.Store([anchor]))
        .time(when)
        .build_server_verifier(x509.DNSName(history.HOST))
    )
    try:
        verifier.verify(chain[0], chain[1:])
        accepted = True
    except verification.VerificationError:
        accepted = False
    assert accepted is history_data.WANTED[event][moment][-1]


def test_the_certificates_are_signed_as_the_table_says() -> None:
    for label, row in history.CERTIFICATES.items():
        made = history.certificate(label)
        assert made.not_valid_before_utc == history.when(row.since)
        assert made.not_valid_after_utc == history.when(row.until)
        made.verify_directly_issued_by(
            next(
                history.certificate(other)
                for other, item in history.CERTIFICATES.items()
                if item.subject == item.issuer == row.issuer
            )
        )
