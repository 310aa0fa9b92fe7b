"""An Ed25519 key for development. Production brings its own."""

import secrets
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from feira.platform.runtime.embedded.folder import write_private


def ensure_signing_key(folder: Path) -> None:
    """Write one PEM (PKCS #8, mode 0600) where the folder has none; its stem is the key's id."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if any(folder.glob("*.pem")):
        return
    pem = Ed25519PrivateKey.generate().private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    )
    write_private(folder / f"dev-{secrets.token_hex(4)}.pem", pem)
