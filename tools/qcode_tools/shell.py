"""Commands in the session's shell."""

import re
import shlex

from qcode_sandbox.protocol import ExecResult
from qcode_tools.clean import LiveCleaner, clean
from qcode_tools.errors import ToolError
from qcode_tools.jobs import Jobs
from qcode_tools.match import unfenced
from qcode_tools.offload import compute
from qcode_tools.spec import ToolContext, ToolOutput

DEFAULT_SECONDS = 120
MOST_SECONDS = 600

_WANTED_INPUT = re.compile(
    r"EOFError: EOF when reading|/dev/tty: No such device|"
    r"(?:stdin|standard input|input device|input) is not a (?:tty|terminal)|"
    r"a (?:terminal|tty) is required|no tty present|could not read (?:Username|Password)|must be run (?:from|in) a "
    r"terminal|Inappropriate ioctl for device|unexpected end of file from (?:stdin|user)|aborted: no input",
    re.IGNORECASE,
)
"""What programs say when they ask and nobody can answer."""

_QUESTION = re.compile(r"(?:[?:\]>]|\([yYnN]/[yYnN]\))[ \t]*\Z")
_OWN_LINE = re.compile(r"(?:\A|\n)\[the shell ")
_END = 2_000
_NO_INPUT = (
    "[it asked for input, and there is none: give the answer as an argument or an option such as -y, or pipe it in]"
)
_NEEDS_TERMINAL = "[if it must have a terminal, call again with tty: true]"
# No such file: `script` comes with util-linux, and its own exit code is the command's.
_TERMINAL = (
    "command -v script >/dev/null || {{ echo 'there is no terminal to be had here: the program script is missing'; "
    "(exit 127); }} && TERM=xterm SHELL=$BASH script -qec {command} /dev/null"
)


async def bash(
    ctx: ToolContext, command: str, timeout_s: int, *, jobs: Jobs, background: bool = False, tty: bool = False
) -> ToolOutput:
    """Run a script; its failing is an answer like any other, only being killed is not `ok`.

    `background` lets it go on as a job; `tty` gives it a terminal of its own, whose keyboard nobody touches: what is
    set in it (directory, variables) is gone after it.

    Raises: ToolError, SandboxError.
    """
    command = unfenced(command).strip("\n")
    if not command.strip():
        raise ToolError("command is empty: give a command to run")
    if (asked := jobs.call(command)) is not None:
        return await jobs.look(ctx.sandbox, *asked)
    if background:
        return await jobs.start(ctx.sandbox, re.sub(r"(?<!\s)\s*(?<!&)&\s*\Z", "", command))
    seconds = min(max(1, timeout_s), MOST_SECONDS)
    script = _TERMINAL.format(command=shlex.quote(f"stty cols 120 rows 40; {command}")) if tty else command
    live = LiveCleaner(ctx.emit)
    ran = await ctx.sandbox.shell(script, timeout_s=seconds, on_output=live.feed)
    live.finish()
    output = (await compute(len(ran.output), clean, ran.output)).rstrip()
    said = [output] if output else []
    said += _ending(ran, seconds)
    if (ran.timed_out or ran.exit_code != 0) and (notice := _wanted_input(output, ran, tty=tty)):
        said.append(notice)
    return ToolOutput(
        "\n".join(said) or "(no output)",
        ok=not (ran.timed_out or ran.oom_killed),
        extra={
            "exit_code": ran.exit_code,
            "seconds": round(ran.duration_s, 3),
            **({"timed_out": True} if ran.timed_out else {}),
            **({"oom_killed": True} if ran.oom_killed else {}),
            **({"output_cut": True} if ran.truncated else {}),
        },
    )


def _ending(ran: ExecResult, seconds: int) -> list[str]:
    if ran.timed_out:
        return [
            f"[timed out after {seconds} s and was killed; if it only needs more time, give a longer timeout (at most "
            f"{MOST_SECONDS}); what shall go on while you do other things, such as a server, start with "
            "background: true]"
        ]
    if ran.oom_killed:
        return ["[killed: out of memory]"]
    return [f"[exit code {ran.exit_code}]"] if ran.exit_code != 0 else []


def _wanted_input(output: str, ran: ExecResult, *, tty: bool) -> str:
    """A notice for a command that waited for what nobody can give it; "" for one that did not."""
    end = output[-_END:]
    # A killed shell adds lines of its own after what the command said last.
    last = _OWN_LINE.split(end, maxsplit=1)[0]
    asked = _WANTED_INPUT.search(end) or (ran.timed_out and _QUESTION.search(last))
    if tty:
        return "[nobody is at its terminal: it may have waited for a key]" if ran.timed_out else ""
    return f"{_NO_INPUT}\n{_NEEDS_TERMINAL}" if asked else ""
