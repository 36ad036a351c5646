"""Say what works here and how to mend what does not; the looking is done by ``cli.checks``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from scriptflow.cli.options import Command, file_option, folder_option, option

if TYPE_CHECKING:
    from scriptflow.cli.checks import Finding
    from scriptflow.terminal.look import Look


@click.command("doctor", cls=Command, short_help="Check what works here, and how to mend the rest.")
@option("Output", "--json", "as_json", is_flag=True, help="Print one JSON document on stdout.")
@file_option
@folder_option
def command(file: str | None, as_json: bool) -> int:
    """Check what works here, and how to mend what does not.

    Looks at Python, the flow file, the settings, the run store and its disk, and runs one small job. Of `notify` it
    looks at the settings, without sending anything; a `server` is asked whether it knows the token.
    Exit code 0 when nothing is broken, else 1.

    \b
    Examples:
      scriptflow doctor
      scriptflow doctor --json
    """  # noqa: D301 (\b keeps click from refilling the examples)
    from scriptflow.cli import reading
    from scriptflow.cli.checks import all_findings, is_well

    look, width = reading.stdout_look(), reading.stdout_width()
    findings = []
    for finding in all_findings(file):
        findings.append(finding)
        if not as_json:
            reading.echo_lines(_lines(look, finding, width))
    if as_json:
        rows = [{"check": one.check, "state": one.state, "detail": one.detail, "help": one.mend} for one in findings]
        reading.print_document({"schema": 1, "ok": is_well(findings), "checks": rows})
    return 0 if is_well(findings) else 1


def _lines(look: Look, finding: Finding, width: int) -> list[str]:
    from scriptflow.cli.reading import wrapped

    sign, style = {"ok": (look.ok, "green"), "failed": (look.failed, "bold red")}.get(finding.state, ("!", "yellow"))
    label = f"{finding.check:14}"
    indent = look.glyph_cells + 1 + len(label) + 2
    parts = wrapped(look.safe(finding.detail), max(20, width - indent))
    lines = [f"{look.paint(f'{sign:{look.glyph_cells}}', style)} {look.paint(label, 'dim')}  {parts[0]}"]
    lines += [" " * indent + part for part in parts[1:]]
    if finding.mend:
        mend = wrapped(look.safe(finding.mend), max(20, width - indent - 6))
        lines.append(f"{' ' * indent}{look.paint('help', 'green')}: {mend[0]}")
        lines += [" " * (indent + 6) + part for part in mend[1:]]
    return lines
