"""`qcode` without a command: a session of many turns in this repository."""

import argparse
import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from qcode.agent.approval import Approver
    from qcode.app.conversation import Conversation
    from qcode.ui.tui.opening import Ready

DESCRIPTION = """\
A coding agent on Qwen3-Coder that runs on your own machine. Without a command it opens a session in the repository of
this folder: say what to do, look on, approve, go on. WORDS are the first thing that you say."""

USAGE = "qcode [OPTION ...] [WORDS ...]\n       qcode COMMAND ...\n       qcode COMMAND --help"

GREETING = "qcode: say what to do; /help lists the commands, Ctrl-C interrupts, Ctrl-D leaves\n"


def parser() -> argparse.ArgumentParser:
    """Reads the arguments of a session."""
    top = argparse.ArgumentParser(prog="qcode", description=DESCRIPTION, usage=USAGE)
    top.add_argument("words", nargs="*", metavar="WORDS", help="what you say first")
    add_arguments(top)
    return top


def add_arguments(top: argparse.ArgumentParser) -> None:
    """The options of a session."""
    from qcode.cli import arguments

    session = top.add_argument_group("the session")
    session.add_argument("--plain", action="store_true", help="lines instead of a screen, as for screen readers; by "
                         "itself in a pipe and on a dumb terminal")  # fmt: skip
    which = session.add_mutually_exclusive_group()
    which.add_argument("--continue", dest="go_on", action="store_true", help="go on with this repository's session "
                       "that was used last")  # fmt: skip
    which.add_argument("--resume", metavar="ID", help="go on with this session; see `qcode sessions list`")
    session.add_argument("--repo", type=Path, default=Path(), metavar="DIR", help="folder to work in (default: this "
                         "repository)")  # fmt: skip
    session.add_argument("--worktree", nargs="?", const="", metavar="NAME", help="work in a git work tree of the last "
                         "commit, on a branch qcode/NAME; removed at the end if nothing came of it")  # fmt: skip
    session.add_argument("--input", choices=["stream-json"], help="for programs: messages and events as JSON lines; "
                         "see docs/sessions.md")  # fmt: skip
    session.add_argument("--copy", action="store_true", help="work on a copy of the repository, which has the change "
                         "only after /apply")  # fmt: skip
    may = top.add_argument_group("what it may do")
    may.add_argument("--mode", choices=["plan", "ask", "auto-edit", "yolo"], help="plan only reads; ask asks before "
                     "edits and commands, auto-edit before commands; yolo does all but what a rule denies and what is "
                     "protected (default: ask)")  # fmt: skip
    arguments.add_rules(may)
    arguments.add_model(top)
    arguments.add_sandbox(top)
    arguments.add_limits(top)
    arguments.add_configuration(top)


def refuse_mistake(words: Sequence[str], commands: Iterable[str]) -> None:
    """Raises: ConfigError for a single word that was surely meant to be a command."""
    from difflib import get_close_matches

    from qcode.errors import ConfigError

    if len(words) == 1 and " " not in words[0]:
        for meant in get_close_matches(words[0], list(commands), 1, 0.75):
            raise ConfigError(f"there is no command {words[0]!r}: did you mean {meant!r}? Words: qcode -- {words[0]}")


def command(args: argparse.Namespace) -> int:
    """Carry out the command. Raises: QcodeError, SandboxError."""
    from qcode.cli.worktree import in_worktree

    return in_worktree(args, _sessions)


def _sessions(args: argparse.Namespace) -> int:
    """One session after the other, as the user goes from one to the next."""
    from qcode.cli.settings import ask_for_trust

    if args.input is None and not args.trust:
        ask_for_trust(args.repo)
    while True:
        code = _session(args)
        talk = getattr(args, "talk", None)
        if talk is None or talk.next is None:
            return code
        args.words, args.go_on, args.resume = [], False, talk.next.stem


def _session(args: argparse.Namespace) -> int:
    words = " ".join(args.words)
    if args.input is not None:
        import asyncio

        return asyncio.run(_program(args, words))
    if args.plain or not _has_screen():
        return _plain(args, words)
    return _screen(args, words)


