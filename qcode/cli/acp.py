"""`qcode acp`: an agent for editors, over standard input and output."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextlib import AbstractAsyncContextManager
    from typing import Any

    from qcode.agent.approval import Approver
    from qcode.app.conversation import Conversation

_EXAMPLES = """\
In Zed's settings:
  {"agent_servers": {"qcode": {"command": "qcode", "args": ["acp"]}}}

Model, sandbox and permissions are those of the configuration (`qcode config --help`) and of the options here. Sessions
are logged as all others: `qcode sessions list`. What is written to standard error is for the editor's log."""


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command's arguments."""
    from qcode.cli import arguments

    acp = commands.add_parser(
        "acp",
        help="work inside an editor that speaks the Agent Client Protocol",
        description="Speak the Agent Client Protocol over standard input and output, for editors such as Zed.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    acp.add_argument("--copy", action="store_true", help="work on a copy of the repository, which has the change only "
                     "after /apply")  # fmt: skip
    may = acp.add_argument_group("what it may do")
    may.add_argument("--mode", choices=["plan", "ask", "auto-edit", "yolo"], help="at first (default: ask)")
    arguments.add_rules(may)
    arguments.add_model(acp)
    arguments.add_sandbox(acp)
    arguments.add_limits(acp)
    arguments.add_configuration(acp)
    acp.set_defaults(run=command)


def command(args: argparse.Namespace) -> int:
    """Carry out the command."""
    import asyncio

    if sys.stdin is None or sys.stdin.isatty():
        from qcode.errors import ConfigError

        raise ConfigError("an editor starts `qcode acp` and talks to it; for a session on this terminal say `qcode`")
    try:
        asyncio.run(_serve(args))
    except asyncio.CancelledError:
        return 143
    return 0


async def _serve(args: argparse.Namespace) -> None:
    import asyncio

    from qcode.cli.signals import cancel_on_signals
    from qcode.ui.acp.agent import serve

    async def open_talk(
        folder: Path, approver: "Approver", log: Path | None, servers: "Mapping[str, Any]"
    ) -> "AbstractAsyncContextManager[Conversation]":
        from qcode.cli.chat import load
        from qcode.cli.run import notice

        here = argparse.Namespace(**vars(args))
        here.repo, here.resume, here.go_on = folder, log.stem if log else None, False
        return (await asyncio.to_thread(load, here, notice, editor=servers)).open(approver)

    with cancel_on_signals(asyncio.current_task()):
        await serve(open_talk)
