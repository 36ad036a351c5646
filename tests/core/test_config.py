"""Settings: layers, where values came from, what is refused, and the files and variables they are read from."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scriptflow.core import config
from scriptflow.core.config import SETTINGS, record_init, recorded_inits, settings_from
from scriptflow.errors import SettingsError
from scriptflow.settings_files import environment_layers, load_settings, read_settings_files


@pytest.fixture(autouse=True)
def no_inits():
    config._inits.clear()
    yield
    config._inits.clear()


def test_without_layers_there_is_the_local_executor_and_every_default():
    settings = settings_from([])
    assert settings.executors == {"local": {}}
    assert (settings.check, settings.hash, settings.retries, settings.jobs) == ("mtime", "small", 0, None)
    assert (settings.latency_wait, settings.grace) == (30, 5)
    assert settings.origins == {}


def test_a_later_layer_wins_and_tables_merge_key_by_key():
    settings = settings_from(
        [
            ("scriptflow.toml:3", {"executors": {"local": {"maxsize": 5, "cpus": 4}}, "check": "mtime"}),
            ("sf.init (sflow.py)", {"executors": {"local": {"maxsize": 2}}}),
            ("--check", {"check": "content"}),
        ]
    )
    assert settings.executors == {"local": {"maxsize": 2, "cpus": 4}}
    assert settings.check == "content"
    assert settings.origins == {
        "executors.local.maxsize": "sf.init (sflow.py)",
        "executors.local.cpus": "scriptflow.toml:3",
        "check": "--check",
    }


def test_the_layers_given_are_left_as_they_were():
    first, second = {"executors": {"local": {"maxsize": 5}}}, {"executors": {"local": {"maxsize": 2}}}
    settings_from([("a", first), ("b", second), ("-j", {"jobs": 9})])
    assert (first, second) == ({"executors": {"local": {"maxsize": 5}}}, {"executors": {"local": {"maxsize": 2}}})
    assert settings_from([]).executors == {"local": {}}


def test_naming_an_executor_takes_the_place_of_the_default():
    assert settings_from([("a", {"executors": {"hpc": {"maxsize": 50}}})]).executors == {"hpc": {"maxsize": 50}}


def test_jobs_is_the_local_executors_maxsize_and_the_later_of_the_two_holds():
    assert settings_from([("-j", {"jobs": 3})]).executors == {"local": {"maxsize": 3}}
    assert settings_from([("toml", {"jobs": 3})]).origins["executors.local.maxsize"] == "toml"
    in_turn = [("toml", {"jobs": 3}), ("sf.init", {"executors": {"local": {"maxsize": 5}}})]
    assert settings_from(in_turn).executors == {"local": {"maxsize": 5}}
    assert settings_from([*in_turn, ("-j", {"jobs": 7})]).executors == {"local": {"maxsize": 7}}


def test_jobs_without_a_local_executor_is_an_error_not_a_new_executor():
    with pytest.raises(SettingsError) as caught:
        settings_from([("sf.init", {"executors": {"hpc": {}}}), ("-j", {"jobs": 3})])
    assert "executors.hpc.maxsize" in caught.value.do


def test_an_unknown_key_names_the_nearest_and_the_allowed_ones():
    with pytest.raises(SettingsError) as caught:
        settings_from([("scriptflow.toml:7", {"chek": "content"})])
    assert caught.value.what == "unknown setting `chek` in scriptflow.toml:7"
    assert "`check`" in caught.value.do
    assert all(key in caught.value.why[0] for key in SETTINGS)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("check", "size"),
        ("hash", False),
        ("jobs", 0),
        ("jobs", "four"),
        ("jobs", True),
        ("retries", -1),
        ("retries", 1.5),
        ("retry_delay", "soon"),
        ("debug", "yes"),
        ("grace", None),
        ("executors", ["local"]),
        ("executors", {"local": 4}),
        ("executors", {"local": {"maxsize": 0}}),
        ("executors", {"local": {"maxsize": "4"}}),
        ("profiles", {"night": 1}),
        ("profiles", {"night": {"chek": 1}}),
        ("force", 3),
        ("force", [3]),
        ("server", 8181),
        ("progress", "loud"),
    ],
)
def test_a_value_of_the_wrong_kind_names_key_and_layer(key, value):
    with pytest.raises(SettingsError) as caught:
        settings_from([("scriptflow.toml:7", {key: value})])
    assert "scriptflow.toml:7" in caught.value.what
    assert caught.value.do


def test_times_are_read_and_patterns_become_a_tuple():
    settings = settings_from([("a", {"retry_delay": "1m30s", "grace": 2, "force": "fit-*"})])
    assert (settings.retry_delay, settings.grace, settings.force) == (90, 2, ("fit-*",))


def test_the_settings_of_the_original_are_accepted():
    settings = settings_from(
        [
            (
                "sf.init",
                {"executors": {"local": {"maxsize": 2}}, "debug": True, "notify": "abc", "classic_terminal": True},
            )
        ]
    )
    assert settings.debug
    assert settings.classic_terminal


def test_settings_are_frozen_and_equal_by_value():
    settings = settings_from([])
    with pytest.raises(AttributeError):
        settings.check = "content"
    assert settings == settings_from([])
    assert settings != settings_from([("a", {"retries": 1})])


@given(
    st.dictionaries(
        st.sampled_from([*SETTINGS, "bad"]), st.none() | st.booleans() | st.integers() | st.text(max_size=4)
    )
)
def test_any_layer_gives_settings_or_a_settings_error(layer):
    try:
        settings = settings_from([("a", layer)])
    except SettingsError:
        return
    assert set(settings.origins) >= {key for key in layer if key != "jobs"} - {"executors", "profiles"}


# --- sf.init ------------------------------------------------------------------------------------------


def test_init_records_its_settings_with_the_callers_line_and_twice_merges():
    table = {"executors": {"local": {"maxsize": 5}}}
    record_init(table)
    record_init({"debug": True})
    table["executors"]["local"]["maxsize"] = 99
    (first, _), (second, _) = recorded_inits()
    assert first.startswith("sf.init (test_config.py:")
    assert first.place.file == __file__
    assert int(second.removesuffix(")").rpartition(":")[2]) == first.place.line + 1
    settings = settings_from(recorded_inits())
    assert (settings.executors, settings.debug) == ({"local": {"maxsize": 5}}, True)


def test_init_with_something_else_than_a_table_says_so_at_its_line():
    with pytest.raises(SettingsError) as caught:
        record_init(["local"])
    assert caught.value.place.file == __file__


# --- files, profiles, environment -----------------------------------------------------------------------


def test_each_value_of_a_toml_file_knows_its_line(tmp_path):
    (tmp_path / "scriptflow.toml").write_text(
        "# ours\nretries = 1\n\n\n[executors.local]\n# slots\nmaxsize = 3\n\n[executors.hpc]\n"
    )
    settings = settings_from(read_settings_files(str(tmp_path)))
    assert settings.executors == {"local": {"maxsize": 3}, "hpc": {}}
    assert settings.origins == {
        "retries": "scriptflow.toml:2",
        "executors.local.maxsize": "scriptflow.toml:7",
        "executors.hpc": "scriptflow.toml:9",
    }


def test_pyproject_counts_where_there_is_no_scriptflow_toml(tmp_path):
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "x"\n\n[tool.scriptflow]\nretries = 2\n')
    settings = settings_from(read_settings_files(str(tmp_path)))
    assert (settings.retries, settings.origins["retries"]) == (2, "pyproject.toml:5")
    (tmp_path / "scriptflow.toml").write_text("debug = true")
    assert settings_from(read_settings_files(str(tmp_path))).retries == 0


@pytest.mark.parametrize(
    "text", ["", "[tool.other]\nscriptflow = 1\n", "[project]\nname = 'scriptflow-user'\n", "[tool]\n"]
)
def test_a_pyproject_that_does_not_speak_of_us_is_no_layer(tmp_path, text):
    (tmp_path / "pyproject.toml").write_text(text)
    assert read_settings_files(str(tmp_path)) == []


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b"retries = \n", 1),
        (b"a = 1\n\n[x\n", 3),
        (b'a = """\nopen', 2),
        (b"a = 1\nb = '\xff'\n", 2),
        (b"a = 1\na = 2\n", 2),
    ],
)
def test_a_file_that_is_not_toml_names_file_and_line(tmp_path, content, line):
    (tmp_path / "scriptflow.toml").write_bytes(content)
    with pytest.raises(SettingsError) as caught:
        read_settings_files(str(tmp_path))
    assert caught.value.place.file.endswith("scriptflow.toml")
    assert caught.value.place.line == line