def _has_screen() -> bool:
    """Whether there is a terminal that can show more than lines."""
    try:
        both = os.isatty(0) and os.isatty(1)
    except OSError:
        return False
    return both and os.environ.get("TERM", "dumb") not in ("", "dumb")


def _plain(args: argparse.Namespace, words: str) -> int:
    if sys.stdout is None:
        return 2
    # Before anything heavy is imported: who writes now is read as soon as the rest is there.
    if os.isatty(0):
        sys.stdout.write(GREETING)
        sys.stdout.flush()
    import asyncio

    return asyncio.run(_lines(args, words))


async def _lines(args: argparse.Namespace, words: str) -> int:
    import asyncio
    import signal

    from qcode.ui.plain.session import PlainSession

    session = PlainSession(sys.stdout, lambda: load(args, session.note).open)
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGINT, session.interrupted)
    for number in (signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, session.leave, 128 + number)
    return await session.run(words)


async def _program(args: argparse.Namespace, words: str) -> int:
    import asyncio

    from qcode.cli.run import notice
    from qcode.cli.signals import cancel_on_signals
    from qcode.ui.program_input import stdin_lines
    from qcode.ui.programs import ProgramSession

    ready = await asyncio.to_thread(load, args, notice)
    try:
        with cancel_on_signals(asyncio.current_task()):
            return await ProgramSession(sys.stdout).run(ready.open, stdin_lines(), words)
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None


def _screen(args: argparse.Namespace, words: str) -> int:
    import asyncio

    from qcode.app.branch import branch_of
    from qcode.app.repository import open_repository
    from qcode.config.paths import state_dir

    # Textual paints at most 60 times a second, so a key waits 8 ms on average: half of that is better.
    os.environ.setdefault("TEXTUAL_FPS", "120")
    from qcode.ui.tui.session import run_tui

    asyncio.run(
        run_tui(
            lambda notice: load(args, notice),
            recall=state_dir() / "history",
            files=lambda: open_repository(args.repo).files,
            branch=lambda: branch_of(args.repo),
            first=words,
        )
    )
    return 0


def _log(args: argparse.Namespace) -> Path | None:
    """The session to go on with. Raises: SessionError."""
    if args.resume is not None:
        from qcode.session.store import find_log

        return find_log(args.resume)
    if not args.go_on:
        return None
    from qcode.app.repository import work_root
    from qcode.session.index import SessionIndex
    from qcode.session.log import SessionError, log_path

    with SessionIndex() as index:
        found = index.entries(repo=work_root(args.repo), limit=1)
    if not found:
        raise SessionError("this repository has no session yet to go on with: start one with `qcode`")
    return log_path(found[0].id)


def load(
    args: argparse.Namespace, notice: Callable[[str], None], *, editor: Mapping[str, Any] | None = None
) -> "Ready":
    """What takes time: imports, settings, which session. `editor` has servers of tools that an editor names.

    Raises: QcodeError.
    """
    from dataclasses import replace

    from qcode.app.options import options_from
    from qcode.app.servers import configured_servers
    from qcode.app.wiring import converse
    from qcode.cli.settings import folder_of, settings_of
    from qcode.policy.policy import Mode
    from qcode.ui.tui.opening import Ready

    folder = folder_of(args.repo, trust=args.trust, notice=notice)
    settings = settings_of(args, folder, notice).settings
    options = options_from(settings, repo=args.repo, notice=notice, folder=folder)
    options = replace(options, servers=configured_servers(settings, folder, notice, editor=editor))
    resume = _log(args)

    def opened(approver: "Approver") -> "Conversation":
        args.talk = converse(options, approver=approver, mode=Mode(settings.mode), copy=args.copy, resume=resume)
        talk: Conversation = args.talk
        return talk

    return Ready(
        open=opened,
        theme=settings.theme,
        vim=settings.vim,
        editor=settings.editor,
        bell=settings.notify == "bell",
    )
