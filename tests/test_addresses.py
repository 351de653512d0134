import pytest

from tcpecho_trio.addresses import Address, format_address, is_loopback


@pytest.mark.parametrize(
    ("address", "written", "loopback"),
    [
        (("127.0.0.1", 50742), "127.0.0.1:50742", True),
        (("127.9.9.9", 1), "127.9.9.9:1", True),
        (("192.0.2.7", 80), "192.0.2.7:80", False),
        (("::1", 50742, 0, 0), "[::1]:50742", True),
        (("2001:db8::1", 1, 0, 0), "[2001:db8::1]:1", False),
        (("fe80::1%eth0", 1, 0, 2), "[fe80::1%eth0]:1", False),
        (("::ffff:127.0.0.1", 1, 0, 0), "127.0.0.1:1", True),
        (("::ffff:192.0.2.7", 1, 0, 0), "192.0.2.7:1", False),
        (("::ffff:0:192.0.2.7", 1, 0, 0), "[::ffff:0:192.0.2.7]:1", False),
        (("::ffff:0:127.0.0.1", 1, 0, 0), "[::ffff:0:127.0.0.1]:1", False),
    ],
)
def test_addresses_are_written_and_judged(address: Address, written: str, loopback: bool) -> None:
    assert format_address(address) == written
    assert is_loopback(address) is loopback
