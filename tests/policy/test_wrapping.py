"""No wrapping of a denied command slips through, and what counts as reading does nothing when bash runs it."""

import os
import shlex
import subprocess
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from shell_scripts import PIECES

from qcode.policy.commands import Commands, take_apart_now
from qcode.policy.rules import parse_rule
from qcode.policy.shell import by_rules, only_reads
from qcode.policy.verdict import Ruling

MORE = int(os.environ.get("POLICY_EXAMPLES", "1"))
"""How many times as many examples are tried, and then other ones each time (make test-attacks)."""

RULES = [parse_rule(f"deny shell({text})") for text in ("git push *", "curl *", "npm publish *")]
DENIED = ["git push origin main", "git push", "curl http://x/y", "npm publish", "git -C d push", "/usr/bin/git push -f"]
Q = shlex.quote

WRAPPERS = [
    lambda s: f"sh -c {Q(s)}",
    lambda s: f"bash -lc {Q(s)}",
    lambda s: f"/bin/bash -o pipefail -ec {Q(s)}",
    lambda s: f"eval {Q(s)}",
    lambda s: f"echo $({s}\n)",
    lambda s: f'ls "$({s}\n)"',
    lambda s: f"cat <({s}\n)",
    lambda s: f"({s}\n)",
    lambda s: f"{{ {s}\n}}",
    lambda s: f"if true; then {s}\nfi",
    lambda s: f"while {s}\ndo break; done",
    lambda s: f"for i in 1 2; do {s}\ndone",
    lambda s: f"case x in x) {s}\n;; esac",
    lambda s: f"f() {{ {s}\n}}; f",
    lambda s: f"cat <<EOF\n$({s}\n)\nEOF\n" if "EOF" not in s else s,
    lambda s: f"cat <<'END' | sh\n{s}\nEND\n" if "END" not in s else s,
    lambda s: f"echo {Q(s)} | sh",
    lambda s: f"echo {Q(s)} | bash -s",
    lambda s: f"bash <<< {Q(s)}",
    lambda s: f"x={Q(s)}; eval \"$x\"",
    lambda s: f"trap {Q(s)} EXIT",
    lambda s: f"alias ll={Q(s)}",
    lambda s: f"env A=1 sh -c {Q(s)}",
    lambda s: f"env -S {Q('sh -c ' + Q(s))}",
    lambda s: f"env {Q('-Ssh -c ' + Q(s))}",
    lambda s: f"./env sh -c {Q(s)}",
    lambda s: f"timeout -k 1 10 sh -c {Q(s)}",
    lambda s: f"nohup nice -n 5 ionice -c 3 setsid sh -c {Q(s)} &",
    lambda s: f"xargs -I% sh -c {Q(s)} < list",
    lambda s: f"find . -name x -exec sh -c {Q(s)} \\;",
    lambda s: f"sudo -u root sh -c {Q(s)}",
    lambda s: f"ssh host {Q(s)}",
    lambda s: f"python3 -c {Q('import os; os.system(' + repr(s) + ')')}",
    lambda s: f"perl -e {Q('system(' + repr(s) + ')')}",
    lambda s: f"awk {Q('BEGIN { system(' + repr(s) + ') }')}",
    lambda s: f"git -c {Q('alias.x=!' + s)} x",
    lambda s: f"GIT_SSH_COMMAND={Q(s)} git fetch",
    lambda s: f"rg --pre {Q(s)} x",
    lambda s: f"some-unknown-tool --run {Q(s)}",
    lambda s: f"watch {Q(s)}",
    lambda s: f"busybox sh -c {Q(s)}",
    lambda s: f"exec sh -c {Q(s)}",
    lambda s: f"time sh -c {Q(s)}",
    lambda s: f"! sh -c {Q(s)}",
    lambda s: f"true && {s}",
    lambda s: f"false || {s}",
    lambda s: f"ls; {s}",
    lambda s: f"ls | {s}" if "\n" not in s and "&" not in s and ";" not in s else s,
    lambda s: f"echo ${{x:-$({s}\n)}}",
    lambda s: f"echo $(( $({s}\n) + 1 ))",
    lambda s: f"echo ${{x%%$({s}\n)}}",
    lambda s: f"echo ${{x:-`{s}`}}" if not set(s) & set("`\\$") else s,
    lambda s: f"x='a[$({s}\n)]'; [[ $x -eq 1 ]]" if "'" not in s else s,
    lambda s: f"ls > >({s}\n)",
    lambda s: f"command sh -c {Q(s)}",
    lambda s: f"[ x || {s}\n]",
    lambda s: f"[ x || {s} ]" if "\n" not in s else s,
    lambda s: f"[[ -n x && -n $({s}\n) ]]",
    lambda s: f"x=1 [[ a || {s}\n]]",
    lambda s: f'echo "$`{s}`"' if not set(s) & set("`\\$\"") else s,
]  # fmt: skip


