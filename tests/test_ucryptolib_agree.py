"""One case list, both interpreters: the shim on CPython says word for word what MicroPython's module says."""

import os
import subprocess
from pathlib import Path

import pytest

import mpy

_SCRIPT = """
import test_ucryptolib
for case, said in test_ucryptolib.transcript():
    print(case + " => " + said)
"""


def test_both_interpreters_agree_case_by_case(tmp_path: Path) -> None:
    program, why = mpy.micropython()
    if program is None:
        pytest.skip(why)
    import test_ucryptolib

    ours = [f"{case} => {said}" for case, said in test_ucryptolib.transcript()]
    env = {**os.environ, "MICROPYPATH": f"{mpy.AGENT}:{mpy.DEVICE_TESTS}:.frozen"}
    done = subprocess.run(
        [program, "-c", _SCRIPT],
        env=env,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    theirs = done.stdout.splitlines()
    assert len(ours) == len(theirs) > 800
    # Only the words for a value's type differ between the interpreters.
    assert [
        one
        for one, other in zip(ours, theirs, strict=True)
        if one.split(" => ")[1] != other.split(" => ")[1]
    ] == []
