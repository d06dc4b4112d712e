#!/usr/bin/env python3
"""Sends to an agent what well-behaved clients send, and what they don't: agent-post.py PORT HOW [FILE]

The token is in TOKEN, more headers in HEADERS ("Name: value" lines). Prints the status and the body; "cut" where the
agent closed the connection without an answer.
"""
import os
import socket
import ssl
import sys

port, how = int(sys.argv[1]), sys.argv[2]
module = open(sys.argv[3], "rb").read() if len(sys.argv) > 3 else b""
context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
context.check_hostname = False
context.verify_mode = ssl.CERT_NONE
headers = [f"Host: 127.0.0.1:{port}"] + [line for line in os.environ.get("HEADERS", "").split("\n") if line]
if os.environ.get("TOKEN"):
    headers.append("Authorization: Bearer " + os.environ["TOKEN"])


def part(content, name="file", more=""):
    return (f'--edge\r\nContent-Disposition: form-data; name="{name}"; filename="x.ko"\r\n{more}\r\n').encode() + content + b"\r\n"


END = b"--edge--\r\n"
FORM = "Content-Type: multipart/form-data; boundary=edge"
RAW = "Content-Type: application/octet-stream"
bodies = {
    "form": (FORM, part(module) + END),
    "raw": (RAW, module),
    "other-first": (FORM, part(b"x" * 100000, "note") + part(module) + END),
    "two-files": (FORM, part(module) + part(module) + END),
    "no-file": (FORM, part(module, "fiel") + END),
    "empty-file": (FORM, part(b"") + END),
    "empty": (RAW, b""),
    "base64": (FORM, part(module, more="Content-Transfer-Encoding: base64\r\n") + END),
    "no-end": (FORM, part(module)[:-2]),
    "no-boundary": ("Content-Type: multipart/form-data", part(module) + END),
    "other-boundary": ("Content-Type: multipart/form-data; boundary=other", part(module) + END),
    "long-boundary": ("Content-Type: multipart/form-data; boundary=" + "e" * 4000, part(module) + END),
    "long-header": (FORM, b'--edge\r\nContent-Disposition: form-data; name="file"; filename="' + b"x" * 500000 + b'"\r\n\r\ny\r\n' + END),
    "nul": (FORM, b'--edge\r\nContent-Disposition: form-data; name="file\0"\r\n\r\n\0\r\n' + END),
    "text": ("Content-Type: text/plain", module),
    "garbage": (FORM, bytes(range(256)) * 400),
}


def connect():
    return context.wrap_socket(socket.create_connection(("127.0.0.1", port), timeout=60))


def finish(connection):
    answer = b""
    try:
        while more := connection.recv(65536):
            answer += more
    except OSError:
        pass
    if not answer:
        print("cut")
        return
    first, _, body = answer.partition(b"\r\n\r\n")
    print(first.split()[1].decode())
    sys.stdout.buffer.write(body)


def request(method, path, more, body):
    connection = connect()
    text = "\r\n".join([f"{method} {path} HTTP/1.1", *headers, *more, "Connection: close", "", ""])
    try:
        connection.sendall(text.encode() + body)
    except OSError:
        pass
    finish(connection)


if how in bodies:
    kind, body = bodies[how]
    request("POST", "/livepatch", [kind, f"Content-Length: {len(body)}"], body)
elif how == "chunked":
    request("POST", "/livepatch", [RAW, "Transfer-Encoding: chunked"], b"%x\r\n%s\r\n0\r\n\r\n" % (len(module), module))
elif how.startswith("get:"):
    request("GET", how[4:], [], b"")
elif how.startswith("method:"):
    request(how[7:], "/livepatch", [RAW, "Content-Length: 0"], b"")
elif how.startswith("announced:"):  # so many bytes are announced, and none come before the answer
    request("POST", "/livepatch", [RAW, "Content-Length: " + how[10:]], b"")
elif how.startswith(("endless:", "stalled:")):  # so many megabytes, whose number nobody tells beforehand; stalled: and no end
    connection = connect()
    text = "\r\n".join(["POST /livepatch HTTP/1.1", *headers, RAW, "Transfer-Encoding: chunked", "Connection: close", "", ""])
    try:
        connection.sendall(text.encode())
        for _ in range(int(how[8:])):
            connection.sendall(b"100000\r\n" + b"x" * (1 << 20) + b"\r\n")
        if how.startswith("stalled:"):
            print("stalled", flush=True)
            sys.stdin.read()
            sys.exit()
        connection.sendall(b"0\r\n\r\n")
    except OSError:
        pass
    finish(connection)
elif how.startswith("cut:"):  # after that part of the body in percent
    kind, body = bodies["form"]
    connection = connect()
    text = "\r\n".join(["POST /livepatch HTTP/1.1", *headers, kind, f"Content-Length: {len(body)}", "", ""])
    connection.sendall(text.encode() + body[: len(body) * int(how[4:]) // 100])
    connection.close()
elif how == "plain":  # no TLS
    connection = socket.create_connection(("127.0.0.1", port), timeout=60)
    connection.sendall(b"GET /livepatch HTTP/1.1\r\nHost: x\r\n\r\n")
    finish(connection)
else:
    sys.exit("agent-post.py: " + how)
