"""A data set of Hugging Face by its name: `hf:OWNER/NAME`, with `@REVISION` and `#SPLIT` behind it where wanted."""

import fnmatch
import re
from pathlib import Path

from qcode.errors import ConfigError

PREFIX = "hf:"
_NAME = re.compile(r"hf:(?P<repo>[\w.-]+/[\w.-]+)(?:@(?P<revision>[\w./-]+))?(?:#(?P<split>[\w-]+))?")
_ENDINGS = ("parquet", "jsonl", "json")


def files_of(name: str) -> list[Path]:
    """Local copies of the files of a split (default: test), downloaded once.

    Raises: ConfigError in one line when the name is none, the hub cannot be reached, or the split is not there.
    """
    found = _NAME.fullmatch(name)
    if found is None:
        raise ConfigError(
            f"{name!r} is no name of a data set: write hf:OWNER/NAME, with @REVISION and #SPLIT if wanted"
        )
    try:
        from huggingface_hub import HfApi, hf_hub_download
        from huggingface_hub.utils import logging as chatter
    except ImportError:
        raise ConfigError(f"{name} needs huggingface_hub: pip install 'qcode[hub]'") from None
    chatter.set_verbosity(50)  # critical: what fails is told once, by us
    repo, revision, split = found["repo"], found["revision"], found["split"] or "test"
    try:
        listed = HfApi().list_repo_files(repo, repo_type="dataset", revision=revision)
        chosen = _of_split(listed, split)
        if not chosen:
            raise ConfigError(f"{name} has no split {split!r} in Parquet or JSON: {', '.join(sorted(listed)[:8])}")
        return [Path(hf_hub_download(repo, path, repo_type="dataset", revision=revision)) for path in chosen]
    except ConfigError:
        raise
    except Exception as error:  # its client lets through errors of several HTTP libraries
        why = " ".join(str(error).split())[:200] or type(error).__name__
        raise ConfigError(f"cannot get {name} from Hugging Face: {why}; a downloaded file works as well") from None


def _of_split(listed: list[str], split: str) -> list[str]:
    for ending in _ENDINGS:
        for pattern in (f"data/{split}-*.{ending}", f"*{split}*.{ending}"):
            if chosen := sorted(path for path in listed if fnmatch.fnmatch(path, pattern)):
                return chosen
    return []