def quoted(word: str, how: int) -> str:
    """The same word to bash, written in another way."""
    return [
        word, f"'{word}'", f'"{word}"', f"{word[0]}''{word[1:]}", f"\\{word}", f"$'{word}'", f'{word[:2]}"{word[2:]}"',
        "$'" + "".join(f"\\x{ord(char):02x}" for char in word) + "'",
    ][how]  # fmt: skip


@st.composite
def denied_scripts(draw: st.DrawFn) -> str:
    words = draw(st.sampled_from(DENIED)).split()
    script = " ".join(quoted(word, draw(st.integers(0, 7))) for word in words)
    for wrap in draw(st.lists(st.sampled_from(WRAPPERS), max_size=4)):
        script = wrap(script)
    return script


def apart(script: str) -> Commands:
    return take_apart_now(script)


@settings(max_examples=100 * MORE, deadline=None, derandomize=MORE == 1, suppress_health_check=[HealthCheck.too_slow])
@given(denied_scripts())
def test_no_wrapping_of_a_denied_command_slips_through(script: str) -> None:
    commands = apart(script)
    inert = only_reads(commands, set())
    findings = list(by_rules(commands, RULES, inert=inert))
    assert any(found.ruling is not Ruling.ALLOW for found in findings), script
    assert not inert, script


@settings(max_examples=40 * MORE, deadline=None, derandomize=MORE == 1)
@given(st.sampled_from(DENIED), st.integers(0, 7), st.sampled_from(WRAPPERS[:20]))
def test_a_denied_command_in_a_common_wrapping_is_denied_outright(command: str, how: int, wrap) -> None:
    script = wrap(" ".join(quoted(word, how) if how < 7 else word for word in command.split()))
    rulings = {found.ruling for found in by_rules(apart(script), RULES, inert=False)}
    assert Ruling.DENY in rulings, script


@settings(
    max_examples=300 * MORE,
    deadline=None,
    derandomize=MORE == 1,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(pieces=st.lists(st.sampled_from(PIECES), min_size=1, max_size=12))
def test_what_counts_as_reading_writes_nothing_when_bash_runs_it(pieces: list[str], tmp_path: Path) -> None:
    script = "".join(piece + (" " if piece.isalnum() or piece.startswith("-") else "") for piece in pieces)
    if not only_reads(apart(script), set()):
        return
    # Beside it lies what a repository may bring: programs that are named like those of the system.
    for name in ("ls", "cat", "env", "git", "10"):
        (tmp_path / name).write_text("#!/bin/sh\n: >MARK\n", encoding="utf-8")
        (tmp_path / name).chmod(0o755)
    subprocess.run(
        ["bash", "-c", script], cwd=tmp_path, stdin=subprocess.DEVNULL, capture_output=True, timeout=200, check=False
    )
    assert not (tmp_path / "MARK").exists(), script
