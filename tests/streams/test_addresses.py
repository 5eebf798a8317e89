from __future__ import annotations

from pathlib import Path

import pytest

from agentflow.errors import ConfigurationError
from agentflow.streams import Streams
from agentflow.streams.address import read_address


def _said(url: str) -> str:
    with pytest.raises(ConfigurationError) as wrong:
        Streams.connect(url, Path())
    return str(wrong.value)


def test_a_server_is_one_host_and_a_number() -> None:
    address = read_address("rediss://maria:p%40ss@cache.test:7000/3?ssl_ca_certs=/ca.pem")
    assert (address.form, address.secure, address.hosts) == ("server", True, (("cache.test", 7000),))


def test_a_socket_may_carry_a_login_and_a_database() -> None:
    assert read_address("unix://maria:tea@/run/redis.sock?db=2").form == "server"


def test_sentinels_name_a_master_and_have_a_login_of_their_own() -> None:
    address = read_address("redis+sentinel://maria:tea@one,two:26380/main/5?sentinel_username=w&sentinel_password=s%20t")
    assert address.hosts == (("one", 26_379), ("two", 26_380))
    assert address.master == "main"
    assert address.server(("10.0.0.7", 6_379)) == "redis://maria:tea@10.0.0.7:6379/5"
    assert address.watcher(("one", 26_379)) == "redis://one:26379?username=w&password=s+t"


def test_sentinels_are_asked_with_the_tls_of_the_servers() -> None:
    address = read_address("rediss+sentinel://one/main?ssl_ca_certs=/ca.pem&client_name=flow")
    assert address.watcher(("one", 26_379)) == "rediss://one:26379?ssl_ca_certs=%2Fca.pem"
    assert address.server(("two", 1)) == "rediss://two:1/?ssl_ca_certs=%2Fca.pem&client_name=flow"


def test_a_cluster_is_some_of_its_nodes() -> None:
    address = read_address("rediss+cluster://:tea@one:7001,[::1]:7002")
    assert address.hosts == (("one", 7_001), ("::1", 7_002))
    assert address.server(("::1", 7_002)) == "rediss://:tea@[::1]:7002/"


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("postgresql://localhost", "is not the URL of a Redis"),
        ("redis+sentinel://one:26379", "names no master"),
        ("redis://one:port/0", "port 'port'"),
        ("redis://one:70000", "port '70000'"),
        ("redis://one:/0", "port ''"),
        ("redis://one,two", "redis+cluster://"),
        ("redis://one/first", "names a database 'first'"),
        ("redis+sentinel://one/main/first", "names a database 'first'"),
        ("redis+cluster://one/3", "only database 0"),
        ("redis://one?decode_responses=true", "'decode_responses'"),
        ("redis://one?sentinel_password=tea", "'sentinel_password'"),
        ("redis+cluster://one,,two", "a host ''"),
        ("unix:relative.sock", "is not the URL of a Redis"),
    ],
)
def test_a_url_that_cannot_be_says_what_is_wrong_with_it(url: str, said: str) -> None:
    assert said in _said(url)


@pytest.mark.parametrize(
    "url", ["redis://maria:tea@one:x", "redis+sentinel://:tea@one", "redis://one?password=tea&nothing=1", "mysql://a:tea@b"]
)
def test_no_secret_of_a_url_is_ever_shown(url: str) -> None:
    assert "tea" not in _said(url)
