"""`feira config`: every setting, its meaning, its value and where that comes from."""

import argparse
import os

from feira.platform.runtime.config import Config
from feira.platform.runtime.config_report import describe_config


def run(config: Config, args: argparse.Namespace) -> int:
    for setting in describe_config(config, os.environ, args.config):
        print(f"{setting.name} = {setting.value or '(empty)'}    [{setting.source}]")
        default = "" if setting.source == "default" else f" Default: {setting.default or 'empty'}."
        print(f"    {setting.meaning}{default}")
    return 0
