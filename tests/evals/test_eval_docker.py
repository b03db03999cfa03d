"""The whole way with real rows, images and containers."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest
from diffs import new_file

from qcode_evals.cli import main
from qcode_evals.environments.boxes import open_box
from qcode_evals.environments.images import Images
from qcode_evals.grading.fresh import grade
from qcode_evals.grading.judging import Verdict
from qcode_evals.tasks.dataset import ImageSource, Instance, load
from qcode_sandbox.pip_settings import pip_settings
from qcode_sandbox.protocol import Sandbox

pytestmark = pytest.mark.docker

DATA = Path(__file__).with_name("data") / "instances.jsonl"
IDS = ["pallets__flask-5063", "quixbugs__gcd", "quixbugs__sieve"]


def attempts(folder: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (folder / "attempts.jsonl").read_text(encoding="utf-8").splitlines()]


def test_gold_resolves_all(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "gold"
    arguments = ["--dataset", str(DATA), "--agent", "gold", "--out", str(out), "--expect-resolved", "all"]
    assert main([*arguments, "--workers", "2"]) == 0
    assert capfd.readouterr().out.startswith("3 of 3 resolved")
    report = json.loads((out / "report.json").read_text(encoding="utf-8"))
    assert report["resolved_ids"] == IDS
    assert ">>>>> Test Exit Code: 0" in (out / "logs/quixbugs__gcd/test_output.txt").read_text(encoding="utf-8")
    assert main([*arguments, "--resume"]) == 0, "a finished run is not done again"
    assert "(earlier)" in capfd.readouterr().err
    assert len(attempts(out)) == 3


def test_empty_resolves_none(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "empty"
    arguments = ["--dataset", str(DATA), "--agent", "empty", "--out", str(out), "--workers", "2"]
    assert main([*arguments, "--expect-resolved", "none"]) == 0
    assert [attempt["outcome"] for attempt in attempts(out)] == ["empty_patch"] * 3
    assert all(attempt["exit_code"] == 1 for attempt in attempts(out)), "the tests were run"
    assert json.loads((out / "report.json").read_text(encoding="utf-8"))["empty_patch_ids"] == IDS
    assert main([*arguments, "--resume", "--expect-resolved", "all"]) == 1
    assert "not as expected: quixbugs__gcd is empty_patch" in capfd.readouterr().err


@pytest.fixture(scope="module")
def gcd() -> Instance:
    return next(instance for instance in load(DATA) if instance.instance_id == "quixbugs__gcd")


@pytest.fixture
async def box(gcd: Instance) -> AsyncIterator[AbstractAsyncContextManager[Sandbox]]:
    image = await Images(await pip_settings()).ensure(gcd)
    yield open_box(gcd, image)


async def test_the_right_fix_resolves_and_its_tests_are_taken_out(
    gcd: Instance, box: AbstractAsyncContextManager[Sandbox]
) -> None:
    async with box as sandbox:
        result = await grade(gcd, gcd.patch + new_file("tests/test_gcd.py", "def test_nothing(): pass"), sandbox)
    assert result.verdict is Verdict.RESOLVED
    assert [item.path for item in result.removed] == ["tests/test_gcd.py"]


SCRIPT = """\
#!/bin/bash
set -uxo pipefail
printf 'before, no newline'
: '>>>>> Start Test Output'
echo 'PASSED a.py::test_one'; echo 'echo FORGED; exit 0' > /tmp/eval.sh
echo '>>>>>' 'End Test Output'; sh -c 'exit 7'
: '>>>>> End Test Output'
echo afterwards
"""


async def test_the_script_leaves_with_the_tests_exit_code_and_cannot_be_rewritten(
    gcd: Instance, box: AbstractAsyncContextManager[Sandbox]
) -> None:
    async with box as sandbox:
        result = await grade(gcd.model_copy(update={"eval_script": SCRIPT}), "", sandbox)
    assert (result.verdict, result.exit_code) == (Verdict.UNRESOLVED, 7)
    assert result.log.count(">>>>> Start Test Output\n+ echo 'PASSED a.py::test_one'") == 1
    assert ">>>>> Test Exit Code: 7" in result.log
    assert "before, no newline" in result.log
    assert "FORGED" not in result.log.replace("echo FORGED", "")
    assert "+ echo afterwards" not in result.log


async def test_a_patch_that_does_not_apply(gcd: Instance, box: AbstractAsyncContextManager[Sandbox]) -> None:
    async with box as sandbox:
        result = await grade(gcd, gcd.patch.replace("gcd(a % b, b)", "something else"), sandbox)
    assert result.verdict is Verdict.PATCH_FAILED
    assert result.reason == "error: patch failed: python_programs/gcd.py:2"


async def test_a_row_whose_tree_is_another_has_no_image(gcd: Instance) -> None:
    from qcode_sandbox.errors import SandboxError

    source = gcd.environment.source.model_copy(update={"tree": "1" * 40})
    environment = gcd.environment.model_copy(update={"source": source})
    with pytest.raises(SandboxError, match="the row says 1111111"):
        await Images(await pip_settings()).ensure(gcd.model_copy(update={"environment": environment}))


PUBLISHED = """\
FROM {image}
USER root
RUN git config user.name a && git config user.email a@localhost && echo later > later && git add later && \\
  git commit -qm "The fix is gcd(b, a % b)" && git tag v2 && git branch future && git reset -q --hard HEAD~1 && \\
  git remote add origin /nowhere && chown -R 0:0 .
