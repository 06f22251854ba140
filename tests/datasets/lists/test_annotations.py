"""List files and class names: what is accepted, and errors that name file and line."""

import os
import re
from pathlib import Path

import pytest

from slowfast.datasets.labels import load_class_names
from slowfast.datasets.lists.annotations import load_list
from slowfast.datasets.lists.line_forms import PATH_LABEL
from slowfast.datasets.records import VideoRecord
from slowfast.errors import UserError


def load(tmp_path: Path, text: str | bytes, **arguments) -> list[tuple[str, int]]:
    path = tmp_path / "train.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return load_list(path, PATH_LABEL, **{"separator": ",", "num_classes": 10, **arguments})


# Lists


@pytest.mark.parametrize("separator", [",", " ", "\t", ";", ", ", "|"])
def test_a_line_is_a_path_a_separator_and_a_label(tmp_path: Path, separator: str):
    records = load(tmp_path, f"a.mp4{separator}3\nfolder/b.mp4{separator}0\n", separator=separator)
    assert records == [VideoRecord("a.mp4", 3), VideoRecord("folder/b.mp4", 0)]


@pytest.mark.parametrize(
    ("line", "separator", "path"),
    [
        ("my holiday in Rome.mp4,4", ",", "my holiday in Rome.mp4"),
        ("my holiday in Rome.mp4 4", " ", "my holiday in Rome.mp4"),
        ("one, two, three.mp4,4", ",", "one, two, three.mp4"),
        ("one,two.mp4 4", " ", "one,two.mp4"),
        ("12 3.mp4,4", ",", "12 3.mp4"),
        ("Zürich/Überfahrt 東京.mp4,4", ",", "Zürich/Überfahrt 東京.mp4"),
        ("  padded.mp4 ,  4  ", ",", "padded.mp4"),
    ],
)
def test_paths_may_hold_spaces_and_the_separator(tmp_path: Path, line: str, separator: str, path: str):
    assert load(tmp_path, line + "\n", separator=separator) == [VideoRecord(path, 4)]


def test_blank_lines_and_line_ends_of_other_systems_are_accepted(tmp_path: Path):
    assert load(tmp_path, "\na.mp4,1\r\n   \r\nb.mp4,2") == [VideoRecord("a.mp4", 1), VideoRecord("b.mp4", 2)]


def test_relative_paths_start_from_the_prefix(tmp_path: Path):
    records = load(tmp_path, "a b.mp4,1\n/elsewhere/c.mp4,2\n", prefix="/data/my videos")
    assert records == [VideoRecord("/data/my videos/a b.mp4", 1), VideoRecord("/elsewhere/c.mp4", 2)]


@pytest.mark.parametrize(
    ("text", "separator", "message"),
    [
        ("a.mp4,1\nb.mp4\n", ",", ":2: expected 'path,label', found 'b.mp4'"),
        ("a.mp4,1\n\n,2\n", ",", ":3: expected 'path,label', found ',2'"),
        ("a.mp4,left\n", ",", ":1: label 'left' of 'a.mp4,left' is not an integer"),
        ("a.mp4,1.0\n", ",", ":1: label '1.0' of 'a.mp4,1.0' is not an integer"),
        ("a.mp4,\n", ",", ":1: label '' of 'a.mp4,' is not an integer"),
        ("a.mp4,9\nb.mp4,10\n", ",", ":2: label 10 is outside [0, 10); mend the list or set MODEL.NUM_CLASSES"),
        ("a.mp4,-1\n", ",", ":1: label -1 is outside [0, 10)"),
        ("", ",", ":1: the list is empty; expected lines of the form 'path,label'"),
        ("\n  \n", ",", ":1: the list is empty"),
        # What another separator would make of the line.
        ("a.mp4 1\n", ",", ":1: expected 'path,label', found 'a.mp4 1'; it looks separated by a space"),
        ("a b.mp4,1\n", " ", ":1: label 'b.mp4,1' of 'a b.mp4,1' is not an integer; it looks separated by a comma"),
        ("a.mp4\t1\n", " ", "it looks separated by a tab: set DATA.PATH_LABEL_SEPARATOR $'\\t'"),
        ("a.mp4;1\n", " ", "it looks separated by a semicolon: set DATA.PATH_LABEL_SEPARATOR ';'"),
    ],
)
def test_a_bad_line_is_an_error_that_names_file_and_line(tmp_path: Path, text: str, separator: str, message: str):
    with pytest.raises(UserError, match=re.escape(message)) as error:
        load(tmp_path, text, separator=separator)
    assert re.match(re.escape(str(tmp_path / "train.csv")) + r":\d+: ", str(error.value))
    assert "\n" not in str(error.value)


def test_a_missing_list_is_an_error_that_names_the_key(tmp_path: Path):
    with pytest.raises(UserError, match=r"none.csv: no such list file; set DATA.PATH_TO_DATA_DIR"):
        load_list(tmp_path / "none.csv", PATH_LABEL, separator=",", num_classes=10)


def test_a_folder_or_another_encoding_is_an_error_that_names_the_file(tmp_path: Path):
    with pytest.raises(UserError, match=f"{tmp_path}: cannot read the list file"):
        load_list(tmp_path, PATH_LABEL, separator=",", num_classes=10)
    with pytest.raises(UserError, match=r"train.csv: is UTF-16 text; save the list as UTF-8$"):
        load(tmp_path, "Zürich.mp4,1\n".encode("utf-16"))
    with pytest.raises(UserError, match=r"train.csv:1: path 'a\\x00.mp4' has a character that no name of a file has$"):
        load(tmp_path, "a\0.mp4,1\n")


def test_names_that_are_not_utf_8_are_those_of_the_files(tmp_path: Path):
    name = "Zürich.mp4".encode("latin-1")
    (tmp_path / os.fsdecode(name)).touch()
    (record,) = load(tmp_path, name + b",1\n", prefix=str(tmp_path))
    assert os.path.exists(record.path)


def test_an_empty_separator_is_refused(tmp_path: Path):
    with pytest.raises(UserError, match=r"DATA\.PATH_LABEL_SEPARATOR is empty"):
        load(tmp_path, "a.mp4,1\n", separator="")


# Class names


def test_class_names_are_the_lines_in_order(tmp_path: Path):
    path = tmp_path / "classes.txt"
    path.write_text("riding a bike\nüben\nclapping\n")
    assert load_class_names(path, 3) == ["riding a bike", "üben", "clapping"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a\nb\n", "2 names, 2 of them distinct; expected one per line for each of MODEL.NUM_CLASSES 3 classes"),
        ("a\nb\nc\nd\n", "4 names, 4 of them distinct"),
        ("a\nb\na\n", "3 names, 2 of them distinct"),
        ("", "0 names"),
    ],
)
def test_a_wrong_number_of_class_names_is_refused(tmp_path: Path, text: str, message: str):
    path = tmp_path / "classes.txt"
    path.write_text(text)
    with pytest.raises(UserError, match=re.escape(f"DATA.CLASS_NAMES_FILE {path}: {message}")):
        load_class_names(path, 3)


def test_missing_class_names_are_refused(tmp_path: Path):
    message = r"DATA.CLASS_NAMES_FILE .*none.txt: cannot read the class names: .*No such file"
    with pytest.raises(UserError, match=message):
        load_class_names(tmp_path / "none.txt", 3)
