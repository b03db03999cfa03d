"""For ms-swift's GRPO, which loads this file itself: `--external_plugins FILE --reward_funcs qcode_patch`.

QCODE_REWARD_DATASET is the data set's file, QCODE_REWARD_WORKERS how many boxes judge at a time (default 2). Rows for
training need the column `instance_id`. For episodes of many steps, `--use_gym_env true --gym_env qcode` plays Env.
Interface: ORM and `orms` of swift.rewards (4.x) or swift.plugin (3.x); Env and `envs` of swift.rollout.gym_env or
swift.plugin.env.
"""

import importlib
import os
from pathlib import Path
from typing import Any

from qcode_evals.environments.images import Images
from qcode_evals.tasks.dataset import load
from qcode_evals.training.env import Env
from qcode_evals.training.messages import observation_text, system_text
from qcode_evals.training.reward import PatchReward
from qcode_sandbox.pip_settings import pip_settings


def _first(*names: str) -> Any:
    """The first of these modules that there is. Raises: ImportError."""
    for name in names[:-1]:
        try:
            return importlib.import_module(name)
        except ModuleNotFoundError:
            continue
    return importlib.import_module(names[-1])


_DATASET = Path(os.environ["QCODE_REWARD_DATASET"])
_rewards = _first("swift.rewards", "swift.plugin")
_gym = _first("swift.rollout.gym_env", "swift.plugin.env")
_ORM: Any = _rewards.ORM
_ENV: Any = _gym.Env


class Reward(_ORM):  # type: ignore[misc]
    """1 where the tests of the row pass with the diff in the completion."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._reward = PatchReward(_DATASET, int(os.environ.get("QCODE_REWARD_WORKERS", "2")))

    def __call__(self, completions: list[str], **columns: Any) -> list[float | None]:
        return self._reward(completions, **columns)


class Episode(_ENV):  # type: ignore[misc]
    """`env_config` of a row names its `instance_id`, and may name a tool set in `tools`."""

    async def reset(self, config: Any) -> tuple[str, dict[str, Any], str]:
        """First user message, nothing to note, system message with the tools."""
        rows = {row.instance_id: row for row in load(_DATASET)}
        images = Images(await pip_settings())
        self._env = Env(rows[self.env_config["instance_id"]], images, toolset=self.env_config.get("tools", "swe"))
        request = await self._env.reset()
        return observation_text(request), {}, system_text(request)

    async def step(self, action: list[dict[str, Any]]) -> tuple[str, float, bool, dict[str, Any]]:
        """The last message is the policy's."""
        step = await self._env.step(str(action[-1]["content"]))
        said = observation_text(step.observation) if step.observation is not None else ""
        return said, step.reward, step.done, step.info

    async def close(self) -> None:
        """End the box."""
        await self._env.close()


_rewards.orms["qcode_patch"] = Reward
_gym.envs["qcode"] = Episode
