#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""A program of the host that uses the sockets of a guest, as clients of Firecracker and Cloud Hypervisor do.

vsock_peer.py echo PATH PORT: sends back what the guest's programs send to this port of the host.
vsock_peer.py check PATH PORT KIB: connects to a port of the guest, sends KIB KiB of bytes that depend on their
place, and compares what comes back.
vsock_peer.py hold PATH PORT: connects, prints "connected", and prints "ended" when the connection is over.
"""
import os
import selectors
import socket
import sys
import threading


def echo_one(client):
    with client:
        while data := client.recv(65536):
            client.sendall(data)
        client.shutdown(socket.SHUT_WR)


def echo(path, port):
    name = f"{path}_{port}"
    if os.path.exists(name):
        os.unlink(name)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(name)
        listener.listen()
        while True:
            client, _ = listener.accept()
            threading.Thread(target=echo_one, args=(client,), daemon=True).start()


def connect(path, port):
    client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    client.connect(path)
    client.sendall(b"CONNECT %d\n" % port)
    answer = b""
    while not answer.endswith(b"\n"):
        byte = client.recv(1)
        if not byte:
            sys.exit("vsock_peer: the guest does not listen")
        answer += byte
    if not answer.startswith(b"OK ") or not 1 <= int(answer[3:]) < 2**32:
        sys.exit(f"vsock_peer: the answer is {answer!r}")
    return client


def check(path, port, total):
    block = bytes((i * 31 + (i >> 8) * 17 + (i >> 16) * 7) & 255 for i in range(1 << 20))
    data = (block * (total // len(block) + 1))[:total]
    client = connect(path, port)
    client.setblocking(False)
    sent, received = 0, bytearray()
    with client, selectors.DefaultSelector() as selector:
        selector.register(client, selectors.EVENT_READ | selectors.EVENT_WRITE)
        while len(received) < total:
            for _, events in selector.select():
                if events & selectors.EVENT_WRITE:
                    if sent < total:
                        sent += client.send(data[sent : sent + 65536])
                    else:
                        selector.modify(client, selectors.EVENT_READ)
                if events & selectors.EVENT_READ:
                    part = client.recv(65536)
                    if not part:
                        sys.exit(f"vsock_peer: it ended after {len(received)} bytes")
                    received += part
    if received != data:
        sys.exit("vsock_peer: the bytes are not the same")
    print(f"vsock_peer: {total // 1024} KiB to port {port} and back")


def main(words):
    if len(words) == 4 and words[1] == "echo":
        echo(words[2], int(words[3]))
    elif len(words) == 5 and words[1] == "check":
        check(words[2], int(words[3]), int(words[4]) * 1024)
    elif len(words) == 4 and words[1] == "hold":
        with connect(words[2], int(words[3])) as client:
            print("connected", flush=True)
            while client.recv(65536):
                pass
        print("ended", flush=True)
    else:
        sys.exit(__doc__)


main(sys.argv)
