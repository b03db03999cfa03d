"""Options by which a program runs another one, loads code or writes elsewhere: what a rule's `*` does not stand for.

Somebody who allows `rg *` wants to be asked no more about searches; that `--pre` runs a program is what few know. A
rule that names such an option itself allows it. Programs that run the repository's own code anyway (make, npm, pytest)
are not here.
"""

import re
from collections.abc import Sequence

from qcode.policy.git import unforeseen
from qcode.policy.readonly import UNSAFE, options, reads_only, sed_is_plain, sure
from qcode.policy.words import Word
from qcode.policy.wrappers import program

_FIND = re.compile(r"-delete|-fprint|-fls|-files0")
_RUNNING = {
    name: re.compile(pattern)
    for names, pattern in {
        "tar bsdtar gtar": r"--checkpoint-a|--to-c|--use-c|--rs|--inf|--new-v|-[a-zA-Z]*[IF]",
        "rsync": r"-[a-zA-Z]*[eM]|--rsh|--rsync-path|--remote-option",
        "ssh scp sftp sshfs": r"-[a-zA-Z0-9]*[oFSDP]",
        "split": r"--f",
        "zip": r"-[a-zA-Z]*T|--unzip-command",
        "ag ack bat delta": r"--pager|--ackrc",
        "man": r"-[a-zA-Z]*[PHC]|--p|--ht|--config",
        "less more": r"\+|-[a-zA-Z]*[kKoO]|--(?:lesskey|log-file|LOG-FILE|LOG)",
        "go": r"--?(?:exec|toolexec|vettool)",
        "cc gcc g++ c++ clang clang++": r"-fplugin|-wrapper|-specs|--specs|-B|-load|-Xclang|@",
        "pylint": r"--load-plugins|--init-hook|--rcfile",
        "wget": r"--use-a|-[a-zA-Z]*e|--exe|--config",
        "curl": r"-[a-zA-Z]*K|--config",
        "ld ar ranlib strip size": r"--?plugin",
    }.items()
    for name in names.split()
}
_LOOSE = frozenset({"go", "cc", "gcc", "g++", "c++", "clang", "clang++", "pylint"})
"""Where a word that is not known yet is most likely a file: what they make is run anyway."""


def named_only(words: Sequence[Word]) -> frozenset[int]:
    """Where the words stand that an allowing rule must name; all of them where it cannot be told which."""
    name = program(words)
    every = frozenset(range(1, len(words)))
    rest = words[1:]
    match name:
        case "git":
            return frozenset(at + 1 for at in unforeseen(rest))
        case "sed":
            return frozenset() if sed_is_plain(rest, in_place=True) else every
        case "awk" | "gawk" | "mawk":
            return frozenset() if reads_only(words) else every
        case "find":
            pattern: re.Pattern[str] | None = _FIND
        case _:
            pattern = _RUNNING.get(name) or UNSAFE.get(name)
    if pattern is None:
        return frozenset()
    if name not in _LOOSE and not sure(rest):
        return every
    if name == "tar" and rest and re.fullmatch(r"(?=[^IF]*[IF])[a-zA-Z]+", rest[0].text):
        return frozenset({1})
    seen = rest if name in _RUNNING or name == "find" else options(rest, name)
    return frozenset(at for at, word in enumerate(words) if word in seen and pattern.match(word.text))
