"""Where settings come from: a TOML file and environment variables, by name and not yet checked."""

import difflib
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ENVIRONMENT_PREFIX = "FEIRA_"
# Variables that carry the prefix without being settings: the command line's and the tests' own.
_NOT_SETTINGS = frozenset({"FEIRA_CONFIG", "FEIRA_CONTRACTS"})
_FILE = "_file"
_LISTS = frozenset({"services", "cors_origins"})

# The raw value of each setting given, with the words that tell a person where it stands.
Given = dict[str, tuple[Any, str]]


class ConfigError(Exception):
    """A setting is unknown, missing or wrong. The message names it and says what it should be."""

    def __init__(self, setting: str, problem: str, remedy: str) -> None:
        super().__init__(f"{setting}: {problem}. {remedy}")
        self.setting = setting
        self.problem = problem
        self.remedy = remedy


def read_file(file: Path | None, names: frozenset[str]) -> Given:
    """Settings of a TOML file.

    Raises:
        ConfigError: it cannot be read, is not TOML, or has an unknown name.
    """
    if file is None:
        return {}
    try:
        content = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise ConfigError(str(file), reason, "Give a readable TOML file") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        # The parser's text may quote the line, and the line may be a secret: only its place is told.
        place = str(error).rpartition("(")[2].rstrip(")") or "unknown place"
        raise ConfigError(str(file), f"not TOML ({place})", "Mend that line") from None
    for name in content:
        if name not in names:
            raise _unknown(f"{name} in {file}", name, names)
    return {name: (value, f"{name} in {file}") for name, value in content.items()}


def read_environment(environ: Mapping[str, str], names: frozenset[str]) -> Given:
    """Settings among the variables; lists are split at commas.

    `FEIRA_X_FILE` names a file that holds the value of `x`, as containers are handed secrets.

    Raises:
        ConfigError: a variable has our prefix and an unknown name, or its file cannot be read.
    """
    given: Given = {}
    for variable, text in environ.items():
        if not variable.startswith(ENVIRONMENT_PREFIX) or variable in _NOT_SETTINGS:
            continue
        name = variable.removeprefix(ENVIRONMENT_PREFIX).lower()
        of_file = name.removesuffix(_FILE)
        if name not in names and of_file in names and variable == variable.upper():
            if variable.removesuffix(_FILE.upper()) in environ:
                raise ConfigError(variable, f"{of_file} is given twice", "Give one of the two")
            given[of_file] = (_value(of_file, _content(variable, text)), variable)
            continue
        if name not in names or variable != variable.upper():
            raise _unknown(variable, name, names)
        given[name] = (_value(name, text), variable)
    return given


def _value(name: str, text: str) -> str | list[str]:
    return _split(text) if name in _LISTS else text


def _content(variable: str, path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise ConfigError(variable, f"{path}: {reason}", "Name a readable text file") from None


def _split(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _unknown(label: str, name: str, names: frozenset[str]) -> ConfigError:
    near = difflib.get_close_matches(name, names, n=1)
    hint = f"Did you mean {near[0]}" if near else "`feira config` lists every setting"
    return ConfigError(label, "unknown setting", hint)
