"""Both ways of ssh run commands and copy files whole, whatever their names, and say what is wrong."""

import asyncio
import os
import subprocess

import pytest
from farflow import LoginNode, with_sshd

from scriptflow.errors import ExecutorError
from scriptflow.transports.openssh import OpensshTransport
from scriptflow.transports.ssh import SshTransport

pytestmark = with_sshd
HOSTILE = "a 'b\"\n!c\\d $x `y` *é\udcff;&|-"


@pytest.fixture
def login(tmp_path):
    node = LoginNode(tmp_path)
    yield node
    node.stop()


@pytest.fixture(params=[SshTransport, OpensshTransport], ids=["ssh", "openssh"])
def kind(request, tmp_path, login):
    with login.config.open("a") as file:
        file.write(f"  ControlPath {tmp_path}/control\n")
    return request.param


def use(transport, body):
    async def whole():
        try:
            async with asyncio.timeout(60):
                return await body(transport)
        finally:
            await transport.close()

    return asyncio.run(whole())


def at(kind, login, host="testbed", **changes):
    return kind(host, config=str(login.config), **changes)


def trouble(transport):
    with pytest.raises(ExecutorError) as caught:
        use(transport, lambda there: there.run(["true"]))
    return str(caught.value)


def test_command_runs_with_its_words_input_and_environment(kind, login):
    argv = ["sh", "-c", 'printf %s "$1$V"; cat; echo bad >&2; exit 3', "sh", HOSTILE]
    done = use(at(kind, login), lambda there: there.run(argv, stdin="in\udcfe", env={"V": "v 'w"}))
    assert (done.exit_code, done.out, done.err) == (3, HOSTILE + "v 'win\udcfe", "bad\n")


def test_greeting_of_the_login_shell_is_no_part_of_an_answer(kind, login):
    login.greet("Welcome")
    done = use(at(kind, login), lambda there: there.run(["echo", "hello"]))
    assert (done.exit_code, done.out, done.err) == (0, "hello\n", "")


def test_more_commands_than_sessions_are_allowed_wait_for_each_other(kind, login):
    login.stop()
    login.start(TESTBED_SSHD_EXTRA="MaxSessions 2")

    async def body(there):
        return await asyncio.gather(*(there.run(["echo", str(number)]) for number in range(20)))

    if kind is SshTransport:
        assert [done.out for done in use(at(kind, login), body)] == [f"{number}\n" for number in range(20)]


@pytest.mark.parametrize("size", [0, 3_000_000])
def test_file_comes_whole_there_and_back_with_time_and_mode(kind, login, tmp_path, size):
    here, there_, back = tmp_path / "here", tmp_path / "far" / HOSTILE / HOSTILE, tmp_path / "back"
    here.write_bytes(os.urandom(size))
    here.chmod(0o750)
    os.utime(here, ns=(10**18, 10**18 + 123456789))

    async def body(there):
        await there.put(here, str(there_))
        await there.get(str(there_), back)

    use(at(kind, login), body)
    assert there_.read_bytes() == here.read_bytes() == back.read_bytes()
    assert there_.stat().st_mtime_ns == here.stat().st_mtime_ns
    assert there_.stat().st_mode & 0o777 == back.stat().st_mode & 0o777 == 0o750
    assert back.stat().st_mtime_ns > here.stat().st_mtime_ns  # its time is of here and now
    assert len(list(there_.parent.iterdir())) == 1


def test_copy_that_broke_off_is_continued(kind, login, tmp_path):
    here, far, back = tmp_path / "here", tmp_path / "far" / "x", tmp_path / "back"
    here.write_bytes(os.urandom(64_000_000))
    login_shell = at(kind, login)

    async def broken(copy, part_of):
        await login_shell.run(["true"])
        copying = asyncio.create_task(copy())
        while not any(path.stat().st_size > 2_000_000 for path in part_of.glob(".sf-copy-*")):
            assert not copying.done()
            await asyncio.sleep(0)
        login.break_links()
        with pytest.raises(ConnectionError):
            await copying
        (part,) = part_of.glob(".sf-copy-*")
        begun = part.stat()
        await copy()
        return begun

    async def body(there):
        far.parent.mkdir()
        begun = await broken(lambda: there.put(here, str(far)), far.parent)
        assert begun.st_ino == far.stat().st_ino
        begun = await broken(lambda: there.get(str(far), back), tmp_path)
        assert begun.st_ino == back.stat().st_ino

    use(login_shell, body)
    assert far.read_bytes() == here.read_bytes() == back.read_bytes()


