"""Requests that two readers may read differently (RFC 9112 §11.2), octet by octet. HOST stands for the gateway's own name.

Each has behind it a whole second request, for a page that exists: if that is ever answered, something was smuggled.
"""

from __future__ import annotations

from typing import Final

BEHIND: Final = b"GET /tillganglighet HTTP/1.1\r\nHost: HOST\r\n\r\n"
CHUNKED: Final = b"Transfer-Encoding: chunked\r\n"


def post(fields: bytes, body: bytes = b"") -> bytes:
    return b"POST /logga-in HTTP/1.1\r\nHost: HOST\r\n" + fields + b"\r\n" + body


def get(fields: bytes) -> bytes:
    return b"GET /hjalp HTTP/1.1\r\nHost: HOST\r\n" + fields + b"\r\n"


def line(text: bytes) -> bytes:
    return text + b"\r\nHost: HOST\r\n\r\n"


#: Two lengths for one body.
BOTH: Final = {
    f"both lengths: {te!r} {'after' if after else 'before'} Content-Length": post(
        b"Content-Length: 4\r\n" + te + b"\r\n" if after else te + b"\r\nContent-Length: 4\r\n", b"0\r\n\r\n"
    )
    for te in (
        b"Transfer-Encoding: chunked",
        b"transfer-encoding: CHUNKED",
        b"Transfer-Encoding: identity",
        b"Transfer-Encoding: gzip, chunked",
    )
    for after in (True, False)
}
#: A coding that is not plainly "chunked".
CODINGS: Final = {
    f"coding: {te!r}": post(te + b"\r\n", b"0\r\n\r\n")
    for te in (
        b"Transfer-Encoding: xchunked",
        b"Transfer-Encoding: chunked, identity",
        b"Transfer-Encoding: chunked, chunked",
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        b"Transfer-Encoding: identity",
        b"Transfer-Encoding:\x0bchunked",
        b"Transfer-Encoding: chunked\x00",
        b"Transfer-Encoding : chunked",
        b"Transfer-Encoding:\r\n chunked",
        b" Transfer-Encoding: chunked",
        b"Transfer\xffEncoding: chunked",
        b'Transfer-Encoding: "chunked"',
    )
}
#: A length that is no plain number (RFC 9110 §8.6), or several.
LENGTHS: Final = {
    f"length: {value!r}": post(b"Content-Length: " + value + b"\r\n", b"abcde")
    for value in (
        b"5\r\nContent-Length: 5",
        b"5\r\nContent-Length: 6",
        b"5\r\ncontent-length: 50",
        b"5, 5",
        b"5,6",
        b"+5",
        b"-5",
        b"0x5",
        b"5 5",
        b"\xef\xbc\x95",
        b"5e0",
        b"",
        b"5;",
        b"18446744073709551621",
        b"9" * 40,
        b"5\x00",
    )
}
#: Ends of lines, and octets that no field has (RFC 9112 §2.2).
LINES: Final = {
    "bare LF in the request line": b"GET /hjalp HTTP/1.1\nHost: HOST\r\n\r\n",
    "bare LF after a field": b"GET /hjalp HTTP/1.1\r\nHost: HOST\nX-A: b\r\n\r\n",
    "bare LF everywhere": b"GET /hjalp HTTP/1.1\nHost: HOST\n\n",
    "bare CR in a value": get(b"X-A: b\rX-B: c\r\n"),
    "bare CR after a field": b"GET /hjalp HTTP/1.1\r\nHost: HOST\rX-A: b\r\n\r\n",
    "NUL in a value": get(b"X-A: b\x00c\r\n"),
    "NUL in a name": get(b"X\x00A: b\r\n"),
    "a folded value": get(b"X-A: b\r\n c\r\n"),
    "a folded value with a tab": get(b"X-A: b\r\n\tc\r\n"),
    "a space before the colon": get(b"X-A : b\r\n"),
    "a tab before the colon": get(b"X-A\t: b\r\n"),
    "a space before the first field": b"GET /hjalp HTTP/1.1\r\n X-A: b\r\nHost: HOST\r\n\r\n",
    "no name": get(b": b\r\n"),
    "no colon": get(b"X-A\r\n"),
    "a name that is no token": get(b"X(A): b\r\n"),
    "a name with a space": get(b"X A: b\r\n"),
}
#: Whom the request is for (RFC 9112 §3.2).
HOSTS: Final = {
    "no Host": b"GET /hjalp HTTP/1.1\r\n\r\n",
    "Host twice, the same": b"GET /hjalp HTTP/1.1\r\nHost: HOST\r\nHost: HOST\r\n\r\n",
    "Host twice, the other last": b"GET /hjalp HTTP/1.1\r\nHost: HOST\r\nHost: fel.example\r\n\r\n",
    "Host twice, the other first": b"GET /hjalp HTTP/1.1\r\nHost: fel.example\r\nHost: HOST\r\n\r\n",
    "an empty Host": b"GET /hjalp HTTP/1.1\r\nHost:\r\n\r\n",
    "another Host": b"GET /hjalp HTTP/1.1\r\nHost: fel.example\r\n\r\n",
    "a metadata service as Host": b"GET /hjalp HTTP/1.1\r\nHost: 169.254.169.254\r\n\r\n",
    "two names in Host": b"GET /hjalp HTTP/1.1\r\nHost: HOST, fel.example\r\n\r\n",
    "a user in Host": b"GET /hjalp HTTP/1.1\r\nHost: localhost@fel.example\r\n\r\n",
    "our name as the user in Host": b"GET /hjalp HTTP/1.1\r\nHost: fel.example:80@localhost\r\n\r\n",
    "a path in Host": b"GET /hjalp HTTP/1.1\r\nHost: localhost/fel.example\r\n\r\n",
    "our name as a part": b"GET /hjalp HTTP/1.1\r\nHost: localhost.fel.example\r\n\r\n",
    "HTTP/1.0 without Host": b"GET /hjalp HTTP/1.0\r\n\r\n",
}
TARGETS: Final = {
    "absolute, elsewhere": line(b"GET http://fel.example/hjalp HTTP/1.1"),
    "absolute, elsewhere in both": b"GET http://fel.example/hjalp HTTP/1.1\r\nHost: fel.example\r\n\r\n",
    "absolute, to this machine's metadata": line(b"GET http://169.254.169.254/latest HTTP/1.1"),
    "absolute, no name": line(b"GET http:///hjalp HTTP/1.1"),
    "absolute, a file": line(b"GET file:///etc/passwd HTTP/1.1"),
    "absolute, with a user": line(b"GET http://fel.example@HOST/hjalp HTTP/1.1"),
    "authority": line(b"CONNECT fel.example:443 HTTP/1.1"),
    "authority with GET": line(b"GET fel.example:443 HTTP/1.1"),
    "asterisk": line(b"OPTIONS * HTTP/1.1"),
    "no slash": line(b"GET hjalp HTTP/1.1"),
    "a space in it": line(b"GET /hj alp HTTP/1.1"),
    "a control octet in it": line(b"GET /hjalp\x01 HTTP/1.1"),
    "tabs between": line(b"GET\t/hjalp\tHTTP/1.1"),
    "HTTP/0.9": b"GET /hjalp\r\n\r\n",
    "HTTP/2.0": line(b"GET /hjalp HTTP/2.0"),
    "HTTP/1.10": line(b"GET /hjalp HTTP/1.10"),
    "small letters": line(b"GET /hjalp http/1.1"),
    "an HTTP/2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "a TLS hello": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(64) + b"\r\n\r\n",
    "a method that is no token": line(b"G@T /hjalp HTTP/1.1"),
}
#: Chunks that are no chunks (RFC 9112 §7.1).
CHUNKS: Final = {
    f"chunk: {body!r}": post(CHUNKED, body)
    for body in (
        b"-1\r\nabcde\r\n0\r\n\r\n",
        b"0x5\r\nabcde\r\n0\r\n\r\n",
        b"+5\r\nabcde\r\n0\r\n\r\n",
        b"5\nabcde\r\n0\r\n\r\n",
        b"5\r\nabcde\n0\r\n\r\n",
        b"5\r\nabcdefg\r\n0\r\n\r\n",
        b"5;a=\nb\r\nabcde\r\n0\r\n\r\n",
        b"\r\n5\r\nabcde\r\n0\r\n\r\n",
        b"g\r\nabcde\r\n0\r\n\r\n",
        b"10000000000000005\r\nabcde\r\n0\r\n\r\n",
    )
}
ALL: Final = {**BOTH, **CODINGS, **LENGTHS, **LINES, **HOSTS, **TARGETS, **CHUNKS}
