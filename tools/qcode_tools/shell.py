"""Commands in the session's shell."""

from qcode_tools.clean import LiveCleaner, clean
from qcode_tools.errors import ToolError
from qcode_tools.match import unfenced
from qcode_tools.offload import compute
from qcode_tools.spec import ToolContext, ToolOutput

DEFAULT_SECONDS = 120
MOST_SECONDS = 600


async def bash(ctx: ToolContext, command: str, timeout_s: int) -> ToolOutput:
    """Run a script; its failing is an answer like any other, only being killed is not `ok`.

    Raises: ToolError, SandboxError.
    """
    command = unfenced(command).strip("\n")
    if not command.strip():
        raise ToolError("command is empty: give a command to run")
    seconds = min(max(1, timeout_s), MOST_SECONDS)
    live = LiveCleaner(ctx.emit)
    ran = await ctx.sandbox.shell(command, timeout_s=seconds, on_output=live.feed)
    live.finish()
    output = (await compute(len(ran.output), clean, ran.output)).rstrip()
    said = [output] if output else []
    if ran.timed_out:
        said.append(
            f"[timed out after {seconds} s and was killed; if it only needs more time, give a longer timeout "
            f"(at most {MOST_SECONDS})]"
        )
    elif ran.oom_killed:
        said.append("[killed: out of memory]")
    elif ran.exit_code != 0:
        said.append(f"[exit code {ran.exit_code}]")
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
