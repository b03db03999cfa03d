"""Images from a Dockerfile or a devcontainer.json."""

import asyncio
import json
import os
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import docker
import pytest
import pytest_asyncio
from outside import jail_spec, out

from qcode_sandbox import DockerSpec, Recipe, SandboxUnavailable, Source, open_sandbox
from qcode_sandbox.images import ensure_image
from qcode_sandbox.pip_settings import PipSettings
from qcode_sandbox.recipe import Build, read


def devcontainer(root: Path, text: str) -> Path:
    (root / ".devcontainer").mkdir(exist_ok=True)
    file = root / ".devcontainer/devcontainer.json"
    file.write_text(text, encoding="utf-8")
    return file


def test_a_devcontainer_s_image_is_taken_and_nothing_else(tmp_path: Path) -> None:
    text = """{
      // a comment with "quotes" and /* more */
      "name": "not // a comment",
      "image": "example/image:1", /* here
      too */
      "initializeCommand": "touch ran", "postCreateCommand": ["touch", "ran"],
      "mounts": ["source=/,target=/host,type=bind",],
    }"""
    assert read(devcontainer(tmp_path, text)) == "example/image:1"
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    "settings",
    [
        {"build": {"dockerfile": "Dockerfile", "context": "..", "args": {"A": "1"}}},
        {"dockerFile": "Dockerfile", "context": ".."},
    ],
)
def test_a_devcontainer_s_build(tmp_path: Path, settings: dict[str, object]) -> None:
    file = devcontainer(tmp_path, json.dumps(settings))
    (file.parent / "Dockerfile").touch()
    build = read(file)
    assert isinstance(build, Build)
    assert (build.context, build.dockerfile) == (tmp_path, file.parent / "Dockerfile")


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"build": {"dockerfile": "../../../etc/passwd"}}, "cannot be read|outside"),
        ({"build": {"dockerfile": "/etc/passwd"}}, "outside"),
        ({"build": {"dockerfile": "Dockerfile", "context": "../.."}}, "outside"),
        ({"build": {"dockerfile": "Dockerfile", "args": {"K": "${localEnv:SECRET}"}}}, "variable"),
        ({"image": "${localEnv:IMAGE}"}, "variable"),
        ({"dockerComposeFile": "compose.yml"}, "compose"),
        ({"build": {"dockerfile": "missing"}}, "cannot be read"),
        ([], "no devcontainer"),
        ({"build": {"dockerfile": "Dockerfile", "args": ["K=1"]}}, "must be text"),
        ({"build": {"dockerfile": "Dockerfile", "args": None}}, "must be text"),
        ({"build": {"dockerfile": "Dockerfile", "target": ["last"]}}, "must be text"),
        ({"build": ["Dockerfile"], "dockerFile": "missing"}, "cannot be read"),
    ],
)
def test_what_a_devcontainer_may_not_ask_for(tmp_path: Path, settings: object, says: str) -> None:
    root = tmp_path / "repository"
    root.mkdir()
    file = devcontainer(root, json.dumps(settings))
    (file.parent / "Dockerfile").touch()
    with pytest.raises(SandboxUnavailable, match=says) as caught:
        read(file)
    assert "\n" not in str(caught.value)


def test_a_pipe_or_a_device_is_not_read(tmp_path: Path) -> None:
    file = devcontainer(tmp_path, json.dumps({"build": {"dockerfile": "Dockerfile"}}))
    os.mkfifo(file.parent / "Dockerfile")
    for asked in (file, file.parent / "Dockerfile", Path("/dev/zero"), file.parent):
        with pytest.raises(SandboxUnavailable, match=r"cannot be read: .* is no file") as caught:
            read(asked)
        assert "\n" not in str(caught.value)


def test_the_digest_is_of_all_that_goes_in_and_of_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM x\n", encoding="utf-8")
    (tmp_path / "a").write_text("1", encoding="utf-8")
    (tmp_path / ".dockerignore").write_text("ignored\n", encoding="utf-8")
    (tmp_path / ".git").mkdir()
    build = Build(tmp_path, tmp_path / "Dockerfile")
    digests = [build.digest()]
    (tmp_path / "ignored").write_text("x", encoding="utf-8")
    (tmp_path / ".git/HEAD").write_text("x", encoding="utf-8")
    assert build.digest() == digests[0]
    (tmp_path / "a").write_text("2", encoding="utf-8")
    digests.append(build.digest())
    (tmp_path / "a").chmod(0o755)
    digests.append(build.digest())
    (tmp_path / "b").symlink_to("/etc/passwd")
    digests.append(build.digest())
    digests.append(Build(tmp_path, tmp_path / "Dockerfile", {"A": "1"}).digest())
    assert len(set(digests)) == 5


