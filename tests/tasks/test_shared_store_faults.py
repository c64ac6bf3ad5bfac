"""A shared store on S3 and what can go wrong on the way: a real server, real connections, real kills."""

from __future__ import annotations

import os
import secrets
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from schemas.manifest import Manifest, Ref
from tasks import connection
from tasks.cache import cache_key, run_cached
from tasks.connection import SharedStoreError
from tasks.manifests import ArtifactDamaged, ArtifactMissing
from tasks.remote import Remote
from tasks.store import Store
from tests.tasks.s3 import Proxy

s3fs = pytest.importorskip("s3fs", reason="the extra `s3` is not installed")
pytest.importorskip("flask_cors", reason="needs the development extra, which holds moto's server")
server_module = pytest.importorskip("moto.server", reason="needs the development extra, which holds moto")

REF = Ref(step="step", key="0123456789abcdef")
MODULES = ("tasks.locks",)
QUESTION = {"modules": MODULES, "inputs": {}, "params": {}}
BIG = 3_000_000
SECRET = "planted-secret-0123456789"


@pytest.fixture(scope="module")
def server() -> Iterator[int]:
    """The port of moto's S3."""
    running = server_module.ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    running.start()
    yield running.get_host_and_port()[1]
    running.stop()


@pytest.fixture
def proxy(server: int, monkeypatch) -> Iterator[Proxy]:
    """The way to the server; everything of this process goes by it."""
    way = Proxy(server)
    for name, value in {
        "AWS_ENDPOINT_URL": way.url,
        "AWS_ACCESS_KEY_ID": "planted-key-id",
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "NO_PROXY": "127.0.0.1",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AWS_SESSION_TOKEN", raising=False)
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    monkeypatch.setattr(connection, "PAUSES_S", (0.05, 0.05, 0.05))
    s3fs.S3FileSystem.clear_instance_cache()
    yield way
    s3fs.S3FileSystem.clear_instance_cache()
    way.close()


@pytest.fixture
def direct(server: int, proxy: Proxy):
    """The bucket as its owner sees it, past the proxy."""
    return s3fs.S3FileSystem(endpoint_url=f"http://127.0.0.1:{server}", use_listings_cache=False)


@pytest.fixture
def url(direct, monkeypatch) -> str:
    bucket = f"bucket-{secrets.token_hex(4)}"
    direct.mkdir(bucket)
    url = f"s3://{bucket}/desk"
    monkeypatch.setenv(connection.VARIABLE, url)
    return url


@pytest.fixture
def here(url: str, tmp_path: Path) -> Store:
    return Store(tmp_path / "here")


@pytest.fixture
def there(url: str, tmp_path: Path) -> Store:
    """The store of another machine."""
    return Store(tmp_path / "there")


def manifest(**fields) -> Manifest:
    known = {"step": REF.step, "key": REF.key, "inputs": {}, "params": {}, "versions": {}, "code": "cd"}
    return Manifest(**{**known, "created": "2026-01-01T00:00:00+00:00", **fields})


def publish(store: Store, text: str = "hello", size: int = 1_000, **fields) -> Ref:
    with store.tmp() as folder:
        (folder / "a.txt").write_text(text)
        (folder / "days").mkdir()
        (folder / "days" / "b.bin").write_bytes(os.urandom(size))
        return store.publish(folder, manifest(**fields))


def content(path: Path) -> dict[str, bytes]:
    return {one.relative_to(path).as_posix(): one.read_bytes() for one in path.rglob("*") if one.is_file()}


def listed(direct, url: str) -> list[str]:
    root = url.removeprefix("s3://")
    return sorted(name.removeprefix(f"{root}/") for name in direct.find(root))


def test_what_one_machine_publishes_another_finds_whole(here, there, direct, url):
    ref = publish(here)
    assert content(there.local(ref)) == content(here.local(ref))
    assert there.manifest(ref) == here.manifest(ref)
    hashes = sorted(f"files/{one.sha256[:2]}/{one.sha256}" for one in here.manifest(ref).files)
    assert listed(direct, url) == [f"artifacts/{ref}.json", *hashes]
    assert list(there.folder.glob(".tmp-*")) == []


def test_an_upload_that_is_cut_is_made_again(here, there, proxy):
    here.remote.check()
    proxy.arm("up", 1_000_000, 500_000)
    ref = publish(here, size=BIG)
    assert proxy.cut == ["up", "up"]
    assert content(there.local(ref)) == content(here.local(ref))


def test_a_download_that_is_cut_is_gone_on_with(here, there, proxy):
    ref = publish(here, size=BIG)
    proxy.arm("down", 1_000_000, 500_000)
    assert content(there.local(ref)) == content(here.local(ref))
    assert proxy.cut == ["down", "down"]


def test_what_cannot_be_uploaded_stays_here_and_the_next_run_gives_it_away(here, there, proxy, direct, url):
    here.remote.check()
    proxy.arm("up", *[100_000] * 1_000)

    def compute(folder):
        (folder / "b.bin").write_bytes(os.urandom(BIG))

    with pytest.raises(SharedStoreError, match=r"could not be used .*What was made stays on this machine"):
        run_cached(here, "step", **QUESTION, compute=compute)
    assert not [name for name in listed(direct, url) if name.startswith("artifacts/")]
    with pytest.raises(ArtifactMissing):
        proxy.arm("up")
        there.local(Ref(step="step", key=cache_key("step", **QUESTION)))
    again = run_cached(here, "step", **QUESTION, compute=compute)
    assert again.hit
    assert content(there.local(again.ref)) == content(again.path)


def test_a_download_that_never_arrives_whole_leaves_nothing(here, there, proxy):
    ref = publish(here, size=BIG)
    proxy.arm("down", *[100_000] * 1_000)
    with pytest.raises(SharedStoreError, match="could not be used"):
        there.local(ref)
    assert there.refs() == []
    assert list(there.folder.glob(".tmp-*")) == []
    proxy.arm("down")
    assert content(there.local(ref)) == content(here.local(ref))


def test_a_store_that_is_gone_is_said_and_what_is_here_needs_none(here, there, proxy):
    def compute(folder):
        (folder / "a.txt").write_text("result")

    found = run_cached(here, "step", **QUESTION, compute=compute)
    proxy.close()
    assert run_cached(here, "step", **QUESTION, compute=compute).hit
    assert here.local(found.ref) == found.path
    with pytest.raises(SharedStoreError) as gone:
        run_cached(there, "step", **QUESTION, compute=compute)
    assert str(gone.value).startswith(f"{there.remote.url}: the shared store could not be used (")
    assert SECRET not in str(gone.value)
    assert there.refs() == []


def test_no_bucket_is_not_an_empty_one(here, monkeypatch, tmp_path):
    with pytest.raises(SharedStoreError, match="there is no bucket no-such-bucket"):
        Store(tmp_path / "other", Remote("s3://no-such-bucket/desk")).local(REF)


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        ("altered", "b.bin has changed"),
        ("truncated", "b.bin has 10 of 1,000 bytes"),
        ("deleted", "b.bin is missing"),
        ("manifest", "altered manifest"),
    ],
)
def test_a_damaged_artifact_is_told_and_rebuilt_with_a_warning(
    here, there, direct, url, tmp_path, caplog, damage, said
):
    def compute(folder):
        (folder / "b.bin").write_bytes(os.urandom(1_000))

    made = run_cached(here, "step", **QUESTION, compute=compute)
    name = made.manifest.files[0].sha256
    path = f"{url}/files/{name[:2]}/{name}"
    if damage == "altered":
        direct.pipe_file(path, bytes(1_000))
    elif damage == "truncated":
        direct.pipe_file(path, (made.path / "b.bin").read_bytes()[:10])
    elif damage == "deleted":
        direct.rm_file(path)
    else:
        direct.pipe_file(f"{url}/artifacts/{made.ref}.json", b"{}")
    with pytest.raises(ArtifactDamaged, match=said):
        there.local(made.ref)
    assert there.refs() == []
    again = run_cached(there, "step", **QUESTION, compute=compute)
    assert not again.hit
    warnings = [one.getMessage() for one in caplog.records if one.levelname == "WARNING"]
    assert len(warnings) == 1
    assert warnings[0].startswith(f"artifact {made.ref} was altered or deleted: rebuilding")
    third = Store(tmp_path / "third")
    assert content(third.local(made.ref)) == content(again.path)
    assert here.local(made.ref) == made.path  # what was published here is never exchanged


