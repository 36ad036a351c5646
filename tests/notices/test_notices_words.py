"""Messages of the user's own, the command, the channels' settings, and that no secret gets out."""

import email
import json
import os
from email import policy

import pytest
from sinks import until

SECRET = "s3cr3t-t0ken-value"
PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de0000000c4944415408d763f8ffff3f0005fe02fe"
    "a735811c0000000049454e44ae426082"
)
NOTE = """import scriptflow as sf


async def flow_demo():
    await sf.notify("fit done\\nR2 is 0.83", html="<b>R2</b> <img src='cid:fig.png'>", images=["fig.png"])
    await sf.Task(["true"])
"""


def mail(smtp, **more):
    return {"type": "mail", "to": ["a@example.org", "b@example.org"], "host": "127.0.0.1", "port": smtp.port, **more}


def test_flow_sends_mail_with_markup_and_its_picture_inside(project, smtp):
    project.write(NOTE)
    (project.folder / "fig.png").write_bytes(PIXEL)
    project.channels(mail(smtp, on=[]))
    project("run")
    until(lambda: smtp.letters)
    to, content = smtp.letters[0]
    message = email.message_from_bytes(content, policy=policy.default)
    assert to == ["a@example.org", "b@example.org"]
    assert message["Subject"] == "demo-1: fit done"
    assert "R2 is 0.83" in message.get_body(("plain",)).get_content()
    html = message.get_body(("html",)).get_content()
    picture = next(part for part in message.walk() if part.get_content_type() == "image/png")
    assert f"cid:{picture['Content-ID'][1:-1]}" in html
    assert picture.get_content() == PIXEL
    until(lambda: not list((project.folder / ".scriptflow").glob("notify-images/*")))


def test_mail_of_a_failure_has_the_log_and_stands_in_the_runs_thread(project, smtp):
    project.channels(mail(smtp))
    project("run", code=1)
    until(lambda: len(smtp.letters) == 2)
    messages = [email.message_from_bytes(content, policy=policy.default) for _, content in smtp.letters]
    assert messages[0]["References"] == messages[1]["References"]
    assert "part 0" in messages[0].get_content()


def test_command_gets_the_note_on_stdin_and_in_its_environment(project):
    project.channels(
        {
            "type": "command",
            "command": ["sh", "-c", 'cat > got.json; echo "$SCRIPTFLOW_NOTE_TITLE" > title'],
            "on": "end",
        }
    )
    project("run", code=1)
    until(lambda: (project.folder / "title").exists() and (project.folder / "title").read_text())
    assert json.loads((project.folder / "got.json").read_text())["event"] == "end"
    assert "demo-1" in (project.folder / "title").read_text()


def test_ntfy_gets_title_priority_and_one_sequence_for_the_run(project, sink):
    project.channels({"type": "ntfy", "url": f"{sink.url}/topic", "token": "${PHONE}"})
    project("run", code=1, PHONE=SECRET)
    until(lambda: len(sink.requests) == 2)
    (_, first, body), (_, end, _) = sink.requests
    assert first["Priority"] == "high"
    assert first["X-Sequence-ID"] == end["X-Sequence-ID"]
    assert first["Authorization"] == f"Bearer {SECRET}"
    assert b"part 0" in body


def test_slack_style_posts_text_alone(project, sink):
    project.channels({"type": "webhook", "url": sink.url, "style": "slack"})
    project("notify", "hello")
    assert json.loads(sink.requests[0][2]) == {"text": "*hello*\nhello"}


def test_any_service_of_apprise_is_reached(project, sink):
    pytest.importorskip("apprise")
    project.channels({"type": "apprise", "url": f"json://{sink.url.removeprefix('http://')}/x"})
    project("notify", "through apprise")
    assert json.loads(sink.requests[0][2])["message"] == "through apprise"


def test_message_without_channels_is_a_line_in_the_log_and_the_run_goes_on(project):
    project.write(NOTE)
    project("run")
    assert project.log.count("has no channel") == 1


def test_nothing_of_the_notices_is_loaded_where_none_are_set(project):
    project.write(
        "import atexit, sys\nimport scriptflow as sf\n\n\nasync def flow_demo():\n    await sf.Task(['true'])\n"
        "    print([name for name in sys.modules if 'notices' in name or 'sending' in name or name == 'http.client'])\n"
    )
    assert project("run").stdout.strip() == "[]"


def test_plan_sends_nothing(project, sink):
    project.write(NOTE)
    project.channels({"type": "webhook", "url": sink.url})
    project("plan")
    assert sink.requests == []


