"""Files appear whole, or not at all."""

from hpe_core.common.files import write_json


def test_what_a_killed_process_left_is_removed(tmp_path):
    """DVC would count it to a folder of networks; what belongs to other files may be in use."""
    for name in (".a.json.12.tmp", ".[a].json.12.tmp", ".b.json.12.tmp"):
        (tmp_path / name).write_text("half")
    write_json({}, tmp_path / "a.json")
    write_json({}, tmp_path / "[a].json")
    assert {path.name for path in tmp_path.iterdir()} == {"a.json", "[a].json", ".b.json.12.tmp"}
