"""Other forms of tasks as rows: the published sets, Hugging Face, checkouts of benchmarks."""

import asyncio
import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from qcode.errors import ConfigError
from qcode_evals.cli import main
from qcode_evals.mining.checkouts import polyglot, quixbugs
from qcode_evals.tasks.adapters.hub import files_of
from qcode_evals.tasks.dataset import ImageSource, Instance, load
from qcode_sandbox.images import ensure_image

TEST_PATCH = """\
diff --git a/tests/model_forms/test_x.py b/tests/model_forms/test_x.py
--- a/tests/model_forms/test_x.py
+++ b/tests/model_forms/test_x.py
@@ -1 +1 @@
-a = 1
+a = 2
"""


SCRIPT = ": '>>>>> Start Test Output'\ntrue\n: '>>>>> End Test Output'\n"
RUN = """: '>>>>> Start Test Output'
if grep -q '1 + 2' add; then echo '--- PASS: TestAdd (0.00s)'; code=0; else echo '--- FAIL: TestAdd (0.00s)'; code=1; fi
echo '--- PASS: TestNothing (0.00s)'; (exit $code)
: '>>>>> End Test Output'
"""
HISTORY = "git init -q && git add add && git -c user.name=a -c user.email=a@localhost commit -qm base"


def published(**changes: Any) -> dict[str, Any]:
    """A row with the twelve fields of SWE-bench."""
    return {
        "repo": "django/django",
        "instance_id": "django__django-11099",
        "base_commit": "d26b2424437dabeeca94d7900b37d2df4410da0c",
        "patch": "",
        "test_patch": TEST_PATCH,
        "problem_statement": "UsernameValidator allows trailing newline",
        "hints_text": "the answer",
        "created_at": "2019-03-20T03:46:18Z",
        "version": "3.0",
        "FAIL_TO_PASS": '["test_x (model_forms.test_x.T)"]',
        "PASS_TO_PASS": "[]",
        "environment_setup_commit": "419a78300f7cd27611196e1e464d50fd0385ff27",
    } | changes


def loaded(folder: Path, row: dict[str, Any]) -> Instance:
    file = folder / "rows.jsonl"
    file.write_text(json.dumps(row) + "\n", encoding="utf-8")
    (instance,) = load(file)
    return instance


DEEP = "[" * 100_000
NONSENSE = [None, True, 5, 1e400, "", "x.y", "\x00", "-" * 100_000, DEEP, "('a'," * 300, [], [5], [[]], {}, {"a": 1}]


@pytest.mark.parametrize(
    "form",
    [
        {},
        {"dockerhub_tag": "x", "repo_language": "python", "selected_test_files_to_run": "['a']"},
        {"repo_language": "go", "selected_test_files_to_run": "[]"},
        {"image": "x", "eval_script": SCRIPT, "log_parser": "parse_log_gotest", "image_assets": "{}"},
        {"environment": {"source": {"image": "x"}}, "eval_script": SCRIPT, "log_parser": "parse_log_gotest"},
    ],
)
def test_a_field_that_holds_nonsense_is_said_in_a_line(form: dict[str, Any], tmp_path: Path) -> None:
    whole = published(**form)
    loaded(tmp_path, whole)
    for field in [*whole, "image_assets", "requirements", "interface", "eval_type"]:
        for value in NONSENSE:
            try:
                loaded(tmp_path, whole | {field: value})
            except ConfigError as error:
                said = str(error).partition("rows.jsonl")[2]
                assert len(said) > 20, (field, value)
                assert "\n" not in said and " at 0x" not in said, said


def test_a_row_of_verified_gets_its_image_and_its_script(tmp_path: Path) -> None:
    row = loaded(tmp_path, published())
    assert isinstance(row.environment.source, ImageSource)
    assert row.environment.source.image == "swebench/sweb.eval.x86_64.django_1776_django-11099:latest"
    assert row.log_parser == "parse_log_django"
    assert "--parallel 1 model_forms.test_x\n: '>>>>> End" in row.eval_script
    assert "conda activate testbed" in row.eval_script
    assert "+a = 2" in row.eval_script
    assert "the answer" not in row.problem_statement


