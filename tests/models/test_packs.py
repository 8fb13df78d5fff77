from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from v2a_foley.errors import ModelError
from v2a_foley.models import packs


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """A copy of the starter pack, to damage."""
    return Path(shutil.copytree(packs.STARTER, tmp_path / "pack"))


def test_auto_is_the_starter_where_nothing_was_fetched() -> None:
    assert packs.find("auto").name == "starter"


def test_auto_is_the_foundation_once_it_is_there(
    copied: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("V2A_FOLEY_DATA_DIR", str(tmp_path / "data"))
    manifest = copied / packs.MANIFEST
    manifest.write_text(manifest.read_text().replace('name = "starter"', 'name = "foundation"'))
    shutil.move(copied, packs.foundation_dir())
    assert packs.find("auto").name == "foundation"


def test_a_folder_is_a_pack(copied: Path) -> None:
    pack = packs.find(str(copied))
    assert pack.folder == copied.resolve()
    assert all(whole for _, whole in packs.verify(pack))


def test_the_starter_is_small_and_licensed() -> None:
    pack = packs.find("starter")
    size = sum(path.stat().st_size for path in pack.folder.rglob("*") if path.is_file())
    assert size < 63_000_000
    assert pack.licences
    assert (pack.folder / "sources.tsv").read_text().count("\n") > 1000


def test_missing_foundation_says_how_to_get_it() -> None:
    with pytest.raises(ModelError, match="models pull foundation") as caught:
        packs.find("foundation")
    assert str(packs.foundation_dir()) in str(caught.value)


def test_unknown_pack_names_the_known_ones() -> None:
    with pytest.raises(ModelError, match=r"unknown model pack 'stater'.*starter"):
        packs.find("stater")


def test_missing_file_is_named(copied: Path) -> None:
    (copied / "sound" / "model.safetensors").unlink()
    with pytest.raises(ModelError, match=r"lacks sound/model\.safetensors"):
        packs.find(str(copied))


def test_altered_file_is_refused_by_its_loader(copied: Path) -> None:
    path = copied / "clip" / "open_clip_model.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    pack = packs.find(str(copied))
    assert [file for file, whole in packs.verify(pack) if not whole] == [
        "clip/open_clip_model.safetensors"
    ]
    with pytest.raises(ModelError, match=r"open_clip_model\.safetensors is damaged"):
        packs.require_intact(pack, "clip/")
    packs.require_intact(pack, "sound/")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("[pack]", "[pack"),
        ("[generator]", "[generater]"),
        ('path = "clip"', 'path = "../clip"'),
        ("window = 5.12", 'window = "long"'),
    ],
)
def test_bad_manifest(copied: Path, old: str, new: str) -> None:
    manifest = copied / packs.MANIFEST
    text = manifest.read_text()
    assert old in text
    manifest.write_text(text.replace(old, new))
    with pytest.raises(ModelError, match=r"pack\.toml: "):
        packs.find(str(copied))


def test_the_id_follows_the_files(copied: Path) -> None:
    manifest = copied / packs.MANIFEST
    before = packs.find(str(copied)).id
    text = manifest.read_text()
    digest = text.split('"sound/config.json" = "')[1][:64]
    manifest.write_text(text.replace(digest, "0" * 64))
    assert packs.find(str(copied)).id != before
