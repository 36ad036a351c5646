"""A bounded run of the kill harness over all its rows; ``kill.py`` is the long one."""

import shutil
import time

import pytest
from kill import AIMS, KILLS, SCENARIOS, run, shots, table

LIMIT_S = 50


@pytest.mark.timeout(120)
def test_no_kill_loses_doubles_or_cuts_anything(tmp_path):
    aims = [aim for aim in AIMS if aim != "syscall" or shutil.which("strace")]
    wanted = shots(24, 7, list(SCENARIOS), list(KILLS), aims)
    verdicts = run(wanted, tmp_path, tasks=80, until=time.monotonic() + LIMIT_S)
    assert not any(verdict.bad for verdict in verdicts), table(verdicts)
    assert sum(verdict.hit for verdict in verdicts) >= 12, table(verdicts)
