"""Commands about the conversation and its log."""

import asyncio
import sys
from itertools import count
from pathlib import Path

from qcode.app.commands.command import Leave, Said
from qcode.app.conversation import Conversation
from qcode.errors import ConfigError
from qcode.events import Notice
from qcode.session.log import Session
from qcode_tools.clean import visible


async def steer(talk: Conversation, args: str) -> Said:
    """Have the model hear words before its next step."""
    if not args:
        raise ConfigError("/steer takes the words that the model is to hear before its next step")
    if not talk.steer(args):
        raise ConfigError("no turn is running: say it without /steer")
    return Said("the model hears it before its next step")


async def clear(talk: Conversation, args: str) -> Said:
    """Begin a new conversation."""
    del args
    talk.clear()
    return Said("a new conversation; the files stay as they are")


async def compact(talk: Conversation, args: str) -> Said:
    """Shorten what the model knows, or take that back."""
    if args == "undo":
        talk.uncompact()
        return Said("the model knows again what it knew before the conversation was shortened")
    done = await talk.compact(args)
    if isinstance(done, Notice):
        return Said(done.text)
    return Said(f"{done.words}; /compact undo takes it back")


async def init(talk: Conversation, args: str) -> Said:
    """Have the model write AGENTS.md."""
    del talk
    from qcode.instructions.commands import init_words

    return Said("", turn=f"{init_words()}\n\n{args}".strip())


async def fork(talk: Conversation, args: str) -> Said:
    """A new session that begins as this one."""
    if args and not args.isdecimal():
        raise ConfigError(f"/fork takes how many messages to keep, not {args!r}: `qcode sessions show` numbers them")
    made = await asyncio.to_thread(Session.fork, talk.session.path, at=int(args) if args else None)
    made.close()
    return Said(f"{made.id} begins as this session does: /resume {made.id} goes on with it")


async def resume(talk: Conversation, args: str) -> Said:
    """List the other sessions, or go on with one."""
    if not args:
        return Said(await asyncio.to_thread(_others, talk))
    from qcode.session.file import in_use
    from qcode.session.store import find_log

    log = await asyncio.to_thread(find_log, args)
    if log == talk.session.path or in_use(log):
        raise ConfigError(f"session {log.stem} is open {'here' if log == talk.session.path else 'in another qcode'}")
    if not sys.stdin.isatty():
        raise ConfigError(f"this session is not held on a terminal: end it and say qcode --resume {log.stem}")
    talk.next = log
    raise Leave


def _others(talk: Conversation) -> str:
    from qcode.session.index import SessionIndex

    with SessionIndex() as index:
        found = [one for one in index.entries(repo=talk.cwd, limit=11) if one.id != talk.session.id]
    rows = [f"{one.id}  {one.digest.first[:80]}" for one in found[:10]]
    return "\n".join([*rows, "/resume ID goes on with one"] if rows else ["this repository has no other session"])


async def export(talk: Conversation, args: str) -> Said:
    """Write the session to a file."""
    from qcode.session.export import FORMS, exported

    first, _, rest = args.partition(" ")
    form, name = (first, rest.strip()) if first in FORMS else ("markdown", args)
    if args and args == name and not rest and not any(sign in args for sign in "./"):
        raise ConfigError(f"{args!r} is no form: {', '.join(FORMS)}; a file of that name is ./{args}")
    suffix = {"markdown": "md", "json": "json"}.get(form, "jsonl")
    file = talk.cwd / (name or f"qcode-{talk.session.id}.{suffix}")
    text = await asyncio.to_thread(exported, talk.session.path, form)
    try:
        file = await asyncio.to_thread(_write_new, file, text, or_beside=not name)
    except FileExistsError:
        raise ConfigError(f"{file} is there already: name another one") from None
    except OSError as error:
        raise ConfigError(f"cannot write {file}: {error.strerror}") from None
    return Said(f"written to {file}")


def _write_new(file: Path, text: str, *, or_beside: bool) -> Path:
    """Not over a file that is there, but with `or_beside` under the name with the next number; the file. What a model
    wrote must not act on whoever prints it. Raises: OSError."""
    for number in count(2):
        try:
            out = file.open("x", encoding="utf-8", errors="replace")
        except FileExistsError:
            if not or_beside:
                raise
            file = file.with_stem(f"{file.stem.partition('_')[0]}_{number}")
            continue
        with out:
            out.write(visible(text))
        return file
    raise AssertionError("numbers do not end")


async def quit_(talk: Conversation, args: str) -> Said:
    """End the session."""
    del talk, args
    raise Leave
