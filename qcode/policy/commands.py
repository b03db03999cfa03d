"""A script taken apart to the last command: through wrappers, `sh -c`, `eval`, `find -exec` and the like."""

import asyncio
import re
from dataclasses import dataclass, field

from qcode.policy.readonly import is_system_program, powerful_variable, reads_only, safe_variable
from qcode.policy.script import Script, Simple, read_script
from qcode.policy.words import UNKNOWN, Word
from qcode.policy.wrappers import inner, program

_WRITTEN_IN = re.compile(r"(?:python|perl|ruby|node|php|lua|deno|bun|[gm]?awk|sed|jq)[0-9.]*")
"""Their words are no shell scripts."""

_DEPTH = 8
_MOST = 400
"""Scripts in scripts, and commands, that are looked at."""


@dataclass(frozen=True, slots=True)
class Command:
    """One command that would run. `own` is False for a wrapper of the system that does nothing but run another, which
    comes next."""

    words: tuple[Word, ...]
    own: bool = True

    @property
    def reads(self) -> bool:
        """Whether it only reads."""
        return not self.own or reads_only(self.words)

    @property
    def shown(self) -> str:
        """For a person, on one line; letters of a program's name that only look like others are spelled out."""
        name, *rest = map(_shown, self.words)
        return " ".join([name.encode("ascii", "backslashreplace").decode(), *rest]).replace("\n", "\\n")


@dataclass(slots=True)
class Commands:
    """All that a script would do, as far as it can be told. Words with UNKNOWN parts are known in the other parts."""

    found: list[Command] = field(default_factory=list)
    written: list[Word] = field(default_factory=list)
    read: list[Word] = field(default_factory=list)
    assigned: list[tuple[str, Word]] = field(default_factory=list)
    defined: list[str] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    unseen: list[str] = field(default_factory=list)
    """What of it runs and cannot be seen."""
    possible: list[Command] = field(default_factory=list)
    """Commands in words of programs that are not known, which may run them."""
    evaluates: bool = False

    @property
    def harmless_settings(self) -> bool:
        """Whether no variable is set that could change what other commands do."""
        return all(_harmless(name, value) for name, value in self.assigned)

    @property
    def powerful_settings(self) -> list[str]:
        """Variables that are set and can make other programs run something."""
        return [name for name, _ in self.assigned if powerful_variable(name)]


async def take_apart(text: str) -> Commands:
    """Everything that a script would run."""
    return await asyncio.to_thread(take_apart_now, text)


def take_apart_now(text: str) -> Commands:
    """The same, blocking."""
    commands = Commands()
    waiting = [(text, 0)]
    while waiting:
        text, depth = waiting.pop()
        if depth > _DEPTH or len(commands.found) > _MOST:
            commands.unseen.append("more scripts in scripts than qcode looks at")
            return commands
        script = read_script(text)
        _add(script, commands)
        for simple in script.simple:
            waiting += [(nested, depth + 1) for nested in _unfold(simple, commands)]
    _consider(commands)
    return commands


def _consider(commands: Commands) -> None:
    """Read what looks like a script in the words of programs that are not known."""
    waiting = [word.text for command in commands.found for word in _suspicious(command)]
    # A word that bash does not take apart further comes back as it was.
    seen: set[str] = set()
    while waiting and len(seen) < _MOST:
        text = waiting.pop()
        if text in seen:
            continue
        seen.add(text)
        script = read_script(text)
        inside = Commands()
        for simple in script.simple:
            waiting += _unfold(simple, inside)
        found = [command for command in inside.found if command.words[0].static]
        commands.possible += found
        waiting += [word.text for command in found for word in _suspicious(command)]


def _suspicious(command: Command) -> list[Word]:
    if command.reads or _WRITTEN_IN.fullmatch(program(command.words)):
        return []
    before = (Word(""), *command.words)
    told = program(command.words) == "git"
    return [
        word
        for last, word in zip(before, command.words, strict=False)
        if word.static and re.search(r"\s", word.text) and not (told and last.text in {"-m", "--message"})
    ]


def _add(script: Script, commands: Commands) -> None:
    commands.written += script.written
    commands.read += script.read
    commands.assigned += script.assigned
    commands.defined += script.defined
    commands.texts += script.texts
    commands.unseen += script.unknown
    commands.evaluates |= script.evaluates


def _unfold(simple: Simple, commands: Commands) -> list[str]:
    """Add a command and all that it runs; the scripts that it runs are given back."""
    commands.assigned += simple.assigned
    scripts: list[str] = []
    waiting = [simple.words] if simple.words else []
    while waiting and len(commands.found) <= _MOST:
        words = waiting.pop()
        runs = inner(words)
        commands.found.append(Command(words, own=runs is None or not runs.whole or not is_system_program(words[0])))
        if program(words) in {"alias", "export", "declare", "typeset", "local", "readonly"}:
            pairs = [(word.text.partition("="), word) for word in words[1:] if "=" in word.text]
            if program(words) == "alias":
                commands.defined += [name for (name, _, _), _ in pairs]
            else:
                commands.assigned += [(name, Word(value, word.dynamic)) for (name, _, value), word in pairs]
        if runs is not None:
            waiting += runs.commands
            scripts += runs.scripts
            commands.assigned += runs.assigned
            commands.unseen += [runs.unseen] if runs.unseen else []
    return scripts


def _harmless(name: str, value: Word) -> bool:
    """A variable of the script's own, whose value nothing could run, or one that is known to be harmless."""
    if safe_variable(name):
        return True
    return not powerful_variable(name) and not any(char in value.text for char in "[`$(;")


def _shown(word: Word) -> str:
    text = word.text.replace(UNKNOWN, "…")
    return f"'{text}'" if not text or any(char in text for char in " \t\n\"'$;&|<>()") else text