def test_broken_link_is_told_as_one_and_the_next_command_opens_another(kind, login, tmp_path):
    async def body(there):
        running = asyncio.create_task(there.run(["sh", "-c", f"touch {tmp_path}/begun; sleep 100"]))
        while not (tmp_path / "begun").exists():
            await asyncio.sleep(0.01)
        login.break_links()
        with pytest.raises(ConnectionError):
            await running
        return await there.run(["echo", "again"])

    assert use(at(kind, login), body).out == "again\n"


def test_file_that_cannot_be_written_or_read_there_is_named(kind, login, tmp_path):
    (tmp_path / "x").write_text("x")

    async def body(there):
        with pytest.raises(ExecutorError, match="/proc/no/x cannot be written on testbed"):
            await there.put(tmp_path / "x", "/proc/no/x")
        with pytest.raises(ExecutorError, match="/nothing cannot be read on testbed"):
            await there.get("/nothing", tmp_path / "y")

    use(at(kind, login), body)
    assert not (tmp_path / "y").exists()


def test_unknown_host_key_is_told_with_the_next_step(kind, login):
    (login.keys / "known_hosts").write_text("")
    assert "the host key of testbed is not known here" in trouble(at(kind, login))


def test_changed_host_key_is_told_apart(kind, login):
    other = (login.keys / "client.pub").read_text().split()
    (login.keys / "known_hosts").write_text(f"[127.0.0.1]:{login.port} {other[0]} {other[1]}\n")
    assert "the host key of testbed is not the one in known_hosts" in trouble(at(kind, login))


def test_refused_key_is_told_with_the_next_step(kind, login):
    (login.keys / "authorized").write_text("")
    text = trouble(at(kind, login))
    assert "testbed does not let" in text
    assert "help:" in text


def test_host_that_does_not_exist_or_answer_is_told(kind, login):
    assert "there is no host nothing.invalid" in trouble(at(kind, login, "nothing.invalid"))
    assert "127.0.0.1 cannot be reached" in trouble(at(kind, login, "127.0.0.1", port=1))


def test_login_shell_that_runs_nothing_is_told(kind, login):
    key = (login.keys / "client.pub").read_text()
    (login.keys / "authorized").write_text(f'command="echo this account is closed >&2; exit 1" {key}')
    text = trouble(at(kind, login))
    assert "testbed runs no commands for this user" in text
    assert "this account is closed" in text


def test_jump_host_of_the_config_file_is_used(login):
    with login.config.open("a") as file:
        file.write(login.config.read_text().replace("Host testbed", "Host behind") + "  ProxyJump testbed\n")

    async def body(there):
        await there.run(["true"])
        return len(login.sessions())

    assert use(at(SshTransport, login, "behind"), body) == 2


def test_session_that_the_user_opened_is_ridden_on(login, tmp_path):
    with login.config.open("a") as file:
        file.write(f"  ControlPath {tmp_path}/control\n")
    words = ["-F", str(login.config), "testbed"]
    subprocess.run(["ssh", "-MNf", *words], check=True, stderr=subprocess.DEVNULL)
    try:
        (login.keys / "authorized").write_text("")  # nobody gets in any more
        assert use(at(OpensshTransport, login), lambda there: there.run(["echo", "in"])).out == "in\n"
        assert subprocess.run(["ssh", "-O", "check", *words], capture_output=True, check=False).returncode == 0
    finally:
        subprocess.run(["ssh", "-O", "exit", *words], capture_output=True, check=True)