def test_the_same_bytes_damaged_are_written_again(here, there, direct, url, tmp_path):
    def compute(folder):
        (folder / "b.bin").write_bytes(b"always the same")

    made = run_cached(here, "step", **QUESTION, compute=compute)
    name = made.manifest.files[0].sha256
    direct.pipe_file(f"{url}/files/{name[:2]}/{name}", b"Always the same")  # of the same length
    run_cached(there, "step", **QUESTION, compute=compute)
    assert (Store(tmp_path / "third").local(made.ref) / "b.bin").read_bytes() == b"always the same"


WORKER = """
import os, signal, sys, time
from pathlib import Path
from tasks import remote
from tasks.cache import run_cached
from tasks.store import Store

root, me, other, how = Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), sys.argv[4]

def compute(folder):
    me.touch()
    while not other.exists():
        time.sleep(0.01)
    (folder / "a.txt").write_text(f"made by {me.name}")
    (folder / "b.txt").write_text(f"made by {me.name}")

if how == "killed":
    remote.Remote._write = lambda *a, **k: os.kill(os.getpid(), signal.SIGKILL)
found = run_cached(Store(root), "step", modules=("tasks.locks",), inputs={}, params={}, compute=compute)
print(found.adopted, *[(found.path / name).read_text() for name in ("a.txt", "b.txt")], sep=", ")
"""


