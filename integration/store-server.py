#!/usr/bin/env python3
"""A web server for tests: a folder that is read and written (GET, HEAD, PUT, DELETE), and what can be wrong with one.

    store-server.py FOLDER [FAULT]      prints its port, and serves until it is ended

Faults: silent (takes the connection and says nothing), trickle (a byte a second), cut (half of the file), broken (500).
"""
import http.server
import os
import sys
import time

folder = os.path.realpath(sys.argv[1])
fault = sys.argv[2] if len(sys.argv) > 2 else ""


class Handler(http.server.BaseHTTPRequestHandler):
    def path_here(self):
        path = os.path.realpath(folder + "/" + self.path)
        return path if path.startswith(folder + "/") else None

    def answer(self, status, body=b""):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "HEAD":
            return
        if fault == "cut":
            body = body[: len(body) // 2]
        step = 1 if fault == "trickle" else max(1, len(body))
        for at in range(0, len(body), step):
            self.wfile.write(body[at : at + step])
            self.wfile.flush()
            if fault == "trickle":
                time.sleep(1)

    def do_GET(self):
        if fault == "silent":
            time.sleep(600)
        path = self.path_here()
        if fault == "broken":
            self.answer(500)
        elif path and os.path.isfile(path):
            with open(path, "rb") as file:
                self.answer(200, file.read())
        else:
            self.answer(404)

    do_HEAD = do_GET

    def do_PUT(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        path = self.path_here()
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(f"{path}.{os.getpid()}.{id(self)}", "wb") as file:
            file.write(body)
        os.rename(file.name, path)
        self.answer(201)

    def do_DELETE(self):
        path = self.path_here()
        if path and os.path.isfile(path):
            os.remove(path)
        self.answer(204)


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print(server.server_address[1], flush=True)
server.serve_forever()