def test_a_folder_in_place_of_the_file_is_an_error_of_ours(tmp_path):
    (tmp_path / "scriptflow.toml").mkdir()
    with pytest.raises(SettingsError, match="cannot read"):
        read_settings_files(str(tmp_path))


def test_an_unknown_key_in_a_file_has_its_line_as_place(tmp_path):
    (tmp_path / "scriptflow.toml").write_text("\nchek = 1\n")
    with pytest.raises(SettingsError) as caught:
        load_settings(str(tmp_path), environ={})
    assert (caught.value.place.line, caught.value.place.text) == (2, "chek = 1")


def test_from_weak_to_strong_file_init_profile_environment_flags(tmp_path):
    (tmp_path / "scriptflow.toml").write_text("retries = 1\n[profiles.night]\nretries = 3\n")

    def retries(**more):
        return load_settings(str(tmp_path), **{"environ": {}, **more}).retries

    assert retries() == 1
    record_init({"retries": 2})
    assert retries() == 2
    assert retries(profile="night") == 3
    assert retries(environ={"SCRIPTFLOW_PROFILE": "night"}) == 3
    assert retries(profile="night", environ={"SCRIPTFLOW_RETRIES": "4"}) == 4
    assert retries(environ={"SCRIPTFLOW_RETRIES": "4"}, flags=[("--retries", {"retries": 5})]) == 5


