from __future__ import annotations

import tomllib

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from v2a_foley.tomltext import statements, toml_value


def test_statements_are_found_past_strings_lists_and_comments():
    text = (
        'a = """\n[no]\nb = 1\n"""\n'  # lines 1 to 4
        "c = [ # ]\n  '[x]', # = \n]\n"  # 5 to 7
        '[ "t.u" . v ] # = [\n'  # 8
        "d.e = {f = 1}\n"  # 9
        "[[s]]\ng = '''x\n'''\n[s.k]\nh=1\n[[s]]\n"  # 10 to 15
    )
    found = [(each.line, each.keys) for each in statements(text)]
    assert found == [
        (1, ("a",)),
        (5, ("c",)),
        (8, ("t.u", "v")),
        (9, ("t.u", "v", "d", "e")),
        (10, ("s", 0)),
        (11, ("s", 0, "g")),
        (13, ("s", 0, "k")),
        (14, ("s", 0, "k", "h")),
        (15, ("s", 1)),
    ]


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.text(max_size=60))
def test_any_text_becomes_a_toml_value(text: str):
    assert tomllib.loads(f"x = {toml_value(text)}") == {"x": text}