def test_a_row_of_pro_says_more_and_writes_its_lists_as_python_does(tmp_path: Path) -> None:
    names = {"FAIL_TO_PASS", "PASS_TO_PASS", "hints_text", "version", "environment_setup_commit", "created_at"}
    row = {name: value for name, value in published().items() if name not in names}
    row |= {
        "repo": "ansible/ansible", "instance_id": "instance_ansible__ansible-1a4644ff", "repo_language": "python",
        "fail_to_pass": "['test/units/test_x.py::test_it[a\\'b]']", "pass_to_pass": "[]",
        "selected_test_files_to_run": "['test/units/test_x.py']", "dockerhub_tag": "ansible.ansible-1a4644ff",
        "requirements": "- keep the order", "interface": "No new interfaces", "before_repo_set_cmd": "git reset --hard",
    }  # fmt: skip
    instance = loaded(tmp_path, row)
    assert instance.fail_to_pass == ("test/units/test_x.py::test_it[a'b]",)
    assert instance.environment.workdir == "/app"
    assert instance.environment.source == ImageSource(image="jefzda/sweap-images:ansible.ansible-1a4644ff")
    assert "Requirements:\n- keep the order" in instance.problem_statement
    assert "pytest -rA test/units/test_x.py" in instance.eval_script
    assert "git reset" not in instance.eval_script, "it names a commit that the box does not have"


def test_pictures_are_named_and_other_languages_are_refused_in_one_line(tmp_path: Path) -> None:
    pictured = published(image_assets=json.dumps({"problem_statement": ["https://example.org/a.png"], "patch": []}))
    assert loaded(tmp_path, pictured).problem_statement.endswith("Pictures of the issue:\nhttps://example.org/a.png")
    scripted = pictured | {"eval_script": SCRIPT, "log_parser": "parse_log_jest", "image": "own/image:1"}
    assert "https://example.org/a.png" in loaded(tmp_path, scripted).problem_statement
    with pytest.raises(ConfigError, match=r"no row of .* can be tried.*redis/redis has no eval_script"):
        loaded(tmp_path, published(repo="redis/redis"))
    with pytest.raises(ConfigError, match="does not say in its rows how tests in js are run"):
        loaded(tmp_path, published(dockerhub_tag="x", repo_language="js"))
    with pytest.raises(ConfigError, match="logs are not read here as parse_log_p5js does"):
        loaded(tmp_path, scripted | {"log_parser": "parse_log_p5js"})
    with pytest.raises(ConfigError, match="line 1: "):
        loaded(tmp_path, published(FAIL_TO_PASS="__import__('os').system('true')"))


def test_rows_that_cannot_be_tried_stand_among_the_others_with_their_reason(tmp_path: Path) -> None:
    rows = [
        published(), published(instance_id="redis__redis-1", repo="redis/redis"),
        published(instance_id="django__django-2", FAIL_TO_PASS="[]"),
    ]  # fmt: skip
    data = tmp_path / "rows.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    good, other, empty = load(data)
    assert not good.unusable
    assert "redis/redis has no eval_script" in other.unusable
    assert empty.unusable == "FAIL_TO_PASS is empty: every patch would resolve it"


def test_a_row_of_pro_in_go_runs_the_tests_that_it_lists(tmp_path: Path) -> None:
    patch = TEST_PATCH.replace("tests/model_forms/test_x.py", "db/backup_test.go")
    row = published(
        repo="navidrome/navidrome", instance_id="instance_navidrome__navidrome-5573-vnan", repo_language="go",
        FAIL_TO_PASS='["TestDB", "TestDB/backs_up"]', PASS_TO_PASS='["TestOther"]', test_patch=patch,
        selected_test_files_to_run='["TestDB"]',
    )  # fmt: skip
    instance = loaded(tmp_path, row)
    assert instance.environment.source == ImageSource(
        image="jefzda/sweap-images:navidrome.navidrome-navidrome__navidrome-5573"
    )
    assert instance.log_parser == "parse_log_gotest"
    assert "go test -v -run '^(TestDB|TestOther)$' ./..." in instance.eval_script
    assert "git checkout HEAD -- db/backup_test.go" in instance.eval_script
    web = row | {"repo": "element-hq/element-web", "instance_id": "instance_element-hq__element-web-abc-vnan"}
    source = loaded(tmp_path, web).environment.source
    assert source == ImageSource(image="jefzda/sweap-images:element-hq.element-element-hq__element-web-abc")


