"""What the bench needs around it: a virtual environment with the peers, and a certificate chain."""

from __future__ import annotations

import datetime as dt
import ipaddress
import subprocess
import sys
from pathlib import Path

import certifi
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / ".cache" / "bench"
PYTHON = FOLDER / "venv" / "bin" / "python"
CONSTRAINTS = [ROOT / "constraints" / name for name in ("airflow-3.3.txt", "bench.txt")]
PEERS = [
    "aiohttp",
    "apache-airflow",
    "apache-airflow-providers-dbt-cloud",
    "apache-airflow-providers-http",
    "apache-airflow-providers-standard",
    "magic-hour",
    "httpx",
    "httpx2",
    "uvloop",
]


def set_up() -> None:
    """Make the environment of the measured processes, unless it is there and its constraints are no newer."""
    done = FOLDER / "venv" / "complete"
    if done.exists() and all(done.stat().st_mtime > path.stat().st_mtime for path in CONSTRAINTS):
        return
    print("Setting up .cache/bench with the packages to compare with (once)", flush=True)
    uv = Path(sys.executable).parent / "uv"
    subprocess.run([uv, "venv", "--quiet", "--clear", "--python", sys.executable, FOLDER / "venv"], check=True)
    constraints = [part for path in CONSTRAINTS for part in ("-c", path)]
    subprocess.run(
        [uv, "pip", "install", "--quiet", "--python", PYTHON, "--compile-bytecode", *constraints, "-e", ROOT, *PEERS],
        check=True,
    )
    done.touch()


def certificates(folder: Path) -> tuple[Path, Path]:
    """Write an ECDSA chain of leaf, intermediate and root; return the server's file and a trust store that knows it."""
    keys = [ec.generate_private_key(ec.SECP256R1()) for _ in range(3)]
    root = certificate("bench root", keys[0], "bench root", keys[0], authority=True)
    middle = certificate("bench intermediate", keys[1], "bench root", keys[0], authority=True)
    leaf = certificate("127.0.0.1", keys[2], "bench intermediate", keys[1], authority=False)
    server, trusted = folder / "server.pem", folder / "trusted.pem"
    server.write_bytes(
        pem(leaf)
        + pem(middle)
        + keys[2].private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    trusted.write_bytes(Path(certifi.where()).read_bytes() + pem(root))
    return server, trusted


def pem(of: x509.Certificate) -> bytes:
    return of.public_bytes(serialization.Encoding.PEM)


def certificate(
    name: str, key: ec.EllipticCurvePrivateKey, issuer: str, issuer_key: ec.EllipticCurvePrivateKey, *, authority: bool
) -> x509.Certificate:
    now = dt.datetime.now(dt.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=30))
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
    )
    if authority:
        usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
        builder = builder.add_extension(usage, critical=True)
    else:
        address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
        builder = builder.add_extension(x509.SubjectAlternativeName([address]), critical=False)
        builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
    return builder.sign(issuer_key, hashes.SHA256())
