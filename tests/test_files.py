import errno
import fcntl
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from limbeck.errors import UserError
from limbeck.files import atomic_folder, atomic_path, atomic_write_bytes, atomic_write_text, disk_errors, free_bytes


def test_text_and_bytes_are_written_with_parents(tmp_path: Path):
    atomic_write_text(tmp_path / "a" / "b.txt", "naïve")
    atomic_write_bytes(tmp_path / "a" / "c.bin", b"\x00\x01")
    assert (tmp_path / "a" / "b.txt").read_text(encoding="utf-8") == "naïve"
    assert (tmp_path / "a" / "c.bin").read_bytes() == b"\x00\x01"
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == ["b.txt", "c.bin"]


def test_full_disk_leaves_the_old_file(tmp_path: Path):
    path = tmp_path / "checkpoint.bin"
    path.write_bytes(b"old")

    def fill() -> None:
        with atomic_path(path) as temporary:
            temporary.write_bytes(b"half of the n")
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(UserError, match=r"no space left on the disk of .*checkpoint.bin.*MiB free.*Make room"):
        fill()
    assert path.read_bytes() == b"old"
    assert [file.name for file in tmp_path.iterdir()] == ["checkpoint.bin"]


def test_forbidden_folder_is_a_user_error():
    with pytest.raises(UserError, match=r"cannot write 'here'.*may write to"), disk_errors("here"):
        raise PermissionError(errno.EACCES, "Permission denied")


def test_file_in_the_way_of_a_folder_is_named(tmp_path: Path):
    file = tmp_path / "file"
    file.touch()
    for path in (file, file / "below"):
        with pytest.raises(UserError, match=r"cannot write .*: '.*/file' is in its way"), disk_errors(path):
            path.mkdir(parents=True, exist_ok=True)


def test_other_disk_errors_pass():
    with pytest.raises(OSError, match="I/O"), disk_errors("here"):
        raise OSError(errno.EIO, "I/O error")


def test_folder_appears_whole_or_not_at_all(tmp_path: Path):
    def fail() -> None:
        with atomic_folder(tmp_path / "run") as folder:
            (folder / "one").write_text("1")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert list(tmp_path.iterdir()) == []
    with atomic_folder(tmp_path / "run") as folder:
        (folder / "one").write_text("1")
        assert not (tmp_path / "run").exists()
    assert (tmp_path / "run" / "one").read_text() == "1"


def test_folder_is_never_overwritten_unless_told(tmp_path: Path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "old").write_text("")
    with pytest.raises(UserError, match="exists already and is never overwritten"), atomic_folder(tmp_path / "run"):
        pass
    with atomic_folder(tmp_path / "run", replace=True) as folder:
        (folder / "new").write_text("")
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["new"]
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_what_appears_meanwhile_is_not_overwritten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def make(late: bool, patch: pytest.MonkeyPatch) -> None:
        with atomic_folder(tmp_path / "run") as folder:
            (folder / "new").write_text("new")
            (tmp_path / "run").mkdir()
            (tmp_path / "run" / "theirs").write_text("theirs")
            if late:  # after the last look
                patch.setattr(Path, "exists", lambda path: path.name != "run" and exists(path))

    exists = Path.exists
    for late, kept in ((False, "run-2"), (True, "run-3")):
        with (
            monkeypatch.context() as patch,
            pytest.raises(UserError, match=rf"overwritten; what .* is whole in .*/{kept}'"),
        ):
            make(late, patch)
        assert (tmp_path / kept / "new").read_text() == "new"
        assert [path.name for path in (tmp_path / "run").iterdir()] == ["theirs"]
        shutil.rmtree(tmp_path / "run")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run-2", "run-3"]


def test_of_several_that_replace_a_folder_at_once_none_fails(tmp_path: Path) -> None:
    def replace(number: int) -> None:
        with atomic_folder(tmp_path / "run", replace=True) as folder:
            (folder / "number").write_text(str(number))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(replace, range(400)))
    assert (tmp_path / "run" / "number").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_a_folder_that_cannot_be_replaced_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "old").write_text("")
    real = Path.rename

    def rename(self: Path, target: Path) -> Path:
        if (self / "new").exists():
            raise OSError(errno.EIO, "I/O error")
        return real(self, target)

    monkeypatch.setattr(Path, "rename", rename)
    with pytest.raises(OSError, match="I/O"), atomic_folder(tmp_path / "run", replace=True) as folder:
        (folder / "new").write_text("")
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["old"]


def test_what_is_synced_is_open_for_writing_as_windows_wants_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []

    def fsync(file: int) -> None:
        synced.append(fcntl.fcntl(file, fcntl.F_GETFL) & os.O_ACCMODE)

    monkeypatch.setattr(os, "fsync", fsync)
    atomic_write_text(tmp_path / "note.txt", "hello")
    with atomic_folder(tmp_path / "run") as folder:
        (folder / "below").mkdir()
        (folder / "below" / "one").write_text("1")
    assert synced == [os.O_RDWR, os.O_RDWR]


def test_a_file_that_may_only_be_read_is_synced_all_the_same(tmp_path: Path) -> None:
    with atomic_folder(tmp_path / "run") as folder:
        (folder / "one").write_text("1")
        (folder / "one").chmod(0o444)
    assert (tmp_path / "run" / "one").read_text() == "1"


def test_free_bytes_of_a_path_to_come(tmp_path: Path):
    assert free_bytes(tmp_path / "not" / "yet") > 0


def test_folders_in_which_nothing_can_be_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """File systems of the kernel, as /proc, report that a new file is not found."""

    def refuse(*_: object, **__: object) -> None:
        raise FileNotFoundError(errno.ENOENT, "No such file or directory")

    with monkeypatch.context() as patched:
        patched.setattr("limbeck.files.tempfile.mkstemp", refuse)
        patched.setattr("limbeck.files.tempfile.TemporaryDirectory", refuse)
        with pytest.raises(UserError, match=r"nothing can be made in .*Choose a folder you may write to"):
            atomic_write_text(tmp_path / "new" / "note.txt", "")
    with pytest.raises(FileNotFoundError), disk_errors(tmp_path / "note.txt"):
        (tmp_path / "other.txt").read_text()  # a missing file that is read is another matter


@pytest.mark.parametrize("path", ["", ".", ".."])
def test_a_path_without_a_name(path: str) -> None:
    with pytest.raises(UserError, match="the path must name a file, got"):
        atomic_write_text(path, "")
