"""What a path may lead to beside a file: folders, links, pipes, what may not be read, what changes meanwhile."""

from __future__ import annotations

import os
from pathlib import Path

from tests.corpus.case import FILE, Case, Kept, Make, Refused, as_plain, good, good_text, table
from tests.corpus.rows import opportunity, to_csv


def beside(*more: str) -> Make:
    """A folder with a good file and others."""

    def make(folder: Path) -> Path:
        table(good())(folder)
        for name in more:
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("not a table\n", encoding="utf-8")
        return folder

    return make


def placed(put) -> Make:
    """A folder with a good file and something that is none."""

    def make(folder: Path) -> Path:
        table(good())(folder)
        put(folder)
        return folder

    return make


def only(put, name: str) -> Make:
    """Something that is given as the file itself."""

    def make(folder: Path) -> Path:
        put(folder)
        return folder / name

    return make


def closed(folder: Path) -> Path:
    path = table(good())(folder)
    path.chmod(0)
    return path


def misnamed(folder: Path) -> None:
    (Path(os.fsdecode(os.fsencode(folder) + b"/\xff.csv"))).write_text(good_text(), encoding="utf-8")


def two_files(folder: Path) -> Path:
    table(good(30), "a.csv")(folder)
    table(good()[20:], "b.csv")(folder)
    return folder


def replace(path: Path) -> None:
    other = path.with_name("other")
    other.write_text(to_csv([opportunity(hour, symbol="NEW") for hour in range(40)]), encoding="utf-8")
    other.replace(path)


def append(path: Path) -> None:
    with path.open("a", encoding="utf-8") as stream:
        stream.write(to_csv([opportunity(50)]).split("\n", 1)[1])


def shorten(path: Path) -> None:
    os.truncate(path, 5_000)


NO_FILE = "holds no CSV file. Put files that end in .csv, .csv.gz, .csv.zst directly into it; subfolders are not read."
GONE = "is a link to something that does not exist. Check the path."
CHANGED = Refused(
    "scan.csv: changed while it was read. "
    "Run again; replace a file by renaming a finished one to its name, or only append to it."
)
PLAIN = Kept(check=as_plain)
LONG_NAME = "n" * 300

CASES = (
    Case("a folder that is named like a file", only(lambda f: (f / FILE).mkdir(), FILE), Refused(f"scan.csv: {NO_FILE}")),
    Case("a folder in a folder", placed(lambda f: (f / "more.csv").mkdir()), PLAIN),
    Case("an empty folder", lambda f: f, Refused(f"the folder: {NO_FILE}")),
    Case("files of other kinds beside", beside("notes.txt", ".hidden.csv", "sub/scan.csv"), PLAIN),
    Case("two files with rows in common", two_files, Kept(rows=50, duplicates=10, check=as_plain)),
    Case("a pipe", only(lambda f: os.mkfifo(f / FILE), FILE), Refused("scan.csv: is neither a file nor a folder. Give a CSV file or a folder of them.")),
    Case("a pipe in a folder", placed(lambda f: os.mkfifo(f / "pipe.csv")), Refused("pipe.csv: is named like a CSV file and is none. Remove or rename it.")),
    Case("a link to nothing", only(lambda f: (f / FILE).symlink_to("gone.csv"), FILE), Refused(f"scan.csv: {GONE}")),
    Case("a link to nothing in a folder", placed(lambda f: (f / "link.csv").symlink_to("gone.csv")), Refused(f"link.csv: {GONE}")),
    Case("a link to itself", only(lambda f: (f / FILE).symlink_to(FILE), FILE), Refused("scan.csv: cannot be read: Too many levels of symbolic links. Check the file.")),
    Case("no such file", lambda f: f / FILE, Refused("scan.csv: does not exist. Check the path.")),
    Case("a name of 300 characters", lambda f: f / LONG_NAME, Refused(f"{LONG_NAME}: cannot be read: File name too long. Check the file.")),
    Case("a name that is not UTF-8", placed(misnamed), Refused("\\xff.csv: has a name that is not UTF-8 text. Rename it.")),
    Case("a file that may not be read", closed, Refused("scan.csv: cannot be read: Permission denied. Check the file."), unprivileged=True),
    Case("a file replaced while it is read", table(good()), CHANGED, meanwhile=replace),
    Case("a file cut while it is read", table(good()), CHANGED, meanwhile=shorten),
    Case("a file that grows while it is read", table(good()), Kept(check=as_plain, says="the rows that were there; the new ones come next time"), meanwhile=append),
    Case("a file deleted while it is read", table(good()), Refused("scan.csv: does not exist. Check the path."), meanwhile=Path.unlink),
)  # fmt: skip
