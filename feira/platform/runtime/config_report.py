"""Every setting as a person reads it: meaning, default, value and where the value comes from."""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import msgspec

from feira.platform.runtime.config import (
    SECRET_SETTINGS,
    Config,
    masked_values,
    setting_meaning,
    setting_names,
    setting_text,
)
from feira.platform.runtime.config_source import read_environment, read_file

Source = Literal["default", "file", "environment"]


class Setting(msgspec.Struct, frozen=True, kw_only=True):
    """One setting; a secret's value is masked."""

    name: str
    meaning: str
    default: str
    value: str
    source: Source
    secret: bool


def describe_config(config: Config, environ: Mapping[str, str], file: Path | None) -> list[Setting]:
    """All settings in declared order."""
    names = setting_names()
    from_environment = read_environment(environ, names)
    from_file = read_file(file, names)
    defaults = dict(masked_values(Config()))
    described: list[Setting] = []
    for name, value in masked_values(config):
        source: Source = "default"
        if name in from_environment:
            source = "environment"
        elif name in from_file:
            source = "file"
        described.append(
            Setting(
                name=name,
                meaning=setting_meaning(name),
                default=setting_text(defaults[name]),
                value=setting_text(value),
                source=source,
                secret=name in SECRET_SETTINGS,
            )
        )
    return described
