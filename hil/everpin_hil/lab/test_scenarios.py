"""Every scenario on the target of an environment: `pytest --pyargs everpin_hil.lab.test_scenarios --lg-env hil/environments/mcu.yaml`.

`-x` leaves the target as the first failure left it.
"""

from typing import Any

import pytest

from everpin_hil import scenario
from everpin_hil.lab import Player


@pytest.mark.parametrize("name", scenario.names())
def test_it_holds(target: Any, name: str) -> None:
    case = target.get_driver(Player).run(name)
    assert case.ok, "\n".join(case.failures)
