"""Locks on data: who is told, and when they end."""

from __future__ import annotations

from pathlib import Path

import pytest

from gatekeeper.data_dir import GATEWAY, REPRICING, DataInUse, is_locked, lock_data


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    return folder


def test_a_folder_is_held_until_its_end(folder: Path, tmp_path: Path) -> None:
    with lock_data(folder, folder / "keys.sqlite"):
        assert is_locked(folder)
        assert is_locked(folder / "gatekeeper.lock")
        with pytest.raises(DataInUse) as caught, lock_data(folder, tmp_path / "others"):
            pass
        assert (caught.value.path, caught.value.holder) == (folder, GATEWAY)
    assert not is_locked(folder)
    with lock_data(folder, folder / "keys.sqlite", REPRICING):
        with pytest.raises(DataInUse) as caught, lock_data(folder, tmp_path / "others"):
            pass
        assert caught.value.holder == REPRICING
    with lock_data(folder, folder / "keys.sqlite"):
        pass


@pytest.mark.parametrize("again", [False, True])
def test_a_lock_file_that_is_removed_takes_no_lock_off(folder: Path, again: bool) -> None:
    with lock_data(folder, folder / "keys.sqlite"):
        (folder / "gatekeeper.lock").unlink()
        if again:
            (folder / "gatekeeper.lock").touch()
        with pytest.raises(DataInUse), lock_data(folder, folder / "keys.sqlite"):
            pass


@pytest.mark.parametrize("name", ["keys.sqlite", "link", "x/../keys.sqlite"])
def test_a_store_is_held_by_whatever_name_it_goes(folder: Path, tmp_path: Path, name: str) -> None:
    (tmp_path / "x").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "keys.sqlite")
    (tmp_path / "other").mkdir()
    with lock_data(folder, tmp_path / "keys.sqlite"):
        with pytest.raises(DataInUse) as caught, lock_data(tmp_path / "other", tmp_path / name):
            pass
        assert caught.value.path == tmp_path / name
        with lock_data(tmp_path / "other", tmp_path / "another.sqlite"):
            pass


def test_what_is_not_there_is_not_held(folder: Path, tmp_path: Path) -> None:
    assert not is_locked(tmp_path / "nothing")
    with pytest.raises(FileNotFoundError), lock_data(tmp_path / "nothing", folder / "keys.sqlite"):
        pass
    with lock_data(folder, tmp_path / "nothing" / "keys.sqlite"):  # the store will say so itself
        assert is_locked(folder)