def task_repository(root: Path, *, base: str = "scratch") -> Path:
    """Laid out as SWE-bench 5's are: one published task, one deprecated."""
    for name, split in (("own__calc-1", "test"), ("own__calc-2", "deprecated")):
        about = {
            "instance_id": name, "repo": "own/calc", "base_commit": "abc", "version": "1.0", "split": split,
            "datasets": ["own/set"], "image": f"qcode-test-registry.invalid/{name}:latest",
            "log_parser": "parse_log_gotest", "eval_type": "pass_and_fail",
        }  # fmt: skip
        files = {
            "task.yaml": "".join(f"{key}: {json.dumps(value)}\n" for key, value in about.items()),
            "tests.json": json.dumps({"FAIL_TO_PASS": ["TestAdd"], "PASS_TO_PASS": ["TestNothing"]}),
            "problem_statement.md": "Add subtracts.\n",
            "gold.patch": "diff --git a/add b/add\n--- a/add\n+++ b/add\n@@ -1 +1 @@\n-1 - 2\r\n+1 + 2\r\n",
            "test.patch": "",
            "eval.sh": f"#!/bin/bash\ncd /testbed\n{RUN}",
            "Dockerfile": f"FROM {base}\nWORKDIR /testbed\nCOPY add .\nRUN {HISTORY}\n",
            "add": "1 - 2\r\n",
        }
        for file, text in files.items():
            path = root / "tasks" / name / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(text.encode())
    (root / "sweb.yaml").write_text("datasets: [own/set]\nsplits: [test]\n", encoding="utf-8")
    return root


def test_a_task_repository_of_swe_bench_5(tmp_path: Path) -> None:
    root = task_repository(tmp_path / "tasks-repo")
    (instance,) = load(root)
    assert (instance.instance_id, instance.fail_to_pass, instance.pass_to_pass) == (
        "own__calc-1", ("TestAdd",), ("TestNothing",)
    )  # fmt: skip
    assert "\r\n" in instance.patch, "line endings of a patch are kept"
    assert [one.instance_id for one in load(Path(f"{root}#deprecated"))] == ["own__calc-2"]
    with pytest.raises(ConfigError, match="no task in dev; its splits are deprecated, test"):
        load(Path(f"{root}#dev"))
    (root / "tasks/own__calc-1/eval.sh").unlink()
    with pytest.raises(ConfigError, match=r"eval\.sh: No such file"):
        load(root)
    (root / "tasks/own__calc-1/task.yaml").write_text("a: [", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"task\.yaml: not YAML"):
        load(root)


@pytest.mark.docker
def test_a_task_whose_image_no_registry_gives_is_made_from_its_dockerfile(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    root = task_repository(tmp_path / "tasks-repo", base=asyncio.run(ensure_image("qcode/base")))
    for agent, resolved in (("gold", "all"), ("empty", "none")):
        command = ["--dataset", str(root), "--agent", agent, "--out", str(tmp_path / agent)]
        assert main([*command, "--expect-resolved", resolved]) == 0, capfd.readouterr().err
    said = capfd.readouterr().out
    assert "evidence: 1 of 1 resolved rest on log and exit code alone" in said


def test_a_name_of_the_hub_that_cannot_be_had_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="write hf:OWNER/NAME"):
        files_of("hf:nothing")
    command = [sys.executable, "-P", "-m", "qcode_evals", "--dataset", "hf:own/set#dev", "--agent", "gold"]
    done = subprocess.run(
        [*command, "--out", str(tmp_path / "out")],
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    (said,) = done.stderr.strip().splitlines()
    assert "cannot get hf:own/set#dev from Hugging Face" in said


class Hub(BaseHTTPRequestHandler):
    """As much of the hub as its client asks for one small data set."""

    rows = (json.dumps(published()) + "\n").encode()

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        if "/resolve/" in self.path:
            self._say(self.rows, {"ETag": '"1"', "X-Repo-Commit": "c" * 40})
        else:
            files = [{"rfilename": "data/test-00000.jsonl"}, {"rfilename": "README.md"}]
            tree = [{"type": "file", "path": file["rfilename"], "size": 1, "oid": "a" * 40} for file in files]
            info = {"id": "own/set", "sha": "c" * 40, "siblings": files, "tags": [], "downloads": 0, "private": False}
            self._say(
                json.dumps(tree if "/tree/" in self.path else info).encode(), {"Content-Type": "application/json"}
            )

    def _say(self, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(200)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


def test_a_split_comes_from_the_hub(tmp_path: Path) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), Hub) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        program = (
            "from pathlib import Path; from qcode_evals.tasks.dataset import load\n"
            "print(load(Path('hf:own/set'))[0].repo)"
        )
        done = subprocess.run(
            [sys.executable, "-P", "-c", program],
            env={**os.environ, "HF_ENDPOINT": f"http://127.0.0.1:{server.server_port}"},
            cwd=tmp_path, capture_output=True, text=True, check=False,
        )  # fmt: skip
        server.shutdown()
    assert done.stdout.strip() == "django/django", done.stderr


