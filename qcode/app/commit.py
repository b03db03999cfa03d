"""Commit what the agent changed, and nothing else.

What the user has staged stays staged and uncommitted. No hook, filter or signing program is run, because a repository
is not trusted with that: `git commit --amend` afterwards runs them.
"""

import asyncio
import re
import shutil
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from qcode.agent.inwords import in_words
from qcode.app.repository import harmless, last_line, require_repository
from qcode.deltas import PrefillProgress
from qcode.errors import ConfigError, ContextOverflow

if TYPE_CHECKING:
    from git import Git

    from qcode.app.conversation import Conversation
    from qcode.model import Delta

MESSAGE_TOKENS = 400
DIFF_CHARACTERS = (12_000, 1_500)
"""How much of the change the model is shown, when it writes a message; the less where it has no room for more."""

WORDS = """\
Write the message of the git commit that has this change, and nothing else: a subject of at most 72 characters in the
imperative, and where that does not say why, an empty line and one short paragraph. Call no tool."""

_FENCED = re.compile(r"^```[\w-]*[ \t]*\n(.*?)(?:\n```|\Z)", re.DOTALL | re.MULTILINE)
_LABEL = re.compile(
    r"(?:(?:here is|here's|the|git|suggested|proposed|commit)\s+)*(?:message|subject|title)\b[^:\n]{0,40}:\**\s*",
    re.IGNORECASE,
)
_BODY = re.compile(r"[*`]*(?:body|description)\s*:[*`]*\s*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Commit:
    """A commit that was made: the first letters of its id, its subject, its files."""

    name: str
    subject: str
    paths: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Change:
    new: Path
    old: Path


async def commit_changes(talk: "Conversation", message: str = "") -> tuple[Commit, tuple[str, ...]]:
    """Commit what the agent of the conversation changed and has not committed; and the files that were left out because
    it cannot be told what in them is the agent's. The model writes the message where there is none.

    Raises: ConfigError, BackendError, SandboxError.
    """
    share = await talk.diff()
    kept = talk.session.path.with_suffix(".committed")
    before = await asyncio.to_thread(_read, kept)
    if share.patch == before:
        raise ConfigError("the agent has changed nothing that is not committed")
    # Before a model is asked for words.
    require_repository(talk.cwd)
    await asyncio.to_thread(_signature, talk.cwd)
    words = message or await _written(talk, share.patch)
    made = await asyncio.to_thread(commit, talk.cwd, share.patch, words, before=before)
    await asyncio.to_thread(kept.write_bytes, share.patch.encode("utf-8", "surrogateescape"))
    return made, share.mixed


async def _written(talk: "Conversation", patch: str) -> str:
    """A message by the model, which is asked at the end of the conversation, where it knows why; the conversation does
    not keep it. Where it has no room, the user's last words. Raises: BackendError."""
    answer = ""
    for characters in DIFF_CHARACTERS:
        asked = question(patch, characters)
        with suppress(ContextOverflow):
            answer = await talk.alone(lambda: _asked(talk, asked))  # noqa: B023 - awaited at once
            break
    said = " ".join(next(iter(talk.record.words[-1:]), "").split())
    return message_from(answer, otherwise=said[:72] or "Change by qcode")


async def _asked(talk: "Conversation", words: str) -> str:
    def see(delta: "Delta") -> None:
        if isinstance(delta, PrefillProgress):
            talk.record.emit(delta)

    answer = await in_words(talk.backend, talk.request, words, max_tokens=MESSAGE_TOKENS, see=see)
    return answer.text


def _signature(directory: Path) -> None:
    """See that git has a name for who commits, before a model is asked for anything. Raises: ConfigError."""
    from git import GitCommandError

    try:
        for who in ("GIT_AUTHOR_IDENT", "GIT_COMMITTER_IDENT"):
            _git(directory).var(who)
    except GitCommandError:
        raise ConfigError(
            "git does not know who commits: run `git config --global user.name NAME` and "
            "`git config --global user.email ADDRESS`, and /commit again"
        ) from None


def _read(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8", "surrogateescape")
    except OSError:
        return ""


def question(patch: str, characters: int = DIFF_CHARACTERS[0]) -> str:
    """What a model is asked for a message: the change, and what to do with it last, where small models mind it."""
    shown = patch if len(patch) <= characters else patch[:characters] + "\n… (cut)"
    return f"```diff\n{shown.rstrip()}\n```\n\n{WORDS}"


def message_from(answer: str, otherwise: str) -> str:
    """The message in a model's answer, without what models put around one: a fence, quotes, a label before it."""
    fenced = next((m for m in _FENCED.finditer(answer) if not m[1].startswith(("diff ", "--- ", "@@ "))), None)
    text = fenced[1] if fenced is not None else _FENCED.sub("", answer)
    if label := _LABEL.match(text.lstrip(" *#\n")):
        text = text.lstrip(" *#\n")[label.end() :]
    subject, _, body = text.strip(' *#`"\n').partition("\n")
    subject = subject.strip(' *`"')
    if not subject or subject.startswith(("{", "<")):
        return otherwise
    if label := _BODY.match(body := body.strip()):
        body = body[label.end() :]
    return f"{subject[:200]}\n\n{body}".strip()


def commit(directory: Path, patch: str, message: str, *, before: str = "") -> Commit:
    """Commit the patch, which the work tree has already, on the branch that is checked out. `before` is what of it was
    committed earlier. It blocks.

    Raises: ConfigError, and then nothing has changed.
    """
    from git import GitCommandError, InvalidGitRepositoryError, Repo

    try:
        with Repo(directory, search_parent_directories=True) as repo, tempfile.TemporaryDirectory() as scratch:
            if repo.working_tree_dir is None:
                raise ConfigError(f"{directory} is a bare git repository: nothing can be committed there")
            root, own = Path(repo.working_tree_dir), Path(repo.git_dir)
            if any(
                (own / name).exists() for name in ("MERGE_HEAD", "rebase-merge", "rebase-apply", "CHERRY_PICK_HEAD")
            ):
                raise ConfigError("a merge or rebase is under way: end it first")
            files = _Change(Path(scratch) / "change.patch", Path(scratch) / "before.patch")
            files.new.write_bytes(patch.encode("utf-8", "surrogateescape"))
            files.old.write_bytes(before.encode("utf-8", "surrogateescape"))
            born = repo.head.is_valid()
            parent = repo.head.commit.hexsha if born else ""
            tree = _tree(root, files, Path(scratch) / "index", parent)
            git = _git(root)
            made = str(git.execute(_commit_tree(tree, parent, message, Path(scratch))))
            _move(git, files, made, parent, born=born, index=own / "index", scratch=Path(scratch))
            names = str(git.diff_tree("--no-commit-id", "--name-only", "-r", "-z", "--root", made)).split("\0")
    except InvalidGitRepositoryError:
        raise ConfigError(f"{directory} is not in a git repository: run `git init` there") from None
    except (GitCommandError, ValueError, OSError) as error:
        reason = last_line(error.stderr) if isinstance(error, GitCommandError) else str(error)
        raise ConfigError(f"git could not commit: {reason}") from None
    return Commit(made[:9], message.partition("\n")[0], tuple(name for name in names if name))


def _git(root: Path) -> "Git":
    from git import Git

    return harmless(Git(str(root)))


def _tree(root: Path, change: "_Change", index: Path, parent: str) -> str:
    """The last commit's tree with the patch. Raises: ConfigError."""
    from git import GitCommandError

    git = _git(root)
    git.update_environment(GIT_INDEX_FILE=str(index))
    git.read_tree(*([parent] if parent else ["--empty"]))
    before = git.write_tree()
    try:
        _stage(git, change)
    except GitCommandError as error:
        raise ConfigError(
            f"the agent's changes stand on changes of yours that are not committed: commit those first "
            f"({last_line(error.stderr)})"
        ) from None
    if (tree := git.write_tree()) == before:
        raise ConfigError("all that the agent changed is committed already")
    return str(tree)


def _stage(git: "Git", change: "_Change") -> None:
    """Have the index hold the new patch instead of the old one, or beside what it holds where the old one is not in it.
    Raises: GitCommandError."""
    from git import GitCommandError

    if change.old.stat().st_size:
        with suppress(GitCommandError):
            git.apply("--cached", "--reverse", "--whitespace=nowarn", str(change.old))
    if change.new.stat().st_size:
        git.apply("--cached", "--whitespace=nowarn", str(change.new))


def _commit_tree(tree: str, parent: str, message: str, scratch: Path) -> list[str]:
    file = scratch / "message"
    file.write_text(message + "\n", encoding="utf-8", errors="replace")
    return ["git", "commit-tree", tree, *(["-p", parent] if parent else []), "-F", str(file)]


def _move(git: "Git", change: "_Change", made: str, parent: str, *, born: bool, index: Path, scratch: Path) -> None:
    """Let the branch and the user's index have the change. Raises: ConfigError, GitCommandError."""
    from git import GitCommandError

    kept = scratch / "users-index"
    had = index.exists()
    if had:
        shutil.copy2(index, kept)

    def put_back() -> None:
        if had:
            kept.replace(index)

    try:
        _stage(git, change)
    except GitCommandError as error:
        put_back()
        raise ConfigError(
            f"you have staged something in the same lines: commit it or unstage it first ({last_line(error.stderr)})"
        ) from None
    try:
        git.update_ref("-m", "commit (qcode)", "HEAD", made, *([parent] if born else []))
    except GitCommandError:
        put_back()
        raise
