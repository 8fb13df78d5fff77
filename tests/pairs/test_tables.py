from __future__ import annotations

from pathlib import Path

import pytest

from v2a_foley.errors import InputError
from v2a_foley.pairs.sources import Stretch
from v2a_foley.pairs.tables import read_phrases, read_table


def table(folder: Path, text: str, name: str = "table.csv") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def refusal(path: Path) -> str:
    with pytest.raises(InputError) as refused:
        read_table(path, path.parent)
    return str(refused.value)


def test_rows_of_one_video_are_its_stretches(tmp_path: Path):
    path = table(
        tmp_path,
        "\ufeffVideo,start,end,caption,label,split,group\n"
        'a.mp4,0,2.5,"a dog, barking",dog,train,one\n'
        "\n"
        "b.mp4,,,,,,\n"
        "a.mp4,4,,a cat,cat,VAL,one\n",
    )
    first, second = read_table(path, tmp_path)
    assert first.name == str(tmp_path / "a.mp4")
    assert first.stretches == (
        Stretch(0.0, 2.5, "a dog, barking", "dog", "train", "one"),
        Stretch(4.0, None, "a cat", "cat", "valid", "one"),
    )
    assert first.origin == "table.csv, row 2"
    assert second.stretches == (Stretch(group="b.mp4"),)


def test_tabs_and_quotation_marks(tmp_path: Path):
    path = table(tmp_path, 'caption\tvideo\n"Hello, he said\ta.mp4\n', "table.tsv")
    (source,) = read_table(path, tmp_path)
    assert source.stretches[0].caption == '"Hello, he said'


def test_pictures_and_sounds_that_meet_are_of_one_group(tmp_path: Path):
    rows = ["1.jpg,a.ogg", "1.jpg,b.ogg", "2.jpg,b.ogg", "3.jpg,c.ogg"]
    sources = read_table(table(tmp_path, "\n".join(["image,sound", *rows])), tmp_path)
    assert [each.stretches[0].group for each in sources] == ["1.jpg", "1.jpg", "1.jpg", "3.jpg"]
    assert sources[2].files == (tmp_path / "2.jpg", tmp_path / "b.ogg")


def test_vggsounds_table_has_no_header(tmp_path: Path):
    path = table(
        tmp_path,
        '---g-f_I2yQ,1,"people marching, singing",test\n'
        "--0PQM4-hqg,30,waterfall burbling,train\n"
        "--0PQM4-hqg,120,waterfall burbling,train\n",
    )
    first, second, third = read_table(path, tmp_path / "media")
    assert first.files == (tmp_path / "media" / "---g-f_I2yQ_000001.mp4",)
    label = "people marching, singing"
    assert first.stretches == (Stretch(0.0, 10.0, label, label, "test", "---g-f_I2yQ"),)
    assert first.origin == "table.csv, row 1"
    assert third.files[0].name == "--0PQM4-hqg_000120.mp4"
    assert second.stretches[0].group == third.stretches[0].group


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is empty"),
        ("path,caption\na.mp4,x\n", "neither a column 'video' nor columns 'image' and 'sound'"),
        ("image,caption\na.jpg,x\n", "it has: image, caption"),
        ("video\n", "a header and no rows"),
        ("video,start\na.mp4,0\nb.mp4,soon\n", "row 3: 'soon' is no time in seconds"),
        ("video,start\na.mp4,-1\n", "row 2: '-1' is no time in seconds"),
        ("video,end\na.mp4,nan\n", "row 2: 'nan' is no time in seconds"),
        ("video,start,end\na.mp4,5,4\n", "row 2: ends at 4 s, before it starts"),
        ("video,split\na.mp4,training\n", "row 2: split 'training' is none of"),
        ("video,start\na.mp4\n", "row 2: has 1 fields, the header 2"),
        ("video,caption\na.mp4,one,two\n", "row 2: has 3 fields, the header 2"),
        ("video,caption\n,nothing\n", "row 2: must name a video, or an image and a sound"),
        ("image,sound\na.jpg,\n", "row 2: must name a video, or an image and a sound"),
        ('video,caption\na.mp4,"open\n', "row 2: unexpected end of data"),
        ("abc,1,dog,test\nabc,one,dog,test\n", "row 2: is none of VGGSound's"),
    ],
)
def test_a_wrong_table_is_named_with_its_row(tmp_path: Path, text: str, words: str):
    path = table(tmp_path, text)
    message = refusal(path)
    assert message.startswith(str(path))
    assert words in message


def test_what_is_no_table(tmp_path: Path):
    path = tmp_path / "table.csv"
    path.write_bytes(b"\xff\xfe\x00\x01" * 50)
    assert "is no CSV or TSV in UTF-8" in refusal(path)


def test_phrases(tmp_path: Path):
    text = "visual\tsound\tconcept\nA dog\ta bark\tdog\nA cat\ta meow\tcat\n"
    rows = read_phrases(table(tmp_path, text, "phrases.tsv"))
    assert rows[1]["sound"] == "a meow"
    assert rows[1]["split"] == ""
    for text, words in (
        ("visual\theard\nx\ty\n", "no column 'sound'"),
        ("visual\tsound\nx\t\n", "row 2: has an empty phrase"),
        ("visual\tsound\n", "no rows"),
        ("visual\tsound\nx\n", "row 2: has 1 fields"),
    ):
        with pytest.raises(InputError, match=words):
            read_phrases(table(tmp_path, text, "phrases.tsv"))
