"""The JSON interface against its own description, by a program that knows nothing else of it."""

import subprocess
import sys
from pathlib import Path

import pytest

CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_every_answer_is_as_the_description_says_and_none_is_a_500(server, tmp_path):
    pytest.importorskip("schemathesis")
    done = subprocess.run(
        [
            Path(sys.executable).parent / "schemathesis", "run", f"{server.url}/api/v1/openapi.json",
            "-H", f"Authorization: Bearer {server.action_token}", "--checks", CHECKS, "--phases", "coverage,fuzzing",
            "--exclude-path-regex", "events$", "--max-examples", "30", "--no-color",
        ],
        cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-6000:]
