"""A reward for patches, and an environment of many steps, over the harness's boxes."""

from pathlib import Path

import pytest
from calls import call

from qcode.agent.limits import Limits
from qcode.errors import ConfigError
from qcode_evals.environments.images import Images
from qcode_evals.tasks.dataset import Instance, load
from qcode_evals.training.env import Env
from qcode_evals.training.messages import observation_text, system_text
from qcode_evals.training.reward import PatchReward, patch_in
from qcode_sandbox.pip_settings import pip_settings

DATA = Path(__file__).with_name("data") / "instances.jsonl"
FIX = "sed -i 's/gcd(a % b, b)/gcd(b, a % b)/' python_programs/gcd.py"


@pytest.fixture(scope="module")
def gcd() -> Instance:
    return next(row for row in load(DATA) if row.instance_id == "quixbugs__gcd")


def test_the_change_that_a_text_proposes() -> None:
    diff = "--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n+b\n"
    assert patch_in(f"First:\n```diff\nold\n```\nno, better:\n```diff\n{diff}```\n") == diff
    assert patch_in(f"Here it is.\n{diff}") == diff
    assert patch_in("```python\nprint(1)\n```") == ""
    assert patch_in("I do not know.") == ""


@pytest.mark.docker
def test_a_patch_is_rewarded_by_the_tests_of_its_row(gcd: Instance) -> None:
    reward = PatchReward(DATA)
    completions = [f"```diff\n{gcd.patch}```", "I cannot.", f"```diff\n{gcd.patch.replace('b, a % b', 'a, b')}```"]
    assert reward(completions, [gcd.instance_id] * 3, prompt=["x"] * 3) == [1.0, 0.0, 0.0]
    assert reward(["x"], ["nobody__knows"]) == [None]


@pytest.mark.docker
async def test_an_episode_is_the_products_own_loop(gcd: Instance, tmp_path: Path) -> None:
    env = Env(gcd, Images(await pip_settings()), limits=Limits(max_turns=5), folder=tmp_path)
    first = await env.reset()
    assert "does not do what its docstring says" in observation_text(first)
    assert "<function>" in system_text(first) or "bash" in system_text(first)
    step = await env.step("I look.\n" + call("bash", command="cat python_programs/gcd.py"))
    assert (step.done, step.reward) == (False, 0.0)
    assert step.observation is not None
    said = observation_text(step.observation)
    assert "return gcd(a % b, b)" in said
    assert "docstring says" not in said, "only what is new"
    assert not (await env.step(call("bash", command=FIX))).done
    last = await env.step("Done.")
    assert (last.done, last.reward, last.info["stop_reason"]) == (True, 1.0, "finished")
    with pytest.raises(ConfigError, match="call reset"):
        await env.step("more")
    await env.reset()
    wrong = await env.step("Nothing to do.")
    assert (wrong.done, wrong.reward, wrong.info["reason"]) == (True, 0.0, "nothing was changed")
    await env.reset()
    await env.close()
