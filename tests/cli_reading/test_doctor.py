import json

import pytest

FLOW = "import scriptflow as sf\n\nasync def flow_demo():\n    pass\n"


def checks(done):
    return {row["check"]: row for row in json.loads(done.text)["checks"]}


def test_all_is_well_in_a_fresh_project(cli):
    (cli.folder / "sflow.py").write_text(FLOW)
    done = cli("doctor", "--json")
    assert json.loads(done.text)["schema"] == 1
    assert json.loads(done.text)["ok"] is True
    found = checks(done)
    assert found["flow file"]["detail"].endswith("sflow.py")
    assert found["flows"]["detail"] == "demo"
    for name in (
        "python",
        "scriptflow",
        "settings",
        "file system",
        "disk",
        "writable",
        "clock",
        "file times",
        "run store",
    ):
        assert found[name]["state"] in ("ok", "warning"), found[name]
    assert "slots" in found["executor local"]["detail"]
    assert found["a job"]["state"] == "ok"


def test_doctor_leaves_nothing_behind(cli):
    (cli.folder / "sflow.py").write_text(FLOW)
    cli("doctor", PYTHONDONTWRITEBYTECODE="1")
    assert [path.name for path in cli.folder.iterdir()] == ["sflow.py"]


def test_without_a_flow_file_it_says_how_to_begin(cli):
    done = cli("doctor")
    assert "scriptflow init" in done.text


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("async def flow_x(:\n", "invalid syntax"),
        ("import nothing_of_that_name\n", "ModuleNotFoundError"),
        ("def flow_x(): pass\n", "plain function"),
    ],
)
def test_a_flow_file_that_does_not_load_fails_with_its_mend(cli, text, word):
    (cli.folder / "sflow.py").write_text(text)
    found = checks(cli("doctor", "--json", code=1))["flows"]
    assert found["state"] == "failed"
    assert word in found["detail"]
    assert found["help"]


def test_wrong_settings_fail(cli):
    (cli.folder / "sflow.py").write_text(FLOW)
    (cli.folder / "scriptflow.toml").write_text("retriez = 1\n")
    found = checks(cli("doctor", "--json", code=1))["settings"]
    assert found["state"] == "failed"
    assert "retries" in found["help"]


def test_a_damaged_store_fails(cli):
    (cli.folder / "sflow.py").write_text(FLOW)
    (cli.folder / ".scriptflow").mkdir()
    (cli.folder / ".scriptflow/runs.db").write_bytes(b"no database " * 1000)
    found = checks(cli("doctor", "--json", code=1))["run store"]
    assert found["state"] == "failed"
    assert "store-damaged" in found["detail"]
    assert "scriptflow run" in found["help"]


def test_a_file_where_the_store_belongs_fails(cli):
    (cli.folder / "sflow.py").write_text(FLOW)
    (cli.folder / ".scriptflow").write_text("")
    found = checks(cli("doctor", "--json", code=1))["run store"]
    assert "is not a folder" in found["detail"]


def test_who_holds_the_store_is_named(cli, head):
    (cli.folder / "sflow.py").write_text(FLOW)
    head.begin()
    found = checks(cli("doctor", "--json"))
    assert "held by demo-1" in found["lock"]["detail"]
    assert "sound" in found["run store"]["detail"]


def test_a_store_that_nobody_holds_is_free(cli, head):
    (cli.folder / "sflow.py").write_text(FLOW)
    head.begin()
    head.finish()
    head.store.close()
    assert checks(cli("doctor", "--json"))["lock"]["detail"] == "free"


def test_people_see_a_sign_for_each_line_and_it_fits(cli):
    (cli.folder / "sflow.py").write_text("import nothing_of_that_name\n")
    lines = cli("doctor", code=1, COLUMNS="60").text.splitlines()
    assert any(line.startswith("✗ flows") for line in lines)
    assert any(line.startswith("✓ python") for line in lines)
    assert any("help: " in line for line in lines)
