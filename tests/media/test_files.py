from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.media.made import lavfi
from tests.rights import bound
from v2a_foley.errors import FoleyError, InputError, MediaError
from v2a_foley.media.ffmpeg import run
from v2a_foley.media.files import atomic, check_output, part_name, scratch

CHECK_OUTPUT = """\
import sys
from pathlib import Path
from v2a_foley.errors import InputError
from v2a_foley.media.files import check_output
try:
    check_output(Path(sys.argv[1]))
except InputError as error:
    print(error)
"""


def fail_in(target: Path, error: BaseException) -> None:
    """Write half a file, then fail."""
    with atomic(target, overwrite=True) as part:
        part.write_bytes(b"half")
        raise error


def fail_in_scratch(target: Path, error: BaseException) -> None:
    """Write half of something for ``target``, then fail."""
    with scratch(target, ".wav") as part:
        part.write_bytes(b"half")
        raise error


def test_part_becomes_the_target(tmp_path: Path) -> None:
    target = tmp_path / "new" / "film.mp4"
    with atomic(target) as part:
        assert part == tmp_path / "new" / ".film.part.mp4"
        part.write_bytes(b"whole")
        assert not target.exists()
    assert target.read_bytes() == b"whole"
    assert list(target.parent.iterdir()) == [target]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_error_leaves_nothing_and_keeps_the_old_file(
    tmp_path: Path, error: type[BaseException]
) -> None:
    target = tmp_path / "film.mp4"
    target.write_bytes(b"old")
    with pytest.raises(error):
        fail_in(target, error())
    assert target.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [target]


def test_folders_made_for_a_file_that_failed_go_again(tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    for name in ("new", "old/new"):
        with pytest.raises(ValueError, match="stop"):
            fail_in(tmp_path / name / "below" / "film.mp4", ValueError("stop"))
    assert [path.name for path in tmp_path.rglob("*")] == ["old"]


def test_a_folder_that_others_use_stays(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="nothing was"), atomic(tmp_path / "new" / "film.mp4"):
        (tmp_path / "new" / "other.mp4").touch()
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["other.mp4"]


def test_scratch_is_gone_in_the_end_and_its_errors_name_the_target(tmp_path: Path) -> None:
    target = tmp_path / "new" / "film.mp4"
    with scratch(target, ".wav") as part:
        assert part == target.with_name(".film.part.wav")
        part.write_bytes(b"sound")
        target.write_bytes(b"film")
    assert list(target.parent.iterdir()) == [target]
    for error, words in (
        (OSError(errno.ENOSPC, "full"), "disk is full"),
        (OSError(errno.EIO, "Input/output error"), "cannot be written"),
    ):
        with pytest.raises(MediaError, match=rf"film\.mp4: .*{words}") as caught:
            fail_in_scratch(target, error)
        assert ".part" not in str(caught.value)
    assert list(target.parent.iterdir()) == [target]


def test_nothing_written_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="nothing was written"), atomic(tmp_path / "film.mp4"):
        pass


def test_existing_target_needs_overwrite(tmp_path: Path) -> None:
    target = tmp_path / "film.mp4"
    target.write_bytes(b"old")
    with pytest.raises(InputError, match="--overwrite"):
        check_output(target)
    check_output(target, overwrite=True)


def test_the_input_is_never_the_output(tmp_path: Path) -> None:
    video = tmp_path / "film.mp4"
    video.write_bytes(b"precious")
    (tmp_path / "soft.mp4").symlink_to(video)
    (tmp_path / "hard.mp4").hardlink_to(video)
    for name in ("film.mp4", "soft.mp4", "hard.mp4", "../" + tmp_path.name + "/film.mp4"):
        with pytest.raises(InputError, match="the input itself"):
            check_output(tmp_path / name, [video], overwrite=True)


def test_folder_as_target(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is a folder"):
        check_output(tmp_path, overwrite=True)


def test_file_as_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(InputError, match="not a folder"):
        check_output(tmp_path / "file" / "film.mp4")


def test_unwritable_folder(tmp_path: Path) -> None:
    folder = tmp_path / "closed"
    command = [*bound(), sys.executable, "-c", CHECK_OUTPUT, str(folder / "film.mp4")]
    for mode, message in ((0o555, "cannot write into"), (0, "cannot be written (Permission")):
        folder.mkdir(mode=mode)
        done = subprocess.run(command, capture_output=True, text=True)
        assert message in done.stdout
        folder.rmdir()


def test_a_name_too_long(tmp_path: Path) -> None:
    for path in (tmp_path / ("x" * 252 + ".mp4"), tmp_path / "new" / ("x" * 256) / "film.mp4"):
        with pytest.raises(InputError, match="choose a shorter one"):
            check_output(path)


def test_a_folder_that_is_a_lost_link(tmp_path: Path) -> None:
    (tmp_path / "lost").symlink_to("nowhere")
    with pytest.raises(InputError, match="lost is not a folder"):
        check_output(tmp_path / "lost" / "film.mp4")


def test_messages_escape_control_characters(tmp_path: Path) -> None:
    (tmp_path / "a\nb.mp4").touch()
    with pytest.raises(InputError, match=r"a\\nb\.mp4': exists already"):
        check_output(tmp_path / "a\nb.mp4")


@pytest.mark.parametrize("stem", ["x" * 251, "🎬" * 62, "a\nb: 'c'"])
def test_names_of_any_length_and_kind(tmp_path: Path, stem: str) -> None:
    target = tmp_path / f"{stem}.mp4"
    assert len(os.fsencode(part_name(target).name)) <= 255
    with atomic(target) as part:
        part.write_bytes(b"whole")
    assert target.read_bytes() == b"whole"


def test_full_disk_from_python(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="disk is full") as caught:
        fail_in(tmp_path / "film.mp4", OSError(errno.ENOSPC, "No space left on device"))
    assert str(tmp_path) in str(caught.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="has no /dev/full")
def test_full_disk_from_ffmpeg(tmp_path: Path) -> None:
    def write() -> None:
        with atomic(tmp_path / "film.wav") as part:
            part.symlink_to("/dev/full")
            run([*lavfi("sine=d=1"), "-f", "wav", str(part)], subject="film.wav")

    with pytest.raises(MediaError, match="disk is full"):
        write()
    assert not list(tmp_path.iterdir())


def test_other_errors_of_the_system_are_ours(tmp_path: Path) -> None:
    with pytest.raises(FoleyError, match=r"film\.mp4: cannot be written"):
        fail_in(tmp_path / "film.mp4", OSError(errno.EIO, "Input/output error"))
