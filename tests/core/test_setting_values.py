import pytest

from stationkeeper_core.setting_values import Address, SettingsError, read_address, read_buckets, read_log_level


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("0.0.0.0:8987", Address("0.0.0.0", 8987)),
        ("[::1]:0", Address("::1", 0)),
        ("cups.example.com:65535", Address("cups.example.com", 65535)),
    ],
)
def test_an_address_is_a_host_and_a_port(text: str, address: Address) -> None:
    assert read_address("--listen", text) == address


@pytest.mark.parametrize("text", ["", ":80", "host", "host:", "host:65536", "host:-1", "host:٣", "host:http"])
def test_an_address_without_a_host_or_a_port_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match=r"^--listen is .*; set it to host:port$"):
        read_address("--listen", text)


def test_a_level_is_read_in_any_case() -> None:
    assert read_log_level("--log-level", "warning") == "WARNING"


def test_an_unknown_word_is_refused_with_the_allowed_words() -> None:
    with pytest.raises(SettingsError, match="--log-level is 'LOUD'; set it to one of DEBUG, INFO, WARNING, ERROR"):
        read_log_level("--log-level", "loud")
    with pytest.raises(SettingsError, match="--registry-buckets is '17'; set it to one of 16, "):
        read_buckets("--registry-buckets", "17")


def test_an_error_repeats_the_beginning_of_a_long_text_only() -> None:
    with pytest.raises(SettingsError) as raised:
        read_address("--listen", "x" * 10_000)
    assert len(str(raised.value)) < 200
