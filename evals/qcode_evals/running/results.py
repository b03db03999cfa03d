"""The output folder: SWE-bench's predictions.jsonl, report.json and logs/<id>/, and attempts.jsonl with all the rest.

attempts.jsonl and predictions.jsonl grow by one flushed line when an attempt is done, so that whatever ends a run
leaves what was finished; report.json is written when it ends. Formats: swebench 5.0.2 (report: schema_version 2).
"""

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from qcode.errors import ConfigError, QcodeError
from qcode.models.atomic import replacing
from qcode_evals.attempt import Attempt, Outcome, attempt_folder
from qcode_evals.grading.judging import Grade, Split
from qcode_evals.running.making import Made

ATTEMPTS = "attempts.jsonl"
PREDICTIONS = "predictions.jsonl"
REPORT = "report.json"

_ERRORS = {Outcome.PATCH_FAILED, Outcome.TEST_TIMEOUT, Outcome.INFRA_ERROR}


class ResultsError(QcodeError):
    """For the user: the output folder cannot be written to; what is in it stays."""

    exit_code = 4


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Have a failure to write said in one line. Raises: ResultsError."""
    try:
        yield
    except OSError as error:
        raise ResultsError(f"cannot write to {folder}: {error.strerror}; what is there is kept for --resume") from None


def _replace(path: Path, text: str) -> None:
    with replacing(path) as file:
        file.write(text.encode("utf-8", "surrogateescape"))


def _lines(path: Path) -> Iterable[dict[str, Any]]:
    """Objects of a JSON-lines file; a line that was cut off by a crash is passed over."""
    if not path.exists():
        return
    for line in path.read_text(encoding="utf-8", errors="replace").split("\n"):
        try:
            value = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(value, dict):
            yield value


def _append(path: Path, value: dict[str, Any]) -> None:
    with path.open("a+b") as file:
        # A torn last line of a killed run must not swallow this one.
        if file.tell() > 0:
            file.seek(-1, os.SEEK_END)
            if file.read(1) != b"\n":
                file.write(b"\n")
        file.write(json.dumps(value, ensure_ascii=True).encode() + b"\n")


def prediction_line(attempt: Attempt, patch: str) -> dict[str, Any]:
    """One line of predictions.jsonl."""
    return {"instance_id": attempt.instance_id, "model_name_or_path": attempt.model, "model_patch": patch}


def instance_report(attempt: Attempt, patch: str, grade: Grade | None) -> dict[str, Any]:
    """What SWE-bench writes as logs/<id>/report.json."""
    nothing = Split()
    lists = {
        "FAIL_TO_PASS": grade.fail_to_pass if grade else nothing,
        "PASS_TO_PASS": grade.pass_to_pass if grade else nothing,
        "FAIL_TO_FAIL": nothing,
        "PASS_TO_FAIL": nothing,
    }
    return {
        attempt.instance_id: {
            "patch_is_None": False,
            "patch_exists": bool(patch.strip()),
            "patch_successfully_applied": grade is not None and attempt.outcome is not Outcome.PATCH_FAILED,
            "resolved": attempt.resolved,
            "infra_failure": attempt.outcome is Outcome.INFRA_ERROR,
            "tests_status": {
                name: {"success": split.success, "failure": split.failure} for name, split in lists.items()
            },
        }
    }


def run_report(ids: Sequence[str], attempts: Iterable[Attempt], submitted: set[str]) -> dict[str, Any]:
    """What SWE-bench writes about a run, in which nothing tells a row that is no task from one that was not tried. An
    attempt without a prediction is incomplete, whatever its cause."""
    by_id = {attempt.instance_id: attempt for attempt in attempts}
    done = {name: by_id[name] for name in ids if name in by_id and name in submitted}
    errors = {name for name, attempt in done.items() if attempt.outcome in _ERRORS}
    empty = {name for name, attempt in done.items() if attempt.outcome is Outcome.EMPTY_PATCH} - errors
    completed = set(done) - errors - empty
    resolved = {name for name in completed if done[name].resolved}
    infra = {name for name, attempt in by_id.items() if attempt.outcome is Outcome.INFRA_ERROR}
    lists = {
        "completed": completed,
        "incomplete": set(ids) - set(done),
        "empty_patch": empty,
        "submitted": set(done),
        "resolved": resolved,
        "unresolved": completed - resolved,
        "infra_failure": infra,
        "ambiguous_failure": set[str](),
        "error": errors,
    }
    return {
        "total_instances": len(ids),
        **{f"{name}_instances": len(members) for name, members in lists.items() if name != "incomplete"},
        **{f"{name}_ids": sorted(members) for name, members in lists.items()},
        "failure_reasons": {name: by_id[name].reason for name in sorted(infra)},
        "schema_version": 2,
    }


class Results:
    """The output folder of one run."""

    def __init__(self, folder: Path, *, resume: bool) -> None:
        """Make the folder; without `resume` it must not hold results yet. Raises: ConfigError."""
        self.folder = folder
        self._patches: dict[str, str] = {}
        self._attempts: dict[tuple[int, str], Attempt] = {}
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if not resume and (folder / ATTEMPTS).exists():
                raise ConfigError(
                    f"{folder} already holds results: continue them with --resume, or choose another --out"
                )
            for line in _lines(folder / PREDICTIONS):
                self._patches[str(line.get("instance_id"))] = str(line.get("model_patch") or "")
            for line in _lines(folder / ATTEMPTS):
                try:
                    attempt = Attempt.model_validate_json(json.dumps(line))
                except ValidationError:
                    continue
                self._attempts[attempt.repeat, attempt.instance_id] = attempt
        except OSError as error:
            raise ConfigError(f"cannot write to {folder}: {error.strerror}") from None

    def finished(self, instance_id: str, repeat: int, key: str) -> Attempt | None:
        """An earlier attempt with the same key that need not be done again."""
        attempt = self._attempts.get((repeat, instance_id))
        if attempt is None or attempt.key != key or not attempt.outcome.counts:
            return None
        return attempt if repeat or instance_id in self._patches else None

    def add(self, made: Made) -> None:
        """Write down a finished attempt: its line in attempts.jsonl comes last, and says that the rest is there.

        Raises: ResultsError.
        """
        with writing(self.folder):
            self._add(made)

    def _add(self, made: Made) -> None:
        attempt, patch = made.attempt, made.patch
        folder = self.folder / attempt_folder(attempt.instance_id, attempt.repeat)
        folder.mkdir(parents=True, exist_ok=True)
        if made.trajectory is not None:
            name, data = made.trajectory
            _replace(folder / name, data.decode("utf-8", "surrogateescape"))
            attempt = attempt.model_copy(update={"trajectory": str((folder / name).relative_to(self.folder))})
        if patch is not None:
            _replace(folder / "patch.diff", patch)
        if made.grade is not None:
            _replace(folder / "test_output.txt", made.grade.log)
        text = json.dumps(instance_report(attempt, patch or "", made.grade), indent=4) + "\n"
        _replace(folder / "report.json", text)
        if attempt.repeat == 0:
            self._patches.pop(attempt.instance_id, None)
            if patch is not None:
                self._patches[attempt.instance_id] = patch
                _append(self.folder / PREDICTIONS, prediction_line(attempt, patch))
        _append(self.folder / ATTEMPTS, attempt.model_dump(mode="json"))
        self._attempts[attempt.repeat, attempt.instance_id] = attempt

    @property
    def attempts(self) -> list[Attempt]:
        """All that are in the folder."""
        return list(self._attempts.values())

    def finish(self, ids: Sequence[str]) -> dict[str, Any]:
        """Write report.json, and each file once more with one line an attempt: those of `ids` in their order, then
        what earlier runs into this folder made of others. SWE-bench's files hold the first attempt at each.

        Raises: ResultsError.
        """
        ids = list(dict.fromkeys([*ids, *(name for _, name in self._attempts)]))
        order = {name: index for index, name in enumerate(ids)}
        ordered = sorted(self._attempts.values(), key=lambda attempt: (attempt.repeat, order[attempt.instance_id]))
        first = [attempt for attempt in ordered if attempt.repeat == 0]
        lines = [
            prediction_line(attempt, self._patches[attempt.instance_id])
            for attempt in first
            if attempt.instance_id in self._patches
        ]
        report = run_report(ids, first, set(self._patches))
        with writing(self.folder):
            _replace(self.folder / PREDICTIONS, "".join(json.dumps(line) + "\n" for line in lines))
            _replace(self.folder / ATTEMPTS, "".join(attempt.model_dump_json() + "\n" for attempt in ordered))
            _replace(self.folder / REPORT, json.dumps(report, indent=4) + "\n")
        return report
