"""What every sandbox has in common: the environment of its commands and how its bash is started."""

from pathlib import Path

ENVIRONMENT = {
    "LANG": "C.UTF-8",
    "TERM": "dumb",
    "CI": "1",
    "PAGER": "cat",
    "GIT_PAGER": "cat",
    "MANPAGER": "cat",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_EDITOR": "true",
    "PIP_NO_INPUT": "1",
    "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    "PYTHONDONTWRITEBYTECODE": "1",
    "DEBIAN_FRONTEND": "noninteractive",
}

BOOT = 'IFS= read -r n; LC_ALL=C IFS= read -r -N "$n" s; eval "$s"'


def boot(*arguments: str) -> list[str]:
    """argv of a bash that reads its program from stdin: `ps` inside shows one short line."""
    return ["bash", "--norc", "--noprofile", "-c", BOOT, "qcode", *arguments]


def script(name: str) -> bytes:
    """What to send first to a bash started with `boot`."""
    text = Path(__file__).with_name(name).read_bytes()
    return b"%d\n%b" % (len(text), text)


TAG_BITS = 20
"""A sandbox has 2**TAG_BITS numbers for its requests (see server.sh); after them it starts again at the first."""
