"""What an examination found."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Verdict(StrEnum):
    """WEAK: it works, but this model did not do it by itself; no setting of a server changes that."""

    PASS = "pass"
    WEAK = "weak"
    FAIL = "fail"
    SKIP = "skip"


@dataclass(frozen=True, slots=True)
class Result:
    """One check: `detail` is what was seen, `fix` the setting to change, `figures` numbers for programs."""

    check: str
    verdict: Verdict
    detail: str
    fix: str = ""
    figures: Mapping[str, float | int | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Report:
    """All checks of one model."""

    model: str
    engine: str
    address: str
    results: Sequence[Result]

    @property
    def passed(self) -> bool:
        return all(result.verdict is not Verdict.FAIL for result in self.results)

    @property
    def exit_code(self) -> int:
        """0 passed, 1 a check failed."""
        return 0 if self.passed else 1

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        return {
            "model": self.model,
            "engine": self.engine,
            "address": self.address,
            "passed": self.passed,
            "checks": [
                {
                    "check": each.check,
                    "verdict": each.verdict.value,
                    "detail": each.detail,
                    "fix": each.fix,
                    "figures": dict(each.figures),
                }
                for each in self.results
            ],
        }
