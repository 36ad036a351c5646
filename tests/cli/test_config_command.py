"""``config``: every setting, its value and its origin."""

from scriptflow.core.config import SETTINGS


def settings(project, *words, **env):
    return {row["key"]: row for row in project.json("config", *words, **env)["settings"]}


def test_every_setting_is_shown_with_its_default(project):
    found = settings(project.write("async def flow_a():\n    pass\n"))
    assert {key.partition(".")[0] for key in found} == set(SETTINGS)
    assert found["check"] == {"key": "check", "value": "mtime", "from": "default"}
    assert "latency_wait      30.0     default" in project("config").stdout


def test_each_value_says_where_it_came_from(project):
    project.write("import scriptflow as sf\n\nsf.init({'executors': {'local': {'maxsize': 5}}, 'debug': True})\n")
    project.write("check = 'content'\nretries = 2\n\n[profiles.night]\nretries = 4\n", "scriptflow.toml")
    found = settings(project, "--profile", "night", SCRIPTFLOW_GRACE="1m")
    origins = {key: row["from"] for key, row in found.items() if row["from"] != "default"}
    assert origins == {
        "executors.local.maxsize": "sf.init (sflow.py:3)",
        "debug": "sf.init (sflow.py:3)",
        "check": "scriptflow.toml:1",
        "retries": "profile night",
        "grace": "environment SCRIPTFLOW_GRACE",
        "profiles.night.retries": "scriptflow.toml:5",
    }
    assert (found["grace"]["value"], found["retries"]["value"]) == (60, 4)


def test_without_a_flow_file_the_settings_of_the_folder_are_shown(project):
    project.write("retries = 2\n", "scriptflow.toml")
    assert settings(project)["retries"]["from"] == "scriptflow.toml:1"
    assert "no-flow-file" in project.refused("config", "--file", "none.py")


def test_a_broken_settings_file_is_named_with_its_line(project):
    said = project.write("retries = \n", "scriptflow.toml").refused("config")
    assert "scriptflow.toml is not TOML" in said
    assert "--> scriptflow.toml:1" in said
