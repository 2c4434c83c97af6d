from pathlib import Path

from holdfast.demo.folder import name_last, new_folder


def test_the_latest_folder_has_a_name_that_stays_and_the_ones_before_are_kept(tmp_path: Path) -> None:
    first, second = new_folder(tmp_path / "out"), new_folder(tmp_path / "out")
    assert first != second
    for folder in (first, second):
        (folder / "events.db").touch()
        link = name_last(folder)
        assert link == tmp_path / "out" / "last"
        assert link.resolve() == folder.resolve()
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted([first.name, second.name, "last"])
    assert (first / "events.db").exists()


def test_something_else_of_that_name_is_left_alone(tmp_path: Path) -> None:
    folder = new_folder(tmp_path)
    (tmp_path / "last").mkdir()
    assert name_last(folder) is None
    assert (tmp_path / "last").is_dir()
    assert not (tmp_path / "last").is_symlink()
    assert not list(tmp_path.glob(".last*"))
