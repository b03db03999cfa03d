"""Commands that go on in the background: started in the session's shell, looked at, waited for and ended later.

A job keeps to its folder in the sandbox: `output` has the beginning of what it put out, `tail` the end of what did not
fit there, `code` its exit code once it has ended, `tag` the mark that all of its processes carry (see server.sh of the
sandbox). It lives as long as the sandbox.
"""

import re
import shlex
from dataclasses import dataclass

from qcode_sandbox.protocol import Sandbox
from qcode_tools.clean import clean
from qcode_tools.errors import ToolError
from qcode_tools.offload import compute
from qcode_tools.spec import ToolOutput

MOST_JOBS = 20
"""Jobs of a session that run at once."""

OUTPUT_KIB = 16_000
TAIL_BYTES = 1_000_000
WAIT_SECONDS = 30
MOST_SECONDS = 600

_CALL = re.compile(r"\s*job\s+(\d{1,6})(?:\s+(output|wait|kill)(?:\s+(\d{1,4}))?)?\s*", re.ASCII)
_SHOWN_BYTES = 200_000

# cat writes what it reads at once, where head waits for a full buffer and dd stops after so many reads, however short;
# so the size of a file is what ends it, and up to a buffer of it is lost where `tail` goes on.
# The job's own streams go to its folder, so the call that starts it ends at once, and what is needed to look at it and
# to end it (the call's tag) is there by then.
# Whoever keeps the output outlives a polite end, so that the last words are kept too.
# SIGHUP is what the kernel sends the job when its shell is stopped and killed at a deadline.
_START = """
d=$(mktemp -d "${{TMPDIR:-/tmp}}/qcode-job.XXXXXX")
[[ -n $d ]] && : >"$d/output" && ulimit -S -x >"$d/tag" && {{ (
  trap '' TERM HUP
  {{ ( trap - TERM; unset d; eval {command} ) 2>&1; echo $? >"$d/code.new"; }} | {{
    ( trap '' XFSZ; ulimit -S -f {output_kib}; exec cat >"$d/output" ) 2>/dev/null || echo >"$d/tail"
    tail -c {tail_bytes} >>"$d/tail"
    mv -f "$d/code.new" "$d/code"
  }}
) </dev/null >/dev/null 2>&1 & }}
printf '%s' "$d"; unset d
"""

# No more than the size that was counted: what the job puts out meanwhile is for the next look.
_LOOK = """
cd -- "$1" || exit 1
code=
for ((i = 0; i < $3 * 10; i++)); do [[ -e code ]] && break; sleep 0.1; done
if [[ -e code ]]; then read -r code <code; printf '%s' "$code"; fi
printf '\\n'
size=$(wc -c <output)
printf '%s\\n' "$size"
begin=$((size - $2 > $4 ? size - $4 : $2))
tail -c "+$((begin + 1))" output | head -c "$((size - begin))"
[[ $code && $5 && -s tail ]] && printf '\\n[...]\\n' && tail -c "$4" tail
exit 0
"""

_KILL = """
read -r tag <"$1/tag" || exit 1
each() {
  for process in /proc/[0-9]*; do
    [[ -r $process/limits ]] && mapfile -t limits <"$process/limits" || continue
    [[ "${limits[*]}" =~ "Max file locks"\\ +"$tag " ]] && kill "$1" "${process#/proc/}"
  done
} 2>/dev/null
each -TERM
for ((i = 0; i < 20; i++)); do [[ -e $1/code ]] && break; sleep 0.1; done
each -KILL
[[ -e $1/code ]] || echo 137 >"$1/code"
"""


@dataclass(slots=True)
class _Job:
    number: int
    command: str
    folder: str
    seen: int = 0
    code: int | None = None


class Jobs:
    """The jobs of one session."""

    def __init__(self) -> None:
        self._jobs: dict[int, _Job] = {}

    async def start(self, sandbox: Sandbox, command: str) -> ToolOutput:
        """Run `command` in the background of the shell. Raises: ToolError, SandboxError."""
        if sum(job.code is None for job in self._jobs.values()) >= MOST_JOBS:
            raise ToolError(f"{MOST_JOBS} jobs run already: end one first, for example: job 1 kill")
        script = _START.format(command=shlex.quote(command), output_kib=OUTPUT_KIB, tail_bytes=TAIL_BYTES)
        ran = await sandbox.shell(script.strip("\n"), timeout_s=10)
        folder = ran.output.strip().rpartition("\n")[2]
        if ran.exit_code != 0 or not folder.startswith("/"):
            raise ToolError(f"the job cannot be started: {ran.output.strip()[-300:]}")
        job = _Job(len(self._jobs) + 1, command, folder)
        self._jobs[job.number] = job
        n = job.number
        return ToolOutput(
            f"Job {n} runs in the background. Call this tool with one of these as the command:\n"
            f"job {n}: what it has put out since you last looked\njob {n} wait 60: wait up to 60 s for its end\n"
            f"job {n} kill: end it\nAll of its output is in {folder}/output.",
            extra={"job": n},
        )

    def call(self, command: str) -> tuple[int, str, int] | None:
        """Number, verb and seconds, where `command` is about one of these jobs; None for any other command."""
        found = _CALL.fullmatch(command)
        if found is None or not self._jobs:
            return None
        seconds = int(found[3]) if found[3] else WAIT_SECONDS
        return int(found[1]), found[2] or "output", min(seconds, MOST_SECONDS)

    async def look(self, sandbox: Sandbox, number: int, verb: str, seconds: int) -> ToolOutput:
        """What a job has put out since the last look, after waiting for it or ending it. Raises: ToolError,
        SandboxError."""
        job = self._jobs.get(number)
        if job is None:
            raise ToolError(f"there is no job {number}: the jobs are {', '.join(map(str, self._jobs))}")
        if verb == "kill" and job.code is None:
            await sandbox.exec(["bash", "-c", _KILL, "bash", job.folder], timeout_s=30)
        wait = seconds if verb == "wait" else 0
        ran = await sandbox.exec(
            [
                "bash",
                "-c",
                _LOOK,
                "bash",
                job.folder,
                str(job.seen),
                str(wait),
                str(_SHOWN_BYTES),
                "first" * (job.code is None),
            ],
            timeout_s=wait + 30,
        )
        code, _, rest = ran.output.partition("\n")
        size, _, output = rest.partition("\n")
        if not size.isdigit():
            raise ToolError(f"what job {number} put out is gone: its folder was removed")
        job.seen = int(size)
        job.code = int(code) if code.isdigit() else None
        state = "still runs" if job.code is None else f"has ended with exit code {job.code}"
        text = (await compute(len(output), clean, output)).strip("\n")
        return ToolOutput(
            "\n".join(filter(None, [text, f"[job {number} {state}{'' if text else '; no new output'}]"])),
            extra={"job": number, **({} if job.code is None else {"exit_code": job.code})},
        )
