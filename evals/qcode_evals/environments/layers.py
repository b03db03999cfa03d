"""What the images of rows are made from, as text: a base per Debian suite, requirements, a tree.

Each layer is named by a hash of what it is made from, so rows that agree share it, a changed row never meets an old
image, and an image that is there is up to date. Recipe: the README of the evaluation data (`environment` of a row).
"""

import hashlib
import json

from qcode_evals.tasks.dataset import ContextSource, FilesSource, ImageSource, Instance, SdistSource
from qcode_sandbox import debian
from qcode_sandbox.pip_settings import PipSettings

PACKAGES = ("python3", "python3-venv", "python3-dev", "python3-pip", "gcc", "libc6-dev", "git", "ca-certificates")
"""Debian packages of every base image, beside those of the sandbox's own."""

SANDBOX_USER = "1000:1000"
"""Owner of the tree in an instance's image: the user that a sandbox runs commands as."""

_PLACES = "/tests /solution /logs/verifier /logs/agent"
_ENVIRONMENT = (
    "ENV LANG=C.UTF-8 LC_ALL=C.UTF-8 PIP_DISABLE_PIP_VERSION_CHECK=1 DEBIAN_FRONTEND=noninteractive "
    "PATH=/opt/venv/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin VIRTUAL_ENV=/opt/venv"
)
_COMMIT = (
    "git init -q -b main",
    "printf '%s\\n' '*.egg-info/' __pycache__/ '*.pyc' .pytest_cache/ .hypothesis/ > .git/info/exclude",
    "git -c core.autocrlf=false add -A -f -- . ':(exclude,glob)**/*.egg-info/**' ':(exclude,glob)**/__pycache__/**'",
    "GIT_AUTHOR_DATE=2000-01-01T00:00:00Z GIT_COMMITTER_DATE=2000-01-01T00:00:00Z "
    "git -c user.name=base -c user.email=base@localhost commit -q -m base",
    "git config user.name dev",
    "git config user.email dev@localhost",
)

_FORGET = (
    "head=$(git rev-parse HEAD)",
    "git checkout -q --detach",
    "git for-each-ref --format='delete %(refname)' | git update-ref --stdin",
    "git remote | xargs -r -n 1 git remote remove",
    "rm -rf .git/logs .git/FETCH_HEAD .git/ORIG_HEAD",
    'git checkout -q -B main "$head"',
    "git reflog expire --expire=now --all",
    "git gc -q --prune=now",
    "git config --system safe.directory '*'",
)
"""Leaves of a repository what its present commit came from: no later commit, no other branch or tag, no remote."""


def _tag(layer: str, *parts: object) -> str:
    return f"qcode-{layer}:" + hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:20]


def run_line(*commands: str) -> str:
    """A RUN line in its exec form: the builder leaves its text alone, whatever stands in it."""
    return "RUN " + json.dumps(["/bin/sh", "-c", " && \\\n".join(commands)])


def _argument(name: str, value: str) -> str:
    """An ARG line: a variable of the build that does not stay in the image."""
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("$", "\\$")
    return f'ARG {name}="{escaped}"'


def base_tag(suite: str) -> str:
    """Name of the base image of a Debian suite."""
    return _tag("eval-base", debian.base_tag(suite), PACKAGES) + f"-{suite}"


def context_tag(digest: str) -> str:
    """Name of the image that a folder's own Dockerfile makes."""
    return _tag("eval-context", digest)


def environment_tag(instance: Instance) -> str:
    """Name of the image with a row's requirements."""
    return _tag("eval-env", base_tag(instance.environment.suite), environment_dockerfile(instance, None, ""))


def instance_tag(instance: Instance) -> str:
    """Name of the image with a row's tree."""
    given = instance.environment.source
    # A tree of plain text is named as it was before rows could hold more.
    source = given.model_dump(mode="json", exclude_defaults=isinstance(given, FilesSource))
    if isinstance(instance.environment.source, ContextSource):
        return _tag("eval", source["digest"], instance_dockerfile(instance))
    if isinstance(instance.environment.source, ImageSource):
        return _tag("eval", source, instance_dockerfile(instance))
    return _tag("eval", environment_tag(instance), source, instance_dockerfile(instance))


def environment_dockerfile(instance: Instance, pip: PipSettings | None, certificates: str) -> str:
    """Requirements on top of the base; settings of pip are variables of the build only."""
    environment = instance.environment
    settings = pip.environment(cert=certificates or None) if pip else {}
    return "\n".join(
        [
            f"FROM {base_tag(environment.suite)}",
            *([f"COPY ca.crt {certificates}"] if certificates else []),
            *(_argument(name, value) for name, value in sorted(settings.items())),
            # git refuses a repository of another user, which guards nothing in a container that holds only one.
            run_line("git config --system safe.directory '*'"),
            *(run_line(command) for command in environment.env_install),
            _ENVIRONMENT,
            f"WORKDIR {environment.workdir}",
            "",
        ]
    )


def instance_dockerfile(instance: Instance, below: str = "") -> str:
    """The tree on top of the environment, as one commit without a history, checked against the row's hash. `below` is
    the image to begin with where the row names one that was made here instead."""
    environment = instance.environment
    workdir, owned = environment.workdir, f"chown -R {SANDBOX_USER} {environment.workdir}"
    match environment.source:
        case ImageSource(image=image):
            lines = [f"FROM {below or image}", "USER root", f"WORKDIR {workdir}", run_line(*_FORGET, owned), ""]
            return "\n".join(lines)
        case ContextSource(digest=digest):
            owned = f"mkdir -p {workdir} {_PLACES} && chown -R {SANDBOX_USER} {workdir} {_PLACES}"
            return "\n".join(
                [f"FROM {below or context_tag(digest)}", "USER root", f"WORKDIR {workdir}", run_line(owned), ""]
            )
        case FilesSource():
            copy, unpack = f"COPY tree {workdir}", []
        case SdistSource(base_patch=patch):
            copy = "COPY src /tmp/src"
            unpack = [
                "tar -xf /tmp/src/sdist --strip-components=1 --no-same-owner -C .",
                "rm -rf *.egg-info src/*.egg-info lib/*.egg-info",
                *(["git apply /tmp/src/base.patch"] if patch else []),
                "rm -rf /tmp/src",
            ]
    check = (
        f'found=$(git rev-parse "HEAD^{{tree}}") && if [ "$found" != {environment.source.tree} ]; '
        f'then echo "the tree is $found, the row says {environment.source.tree}"; exit 1; fi'
    )
    return "\n".join(
        [
            f"FROM {environment_tag(instance)}",
            f"WORKDIR {workdir}",
            copy,
            run_line(*unpack, *environment.install, *_COMMIT, check, owned),
            "",
        ]
    )
