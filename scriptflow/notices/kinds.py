"""The kinds of channels that need nothing but the standard library, mail apart: command, webhook and ntfy."""

from __future__ import annotations

import base64
import json
import os
from hashlib import sha256

from scriptflow.notices.channel import Channel
from scriptflow.posting import post

TYPE_CHECKING = False
if TYPE_CHECKING:
    from scriptflow.notices.note import Note

_NTFY_MOST = 3500
_PRIORITY = {"error": "high", "warning": "default", "success": "default", "note": "default"}
_TAGS = {"error": "x", "warning": "warning", "success": "white_check_mark", "note": "speech_balloon"}


class CommandChannel(Channel):
    """Runs a program: the note as JSON on its stdin, the short parts in its environment."""

    kind = "command"
    options = {"command": (str, list)}  # noqa: RUF012 (typed in the base)
    required = ("command",)

    def look(self) -> str:
        """Look for the program."""
        import shutil

        program = self._words()[0]
        if shutil.which(program) is None:
            raise RuntimeError(f"there is no program {program}")
        return f"command {program}"

    def _words(self) -> list[str]:
        import shlex

        given = self.option("command")
        return shlex.split(given) if isinstance(given, str) else [str(word) for word in given]

    def send(self, note: Note) -> str:
        """Run it to its end; an exit code other than 0 is a failure."""
        import signal
        import subprocess
        from contextlib import suppress

        words = self._words()
        parts = {"EVENT": note.event, "TITLE": note.title, "TEXT": note.text, "LEVEL": note.level, "RUN": note.run}
        environ = {**os.environ, **{f"SCRIPTFLOW_NOTE_{key}": value.replace("\0", "") for key, value in parts.items()}}
        child = subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=environ,
            start_new_session=True,
        )  # fmt: skip
        try:
            _, said = child.communicate(note.as_json(), timeout=self.timeout_s)
        except subprocess.TimeoutExpired:
            with suppress(OSError):
                if os.name == "posix":
                    os.killpg(child.pid, signal.SIGKILL)
                else:
                    child.kill()
            child.wait()
            raise RuntimeError(f"{words[0]} did not end within {self.timeout_s:g} s and was killed") from None
        if child.returncode:
            raise RuntimeError(f"{words[0]} ended with {child.returncode}: {said.decode('utf-8', 'replace')[-200:]}")
        return f"{words[0]} ended with 0"


class WebhookChannel(Channel):
    """Posts the note as JSON; ``style = "slack"`` posts ``{"text": …}`` as chat services take it."""

    kind = "webhook"
    options = {"url": (str,), "token": (str,), "headers": (dict,), "style": (str,)}  # noqa: RUF012 (as above)
    required = ("url",)

    def send(self, note: Note) -> str:
        """Post it."""
        if self.option("style") == "slack":
            body = json.dumps({"text": f"*{note.title}*\n{note.text}"}).encode()
        else:
            body = note.as_json()
        headers = {"Content-Type": "application/json", "User-Agent": "scriptflow"}
        for name in self.option("headers", {}):
            headers[str(name)] = self._header(str(name))
        if self.option("token") or self.option("token_file"):
            headers["Authorization"] = f"Bearer {self.text('token')}"
        post(self.text("url"), body, headers, self.timeout_s)
        return "accepted"

    def look(self) -> str:
        """Look at the address, the token and each header."""
        for name in self.option("headers", {}):
            self._header(str(name))
        return super().look()

    def _header(self, name: str) -> str:
        from scriptflow.hidden import reveal

        value = reveal(str(self.option("headers")[name]), f"channel {self.name}, header {name}")
        self._secrets.add(value)
        return value


class NtfyChannel(Channel):
    """Publishes to a topic of an ntfy server. A run's notes are one notification there that changes (ntfy 2.16)."""

    kind = "ntfy"
    options = {"url": (str,), "token": (str,), "priority": (str,)}  # noqa: RUF012 (as above)
    required = ("url",)

    def send(self, note: Note) -> str:
        """Publish it."""
        headers = {
            "Title": _header_text(note.title),
            "Priority": str(self.option("priority", _PRIORITY.get(note.level, "default"))),
            "Tags": _TAGS.get(note.level, ""),
            "User-Agent": "scriptflow",
        }
        if note.thread and note.event != "message":
            headers["X-Sequence-ID"] = sha256(note.thread.encode()).hexdigest()[:16]
        if self.option("token") or self.option("token_file"):
            headers["Authorization"] = f"Bearer {self.text('token')}"
        body = note.text.encode()[:_NTFY_MOST].decode("utf-8", "ignore").encode()
        post(self.text("url"), body, headers, self.timeout_s)
        return "accepted"


def _header_text(text: str) -> str:
    """Write any text so that a header takes it (RFC 2047)."""
    text = " ".join(text.split())
    if text.isascii():
        return text
    return f"=?UTF-8?B?{base64.b64encode(text.encode()).decode()}?="
