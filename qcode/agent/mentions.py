"""Files that a task names, shown with it: a small model then starts from the code and not from a search for it."""

import re

from qcode_sandbox.errors import SandboxFileError
from qcode_sandbox.protocol import Sandbox
from qcode_tools.parsing.languages import language_of

MAX_FILES = 3
MAX_CHARACTERS = 12_000
"""Of one file; a larger one is left for the model to look into."""

_PATH = re.compile(r"(?<![\w./@:-])(?:[\w-][\w.-]*/)*[\w-][\w.-]*\.[A-Za-z]\w{0,7}\b(?![\w/(])")


def named_paths(text: str) -> list[str]:
    """What looks like a file's path in the text, in order, each once."""
    return list(dict.fromkeys(_PATH.findall(text)))


async def with_mentions(text: str, sandbox: Sandbox) -> tuple[str, list[str]]:
    """The task, followed by the text of the files that it names and that are there; and their paths.

    Raises: SandboxError.
    """
    shown: dict[str, str] = {}
    for path in named_paths(text):
        if len(shown) == MAX_FILES:
            break
        try:
            content = (await sandbox.read(path)).decode("utf-8")
        except (SandboxFileError, UnicodeDecodeError):
            continue
        if content.strip() and len(content) <= MAX_CHARACTERS:
            fence = "```" if "```" not in content else "~~~~"
            shown[path] = f"This is {path}:\n{fence}{language_of(path) or ''}\n{content.rstrip()}\n{fence}"
    return "\n\n".join([text, *shown.values()]), list(shown)
