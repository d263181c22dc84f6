"""A mirror's answers: bounded, taken or refused; and what a request says."""

import tools
from everpin.core import errors, http
from everpin.core.carrier import parse_url

_OK = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc"
_CHUNKED = (
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1;x=y\r\nc\r\n0\r\n\r\n"
)


def _read(data, piece):
    response = http.Response(100)
    for at in range(0, len(data), piece):
        if response.feed(data[at : at + piece]):
            break
    if not response.done:
        response.eof()
    return response.status, bytes(response.body)


def test_a_request_names_host_and_path_and_nothing_else():
    assert http.request("h", "/a") == b"GET /a HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"
    assert b"Host: [::1]\r\n" in http.request("::1", "/a")


def test_answers_are_read_whole_byte_by_byte_and_with_what_follows():
    for data in (_OK, _CHUNKED, b"HTTP/1.0 200 OK\r\n\r\nabc"):
        for piece in (1, 2, 7, 1000):
            assert _read(data, piece) == (200, b"abc")
    assert _read(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", 5) == (404, b"")


def test_a_body_above_its_bound_is_refused():
    for data in (
        b"HTTP/1.1 200 OK\r\nContent-Length: 101\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n" + bytes(101),
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffff\r\n",
    ):
        tools.raises(errors.TOO_LONG, _read, data, 1000)


def test_what_is_no_answer_is_refused():
    for data in (
        b"junk\r\n\r\n",
        b"HTTP/1.1 2x0 OK\r\n\r\n",
        b"HTTP/2 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc",
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 5000,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\xff\xfe\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n 3\x80;x\r\n",
        b"",
    ):
        tools.raises(errors.HTTP, _read, data, 1000)


def test_carriers_are_known_by_their_scheme_and_form():
    for url, wanted in (
        ("mqtts://h:1", ("mqtts", "h", 1, "")),
        ("mqtt://h", ("mqtt", "h", 1883, "")),
        ("http://h/a/b/", ("http", "h", 80, "/a/b")),
        ("https://[::1]:8443/p", ("https", "::1", 8443, "/p")),
    ):
        assert parse_url(url) == wanted
    for url in (
        "",
        "h",
        "ftp://h/",
        "http://",
        "http://u@h/",
        "http://h:0/",
        "http://h:99999/",
        "http://h:x/",
        "mqtt://h/p",
        "http://h/a b",
        "http://[::1/",
        "http://h?q",
        "http://" + "h" * 300,
    ):
        assert parse_url(url) is None, url
