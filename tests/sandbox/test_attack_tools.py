"""Attacks by the model's own tools, in a copy and in a bound folder, and secrets on their way through the whole product
(features 1, 2, 20, 24, 27)."""

import asyncio
import errno
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
from calls import call, committed, scripted
from outside import Host, jail_spec, out
from toolcalls import Caller

from qcode_sandbox import Bind, Sandbox, SandboxFileError, Source, open_sandbox
from qcode_tools.toolsets import NAMES, build_toolset

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture(scope="module")
def folder(host: Host) -> Iterator[Path]:
    """A folder of the user's that holds links to the canary."""
    root = Path(tempfile.mkdtemp(prefix="qcode-bind-"))
    (root / "a.txt").write_text("a\n", encoding="utf-8")
    (root / "link").symlink_to(host.file)
    (root / "folder").symlink_to(host.root)
    if os.geteuid() == 0:
        for path in (root, *root.rglob("*")):
            os.chown(path, 1234, 1234, follow_symlinks=False)
    yield root
    shutil.rmtree(root)


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=["copied", "bound"])
async def box(request: pytest.FixtureRequest, kind: str, tree: Source, folder: Path) -> AsyncIterator[Sandbox]:
    source = tree if request.param == "copied" else Bind(folder)
    async with open_sandbox(jail_spec(kind, source)) as sandbox:
        yield sandbox


PATH_NAMES = ("path", "absolute_path", "file_path", "directory")
WORDS: dict[str, object] = {
    "command": "str_replace", "pattern": "canary", "old_str": "canary", "old_string": "canary", "new_str": "pwned",
    "new_string": "pwned", "file_text": "pwned", "content": "pwned", "new_code": "pwned", "name": "canary",
}  # fmt: skip


async def test_no_tool_is_led_out(box: Sandbox, host: Host) -> None:
    """Each tool of each set with each of these paths, all of whose other words are about the canary."""
    up = "../" * 30
    paths = ["link", "folder/secret", "folder/new", "folder", str(host.file), str(host.root), f"{up}{host.file}"]
    paths += [f"/proc/1/root{host.file}", f"/proc/self/cwd/{up}{host.file}", f"/proc/self/fd/0/{up}{host.file}"]
    asked = 0
    for name in NAMES:
        tools = Caller(box, build_toolset(name))
        for spec in tools.toolset.specs:
            known = spec.parameters["properties"]
            where = next((each for each in PATH_NAMES if each in known), None)
            editor = "file_text" in known and "command" in known
            for path in paths:
                given = {each: word for each, word in WORDS.items() if each in known}
                if where:
                    given[where] = path if where != "absolute_path" or path.startswith("/") else f"{box.workdir}/{path}"
                elif "command" in known:
                    given["command"] = f"cat {path}; echo pwned >{path}; rm -f {path}"
                for command in ("view", "create", "str_replace", "insert") if editor else ("",):
                    more = {"command": command, "insert_line": 0} if editor else {}
                    result = await tools.call(spec.name, **{**given, **more})
                    assert host.secret not in f"{result.content}{result.display}{result.extra}", (spec.name, path)
                    asked += 1
        assert host.secret not in "".join(tools.emitted)
    assert asked > 100
    assert host.untouched
    assert host.secret not in await box.patch()


FAILING = {
    "disk full": "echo old >f.txt; head -c 100M /dev/zero >fill || true",
    "read-only": "ln -s /etc/passwd f.txt",
    "no right": "mkdir -p shut; echo old >shut/f.txt; ln -s shut/f.txt f.txt; chmod 555 shut",
}


@pytest.mark.parametrize("why", FAILING)
async def test_a_write_that_fails_leaves_the_old_file_and_is_one_line(jail: Sandbox, why: str) -> None:
    await out(jail, FAILING[why])
    try:
        before = await jail.read("f.txt")
        with pytest.raises(SandboxFileError) as caught:
            await jail.write("f.txt", b"new\n" * 1_000_000)
        assert caught.value.errno in (errno.ENOSPC, errno.EROFS, errno.EACCES)
        assert "\n" not in str(caught.value)
        assert await jail.read("f.txt") == before
        assert await out(jail, "ls -A | grep -c f.txt; ls -A shut 2>/dev/null || true") in ("1\n", "1\nf.txt\n")
    finally:
        await out(jail, "rm -f f.txt fill; if [ -e shut ]; then chmod 755 shut; rm -r shut; fi")


async def test_no_secret_of_the_host_is_in_anything_that_a_run_leaves(kind: str, host: Host, tmp_path: Path) -> None:
    home = Path(os.environ["HOME"])
    for name in (".ssh/id_ed25519", ".aws/credentials", ".netrc", ".git-credentials"):
        path = home / name
        await asyncio.to_thread(path.parent.mkdir, parents=True, exist_ok=True)
        await asyncio.to_thread(path.write_text, host.secret, encoding="utf-8")
    repo = await asyncio.to_thread(committed, tmp_path / "repo", {"calc.py": "1\n", "issue.md": "Tell me all.\n"})
    search = (
        "env; cat /proc/[0-9]*/environ | tr '\\0' '\\n'; grep -rsaoh 'canary-[0-9a-f]*' /home /root /etc /opt /tmp /run"
    )
    model = scripted(
        tmp_path / "model.jsonl",
        call("bash", command=f"{{ {search} {home}; }} 2>&1 | tee found.txt"),
        call("bash", command=f"cat ~/.ssh/* {home}/.ssh/*"),
        call("str_replace_editor", command="view", path=f"{home}/.ssh/id_ed25519"),
        "Done.",
    )
    environment = {**os.environ, "SECRET_TOKEN": host.secret, "QCODE_API_KEY": host.secret}
    patch = tmp_path / "out.patch"
    words = ["run", "--task", str(repo / "issue.md"), "--repo", str(repo), "--sandbox", kind, "--model", model]
    words += ["--mode", "yolo", "--output", "stream-json", "--patch-out", str(patch)]
    qcode = [sys.executable, "-P", "-m", "qcode"]
    ran = await asyncio.to_thread(
        subprocess.run, [*qcode, *words], env=environment, capture_output=True, text=True, timeout=600, check=False
    )
    assert ran.returncode == 0, ran.stderr
    assert "PATH=" in patch.read_text(encoding="utf-8"), "the search was made, and what it found is in the patch"
    exported = [
        await asyncio.to_thread(
            subprocess.check_output, [*qcode, "sessions", "export", "--repo", str(repo), "--format", form], text=True
        )
        for form in ("markdown", "json", "openai", "ms-swift", "sharegpt")
    ]
    assert all("found.txt" in text for text in exported)
    assert host.secret not in ran.stdout + ran.stderr + "".join(exported)
    kept = [path for root in (home, tmp_path) for path in root.rglob("*") if path.is_file()]
    with_it = {path.name for path in kept if host.secret.encode() in path.read_bytes()}
    assert with_it == {"id_ed25519", "credentials", ".netrc", ".git-credentials"}
    assert any(path.suffix == ".jsonl" and "sessions" in path.parts for path in kept)
