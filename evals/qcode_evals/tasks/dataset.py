"""Rows of a data set: SWE-bench's fields, and `environment`, which says how the repository's image is built.

A row is foreign data: fields that are not known here are ignored, those that are known are checked, and nothing of it
is run outside a container. Format: SWE-bench's twelve fields, `image`, `log_parser`, `eval_type`, `eval_script` of
swebench 5. A row without `environment` has an `image` that holds its tree, at SWE-bench's place for it.
"""

import hashlib
import json
import re
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    ValidationError,
    field_validator,
    model_validator,
)

from qcode.errors import ConfigError
from qcode_evals.parsers.logparse import PARSERS, UNREADABLE
from qcode_evals.tasks.adapters.hub import PREFIX, files_of
from qcode_evals.tasks.adapters.published import Unusable, completed
from qcode_evals.tasks.adapters.repository import is_repository, repository
from qcode_evals.tasks.adapters.terminal import is_tasks, tasks
from qcode_evals.tasks.rows import read_rows
from qcode_evals.tasks.trees import Files


class Foreign(BaseModel):
    """Immutable data from outside; unknown fields are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore")


def _list_of_names(value: Any) -> Any:
    """SWE-bench stores lists of tests as JSON in a string; some copies of it as lists."""
    try:
        names = json.loads(value) if isinstance(value, str) else value
    except (ValueError, RecursionError):
        names = None
    if not isinstance(names, list | tuple):
        raise ValueError('is no list of test names such as ["tests/test_a.py::test_b"]')
    return names


TestNames = Annotated[tuple[str, ...], BeforeValidator(_list_of_names)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
TreeHash = Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")]


class SdistSource(Foreign):
    """A release's source archive on the package index, with a diff on top of it."""

    sdist: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*==[A-Za-z0-9.+!_-]+$")
    sha256: Sha256
    base_patch: str = ""
    tree: TreeHash

    @property
    def project(self) -> str:
        """Name of the project on the index."""
        return self.sdist.partition("==")[0]


class FilesSource(Files):
    """A tree that stands in the row itself."""

    tree: TreeHash


ImageName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._/:@-]*$")]


class ImageSource(Foreign):
    """An image of a registry, or of this machine, that holds the tree and all that its tests need; with a `context`,
    where no registry gives it, what that folder's Dockerfile makes."""

    image: ImageName
    context: str = ""
    digest: str = ""


class ContextSource(Foreign):
    """A folder of this machine with a Dockerfile, and the hash of what is in it; `image` is the same made already, by
    its name in a registry, or ""."""

    context: str
    digest: Sha256
    image: ImageName | Literal[""] = ""


class Verifier(Foreign):
    """A test script that judges the agent's own container (grading/in_place.py): folders of this machine."""

    tests: str
    digest: Sha256
    solution: str = ""


class Environment(Foreign):
    """How the image of a row is built, and how its tests run."""

    base: str = Field(default="", pattern=r"^(debian-[a-z]+-py3\.\d+)?$")
    workdir: str = Field(default="/testbed", pattern=r"^/[A-Za-z0-9._/-]+$")
    source: SdistSource | FilesSource | ImageSource | ContextSource
    verifier: Verifier | None = None
    env_install: tuple[str, ...] = ()
    install: tuple[str, ...] = ()
    pre_test: str | None = None
    """Line of the script that starts what the tests need running, such as a server."""
    test_files: tuple[str, ...] = ()
    timeout_s: float = Field(default=1800.0, gt=0)

    @property
    def suite(self) -> str:
        """Debian's code name in `base`, such as "bookworm"."""
        return self.base.split("-")[1]

    @model_validator(mode="after")
    def _has_base(self) -> "Environment":
        if not self.base and not isinstance(self.source, ImageSource | ContextSource):
            raise ValueError("base: is needed to build the tree's image on")
        return self