GCD = 'def gcd(a, b):\n    if b == 0:\n        return a\n    return gcd({})\n\n\n"""\nGreatest common divisor\n"""\n'


TEST_GCD = """\
import pytest
from python_testcases.load_testdata import load_json_testcases
from python_programs.gcd import gcd


@pytest.mark.parametrize("given,want", load_json_testcases("gcd"))
def test_gcd(given, want):
    assert gcd(*given) == want
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Laid out as QuixBugs is."""
    files = {
        "python_programs/gcd.py": GCD.format("a % b, b"),
        "python_programs/untested.py": "x = 1\n",
        "correct_python_programs/gcd.py": GCD.format("b, a % b"),
        "python_testcases/load_testdata.py": "import json, pathlib\n\n\ndef load_json_testcases(name):\n"
        "    text = pathlib.Path('json_testcases', name + '.json').read_text()\n"
        "    return [json.loads(line) for line in text.splitlines()]\n",
        "python_testcases/test_gcd.py": TEST_GCD,
        "json_testcases/gcd.json": "[[17, 0], 17]\n[[35, 21], 7]\n",
    }
    for name, text in files.items():
        (tmp_path / "quixbugs" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "quixbugs" / name).write_text(text, encoding="utf-8")
    return tmp_path / "quixbugs"


def test_a_checkout_of_quixbugs(checkout: Path) -> None:
    (row,) = quixbugs(checkout)
    instance = Instance.model_validate(row)
    assert instance.instance_id == "quixbugs__gcd"
    assert "Greatest common divisor" in instance.problem_statement
    assert "+    return gcd(b, a % b)" in instance.patch
    assert "json_testcases/gcd.json" in instance.test_patch
    assert "test" not in " ".join(row["environment"]["source"]["files"]), "the tests are hidden"
    with pytest.raises(ConfigError, match="no checkout of QuixBugs"):
        list(quixbugs(checkout / "python_programs"))


