"""Work trees of the user's repository in which an agent works beside the user: a folder in the state directory, on a
branch of its own. Nothing that the repository configures is run when they are made or removed."""

import secrets
import shutil
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from qcode.app.branch import branch_of
from qcode.app.repository import filterless, harmless, last_line, work_root
from qcode.config.paths import worktrees_dir
from qcode.errors import ConfigError
from qcode.session.log import is_id

if TYPE_CHECKING:
    from git import Git

BRANCHES = "qcode/"


@dataclass(frozen=True, slots=True)
class Worktree:
    """A work tree at `path` on `branch`, made from `commit` of the repository at `root`."""

    root: Path
    path: Path
    branch: str
    commit: str


def make(directory: Path, name: str | None) -> Worktree:
    """A work tree of the last commit, or the one of that name if there is one. It blocks. Raises: ConfigError."""
    from git import GitCommandError, InvalidGitRepositoryError, Repo

    name = name or f"{datetime.now().astimezone():%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"
    if not is_id(name) or name.endswith((".lock", ".")) or ".." in name:
        raise ConfigError(f"{name!r} cannot be the name of a work tree: letters, digits, '-' and '_'")
    try:
        with Repo(directory, search_parent_directories=True) as repo:
            if not repo.head.is_valid():
                raise ConfigError("the repository has no commit yet: a work tree is made from one")
            root, commit = work_root(directory), repo.head.commit.hexsha
            path, branch = worktrees_dir(root) / name, f"{BRANCHES}{name}"
            if path.exists():
                return Worktree(root, path, branch, _head(path))
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            git = harmless(repo.git)
            git.worktree("add", "--no-checkout", "-q", "-b", branch, str(path), commit)
            try:
                _check_out(path, Path(repo.common_dir) / "objects", commit)
            except BaseException:
                _drop(git, path, branch)
                raise
    except InvalidGitRepositoryError:
        raise ConfigError(f"{directory} is not in a git repository: run `git init` there") from None
    except (GitCommandError, ValueError, OSError) as error:
        reason = last_line(error.stderr) if isinstance(error, GitCommandError) else str(error)
        raise ConfigError(f"git could not make a work tree: {reason}") from None
    return Worktree(root, path, branch, commit)


def close(tree: Worktree) -> bool:
    """Remove the work tree and its branch if nothing came of it: no commit, no changed or new file. Whether it is gone.

    It blocks. Raises: ConfigError.
    """
    from git import GitCommandError, Repo

    if not tree.path.exists() or branch_of(tree.path) != (tree.branch, False) or _head(tree.path) != tree.commit:
        return False
    try:
        with Repo(tree.root) as repo:
            _drop(harmless(repo.git), tree.path, tree.branch)
    except (GitCommandError, OSError) as error:
        raise ConfigError(f"git could not remove the work tree {tree.path}: {error}") from None
    return True


def _head(path: Path) -> str:
    from git import Repo

    with Repo(path) as repo:
        return repo.head.commit.hexsha


def _check_out(path: Path, objects: Path, commit: str) -> None:
    """Write the files, by a git directory of our own that knows no filter, and the work tree's index."""
    from git import Repo

    with Repo(path) as there:
        index = Path(there.git_dir) / "index"
    with filterless(path, index=index, objects=objects) as git:
        git.read_tree(commit)
        git.checkout_index("--all", "--force", "--index")


def _drop(git: "Git", path: Path, branch: str) -> None:
    shutil.rmtree(path)
    git.worktree("prune")
    git.branch("-q", "-D", branch)
