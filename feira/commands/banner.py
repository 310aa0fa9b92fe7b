"""What `feira up` says when everything runs."""

from pathlib import Path

import msgspec

from feira.platform.runtime.config import Config


class DemoLogin(msgspec.Struct, frozen=True):
    """One line of demo.json, which the seed command writes."""

    role: str
    email: str
    password: str


def banner(config: Config, data_dir: Path, took_s: float) -> str:
    """Several lines, for a person."""
    lines = [
        "",
        f"  Feira is open at {config.public_url}   (ready in {took_s:.1f} s)",
        "",
    ]
    logins = _demo_logins(data_dir / "demo.json")
    if logins:
        role_width = max(len(login.role) for login in logins)
        email_width = max(len(login.email) for login in logins)
        lines.append("  Log in as")
        lines += [
            f"    {login.role:<{role_width}}  {login.email:<{email_width}}  {login.password}"
            for login in logins
        ]
        lines.append("")
    lines += [
        f"  E-mail lands in  {config.mail_dir}",
        f"  Data lives in    {data_dir}   (start over: feira up --reset)",
        "  Stop with        Ctrl-C",
        "",
    ]
    return "\n".join(lines)


def _demo_logins(file: Path) -> list[DemoLogin]:
    try:
        return msgspec.json.decode(file.read_bytes(), type=list[DemoLogin])
    except (FileNotFoundError, msgspec.MsgspecError):
        return []