@pytest.mark.docker
def test_what_is_adapted_was_run(checkout: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "rows.jsonl"
    assert main(["adapt", "quixbugs", str(checkout), "--out", str(out), "--runs", "1"]) == 0, capfd.readouterr().err
    (instance,) = load(out)
    assert instance.fail_to_pass == ("python_testcases/test_gcd.py::test_gcd[given1-7]",)
    assert instance.pass_to_pass == ("python_testcases/test_gcd.py::test_gcd[given0-17]",)


def test_a_checkout_of_the_polyglot_benchmark(tmp_path: Path) -> None:
    files = {
        ".docs/instructions.md": "# Instructions\n\nReverse a text.\n",
        ".docs/instructions.append.md": "# More\n\nAlso an empty one.\n",
        ".meta/config.json": json.dumps(
            {"files": {"solution": ["reverse.py"], "test": ["reverse_test.py"], "example": [".meta/example.py"]}}
        ),
        ".meta/example.py": "def reverse(text):\n    return text[::-1]",
        "reverse.py": "def reverse(text):\n    pass\n",
        "reverse_test.py": "import unittest\nfrom reverse import reverse\n\n\nclass T(unittest.TestCase):\n"
        "    def test_a(self):\n        self.assertEqual(reverse('ab'), 'ba')\n",
    }
    for name, text in files.items():
        path = tmp_path / "python/exercises/practice/reverse" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    (row,) = polyglot(tmp_path)
    instance = Instance.model_validate(row)
    assert instance.instance_id == "polyglot-python__reverse"
    assert instance.problem_statement.startswith("# Instructions\n\nReverse a text.\n\n# More")
    assert "return text[::-1]\n\\ No newline at end of file" in instance.patch
    assert list(row["environment"]["source"]["files"]) == ["reverse.py"]
    assert "pytest -rA -p no:cacheprovider reverse_test.py" in instance.eval_script


def terminal_task(folder: Path, base: str) -> Path:
    """Laid out as Terminal-Bench 2 is."""
    files = {
        "task.toml": 'version = "1.0"\n[verifier]\ntimeout_sec = 60.0\n[agent]\ntimeout_sec = 60.0\n',
        "instruction.md": "Write the word hello to /app/greeting.txt.\n",
        "environment/Dockerfile": f"FROM {base}\nWORKDIR /app\nCOPY seed.txt .\n",
        "environment/seed.txt": "seed\n",
        "solution/solve.sh": "echo hello > /app/greeting.txt\n",
        "tests/test.sh": "if bash /tests/check; then echo 1 > /logs/verifier/reward.txt\n"
        "else echo 0 > /logs/verifier/reward.txt; fi\n",
        "tests/check": '[ "$(cat /app/greeting.txt)" = hello ]\n',
    }
    for name, text in files.items():
        (folder / "greet" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "greet" / name).write_text(text, encoding="utf-8")
    return folder


def test_a_folder_of_terminal_tasks(tmp_path: Path) -> None:
    (task,) = load(terminal_task(tmp_path / "tasks", "debian:bookworm"))
    assert (task.instance_id, task.environment.workdir, task.environment.timeout_s) == ("greet", "/app", 60)
    digest = task.digest
    (tmp_path / "tasks/greet/tests/check").write_text("false\n", encoding="utf-8")
    assert load(tmp_path / "tasks")[0].digest != digest, "a changed test is another task"
    (tmp_path / "tasks/greet/tests/test.sh").unlink()
    with pytest.raises(ConfigError, match=r"tests/test\.sh"):
        load(tmp_path / "tasks" / "greet")


@pytest.mark.docker
async def test_a_terminal_task_is_judged_where_the_agent_worked(tmp_path: Path) -> None:
    base = await ensure_image("qcode/base")
    folder = terminal_task(tmp_path / "tasks", base)
    call = "<tool_call>\n<function=bash>\n<parameter=command>\n{}\n</parameter>\n</function>\n</tool_call>"
    script = tmp_path / "model.jsonl"
    outcomes = {}
    for name, agent in {
        "gold": ["gold"],
        "empty": ["empty"],
        "qcode": ["qcode", "--model", f"scripted:{script}"],
    }.items():
        answers = [{"text": call.format("echo hello > greeting.txt; ls /tests")}, {"text": "Done.", "repeat": 5}]
        script.write_text("".join(json.dumps(answer) + "\n" for answer in answers), encoding="utf-8")
        out = tmp_path / name
        command = [
            sys.executable,
            "-P",
            "-m",
            "qcode_evals",
            "--dataset",
            str(folder),
            "--out",
            str(out),
            "--agent",
            *agent,
        ]
        done = await asyncio.to_thread(subprocess.run, command, cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        attempt = json.loads((out / "attempts.jsonl").read_text(encoding="utf-8"))
        outcomes[name] = (attempt["outcome"], attempt["reason"])
    assert outcomes == {
        "gold": ("resolved", ""),
        "empty": ("empty_patch", "the reward is 0"),
        "qcode": ("resolved", ""),
    }


@pytest.mark.docker
def test_what_is_no_reward_resolves_no_terminal_task(tmp_path: Path) -> None:
    base = asyncio.run(ensure_image("qcode/base"))
    folder, out = tmp_path / "tasks", tmp_path / "out"
    said = ["NaN", "1e999", "Infinity", "1" + "0" * 400, '{"reward": []}', DEEP, '{"reward": 1}']
    for number, text in enumerate(said):
        task = (terminal_task(folder, base) / "greet").rename(folder / f"greet{number}")
        (task / "tests/said").write_text(text, encoding="utf-8")
        (task / "tests/test.sh").write_text("cp /tests/said /logs/verifier/reward.json", encoding="utf-8")
    assert main(["--dataset", str(folder), "--agent", "gold", "--out", str(out)]) == 0
    lines = (out / "attempts.jsonl").read_text(encoding="utf-8").splitlines()
    resolved = [attempt["instance_id"] for attempt in map(json.loads, lines) if attempt["resolved"]]
    assert (len(lines), resolved) == (7, ["greet6"])