def test_settings_are_handed_to_every_stage_and_end_with_the_build(tmp_path: Path) -> None:
    context, folder = tmp_path / "context", tmp_path / "folder"
    context.mkdir()
    folder.mkdir()
    bundle = tmp_path / "ca.pem"
    bundle.write_text("certificate", encoding="utf-8")
    lines = ["FROM a AS one", "RUN true \\", "  FROM b", "from c \\", "  AS two", "RUN true"]
    (context / "Dockerfile").write_text("\n".join(lines), encoding="utf-8")
    (context / "link").symlink_to("/etc/passwd")
    pip = PipSettings(index_url="https://index.example/simple", cert=bundle)
    arguments = Build(context, context / "Dockerfile").copy_to(folder, pip)
    assert arguments["PIP_INDEX_URL"] == "https://index.example/simple"
    text = (folder / ".qcode-Dockerfile").read_text(encoding="utf-8")
    assert text.count("ARG PIP_INDEX_URL\n") == 2
    assert "index.example" not in text
    assert text.index("  FROM b") < text.index("from c") < text.index("  AS two") < text.rindex("COPY .qcode-ca.crt")
    assert (folder / ".qcode-ca.crt").read_text(encoding="utf-8") == "certificate"
    assert (folder / "link").is_symlink()


@pytest_asyncio.fixture
async def made() -> AsyncIterator[list[str]]:
    tags: list[str] = []
    yield tags
    client = docker.APIClient(version="auto")
    for tag in set(tags):
        await asyncio.to_thread(client.remove_image, tag, force=True)
    client.close()


@pytest.mark.docker
@pytest.mark.parametrize("name", ["Dockerfile", ".dockerignore"])
async def test_a_build_s_file_that_is_no_text_is_named_in_a_line(tmp_path: Path, name: str) -> None:
    await asyncio.to_thread((tmp_path / "Dockerfile").write_text, "FROM x\n", encoding="utf-8")
    await asyncio.to_thread((tmp_path / name).write_bytes, b"FROM \xff\xfe\n")
    with pytest.raises(SandboxUnavailable, match="Dockerfile cannot be read") as caught:
        await ensure_image(Recipe(tmp_path / "Dockerfile"))
    assert "\n" not in str(caught.value)


@pytest.mark.docker
async def test_a_sandbox_from_a_devcontainer(tmp_path: Path, made: list[str]) -> None:
    base = await ensure_image("qcode/base")
    word = uuid.uuid4().hex
    steps = f"FROM {base}\nARG WORD\nCOPY a.txt /opt/\nRUN echo $WORD >/opt/word && ! (exec 3<>/dev/tcp/192.0.2.1/9)\n"
    settings = {"build": {"dockerfile": "Dockerfile", "context": "..", "args": {"WORD": word}}}
    settings["initializeCommand"] = f"touch {tmp_path}/ran"  # type: ignore[assignment]
    file = devcontainer(tmp_path, json.dumps(settings))
    await asyncio.to_thread((file.parent / "Dockerfile").write_text, steps, encoding="utf-8")
    await asyncio.to_thread((tmp_path / "a.txt").write_text, "a\n", encoding="utf-8")
    lines: list[str] = []
    made.append(await ensure_image(Recipe(file), lines.append))
    assert lines
    lines.clear()
    made.append(await ensure_image(Recipe(file), lines.append))
    assert lines == [], "the same content is built once"
    assert made[0] == made[1]
    source = Source(tmp_path, ["a.txt"])
    spec = jail_spec("docker", source, image=Recipe(file))
    assert isinstance(spec, DockerSpec)
    async with open_sandbox(spec) as box:
        assert await out(box, "cat /opt/word /opt/a.txt") == f"{word}\na\n"
    assert not await asyncio.to_thread((tmp_path / "ran").exists)