class Instance(Foreign):
    """One task: a repository, what is wrong with it, and the tests that tell whether it was put right."""

    instance_id: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,199}$")
    repo: str
    problem_statement: str = Field(min_length=1)
    patch: str
    test_patch: str
    fail_to_pass: TestNames = Field(alias="FAIL_TO_PASS")
    pass_to_pass: TestNames = Field(alias="PASS_TO_PASS")
    image: str = ""
    log_parser: str
    eval_type: Literal["pass_and_fail", "fail_only"] = "pass_and_fail"
    """`fail_only`: the log names only tests that fail, and a listed test that it does not name passed."""
    eval_script: str
    environment: Environment
    unusable: str = ""
    """Why the row is no task here, whatever is done about it."""
    _digest: str = PrivateAttr(default="")

    @property
    def digest(self) -> str:
        """SHA-256 of the whole row, with fields that are not known here."""
        return self._digest

    @model_validator(mode="before")
    @classmethod
    def _image_alone(cls, row: Any) -> Any:
        if not isinstance(row, dict):
            return row
        environment = row.get("environment")
        if isinstance(environment, str):
            try:
                return row | {"environment": json.loads(environment)}
            except (ValueError, RecursionError):
                raise ValueError("environment is text, and not JSON") from None
        if environment is None and row.get("image"):
            return row | {"environment": {"source": {"image": row["image"]}}}
        return row

    @field_validator("log_parser")
    @classmethod
    def _known_parser(cls, name: str) -> str:
        if name not in PARSERS:
            raise ValueError(f"log parser {name!r} is not known; known are: {', '.join(sorted(PARSERS))}")
        return name

    @field_validator("eval_script")
    @classmethod
    def _has_markers(cls, script: str) -> str:
        if not all(len(re.findall(f"(?m)^.*>>>>> {edge} Test Output.*$", script)) == 1 for edge in ("Start", "End")):
            raise ValueError('needs one line with ">>>>> Start Test Output" and one with ">>>>> End Test Output"')
        return script


def _reason(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    field = ".".join(str(part) for part in first["loc"]) or "the row"
    return f"{field}: {first['msg'].removeprefix('Value error, ')}"


def _instance(row: Any) -> Instance:
    try:
        try:
            whole = completed(row)
            if isinstance(whole, dict) and str(whole.get("log_parser")) in UNREADABLE:
                raise Unusable(f"logs are not read here as {whole['log_parser']} does")
            instance = Instance.model_validate(whole)
        except Unusable as error:
            instance = Instance.model_validate(_placeholder(row, str(error)))
        if not (instance.fail_to_pass or instance.environment.verifier or instance.unusable):
            instance = instance.model_copy(update={"unusable": "FAIL_TO_PASS is empty: every patch would resolve it"})
    except ValidationError as error:
        raise ConfigError(_reason(error)) from None
    except (ValueError, RecursionError) as error:
        raise ConfigError(str(error)) from None
    canonical = json.dumps(row, sort_keys=True, separators=(",", ":"), default=str)
    instance._digest = hashlib.sha256(canonical.encode()).hexdigest()
    return instance


def _placeholder(row: dict[str, Any], why: str) -> dict[str, Any]:
    """A row that cannot be tried, so that it stands among the others with its reason."""
    return {
        "instance_id": row.get("instance_id"), "repo": row.get("repo"), "problem_statement": "-",
        "patch": "", "test_patch": "", "FAIL_TO_PASS": [], "PASS_TO_PASS": [], "log_parser": "parse_log_pytest",
        "eval_script": ": '>>>>> Start Test Output'\n: '>>>>> End Test Output'\n",
        "environment": {"source": {"image": "none"}}, "unusable": why,
    }  # fmt: skip


def _rows(path: Path) -> Iterator[tuple[str, Any]]:
    name, _, split = str(path).partition("#")
    if str(path).startswith(PREFIX):
        return chain.from_iterable(map(read_rows, files_of(str(path))))
    if is_repository(Path(name)):
        return repository(Path(name), split)
    if path.is_dir() and is_tasks(path):
        return tasks(path)
    return read_rows(path)


def load(path: Path) -> list[Instance]:
    """Every row of a data set's file (rows.py), of `hf:OWNER/NAME`, of a task repository of SWE-bench 5 (`DIR`, or
    `DIR#SPLIT`), or of a folder of Terminal-Bench's tasks, in its order; rows that can never be tried are `unusable`.

    Raises: ConfigError with the place and the field for the first row that is not one, or if no row can be tried.
    """
    instances: dict[str, Instance] = {}
    rows = _rows(path)
    for place, row in rows:
        try:
            instance = _instance(row)
        except ConfigError as error:
            raise ConfigError(f"{path}, {place}: {error}") from None
        if instance.instance_id in instances:
            raise ConfigError(f"{path}, {place}: instance_id: {instance.instance_id} stands twice in the file")
        instances[instance.instance_id] = instance
    if not instances:
        raise ConfigError(f"{path} has no rows")
    if all(instance.unusable for instance in instances.values()):
        first = next(iter(instances.values()))
        raise ConfigError(f"no row of {path} can be tried; {first.instance_id}: {first.unusable}")
    return list(instances.values())


def select(instances: list[Instance], *, ids: tuple[str, ...] = (), limit: int | None = None) -> list[Instance]:
    """The rows named by `ids` (all without any), at most `limit` of them, in the file's order.

    Raises: ConfigError for an id that no row has.
    """
    unknown = [name for name in ids if name not in {instance.instance_id for instance in instances}]
    if unknown:
        raise ConfigError(f"no instance {unknown[0]} in the data set")
    chosen = [instance for instance in instances if not ids or instance.instance_id in ids]
    return chosen[:limit]
