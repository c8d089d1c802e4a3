from stationkeeper_core.published.observation import MAX_TEXT, clean


def test_reported_texts_are_cut_and_free_of_control_characters() -> None:
    assert clean("2.0.6(linux/std)") == "2.0.6(linux/std)"
    assert clean("a\x1b[31mb\nc\u202ed") == "a?[31mb?c?d"
    assert clean("x" * (MAX_TEXT + 1)) == "x" * MAX_TEXT
    assert clean("ab\n", 2) == "ab"