def test_wrong_message_is_an_error_where_it_stands(project):
    project.write("import scriptflow as sf\n\n\nasync def flow_demo():\n    await sf.notify(3)\n")
    assert "sf.notify takes a text" in project("run", code=2).stderr


def test_notify_test_says_for_each_channel_whether_it_worked(project, sink, angry):
    project.channels(
        {"type": "webhook", "name": "good", "url": sink.url}, {"type": "webhook", "name": "bad", "url": angry.url}
    )
    out = project("notify", "test", code=1).stdout
    assert "✓ good  webhook   accepted" in out
    assert "✗ bad   webhook" in out
    assert "500" in out
    project("notify", "test", "good")
    assert [note["event"] for note in sink.notes()] == ["test", "test"]
    rows = json.loads(project("notify", "test", "--json", code=1).stdout)["channels"]
    assert [(row["channel"], row["ok"]) for row in rows] == [("good", True), ("bad", False)]


def test_notify_test_without_channels_or_of_an_unknown_one_is_wrong_use(project, sink):
    assert "no channel is set" in project("notify", "test", code=2).stderr
    project.channels({"type": "webhook", "url": sink.url})
    assert "no channel is called phone" in project("notify", "test", "phone", code=2).stderr


@pytest.mark.parametrize(
    ("channel", "said"),
    [
        ({"type": "webhok", "url": "https://x"}, "one of command, webhook"),
        ({"type": "webhook"}, "`url` is missing"),
        ({"type": "webhook", "url": "https://x", "tokn": "a"}, "`token`"),
        ({"type": "webhook", "url": 3}, "`url` is no str"),
        ({"type": "webhook", "url": "https://x", "on": ["fail"]}, "a list of first-failure"),
        ({"type": "webhook", "url": "https://x", "timeout": "soon"}, "a time"),
        ({"type": "mail", "to": "a@b.c"}, "`host` is missing"),
    ],
)
def test_wrong_channel_is_refused_before_anything_runs(project, channel, said):
    project.channels(channel)
    stderr = project("run", code=2).stderr
    assert said in stderr
    assert "scriptflow.toml" in stderr
    assert not (project.folder / ".scriptflow").exists()


def test_secrets_are_shown_nowhere(project, angry):
    private = project.folder / "token"
    private.write_text(SECRET + "\n")
    private.chmod(0o600)
    project.channels(
        {"type": "webhook", "url": f"{angry.url}/services/{SECRET}", "token_file": str(private), "name": "a"},
        {"type": "webhook", "url": f"{angry.url}/${{KEY}}", "headers": {}, "name": "b"},
        {"type": "apprise", "url": f"jsons://user:{SECRET}@127.0.0.1:9/", "name": "c"},
    )
    said = project("run", code=1, KEY=SECRET)
    test = project("notify", "test", code=1, KEY=SECRET)
    config = project("config", KEY=SECRET)
    until(lambda: "channel b: end" in project.log)
    everything = said.stdout + said.stderr + test.stdout + test.stderr + config.stdout + project.log
    assert SECRET not in everything
    assert any(headers.get("Authorization") == f"Bearer {SECRET}" for _, headers, _ in angry.requests)


def test_token_file_that_others_can_read_is_refused(project, sink):
    (project.folder / "token").write_text(SECRET)
    os.chmod(project.folder / "token", 0o644)
    project.channels({"type": "webhook", "url": sink.url, "token_file": str(project.folder / "token")})
    assert "others can read" in project("notify", "test", code=1).stdout
    assert sink.requests == []


def test_variable_that_is_not_set_is_named(project, sink):
    project.channels({"type": "webhook", "url": f"{sink.url}/${{NOT_THERE}}"})
    assert "${NOT_THERE}" in project("notify", "test", code=1).stdout


def test_server_that_dribbles_is_cut_off_in_time(project):
    import socket
    import threading
    import time

    with socket.create_server(("127.0.0.1", 0)) as server:
        ended = threading.Event()

        def dribble():
            peer, _ = server.accept()
            peer.sendall(b"HTTP/1.1 200 OK\r\n")
            try:
                while not ended.wait(0.1):
                    peer.sendall(b"X: y\r\n")
            except OSError:
                pass
            peer.close()

        threading.Thread(target=dribble, daemon=True).start()
        project.channels({"type": "webhook", "url": f"http://127.0.0.1:{server.getsockname()[1]}/", "timeout": 1})
        begun = time.monotonic()
        assert "did not answer within 1 s" in project("notify", "test", code=1).stdout
        assert time.monotonic() - begun < 5
        ended.set()