def test_an_unknown_profile_names_the_nearest(tmp_path):
    record_init({"profiles": {"night": {}}})
    with pytest.raises(SettingsError) as caught:
        load_settings(str(tmp_path), profile="nigth", environ={})
    assert "night" in caught.value.do


def test_variables_are_read_by_the_kind_of_their_setting():
    environ = {
        "SCRIPTFLOW_CHECK": "content",
        "SCRIPTFLOW_DEBUG": "1",
        "SCRIPTFLOW_JOBS": "4",
        "SCRIPTFLOW_RETRY_DELAY": "1m",
        "SCRIPTFLOW_FORCE": "a* b*",
        "SCRIPTFLOW_EXECUTORS__LOCAL__MAXSIZE": "3",
        "SCRIPTFLOW_EXECUTORS__LOCAL__QUEUE": "long",
        "SCRIPTFLOW_RUN": "demo-7",
        "PATH": "/bin",
    }
    settings = settings_from(environment_layers(environ))
    assert (settings.check, settings.debug, settings.retry_delay) == ("content", True, 60)
    assert settings.force == ("a*", "b*")
    assert settings.executors == {"local": {"maxsize": 3, "queue": "long"}}
    assert settings.origins["check"] == "environment SCRIPTFLOW_CHECK"


@pytest.mark.parametrize(
    "environ", [{"SCRIPTFLOW_DEBUG": "maybe"}, {"SCRIPTFLOW_JOBS": "many"}, {"SCRIPTFLOW_CHEK": "x"}]
)
def test_a_variable_that_does_not_fit_is_named(environ):
    with pytest.raises(SettingsError, match=next(iter(environ))):
        settings_from(environment_layers(environ))
