#!/usr/bin/env python3
"""Stands for the agent on a machine: TLS, one request a connection, and breaks where a scenario says.

agent-double.py CERT KEY FOLDER SCENARIO

FOLDER/port is written when it listens, FOLDER/log has a line of JSON for each request, FOLDER/got the last module.
SCENARIO: words, one for each POST in turn, the last one for all that follow:
  ok, slow, status:N, busy:N (N before the body), cut-before, cut-middle, cut-after; ours: GET /livepatch tells what is
  in effect; ours-loads: … and a cut connection's module goes into effect after some questions.
"""
import email.parser
import email.policy
import hashlib
import json
import os
import socket
import ssl
import sys
import time

certificate, key, folder, scenario = sys.argv[1:]
words = scenario.split(",")
ours = [word for word in words if word.startswith("ours")]
steps = [word for word in words if not word.startswith("ours")]
effect = {"sha256": None, "coming": None, "questions": 0}


def receive(connection, wanted):
    data = b""
    while len(data) < wanted:
        more = connection.recv(min(65536, wanted - len(data)))
        if not more:
            break
        data += more
    return data


def head(connection):
    data = b""
    while b"\r\n\r\n" not in data:
        more = connection.recv(1)
        if not more:
            return None
        data += more
    first, rest = data.split(b"\r\n", 1)
    return first.decode(), email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(rest)


def answer(connection, status, text, kind="text/plain", extra=""):
    body = text.encode()
    connection.sendall(
        f"HTTP/1.1 {status} X\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n{extra}Connection: close\r\n\r\n".encode()
        + body)


def state():
    if effect["coming"] and ours == ["ours-loads"]:
        effect["questions"] += 1
        if effect["questions"] > 1:
            effect["sha256"], effect["coming"] = effect["coming"], None
    return json.dumps({"agent": "kpatch-agent", "sha256": effect["sha256"], "busy": effect["coming"] is not None})


# What is answered, or None: the line of the log is there before the sender goes on.
def take_post(connection, headers, log):
    step = steps.pop(0) if len(steps) > 1 else steps[0]
    if step.startswith("busy:"):
        return lambda: answer(connection, int(step[5:]), "busy", extra="Retry-After: 1\r\n")
    if step == "cut-before":
        return None
    length = int(headers["Content-Length"])
    if headers.get("Expect") == "100-continue":
        connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
    body = receive(connection, length // 2 if step == "cut-middle" else length)
    if step == "cut-middle":
        return None
    message = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(
        b"Content-Type: " + headers["Content-Type"].encode() + b"\r\n\r\n" + body)
    parts = list(message.iter_parts())
    log["parts"] = [[part.get_param("name", header="content-disposition"), part.get_filename()] for part in parts]
    module = parts[0].get_payload(decode=True)
    with open(os.path.join(folder, "got"), "wb") as got:
        got.write(module)
    digest = hashlib.sha256(module).hexdigest()
    if step == "cut-after":
        effect["coming"] = digest if ours == ["ours-loads"] else None
        return None
    if step == "slow":
        time.sleep(4)
    if step.startswith("status:"):
        return lambda: answer(connection, int(step[7:]), f"the double says {step[7:]}\x1b[2J")
    effect["sha256"] = digest
    return lambda: answer(connection, 200, "Livepatch successfully applied and measured into PCR 16.")


def serve(connection):
    request = head(connection)
    if request is None:
        return
    line, headers = request
    log = {"line": line, "headers": [[name.lower(), value] for name, value in headers.items()]}
    method, path, _ = line.split()
    respond = lambda: answer(connection, 404, "no such route")
    try:
        if method == "POST" and path == "/livepatch":
            respond = take_post(connection, headers, log)
        elif method == "GET" and path == "/livepatch" and ours:
            respond = lambda: answer(connection, 200, state(), "application/json")
        elif method == "GET" and path.endswith("/golden-measurement") and "measures" in folder:
            respond = lambda: answer(connection, 200, json.dumps({"golden_measurement": path}), "application/json")
    finally:
        with open(os.path.join(folder, "log"), "a", encoding="utf-8") as file:
            file.write(json.dumps(log) + "\n")
    if respond is not None:
        respond()


context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(certificate, key)
listener = socket.create_server(("127.0.0.1", 0))
with open(os.path.join(folder, "port.new"), "w", encoding="utf-8") as file:
    file.write(str(listener.getsockname()[1]))
os.rename(os.path.join(folder, "port.new"), os.path.join(folder, "port"))
while True:
    plain, _ = listener.accept()
    try:
        with context.wrap_socket(plain, server_side=True) as connection:
            serve(connection)
    except (OSError, ValueError) as error:
        print(error, file=sys.stderr)