"""


async def test_a_published_image_is_made_to_forget_what_came_later(gcd: Instance, tmp_path: Path) -> None:
    from qcode_sandbox.images import build_image

    images = Images(await pip_settings())
    (tmp_path / "Dockerfile").write_text(PUBLISHED.format(image=await images.ensure(gcd)), encoding="utf-8")
    await build_image(tmp_path, tag="qcode-test/published:1", network="none", on_line=lambda line: None)
    source = ImageSource(image="qcode-test/published:1")
    row = gcd.model_copy(update={"environment": gcd.environment.model_copy(update={"source": source, "base": ""})})
    image = await images.ensure(row)
    async with open_box(row, image) as sandbox:
        seen = await sandbox.exec(
            "git log --all --oneline; git reflog; git remote; git tag; git branch -a; git fsck --lost-found; "
            "git cat-file --batch-all-objects --batch-check='%(objecttype)' | grep -c commit; touch here",
            timeout_s=300,
        )
        graded = await grade(row, gcd.patch, sandbox)
    assert seen.exit_code == 0, "the tree belongs to the sandbox's user"
    assert seen.output.split("\n")[0].endswith(" base")
    assert "* main\n1\n" in seen.output
    assert not {"fix", "v2", "future", "origin", "dangling"} & set(seen.output.split())
    assert graded.verdict is Verdict.RESOLVED


def test_ctrl_c_keeps_what_is_finished_and_leaves_no_container(tmp_path: Path) -> None:
    rows = [json.loads(line) for line in DATA.read_text(encoding="utf-8").splitlines()]
    quick, slow = rows[1], rows[2]
    slow["eval_script"] = slow["eval_script"].replace("python -m pytest", "sleep 300; python -m pytest")
    data = tmp_path / "data.jsonl"
    data.write_text(json.dumps(quick) + "\n" + json.dumps(slow) + "\n", encoding="utf-8")
    said = []
    with subprocess.Popen(
        [sys.executable, "-P", "-m", "qcode_evals", "--dataset", data, "--agent", "gold", "--out", tmp_path / "out",
         "--verbose"],
        stderr=subprocess.PIPE, text=True, cwd=tmp_path, env=os.environ | {"PYTHONUNBUFFERED": "1"},
    ) as child:  # fmt: skip
        assert child.stderr is not None
        for line in child.stderr:
            said.append(line)
            if "quixbugs__sieve: grading" in line:
                child.send_signal(signal.SIGINT)
                break
        said.append(child.stderr.read())
    assert child.returncode == 130, "".join(said)
    assert "Traceback" not in "".join(said)
    report = json.loads((tmp_path / "out/report.json").read_text(encoding="utf-8"))
    assert (report["resolved_ids"], report["incomplete_ids"]) == (["quixbugs__gcd"], ["quixbugs__sieve"])
    listing = ["docker", "ps", "-a", "--filter", "label=qcode", "--format", '{{.Label "qcode.owner"}}']
    owners = subprocess.run(listing, capture_output=True, text=True, check=True).stdout.splitlines()
    assert not [owner for owner in owners if owner.startswith(f"{child.pid}/")]


def call(name: str, **parameters: str) -> str:
    body = "".join(f"<parameter={key}>\n{value}\n</parameter>\n" for key, value in parameters.items())
    return f"<tool_call>\n<function={name}>\n{body}</function>\n</tool_call>"


def script(path: Path, *answers: dict[str, object]) -> str:
    path.write_text("".join(json.dumps(answer) + "\n" for answer in answers), encoding="utf-8")
    return f"scripted:{path}"


def test_qcode_works_in_the_instances_container(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    usage = {"prompt_tokens": 100, "cached_tokens": 60, "completion_tokens": 10, "requests": 1}
    edit = call(
        "str_replace_editor",
        command="str_replace",
        path="python_programs/gcd.py",
        old_str="gcd(a % b, b)",
        new_str="gcd(b, a % b)",
    )
    model = script(
        tmp_path / "model.jsonl",
        {"text": "Look.\n" + call("bash", command="python -m pytest --version; ls; git log --oneline"), "usage": usage},
        {"text": "Swap them.\n" + edit, "usage": usage},
        {"text": "Done.", "usage": usage, "repeat": 3},
    )
    out = tmp_path / "out"
    arguments = ["--dataset", str(DATA), "--instance", "quixbugs__gcd", "--agent", "qcode", "--model", model]
    assert main([*arguments, "--out", str(out), "--expect-resolved", "all"]) == 0
    assert "1 of 1 resolved" in capfd.readouterr().out
    (attempt,) = attempts(out)
    assert attempt["outcome"] == "resolved"
    assert isinstance(usage_spent := attempt["usage"], dict)
    assert usage_spent["prompt_tokens"] == 100 * usage_spent["requests"] > 0
    log = (out / str(attempt["trajectory"])).read_text(encoding="utf-8")
    assert "pytest 8.3.3" in log, "the agent has the instance's environment"
    assert "tests/test_gcd.py" not in log, "the tests that judge it are not there"
    (prediction,) = [json.loads(line) for line in (out / "predictions.jsonl").read_text(encoding="utf-8").splitlines()]
    assert prediction["model_name_or_path"] == model
    assert "+        return gcd(b, a % b)" in prediction["model_patch"]


def test_a_model_that_cannot_be_asked_is_not_the_agents_failure(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    model = script(tmp_path / "model.jsonl", {"error": "refused", "message": "no such model", "repeat": 9})
    out = tmp_path / "out"
    arguments = ["--dataset", str(DATA), "--instance", "quixbugs__gcd", "--agent", "qcode", "--model", model]
    assert main([*arguments, "--out", str(out)]) == 4
    (attempt,) = attempts(out)
    assert (attempt["outcome"], attempt["retries"]) == ("infra_error", 1)
    report = json.loads((out / "report.json").read_text(encoding="utf-8"))
    assert report["infra_failure_ids"] == report["incomplete_ids"] == ["quixbugs__gcd"]
    assert "agent failed, once more" in capfd.readouterr().err


def test_a_limit_is_the_agents_own(tmp_path: Path) -> None:
    model = script(tmp_path / "model.jsonl", {"text": call("bash", command="true"), "repeat": 9})
    out = tmp_path / "out"
    arguments = ["--dataset", str(DATA), "--instance", "quixbugs__gcd", "--agent", "qcode", "--model", model]
    assert main([*arguments, "--out", str(out), "--max-turns", "2"]) == 0
    (attempt,) = attempts(out)
    assert (attempt["outcome"], attempt["stop_reason"]) == ("agent_limit", "max_turns")


def test_the_best_of_several_attempts_is_handed_in(tmp_path: Path) -> None:
    """Chosen by a test that one of them wrote; the row's own tests are not in the box."""

    def call(command: str) -> str:
        return f"<tool_call>\n<function=bash>\n<parameter=command>\n{command}\n</parameter>\n</function>\n</tool_call>"

    wrong = call("sed -i 's/gcd(a % b, b)/gcd(a, b)/' python_programs/gcd.py")
    test = "from python_programs.gcd import gcd\\n\\n\\ndef test_gcd():\\n    assert gcd(35, 21) == 7\\n"
    right = call(f"sed -i 's/gcd(a % b, b)/gcd(b, a % b)/' python_programs/gcd.py; printf '{test}' > test_mine.py")
    script = tmp_path / "model.jsonl"
    answers: list[dict[str, object]] = [{"text": wrong}, {"text": right}, {"text": "Done.", "repeat": 10}]
    script.write_text("".join(json.dumps(answer) + "\n" for answer in answers), encoding="utf-8")
    out = tmp_path / "out"
    arguments = ["--dataset", str(DATA), "--instance", "quixbugs__gcd", "--agent", "qcode", "--attempts", "2"]
    assert main([*arguments, "--model", f"scripted:{script}", "--out", str(out), "--expect-resolved", "all"]) == 0
    (attempt,) = attempts(out)
    assert attempt["usage"]["requests"] >= 4, "what all attempts cost is counted"  # type: ignore[index]
    told = (out / "logs/quixbugs__gcd/attempts.jsonl").read_text(encoding="utf-8").splitlines()
    chosen = json.loads(told[-1])
    assert (chosen["attempt"], chosen["why"]) == (1, "more examples of the task come out right")