def test_of_two_machines_that_make_one_artifact_the_first_wins_and_nobody_sees_a_mix(
    url, tmp_path, start, output
):
    one, two = tmp_path / "one", tmp_path / "two"
    both = [
        start(WORKER, tmp_path / "root1", one, two, ""),
        start(WORKER, tmp_path / "root2", two, one, ""),
    ]
    printed = sorted(output(process) for process in both)
    winner = printed[0].rpartition(" ")[2]
    assert printed == [f"{lost}, made by {winner}, made by {winner}" for lost in (False, True)]
    reader = Store(tmp_path / "reader").local(Ref(step="step", key=cache_key("step", **QUESTION)))
    assert {(reader / name).read_text() for name in ("a.txt", "b.txt")} == {f"made by {winner}"}


def test_of_two_that_pass_each_other_the_first_manifest_stands(here, there, monkeypatch):
    upload, first, theirs = Remote._upload, threading.Lock(), []

    def meanwhile(remote, entry, source, *, anew):
        if first.acquire(blocking=False):  # this one has seen that there was nothing, and is late now
            theirs.append(content(there.local(publish(there))))
        upload(remote, entry, source, anew=anew)

    monkeypatch.setattr(Remote, "_upload", meanwhile)
    assert content(here.local(publish(here))) == theirs[0]


def test_a_writer_killed_between_files_and_manifest_leaves_nothing_to_see(
    url, there, direct, tmp_path, start, output
):
    ready = tmp_path / "ready"
    killed = start(WORKER, tmp_path / "root1", ready, ready, "killed")
    assert killed.wait(60) == -signal.SIGKILL
    names = listed(direct, url)
    assert names
    assert all(name.startswith("files/") for name in names)
    with pytest.raises(ArtifactMissing):
        there.local(Ref(step="step", key=cache_key("step", **QUESTION)))
    assert (
        output(start(WORKER, tmp_path / "root1", ready, ready, "")) == "False, made by ready, made by ready"
    )
    assert there.local(Ref(step="step", key=cache_key("step", **QUESTION)))


def test_no_credential_is_written_anywhere(here, there, direct, url, proxy, tmp_path, caplog):
    caplog.set_level("DEBUG", logger="carryflow")
    ref = publish(here)
    there.local(ref)
    proxy.close()
    with pytest.raises(SharedStoreError) as gone:
        publish(here, key="f" * 16)
    written = [one for root in (here.root, there.root) for one in root.rglob("*") if one.is_file()]
    texts = [one.read_bytes() for one in written] + [direct.cat_file(one) for one in direct.find(url)]
    said = "\n".join([str(gone.value), caplog.text, os.environ[connection.VARIABLE]]).encode()
    assert len(texts) > 8
    for planted in (SECRET.encode(), b"planted-key-id"):
        assert not [one for one in [*texts, said] if planted in one]


def test_credentials_that_are_refused_are_said_without_repeating_them(here, proxy, monkeypatch):
    def refuse(*_):
        raise PermissionError(f"The key planted-key-id with {SECRET} is not known")

    monkeypatch.setattr(s3fs.S3FileSystem, "cat_file", refuse)
    with pytest.raises(SharedStoreError, match=r"lets nobody in .*The key \*\*\* with \*\*\* is not known"):
        here.local(REF)
