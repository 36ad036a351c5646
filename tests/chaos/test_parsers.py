"""Whatever text comes from outside, every parser of ours answers or refuses in its own words, and at once."""

import contextlib
import re
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scriptflow.core.config import settings_from
from scriptflow.core.logs import tail
from scriptflow.core.units import bytes_of, seconds_of
from scriptflow.errors import ScriptflowError
from scriptflow.hpc.pbs import PbsExecutor
from scriptflow.hpc.script import read_ending
from scriptflow.hpc.sge import SgeExecutor
from scriptflow.hpc.slurm import SlurmExecutor
from scriptflow.settings_files import environment_layers, read_settings_files

RECORDED = Path(__file__).parent.parent / "hpc/recorded"
SYSTEMS = {"slurm": SlurmExecutor, "sge": SgeExecutor, "pbs": PbsExecutor}
# A unit test's patience: a parser that is slow on some text is as bad as one that fails.
hard = settings(max_examples=300, deadline=1000, suppress_health_check=list(HealthCheck))

texts = (
    st.text(max_size=200) | st.text("0123456789.:-+eE ", max_size=40) | st.text("0123456789hmsdwKMGTiB .", max_size=20)
)
plain = st.none() | st.booleans() | st.integers() | st.floats() | texts
values = st.recursive(
    plain, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4), max_leaves=12
)
KEYS = ["check", "hash", "retries", "retry_delay", "jobs", "grace", "latency_wait", "executors", "profiles", "debug"]


@hard
@given(texts | plain)
def test_any_size_is_read_or_refused(text):
    with contextlib.suppress(ScriptflowError):
        assert bytes_of(text) >= 0


@hard
@given(texts | plain)
def test_any_time_is_read_or_refused(text):
    with contextlib.suppress(ScriptflowError):
        assert seconds_of(text) >= 0


@hard
@given(st.dictionaries(st.sampled_from(KEYS) | texts, values, max_size=5))
def test_any_layer_of_settings_is_taken_or_refused(layer):
    with contextlib.suppress(ScriptflowError):
        settings_from([("somewhere", layer)])


@hard
@given(st.dictionaries(st.sampled_from([f"SCRIPTFLOW_{key.upper()}" for key in KEYS]) | texts, texts, max_size=5))
def test_any_environment_is_taken_or_refused(environ):
    with contextlib.suppress(ScriptflowError):
        settings_from(environment_layers(environ))


TOML = 'check = "mtime"\n[executors.local]\nmaxsize = 5\n[profiles.big]\njobs = 3\n'


@st.composite
def damaged(draw, text):
    """Cut, doubled, replaced or joined pieces of a good text."""
    for _ in range(draw(st.integers(1, 4))):
        first = draw(st.integers(0, len(text)))
        last = draw(st.integers(first, min(len(text), first + 60)))
        text = text[:first] + draw(st.sampled_from(["", text[first:last] * 2, "\0", "\n"]) | texts) + text[last:]
    return text


@hard
@given(
    content=st.binary(max_size=200)
    | damaged(TOML).map(str.encode)
    | st.integers(1, 50_000).map(lambda n: b"x=" + b"[" * n)
)
def test_any_settings_file_is_taken_or_refused_with_its_name(tmp_path_factory, content):
    folder = tmp_path_factory.mktemp("settings")
    (folder / "scriptflow.toml").write_bytes(content)
    try:
        settings_from(read_settings_files(str(folder)))
    except ScriptflowError as error:
        assert "scriptflow.toml" in f"{error.place} {error.what} {error.why}"


def recordings(kind):
    """Return the standard output of all recorded answers of a batch system."""
    found = []
    for path in sorted((RECORDED / kind).glob("*.txt")):
        found.append(re.split("--- std(?:out|err)\n", path.read_text())[1])
    return [text for text in found if text]


@pytest.mark.parametrize("kind", SYSTEMS)
def test_any_answer_of_a_batch_system_is_read_or_refused(kind, tmp_path):
    """What is refused counts as no answer: the callers take ValueError and KeyError for that, and nothing else."""
    system = SYSTEMS[kind]({}, folder=str(tmp_path))
    known = recordings(kind)
    assert known

    @hard
    @given(st.sampled_from(known).flatmap(damaged) | texts)
    def read(out):
        for reader in (system.read_states, system.read_history):
            try:
                sights = reader(out)
            except (ValueError, KeyError):
                continue
            assert all(isinstance(job_id, str) for job_id in sights)
        for reader in (system.read_job_id, lambda text: system.read_named(text, "sf.demo-1.1.abcdef01.123456")):
            with contextlib.suppress(ValueError):
                reader(out)
        assert isinstance(system.read_why(out), str)

    read()


@hard
@given(texts)
def test_any_exit_record_is_read_or_none(text):
    ending = read_ending(text)
    assert ending is None or isinstance(ending.code, int)


@hard
@given(st.binary(max_size=3000), st.integers(1, 30))
def test_the_end_of_any_log_is_few_printable_lines(tmp_path_factory, content, lines):
    path = tmp_path_factory.mktemp("log") / "log"
    path.write_bytes(content)
    found = tail(str(path), lines)
    assert len(found) <= lines
    assert all(isinstance(line, str) for line in found)
