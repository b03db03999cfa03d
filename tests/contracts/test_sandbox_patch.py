"""The patch of a sandbox, the same on Docker and on the host, whatever was done to git inside."""

import asyncio
import os
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest
import pytest_asyncio

from qcode_sandbox import Sandbox, Source

pytestmark = pytest.mark.asyncio(loop_scope="module")

Tree = dict[str, tuple[str, bytes]]

ATTACKS = [
    "true",
    "git add -A && git commit -qm mine",
    "git add -A && git commit -qm mine && git checkout -q -b other && git reset -q --soft HEAD~",
    "rm -rf .git",
    "rm -rf .git; git init -q; git add -f .; git -c user.name=a -c user.email=b@c commit -qm all",
    "rm -rf .git; echo 'gitdir: /nowhere' >.git",
    "rm -rf .git; mkfifo .git",
    "mkdir -p .git/hooks; printf '#!/bin/sh\\ntouch /tmp/ran\\n' >.git/hooks/pre-commit;"
    " chmod +x .git/hooks/pre-commit; git config core.hooksPath .git/hooks; git config core.fsmonitor 'touch /tmp/ran'",
    "git config core.autocrlf true; git config core.fileMode false; git config diff.noprefix true;"
    " git config diff.external 'touch /tmp/ran'; git config color.ui always; git config core.quotePath true",
    "git config filter.lfs.clean 'touch /tmp/ran; tr a-z A-Z'; git config filter.lfs.required true;"
    " git config diff.lfs.textconv 'touch /tmp/ran'",
    "mkdir -p .git/info; echo '* binary filter=lfs diff=lfs ident eol=crlf' >.git/info/attributes",
    "mkdir -p .git/info; echo '*' >.git/info/exclude",
    "printf '[diff]\\nnoprefix = true\\n[core]\\nattributesFile = ~/a\\n' >~/.gitconfig; echo '* binary' >~/a",
    "git update-index --assume-unchanged calc/add.py; git update-index --skip-worktree README.md",
    "git config core.worktree /tmp; git config core.bare true",
    "export GIT_DIR=/tmp/x GIT_INDEX_FILE=/tmp/y GIT_EXTERNAL_DIFF=false",
    "(cd calc && git init -q . && git add -A && git -c user.name=a -c user.email=b@c commit -qm nested)",
]

EDITS = r"""
printf 'def add(a, b):\n    return a + b\n' >calc/add.py
printf 'one\r\n2\r\n' >calc/crlf.txt
printf '\000\001new' >calc/blob.bin
printf 'last line changed' >no-newline.txt
printf 'th\351\n' >>latin1.txt
printf 'new\r\nfile\n' >'calc/new ünï "q".txt'
printf '$Id$\n' >ident.dat
mkdir -p deep/er && printf '\377\376' >deep/er/data.bin && : >deep/empty
chmod +x README.md && chmod -x run.sh
rm 'space name.txt'
ln -sf calc/add.py link && ln -s nowhere dangling
echo more >>keep.log
rm away && echo 'a file now' >away
rm secret.txt && mkdir secret.txt && echo 'in a directory now' >secret.txt/inner
"""

NOISE = """
mkdir -p calc/__pycache__ build .pytest_cache/v x.egg-info
touch calc/__pycache__/add.cpython-311.pyc build/out new.log .pytest_cache/v/x x.egg-info/PKG-INFO a.pyc
"""


def read_tree(root: Path) -> Tree:
    """Mode class and bytes (or link) of each file, without .git and what NOISE makes."""
    tree: Tree = {}
    for folder, folders, files in os.walk(root):
        folders[:] = [
            name for name in folders if name not in {".git", "__pycache__", "build", ".pytest_cache", "x.egg-info"}
        ]
        for name in [*files, *(link for link in folders if Path(folder, link).is_symlink())]:
            path = Path(folder, name)
            if path.name in {"new.log", "a.pyc", ".git"}:
                continue
            if path.is_symlink():
                tree[str(path.relative_to(root))] = ("link", os.fsencode(path.readlink()))
            else:
                executable = "x" if path.stat().st_mode & 0o100 else "-"
                tree[str(path.relative_to(root))] = (executable, path.read_bytes())
    return tree


def applied(source: Source, patch: str, into: Path) -> Tree:
    """The source tree with the patch applied by git, in a repository of its own."""
    into.mkdir()
    archive = subprocess.run(["tar", "-C", str(source.root), "-c", "."], capture_output=True, check=True).stdout
    subprocess.run(["tar", "-x", "-C", str(into)], input=archive, check=True)
    data = patch.encode(errors="surrogateescape")
    subprocess.run(["git", "init", "-q"], cwd=into, check=True)
    subprocess.run(["git", "apply", "--whitespace=nowarn", "-"], cwd=into, input=data, check=True)
    return read_tree(into)


