#!/usr/bin/env python3
"""Announces by multicast DNS whatever it is told to, for tests: mdns-forge.py INTERFACE-ADDRESS < records.json

Each record is {"name": …, "address": …, "port": …, "text": [bytes as latin-1, …]}.  Answers every question about
_distcc._tcp with all of them, one packet each, until it is killed; says "ready" when it listens.
"""

import json
import socket
import struct
import sys

GROUP, PORT = "224.0.0.251", 5353
SERVICE = (b"_distcc", b"_tcp", b"local")
PTR, TXT, A, SRV = 12, 16, 1, 33


def name(*labels):
    return b"".join(bytes([len(label)]) + label for label in labels) + b"\0"


def record(owner, kind, data):
    unique = 0 if kind == PTR else 0x8000
    return owner + struct.pack(">HHIH", kind, 1 | unique, 120, len(data)) + data


def packet(number, one):
    instance = name(one["name"].encode("latin-1"), *SERVICE)
    host = name(b"forged%d" % number, b"local")
    text = b"".join(
        bytes([len(part)]) + part for part in (text.encode("latin-1") for text in one["text"])
    )
    answers = [
        record(name(*SERVICE), PTR, instance),
        record(instance, SRV, struct.pack(">HHH", 0, 0, one["port"]) + host),
        record(instance, TXT, text or b"\0"),
        record(host, A, socket.inet_aton(one["address"])),
    ]
    return struct.pack(">HHHHHH", 0, 0x8400, 0, len(answers), 0, 0) + b"".join(answers)


def main():
    interface = sys.argv[1]
    packets = [packet(number, one) for number, one in enumerate(json.load(sys.stdin))]
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    sock.bind(("", PORT))
    member = socket.inet_aton(GROUP) + socket.inet_aton(interface)
    sock.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, member)
    sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(interface))
    sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP, 0)
    print("ready", flush=True)
    while True:
        said, _ = sock.recvfrom(9000)
        question = len(said) > 12 and not said[2] & 0x80
        if question and b"\x07_distcc\x04_tcp" in said:
            for one in packets:
                sock.sendto(one, (GROUP, PORT))


if __name__ == "__main__":
    main()
