"""Forty hostile file names: the same bytes in the store, the logs and the answers, and no shell sees them unquoted."""

import json
import os

import pytest

NAMES = [
    "plain", "two words", " leading", "trailing ", "tab\there", "new\nline", "carriage\rreturn", "quote'single",
    'quote"double', "back`tick", "back\\slash", "dollar$HOME", "$(touch pwned)", "`touch pwned`", ";touch pwned;",
    "&touch pwned&", "|touch pwned", ">pwned", "<in", "*", "?", "[a-z]", "{a,b}", "{inputs}", "%s%n", "100%",
    "#comment", "!bang", "~home", "-rf", "--help", "=equals", ".hidden", "...", "ünïcödé", "日本語", "emoji🙂",
    "\x1b]0;title\x07", "<script>alert(1)<\\script>", "x" * 240, "bad\udcff\udcfebytes", "u\u202eright-to-left",
    "'; DROP TABLE jobs; --", "null\x01control",
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES, ids=[ascii(name)[:40] for name in NAMES])
def test_a_hostile_name_stays_byte_equal_and_unseen_by_any_shell(ground, name):
    (ground / "in").mkdir()
    (ground / "in" / name).write_text("text\n")
    ground.flow(f"""
        NAME = {name!a}
        async def flow_names():
            first, made, last = "in/" + NAME, "out-" + NAME, "last-" + NAME
            await sf.Task(["cp", "--", first, made], inputs=first, outputs=made, name="copy")
            await sf.Task("cat {{inputs}} > {{output}}", shell=True, inputs=made, outputs=last, name="shells")
            await sf.Task(["printf", "%s", NAME], outputs=[], name="says")
    """)
    assert ground.counts() == (3, 0, 0)
    for kind in ("in/", "out-", "last-"):
        assert (ground.folder / (kind + name)).read_text() == "text\n"
    assert ground.counts() == (1, 2, 0)
    assert not (ground / "pwned").exists()
    for task, made in (("copy", "out-" + name), ("shells", "last-" + name)):
        shown = ground.answer("show", task)
        assert [os.fsencode(file["file"]) for file in shown["outputs"]] == [os.fsencode(made)]
        told = ground.call("show", task)
        assert not any(ord(char) < 32 and char != "\n" for char in told), ascii(told)
    assert (ground / ".scriptflow/logs/names-2/says.1.log").read_bytes() == os.fsencode(name)
    assert os.fsencode(name) in os.fsencode("".join(os.listdir(ground.folder)))
    assert ground.litter() == []


@pytest.mark.parametrize("name", [name for name in NAMES if name.isprintable()], ids=ascii)
def test_a_hostile_task_name_is_shown_and_found(ground, name):
    ground.flow(f"""
        async def flow_names():
            await sf.Task(["touch", "out"], outputs="out", name={name!a})
    """)
    head = ground.start("run", "--json")
    told = head.end()
    assert "Traceback" not in told, told
    assert not (ground / "pwned").exists()
    if head.returncode == 0:
        assert json.loads(told.splitlines()[-1])["ran"] == 1
        assert ground.answer("show", "--", name)["task"] == name
        logs = [path for path in (ground / ".scriptflow/logs").rglob("*") if path.is_file()]
        assert len(logs) == 1
    else:
        assert head.returncode in (1, 2)
