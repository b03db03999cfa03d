"""Bash programs that remember the tree at many moments, and bring it back to one of them.

The objects and the index stand in the sandbox's scratch directory: the index knows the files' times, so that only what
changed is read, and a content that was there before is stored no second time. What is remembered is what a patch would
have: no ignored files, no large new ones, nothing of `.git`.
"""

import shlex
from collections.abc import Sequence

from qcode_sandbox import baseline

KILOBYTES = 256_000
"""Of objects that are kept; beyond it the older half of what is remembered goes."""


def take(*, workdir: str, repository: str, scratch: str) -> str:
    """Put out the id of the tree as it is now, and the kilobytes that all of it takes."""
    return _staged(workdir, repository, scratch) + 'du -sk "$GIT_OBJECT_DIRECTORY"\n'


def restore(tree: str, *, workdir: str, repository: str, scratch: str) -> str:
    """Bring the tree back. Puts out the id of what it was before, and the paths that changed, each ended by NUL."""
    return (
        _staged(workdir, repository, scratch)
        + f"""
tree={shlex.quote(tree)}
git cat-file -e "$tree^{{tree}}" 2>/dev/null || {{ echo gone; exit 1; }}
git diff-tree -r -z --name-only --no-renames "$now" "$tree" >"$work/changed" 2>"$errors" || fail
git read-tree --reset -u "$tree" 2>"$errors" || fail
cat "$work/changed"
"""
    )


def forget(kept: Sequence[str], *, workdir: str, repository: str, scratch: str) -> str:
    """Remove what none of the trees in `kept` needs."""
    return _store(workdir, repository, scratch) + f"git prune --expire=now {' '.join(map(shlex.quote, kept))}\n"


def _store(workdir: str, repository: str, scratch: str) -> str:
    return (
        baseline.setting(workdir, repository)
        + f"store={shlex.quote(scratch)}/steps\n"
        + """
mkdir -p "$store/objects" || exit 1
export GIT_INDEX_FILE=$store/index GIT_OBJECT_DIRECTORY=$store/objects
export GIT_ALTERNATE_OBJECT_DIRECTORIES=$GIT_DIR/objects
"""
    )


def _staged(workdir: str, repository: str, scratch: str) -> str:
    return (
        _store(workdir, repository, scratch)
        + baseline.work_folder(scratch)
        + """
# A program that was killed may have left its lock; only one of these runs at a time.
rm -f -- "$GIT_INDEX_FILE.lock"
[[ -f $GIT_INDEX_FILE ]] || git read-tree HEAD 2>"$errors" || fail
"""
        + baseline.stage()
        + 'now=$(git write-tree 2>"$errors") && echo "$now" || fail\n'
    )
