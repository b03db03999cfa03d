import json

import pytest

from qcode_evals.reports.audit import looked_up


def log(command: object) -> str:
    return json.dumps({"event": "tool_started", "call": {"id": "1", "name": "bash", "arguments": {"command": command}}})


@pytest.mark.parametrize(
    ("command", "kind"),
    [
        ("git log --all --oneline", "later commits"),
        ("cd /testbed && git -C . log -p --all -- x.py", "later commits"),
        ("git reflog", "later commits"),
        ("git branch -a", "later commits"),
        ("git fetch origin", "a remote"),
        ("gh pr list", "a remote"),
        ("curl -s https://example.org/x.patch", "the net"),
        ("python -c \"import urllib.request as u; u.urlopen('https://example.org/x')\"", "the net"),
        ("pip download flask==3.0", "a released version"),
        ("python -m pip install --target /tmp/x sympy", "a released version"),
    ],
)
def test_what_is_looking_up(command: str, kind: str) -> None:
    assert kind in looked_up(f"torn {{\n{log('ls')}\n{log(command)}")


@pytest.mark.parametrize(
    "command",
    ["git log -5 --oneline", "git diff", "git status; ls -a", "pip install -e .", "python -m pytest", "view", None, 3],
)
def test_what_is_not(command: object) -> None:
    assert looked_up(log(command)) == []
