"""An image from a Dockerfile or a devcontainer.json: nothing of either runs on the host.

Of a devcontainer (containers.dev, "Dev Container metadata reference") its `image`, or its `build`, is taken; commands,
features, mounts and environment are not.
"""

import hashlib
import json
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from qcode_sandbox.errors import SandboxUnavailable

if TYPE_CHECKING:
    from qcode_sandbox.pip_settings import PipSettings

_CERTIFICATES = "/etc/qcode-ca.crt"
_CERTIFICATES_FILE = ".qcode-ca.crt"
_DOCKERFILE = ".qcode-Dockerfile"
_BLOCK = 1 << 20
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|//[^\n]*|/\*.*?\*/|,(?=\s*[}\]])', re.DOTALL)


@dataclass(frozen=True, slots=True)
class Recipe:
    """`file`: a Dockerfile, or a devcontainer.json. `network`: its steps may reach the network of this machine, and
    are given its certificates, proxies and settings of pip, for as long as the image is built."""

    file: Path
    network: bool = False


@dataclass(frozen=True, slots=True)
class Build:
    """What to hand to the engine: a folder, its Dockerfile in it, and arguments."""

    context: Path
    dockerfile: Path
    arguments: Mapping[str, str] = field(default_factory=dict)
    target: str | None = None

    def digest(self) -> str:
        """Of all that the image is made from; blocking. Raises: OSError, ValueError."""
        digest = hashlib.sha256(json.dumps([dict(self.arguments), self.target], sort_keys=True).encode())
        digest.update(self.dockerfile.read_bytes())
        for name in self.names():
            path = self.context / name
            status = path.lstat()
            digest.update(f"\0{name}\0{status.st_mode}\0".encode(errors="surrogateescape"))
            if path.is_symlink():
                digest.update(str(path.readlink()).encode(errors="surrogateescape"))
            elif path.is_file():
                with path.open("rb") as file:
                    while block := file.read(_BLOCK):
                        digest.update(block)
        return digest.hexdigest()

    def names(self) -> list[str]:
        """What of the folder goes to the engine, as .dockerignore says; never `.git`."""
        from docker.utils import exclude_paths

        ignored = self.context / ".dockerignore"
        lines = ignored.read_text(encoding="utf-8").splitlines() if ignored.is_file() else []
        patterns = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
        name = str(self.dockerfile.relative_to(self.context))
        return sorted(exclude_paths(str(self.context), [*patterns, ".git"], name))

    def copy_to(self, folder: Path, settings: "PipSettings | None") -> dict[str, str]:
        """Make a folder to build from, with `settings` where every stage begins; gives the build's arguments.

        Raises: OSError, ValueError.
        """
        for name in self.names():
            source, target = self.context / name, folder / name
            if source.is_symlink() or source.is_file():
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(source, target, follow_symlinks=False)
            elif source.is_dir():
                target.mkdir(parents=True, exist_ok=True)
        text = self.dockerfile.read_text(encoding="utf-8")
        handed: dict[str, str] = {}
        if settings:
            handed = settings.environment(cert=_CERTIFICATES if settings.cert else None)
            first = [f"ARG {name}" for name in handed]
            if settings.cert:
                shutil.copyfile(settings.cert, folder / _CERTIFICATES_FILE)
                first.insert(0, f"COPY {_CERTIFICATES_FILE} {_CERTIFICATES}")
                with (folder / ".dockerignore").open("a", encoding="utf-8") as file:
                    file.write(f"\n!{_CERTIFICATES_FILE}\n")
            text = "\n".join(_after_each_from(text.splitlines(), first)) + "\n"
        (folder / _DOCKERFILE).write_text(text, encoding="utf-8")
        return {**handed, **self.arguments}

    @property
    def copied_dockerfile(self) -> str:
        """Its name in the folder that `copy_to` made."""
        return _DOCKERFILE


def read(file: Path) -> str | Build:
    """The name of an image, or what to build; blocking. Raises: SandboxUnavailable."""
    with readable(file):
        path = _ordinary(file.resolve(strict=True))
        if path.suffix != ".json":
            return Build(path.parent, path)
        return _devcontainer(path, json.loads(_without_comments(path.read_text(encoding="utf-8"))))


@contextmanager
def readable(file: Path) -> Iterator[None]:
    """Say which description it was when it, or a file that it names, cannot be read. Raises: SandboxUnavailable."""
    try:
        yield
    except (OSError, ValueError, RecursionError) as error:
        raise SandboxUnavailable(f"{file} cannot be read: {error}") from None


def _devcontainer(file: Path, settings: object) -> str | Build:
    if not isinstance(settings, dict):
        raise SandboxUnavailable(f"{file} is no devcontainer.json")
    if isinstance(image := settings.get("image"), str):
        return _plain(image, file)
    build = found if isinstance(found := settings.get("build"), dict) else {}
    name = build.get("dockerfile") or settings.get("dockerFile")
    if not isinstance(name, str):
        raise SandboxUnavailable(f"{file} names neither an image nor a Dockerfile (docker compose is not supported)")
    root = file.parent.parent if file.parent.name == ".devcontainer" else file.parent
    context = build["context"] if "context" in build else settings.get("context", ".")
    arguments = build.get("args", {})
    target = build.get("target") or ""
    texts = [context, target, *(arguments.values() if isinstance(arguments, dict) else [None])]
    if not all(isinstance(text, str) for text in texts):
        raise SandboxUnavailable(f"{file}: its build's context, args and target must be text")
    return Build(
        _inside(root, file.parent / _plain(context, file), file),
        _ordinary(_inside(root, file.parent / _plain(name, file), file)),
        {key: _plain(value, file) for key, value in arguments.items()},
        target or None,
    )


def _plain(text: str, file: Path) -> str:
    """Variables stand for values of the host, which are not the repository's to ask for."""
    if "${" in text:
        raise SandboxUnavailable(f"{file}: {text!r} holds a variable, which qcode does not fill in")
    return text


def _ordinary(path: Path) -> Path:
    """A pipe would be waited for, and a device read without end."""
    if not path.is_file():
        raise ValueError(f"{path} is no file")
    return path


def _inside(root: Path, path: Path, file: Path) -> Path:
    found = path.resolve(strict=True)
    if not found.is_relative_to(root.resolve()):
        raise SandboxUnavailable(f"{file} names {path}, which is outside {root}")
    return found


def _without_comments(text: str) -> str:
    """JSON as devcontainers write it: with comments and trailing commas."""
    return _TOKEN.sub(lambda found: found[0] if found[0].startswith('"') else " ", text)


def _after_each_from(lines: list[str], added: list[str]) -> Iterator[str]:
    continued, in_from = False, False
    for line in lines:
        in_from = in_from or (not continued and line.lstrip().upper().startswith("FROM "))
        continued = line.rstrip().endswith("\\") or (continued and line.lstrip().startswith("#"))
        yield line
        if in_from and not continued:
            in_from = False
            yield from added