@pytest_asyncio.fixture(loop_scope="module")
async def box(open_box: Callable[[], AbstractAsyncContextManager[Sandbox]]) -> AsyncIterator[Sandbox]:
    """A fresh sandbox for each test."""
    async with open_box() as sandbox:
        yield sandbox


async def out(box: Sandbox, script: str) -> str:
    result = await box.exec(script, timeout_s=60)
    assert result.exit_code == 0, result.output
    return result.output


async def fetched(box: Sandbox, into: Path) -> Tree:
    """The tree as it is inside, fetched byte by byte."""
    await out(box, "tar --exclude=.git -cf ~/tree.tar .")
    home = (await out(box, "echo ~")).strip()
    return await asyncio.to_thread(unpacked, await box.read(f"{home}/tree.tar"), into)


def unpacked(archive: bytes, into: Path) -> Tree:
    into.mkdir()
    subprocess.run(["tar", "-x", "-C", str(into)], input=archive, check=True)
    return read_tree(into)


async def test_untouched_tree_has_no_patch(box: Sandbox) -> None:
    assert await box.patch() == ""
    await out(box, NOISE + "touch README.md; git status >/dev/null")
    assert await box.patch() == ""


async def test_every_kind_of_change_survives_every_kind_of_git(
    box: Sandbox, sandbox_source: Source, tmp_path: Path
) -> None:
    """One sandbox for all, because each attack starts from a new `.git`."""
    reset = "rm -rf .git calc/.git ~/.gitconfig ~/a /tmp/ran; cp -a ~/keep-git .git"
    await out(box, "cp -a .git ~/keep-git")
    await out(box, EDITS + NOISE)
    expected = await fetched(box, tmp_path / "inside")
    patches = {}
    for number, attack in enumerate(ATTACKS):
        await out(box, reset)
        await out(box, attack)
        patches[attack] = patch = await box.patch()
        assert "\x1b" not in patch
        assert applied(sandbox_source, patch, tmp_path / f"outside{number}") == expected, attack
        assert (await box.exec("test -e /tmp/ran", timeout_s=10)).exit_code == 1, attack
    assert len(set(patches.values())) == 1
    assert "GIT binary patch" in patch
    assert "calc/__pycache__" not in patch
    assert "build/out" not in patch


async def test_repository_inside_the_tree_is_looked_into(box: Sandbox) -> None:
    await out(box, "git init -q vendored && cd vendored && echo x >a && git add a && "
                   "git -c user.name=a -c user.email=b@c commit -qm x && echo y >b")  # fmt: skip
    patch = await box.patch()
    assert "+++ b/vendored/a" in patch
    assert "+++ b/vendored/b" in patch
    assert "Subproject" not in patch


async def test_what_git_cannot_read_does_not_stop_the_patch(box: Sandbox) -> None:
    await out(box, "echo x >>README.md; echo y >shut; chmod 000 shut; mkdir closed; echo z >closed/in;"
                   " chmod 000 closed; mkfifo pipe; mkdir f; mkfifo f/.gitignore; rm run.sh; mkfifo run.sh;"
                   " ln -s self self")  # fmt: skip
    patch = await box.patch()
    assert all(f"+++ b/{name}" in patch for name in ("README.md", "shut", "closed/in"))
    assert "deleted file mode 100755" in patch
    assert "pipe" not in patch


async def test_large_new_file_is_left_out_and_a_changed_one_is_not(box: Sandbox) -> None:
    await out(box, "head -c 25M /dev/zero >core; head -c 3M /dev/urandom >calc/blob.bin")
    patch = await box.patch()
    assert "b/core" not in patch
    assert len(patch) > 3_000_000


async def test_patch_twice_and_after_undoing(box: Sandbox) -> None:
    await out(box, "echo x >>README.md; echo new >new.txt")
    assert await box.patch() == await box.patch() != ""
    await out(box, "git checkout -q README.md; rm new.txt")
    assert await box.patch() == ""


async def test_change_with_the_same_size_and_times_is_seen(box: Sandbox) -> None:
    await out(box, "touch -r calc/add.py ~/time; sed -i s/-/+/ calc/add.py; touch -r ~/time calc/add.py")
    assert "+    return a + b" in await box.patch()
