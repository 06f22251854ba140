"""Official annotation files of data sets, and the media that they speak of."""

from pathlib import Path

HEADER = "label,youtube_id,time_start,time_end,split\n"


def touch(root: Path, *paths: str) -> Path:
    """Empty files: lists are made from names alone."""
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).touch()
    return root


def write_official(tmp_path: Path, **files: str) -> None:
    """Official annotation files; in a name two underscores stand for a dot and one for a minus."""
    (tmp_path / "official").mkdir(exist_ok=True)
    for name, text in files.items():
        (tmp_path / "official" / name.replace("__", ".").replace("_", "-")).write_text(text)


def kinetics_files(tmp_path: Path) -> None:
    """Annotations and media of Kinetics: one is missing, one is repeated."""
    write_official(
        tmp_path,
        train__csv=f"{HEADER}abseiling,aaaaaaaaaa1,10,20,train\nair drumming,-_aaaaaaaa2,0,10,train\n"
        "dying hair,aaaaaaaaaa3,5,15,train\nabseiling,aaaaaaaaaa1,10,20,train\n",
        validate__csv=f"{HEADER}air drumming,aaaaaaaaaa4,1,11,validate\n",
        test__csv=f"{HEADER}abseiling,aaaaaaaaaa5,1,11,test\n",
    )
    touch(tmp_path / "media", "train/abseiling/aaaaaaaaaa1_000010_000020.mp4", "train/-_aaaaaaaa2.mkv")
    touch(tmp_path / "media", "val/aaaaaaaaaa4_000001_000011.mp4", "aaaaaaaaaa5_000001_000011.mp4", "notes.txt")
