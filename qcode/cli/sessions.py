"""`qcode sessions`: list, search, show, export, fork, rm."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from qcode.session.index import Entry, SessionIndex

_EXAMPLES = """\
examples:
  qcode sessions list                             those of this repository, the one used last first
  qcode sessions search parse_date                where a word occurs; words in quotes are a phrase
  qcode sessions show 20261122-1144               an id can be shortened
  qcode sessions export --format ms-swift --out talk.jsonl
  qcode sessions fork 20261122-1144 --at 6        a new session with the first six messages
  qcode sessions rm --older-than 90

Without ID it is the session of this repository that was used last. The logs lie in the state folder, one JSON object a
line; the index beside them is made from them and can be deleted."""

_FORMATS = ("markdown", "json", "openai", "ms-swift", "sharegpt")


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command and its parts."""
    from qcode.cli.arguments import positive

    sessions = commands.add_parser(
        "sessions",
        help="list, search, show, export, fork and remove sessions",
        description="What was talked about and done: every run and every conversation is kept as a log.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parts = sessions.add_subparsers(metavar="ACTION", required=True)

    def part(name: str, run: Callable[[argparse.Namespace], int], text: str, *, wide: bool) -> argparse.ArgumentParser:
        parser = parts.add_parser(
            name, help=text, description=text, epilog=_EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
        )
        parser.add_argument("--repo", type=Path, default=Path(), metavar="DIR", help="default: this folder's")
        if wide:
            parser.add_argument("--all", action="store_true", help="of all repositories")
        parser.set_defaults(run=run)
        return parser

    listing = part("list", _list, "the sessions of this repository", wide=True)
    search = part("search", _search, "sessions in which words occur", wide=True)
    search.add_argument("words", nargs="+", metavar="WORD", help='also the beginning of one, or "a phrase"')
    for one in (listing, search):
        one.add_argument("--limit", type=positive, default=20, metavar="N", help="at most (default: 20)")
    show = part("show", _show, "what was said and done, with the numbers of the messages", wide=False)
    show.add_argument("--full", action="store_true", help="also all of long results")
    export = part("export", _export, "a session for people, programs or training", wide=False)
    export.add_argument("--format", choices=_FORMATS, default="markdown", help="(default: markdown)")
    export.add_argument("--out", type=Path, metavar="FILE", help="default: standard output")
    fork = part("fork", _fork, "a new session that begins as this one", wide=False)
    fork.add_argument("--at", type=int, metavar="N", help="messages to keep (default: all)")
    for one in (show, export, fork):
        one.add_argument("id", nargs="?", metavar="ID")
    for one in (listing, search, show, fork):
        one.add_argument("--json", action="store_true", help="JSON, for programs")
    remove = part("rm", _remove, "delete sessions", wide=True)
    remove.add_argument("ids", nargs="*", metavar="ID")
    remove.add_argument("--older-than", type=positive, metavar="DAYS", help="those not used since")
    remove.add_argument("--yes", action="store_true", help="do not ask")


def _list(args: argparse.Namespace) -> int:
    with _index() as index:
        found = index.entries(repo=_repo(args), limit=args.limit)
    if args.json:
        _print_json([_object(entry) for entry in found])
        return 0
    if not found:
        print("no sessions here" + ("" if args.all else ": --all shows those of other repositories"))
        return 0
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from qcode.ui.sanitize import visible

    table = Table(box=None, pad_edge=False)
    for name, width in (
        ("id", max(len(one.id) for one in found)),
        ("used", 16),
        ("turns", 5),
        ("read", 6),
        ("written", 7),
    ):
        table.add_column(name, no_wrap=True, min_width=width)
    table.add_column("ended", no_wrap=True, min_width=max(len(_ended(one)) for one in found))
    if args.all:
        table.add_column("where", overflow="ellipsis", no_wrap=True, max_width=30)
    table.add_column("model", overflow="ellipsis", no_wrap=True, max_width=24)
    table.add_column("first words", overflow="ellipsis", no_wrap=True, ratio=1)
    for entry in found:
        seen = entry.digest
        texts = [_where(seen.cwd)] if args.all else []
        texts += [seen.model, seen.first]
        table.add_row(
            entry.id, _when(entry.used_at), str(seen.turns), _thousands(seen.usage.prompt_tokens),
            _thousands(seen.usage.completion_tokens), _ended(entry), *(Text(visible(text)) for text in texts),
        )  # fmt: skip
    Console(width=None if sys.stdout.isatty() else 160, highlight=False).print(table)
    return 0


def _search(args: argparse.Namespace) -> int:
    from qcode.ui.sanitize import visible

    with _index() as index:
        found = index.search(" ".join(map(_phrase, args.words)), repo=_repo(args), limit=args.limit)
    if args.json:
        _print_json(
            [
                {**_object(one.entry), "hits": [{"role": hit.role, "pieces": hit.pieces} for hit in one.hits]}
                for one in found
            ]
        )
        return 0 if found else 1
    bold, plain = ("\x1b[1m", "\x1b[0m") if sys.stdout.isatty() else ("", "")
    for one in found:
        seen = one.entry.digest
        where = f" · {visible(_where(seen.cwd))}" if args.all else ""
        print(f"{one.entry.id} · {_when(one.entry.used_at)} · {_ended(one.entry)}{where}")
        print(f"  {visible(seen.first)[:100]}")
        for hit in one.hits:
            pieces = [" ".join(visible(piece).split("\n")) for piece in hit.pieces]
            text = "".join(f"{bold}{piece}{plain}" if place % 2 else piece for place, piece in enumerate(pieces))
            print(f"    {hit.role}: {text}")
    if not found:
        print("nothing found" + ("" if args.all else " in this repository: --all looks in all"))
    return 0 if found else 1


def _show(args: argparse.Namespace) -> int:
    from qcode.cli.transcript import show
    from qcode.session.export import session_object
    from qcode.session.log import read_log

    path = _path(args)
    events = tuple(read_log(path))
    if args.json:
        _print_json(session_object(path, events))
    else:
        show(path, events, full=args.full)
    return 0


def _export(args: argparse.Namespace) -> int:
    from qcode.session.export import exported
    from qcode.ui.sanitize import visible

    text = visible(exported(_path(args), args.format))
    if args.out is None:
        sys.stdout.write(text)
        return 0
    try:
        args.out.write_text(text, encoding="utf-8")
    except OSError as error:
        from qcode.errors import ConfigError

        raise ConfigError(f"cannot write {args.out}: {error.strerror}") from None
    return 0


def _fork(args: argparse.Namespace) -> int:
    from qcode.session.fold import fold
    from qcode.session.log import Session

    session = Session.fork(_path(args), at=args.at)
    session.close()
    if args.json:
        _print_json({"id": session.id, "path": str(session.path), "messages": len(fold(session.events))})
    else:
        print(f"{session.id}: go on with `qcode --resume {session.id}`")
    return 0


def _remove(args: argparse.Namespace) -> int:
    from qcode.errors import ConfigError
    from qcode.session.log import log_path
    from qcode.session.store import find_log, remove

    if bool(args.ids) == (args.older_than is not None):
        raise ConfigError("give the ids of sessions, or --older-than DAYS")
    paths = [find_log(name) for name in args.ids]
    if args.older_than is not None:
        import time

        with _index() as index:
            found = index.entries(repo=_repo(args))
        before = time.time() - args.older_than * 86_400
        paths = [log_path(entry.id) for entry in found if entry.used_at < before]
    if args.older_than is not None and paths and not args.yes:
        if not sys.stdin.isatty():
            raise ConfigError(f"{len(paths)} sessions would be deleted: say so with --yes")
        if input(f"delete {len(paths)} sessions? [y/N] ").strip().lower() not in {"y", "yes"}:
            return 1
    for path in paths:
        remove(path)
    print(f"{len(paths)} deleted")
    return 0


def _path(args: argparse.Namespace) -> Path:
    """The log that is meant. Raises: SessionError."""
    from qcode.session.log import SessionError, log_path
    from qcode.session.store import find_log

    if args.id is not None:
        return find_log(args.id)
    with _index() as index:
        found = index.entries(repo=_root(args.repo), limit=1)
    if not found:
        raise SessionError("this repository has no session yet: `qcode sessions list --all` shows those of others")
    return log_path(found[0].id)


def _index() -> "SessionIndex":
    from qcode.session.index import SessionIndex

    told: list[int] = []

    def progress(done: int, total: int) -> None:
        if done < total and not told:
            told.append(total)
            print(f"qcode: reading {total - done:,} more sessions for the index", file=sys.stderr)

    return SessionIndex(progress=progress)


def _repo(args: argparse.Namespace) -> Path | None:
    return None if args.all else _root(args.repo)


def _root(directory: Path) -> Path:
    """The work tree that the folder is in, or the folder, without asking git."""
    here = directory.absolute()
    return next((folder for folder in (here, *here.parents) if (folder / ".git").exists()), here)


def _phrase(word: str) -> str:
    """The shell has taken the quotes off a phrase."""
    return f'"{word}"' if " " in word and '"' not in word else word


def _object(entry: "Entry") -> dict[str, object]:
    from datetime import UTC, datetime

    from qcode.session.export import digest_object
    from qcode.session.log import log_path

    used = datetime.fromtimestamp(entry.used_at, UTC).isoformat(timespec="seconds")
    return {**digest_object(log_path(entry.id), entry.digest), "used_at": used}


def _print_json(value: object) -> None:
    import json

    print(json.dumps(value, indent=2))


def _when(seconds: float) -> str:
    from datetime import datetime

    return f"{datetime.fromtimestamp(seconds).astimezone():%Y-%m-%d %H:%M}"


def _ended(entry: "Entry") -> str:
    from qcode.session.file import in_use
    from qcode.session.log import log_path

    return "open" if in_use(log_path(entry.id)) else entry.digest.outcome.replace("_", " ")


def _where(cwd: str) -> str:
    home = str(Path.home())
    return f"~{cwd[len(home) :]}" if cwd == home or cwd.startswith(f"{home}/") else cwd


def _thousands(number: int) -> str:
    return f"{number / 1000:.1f}k" if number >= 1000 else str(number)
