"""The verdict on a shell command: on each command that it would run, and each file that it would write."""

import posixpath
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache

from qcode.policy import mentions
from qcode.policy.commands import Command, Commands
from qcode.policy.git import git_call, sets_protected
from qcode.policy.offer import offered
from qcode.policy.options import named_only
from qcode.policy.paths import Place, Places
from qcode.policy.protected import is_telling, names_protected
from qcode.policy.readonly import is_system_program
from qcode.policy.rules import Match, Rule
from qcode.policy.verdict import Ruling
from qcode.policy.words import UNKNOWN, Word
from qcode.policy.wrappers import program

_WINDOW = 120
"""Characters between which the words of a rule are still taken to belong together."""

_ESCAPE = re.compile(r"(?<!\\)\\+(?:x([0-9a-fA-F]{2})|0?([0-7]{3}))")

_PYTHON_FLAGS = re.compile(r"-[bBdEIOPqsSuvx]+")

_MOST_FOLDERS = 24
_SOMEWHERE = "?"
"""Among the folders of a shell: it may be in any other too."""

_NETWORK = re.compile(r"/dev/(?:tcp|udp)/.*", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Finding:
    """What speaks for a ruling; `place` is the file that it is about."""

    ruling: Ruling
    reason: str
    place: Place | None = None


@dataclass(slots=True)
class Shell:
    """What the session's shell may have become: folders that it may be in, and names that were defined in it."""

    folders: list[str] = field(default_factory=list)
    defined: set[str] = field(default_factory=set)

    def after(self, commands: Commands, workdir: str, directory: str | None) -> list[str]:
        """The folders that a script may work in."""
        folders = [*(self.folders or [workdir]), *([f"{workdir}/{directory}"] if directory else [])]
        for command in commands.found:
            if program(command.words) in {"cd", "pushd"} and len(command.words) > 1:
                to = next((word.text for word in command.words[1:] if not word.text.startswith("-")), ".")
                moved = [to] if to.startswith(("/", "~")) else [f"{folder}/{to}" for folder in folders]
                if any(UNKNOWN in folder for folder in moved):
                    moved = [_SOMEWHERE]
                folders = list(dict.fromkeys([*folders, *map(posixpath.normpath, moved)]))
        if len(folders) > _MOST_FOLDERS:
            folders = [_SOMEWHERE, workdir, *folders[-_MOST_FOLDERS // 2 :]]
        return folders


def only_reads(commands: Commands, shadowed: set[str]) -> bool:
    """Whether nothing of a script does more than read."""
    names = shadowed | set(commands.defined)
    return (
        not commands.unseen
        and not commands.evaluates
        and not commands.defined
        and commands.harmless_settings
        and not mentions.targets(commands)
        and not any(_NETWORK.fullmatch(word.text) for word in commands.read)
        and all(command.reads and program(command.words) not in names for command in commands.found)
    )


def wanted_paths(commands: Commands, folders: Sequence[str], *, reads: bool) -> list[str]:
    """Paths to resolve before the verdict, as absolute as they can be told; `reads` also those that are only read."""
    texts = [text for text in mentions.mentioned(commands) if UNKNOWN not in text and not re.search(r"[*?\[\s]", text)]
    if reads:
        texts += [word.text for command in commands.found for word in command.words[1:]]
        texts += [word.text for word in commands.read]
    return list(dict.fromkeys(_absolute(texts, folders)))


def _absolute(texts: Iterable[str], folders: Sequence[str]) -> Iterable[str]:
    for text in texts:
        if text.startswith(("/", "~")):
            yield text
        else:
            yield from (f"{folder}/{text}" for folder in folders if folder != _SOMEWHERE)


def by_rules(commands: Commands, rules: Sequence[Rule], *, inert: bool) -> Iterable[Finding]:
    """What the rules on commands forbid or want asked. `inert`: the script only reads."""
    for rule in rules:
        if rule.ruling is Ruling.ALLOW or rule.subject != "shell":
            continue
        for command in commands.found:
            match = max((rule.command(form, strict=False) for form in forms(command.words)), key=_ORDER.index)
            if match is Match.YES:
                yield Finding(rule.ruling, f"the rule `{rule}` is about `{command.shown}`")
            elif match is Match.MAYBE:
                yield Finding(Ruling.ASK, f"`{command.shown}` may be what the rule `{rule}` is about")
            elif not command.reads and _speaks_of(rule.literal, _text(command)):
                yield Finding(rule.ruling, f"the rule `{rule}` is about what `{command.shown}` speaks of")
            elif not command.reads and _may_run(rule, command):
                yield Finding(Ruling.ASK, f"`{command.shown}` may run what the rule `{rule}` is about")
        for command in commands.possible:
            match = max((rule.command(form, strict=False) for form in forms(command.words)), key=_ORDER.index)
            if match is not Match.NO:
                ruling = rule.ruling if match is Match.YES else Ruling.ASK
                yield Finding(ruling, f"the rule `{rule}` is about `{command.shown}`, which may be run")
        if inert:
            continue
        texts = [value.text for _, value in commands.assigned]
        if commands.unseen or any(not command.reads for command in commands.found):
            texts += commands.texts
        if commands.unseen or commands.evaluates or any(map(mentions.takes_input, commands.found)):
            texts += [_text(command) for command in commands.found]
        if any(_speaks_of(rule.literal, text) for text in texts):
            yield Finding(rule.ruling, f"the rule `{rule}` is about what the script speaks of")
        elif commands.unseen:
            yield Finding(Ruling.ASK, f"it runs {commands.unseen[0]}, which the rule `{rule}` may be about")


_ORDER = [Match.NO, Match.MAYBE, Match.YES]


def _may_run(rule: Rule, command: Command) -> bool:
    """Whether the last words of a command may be one that the rule is about: it may run them."""
    words = command.words
    return any(
        words[at].static and any(rule.command(form, strict=False) is not Match.NO for form in forms(words[at:]))
        for at in range(1, min(len(words), 40))
    )


def forms(words: tuple[Word, ...], *, strict: bool = False) -> list[tuple[Word, ...]]:
    """A command as it is written, and as it could be written plainly: git without its own options, python -m. `strict`:
    only where that surely does the same."""
    found = [words]
    if strict and not is_system_program(words[0]):
        return found
    name = program(words)
    if name == "git":
        found.append((words[0], *git_call(words[1:]).words))
    elif name.startswith("git-"):
        found.append((Word("git"), Word(name[4:]), *words[1:]))
    elif re.fullmatch(r"python[0-9.]*", name):
        at = next((i for i, word in enumerate(words) if word.text == "-m"), len(words))
        plain = all(word.static and _PYTHON_FLAGS.fullmatch(word.text) for word in words[1:at])
        if at < len(words) - 1 and (plain or not strict):
            found.append(words[at + 1 :])
    return found


def protected(
    commands: Commands, folders: Sequence[str], places: Places, rules: Sequence[Rule], *, workdir: str
) -> Iterable[Finding]:
    """Protected paths that a script may write, but for those that a rule of the user names."""
    for command in commands.found:
        if program(command.words) == "git" and sets_protected(command.words[1:]):
            yield Finding(Ruling.ASK, f"`{command.shown}` changes what git itself runs")
    for text in mentions.mentioned(commands):
        if _SOMEWHERE in folders and is_telling(text):
            yield Finding(Ruling.ASK, f"{text} may be protected: the shell may be in any folder")
        for path in _absolute([text], folders):
            place = places.found.get(path, Place(path, path))
            why = next(filter(None, map(mentions.why_protected_text, place.both)), None)
            if why is not None and not lifted(rules, place, workdir=workdir, home=places.home):
                yield Finding(Ruling.ASK, f"{text.replace(UNKNOWN, '…')} is protected ({why})", place)
    for text in mentions.code(commands):
        if (named := mentions.why_protected_code(text)) is not None:
            yield Finding(Ruling.ASK, f"what it runs speaks of {named.strip()}, which is protected")


def lifted(rules: Sequence[Rule], place: Place, *, workdir: str, home: str) -> bool:
    """Whether a rule of the user names this protected path."""
    return any(
        rule.ruling is Ruling.ALLOW
        and rule.subject == "edit"
        and rule.pattern is not None
        and names_protected(rule.pattern)
        and rule.path(place.real, workdir=workdir, home=home)
        for rule in rules
    )


def by_path_rules(
    commands: Commands, folders: Sequence[str], places: Places, rules: Sequence[Rule], *, workdir: str
) -> Iterable[Finding]:
    """What the rules on paths forbid or want asked, of what a script writes and reads."""
    words = [*mentions.targets(commands), *(word for command in commands.found for word in mentions.writes(command))]
    written = [word.text for word in words]
    read = [*(word.text for word in commands.read), *(w.text for c in commands.found for w in c.words[1:])]
    for rule in rules:
        if rule.ruling is Ruling.ALLOW or rule.subject not in {"read", "edit"}:
            continue
        for text in written if rule.subject == "edit" else read:
            for path in _absolute([text], folders):
                place = places.found.get(path, Place(path, path))
                if any(rule.path(each, workdir=workdir, home=places.home) for each in place.both):
                    yield Finding(rule.ruling, f"the rule `{rule}` is about {text.replace(UNKNOWN, '…')}")


@dataclass(slots=True)
class Leave:
    """What still has to be asked about: `commands` and `written` files that no rule allows, other `reasons`."""

    commands: list[Command]
    written: list[str]
    reasons: list[str]

    def __bool__(self) -> bool:
        return bool(self.commands or self.written or self.reasons)

    @property
    def reason(self) -> str:
        """In a few words."""
        said = [f"`{command.shown}` does more than read" for command in self.commands]
        said += [f"it writes {text}" for text in self.written]
        return "; ".join([*self.reasons, *said][:3]) + ("; …" if len(self.reasons) + len(said) > 3 else "")

    @property
    def rule(self) -> str:
        """The rules that would allow it all, one a line; "" where there are none."""
        made = [offered(command) for command in self.commands] + [f"allow edit({text})" for text in self.written]
        return "" if self.reasons or not all(made) else "\n".join(dict.fromkeys(made))


def left_to_ask(
    commands: Commands, folders: Sequence[str], places: Places, rules: Sequence[Rule], *, workdir: str, shell: Shell,
    edits: bool,
) -> Leave:  # fmt: skip
    """What neither only reads nor is allowed by a rule; `edits`: files of the repository may be written."""
    allowing = [rule for rule in rules if rule.ruling is Ruling.ALLOW]
    names = shell.defined | set(commands.defined)
    asked = [
        command
        for command in commands.found
        if command.own
        and not (command.reads and program(command.words) not in names)
        and not _allowed(command, allowing)
    ]

    def may_be_written(path: str) -> bool:
        place = places.found.get(path)
        if place is None:
            return False
        inside = edits and is_inside(place.real, workdir)
        return inside or edit_allowed(allowing, place, workdir=workdir, home=places.home)

    written: list[str] = []
    for word in mentions.targets(commands):
        lost = _SOMEWHERE in folders and not word.text.startswith(("/", "~"))
        if lost or not all(may_be_written(path) for path in _absolute([word.text], folders)):
            written.append(word.text.replace(UNKNOWN, "…"))
    reasons = [f"it runs {what}" for what in commands.unseen]
    reasons += ["it evaluates variables"] if commands.evaluates else []
    reasons += [f"it sets {name}, which other programs obey" for name in commands.powerful_settings]
    reasons += [f"it defines {name}" for name in commands.defined]
    if not commands.harmless_settings and not reasons:
        reasons += ["it sets variables to what could be run"]
    if any(_NETWORK.fullmatch(word.text) for word in [*commands.read, *commands.written]):
        reasons.append("it opens a connection")
    return Leave(asked, list(dict.fromkeys(written)), list(dict.fromkeys(reasons)))


def is_inside(path: str, workdir: str) -> bool:
    """Whether a real path lies in the repository, or where temporary files do."""
    return any(path == root or path.startswith(f"{root.rstrip('/')}/") for root in (workdir, "/tmp", "/var/tmp"))


def edit_allowed(rules: Sequence[Rule], place: Place, *, workdir: str, home: str) -> bool:
    """Whether a rule allows to write there."""
    return any(
        rule.subject == "edit" and rule.ruling is Ruling.ALLOW and rule.path(place.real, workdir=workdir, home=home)
        for rule in rules
    )


def _allowed(command: Command, rules: Sequence[Rule]) -> bool:
    name = program(command.words)
    plain = name != "git" or git_call(command.words[1:]).plain
    every = forms(command.words, strict=True) if plain else [command.words]
    named = [(form, named_only(form)) for form in every]
    return any(
        rule.subject == "shell" and rule.command(form, strict=True) is Match.YES and rule.says(positions)
        for rule in rules
        for form, positions in named
    )


def _text(command: Command) -> str:
    """The words of a command as text; what a commit says is no command."""
    kept: list[str] = []
    told = program(command.words) == "git"
    for before, word in zip([Word(""), *command.words], command.words, strict=False):
        if not (told and (before.text in {"-m", "--message"} or word.text.startswith("--message="))):
            kept.append(word.text)
    return " ".join(kept)


def _speaks_of(literal: Sequence[str], text: str) -> bool:
    """Whether the words of a rule stand in a text in this order and close together, whatever quotes are in them."""
    if not literal:
        return False
    plain = _ESCAPE.sub(lambda found: chr(int(found[1], 16) if found[1] else int(found[2], 8)), text)
    # Quotes in quotes in quotes grow long, and say nothing.
    plain = re.sub(r"['\"\\]+(?=['\"\\])", "", plain)
    return _speaking(tuple(literal)).search(plain) is not None


@cache
def _speaking(literal: tuple[str, ...]) -> re.Pattern[str]:
    words = [r"['\"\\]*".join(map(re.escape, word)) for word in literal]
    # Before a word may stand an escape of another language, such as \\n.
    edged = [rf"(?:(?<![\w.-])|(?<=\\[abfnrtv])){word}(?![\w-]|\.\w)" for word in words]
    return re.compile(rf"[\s\S]{{1,{_WINDOW}}}?".join(edged))
