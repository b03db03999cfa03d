"""A test that must fail, put behind the row's own in their files: where no witness speaks a language, does failing
count?

Tested code that prints results and ends the process, or that has the runner exchanged, ends or outvotes this test too.
"""

import re
import secrets
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from qcode_evals.parsers.status import Status

_JAVASCRIPT = """
;(typeof test !== 'undefined' ? test : typeof it !== 'undefined' ? it : typeof tape !== 'undefined' ? tape : () => {})(
  'NAME', (t) => {
    if (!t || !t.end) throw new Error('must fail');
    t.fail('NAME');  // TAP names assertions, and what is thrown has no name.
    t.end();
  });
"""
_RUBY = """
if defined?(RSpec)
  RSpec.describe('NAME') { it('must fail') { raise 'NAME' } }
else
  Class.new(defined?(Minitest::Test) ? Minitest::Test : Test::Unit::TestCase) do
    define_singleton_method(:name) { 'NAME' }
    define_method(:test_NAME) { flunk 'NAME' }
  end
end
"""
_TEXTS = {
    ".go": '\nfunc Test_NAME(t *testing.T) { t.Fatal("must fail") }\n',
    ".rs": '\n#[test]\nfn NAME() { panic!("must fail") }\n',
    ".rb": _RUBY,
    **dict.fromkeys((".js", ".cjs", ".mjs", ".jsx", ".ts", ".cts", ".mts", ".tsx"), _JAVASCRIPT),
}
_CHOSEN = re.compile(
    r"\s(-run|-test\.run|-t|--testNamePattern|--test-name-pattern|--grep|-g|--filter|--name|-n|--example|-e)[ =]"
)
"""Options by which a command runs only tests with certain names."""


@dataclass(frozen=True, slots=True)
class Canary:
    """The test, by a name that nobody can know before."""

    name: str = field(default_factory=lambda: f"qcode{secrets.token_hex(8)}")

    def additions(self, tests: Iterable[str]) -> list[str]:
        """Lines of bash that put it into test files; none where it cannot be said in their language."""
        texts = {path: _TEXTS.get(PurePosixPath(path).suffix) for path in sorted(tests)}
        lines = []
        for place, (path, text) in enumerate(texts.items()):
            if text:
                # Files of one package share their names.
                named = shlex.quote(text.replace("NAME", f"{self.name}n{place}"))
                file = shlex.quote(path)
                fits = f" && grep -q '\"testing\"$' {file}" if path.endswith(".go") else ""
                lines.append(f"[[ -f {file} ]]{fits} && printf %s {named} >>{file}")
        return lines

    def fault(self, statuses: Mapping[str, Status], exit_code: int, script: str) -> str | None:
        """Why a run with it cannot be believed, "" where nothing can be said of it, None if it failed as it must."""
        found = [status for name, status in statuses.items() if self.name in name]
        if any(status.fails for status in found) and exit_code:
            return None
        if found:
            return f"a test that must fail was {found[0].lower()}, and the tests ended with exit code {exit_code}"
        # The tests ended before it, or it was not among those that are chosen by name.
        return "" if _CHOSEN.search(script) else "a test that must fail, behind the others, was not run"
