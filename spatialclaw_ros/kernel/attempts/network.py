"""Attempts to reach somebody: over a network, over the host's Unix sockets, through another kernel's sockets."""

from __future__ import annotations

import ctypes
import os
import socket
import struct
from contextlib import suppress
from typing import Any

from spatialclaw_ros.kernel.attempts.attempt import Targets, attempt
from spatialclaw_ros.kernel.attempts.judges import nothing_said
from spatialclaw_ros.kernel.attempts.raw_calls import call

SECONDS = 1.0
DNS_QUESTION = b"\0\1\1\0\0\1\0\0\0\0\0\0\7example\3com\0\0\1\0\1"
DDS_GROUP = "239.255.0.1"


def _connect(family: int, address: Any, kind: int = socket.SOCK_STREAM) -> None:
    with socket.socket(family, kind) as made:
        made.settimeout(SECONDS)
        made.connect(address)


def _send(family: int, address: Any, data: bytes = b"x") -> None:
    with socket.socket(family, socket.SOCK_DGRAM) as made:
        made.sendto(data, address)


@attempt(nothing_said)
def connect_over_ipv4(targets: Targets) -> None:
    """Connect to a TCP port of the host."""
    _connect(socket.AF_INET, ("127.0.0.1", targets["tcp4"]))


@attempt(nothing_said, may_lack="IPv6")
def connect_over_ipv6(targets: Targets) -> None:
    """Connect to a TCP port of the host over IPv6."""
    if "tcp6" not in targets:
        raise OSError("this machine has no IPv6")
    _connect(socket.AF_INET6, ("::1", targets["tcp6"]))


@attempt(nothing_said)
def send_udp(targets: Targets) -> None:
    """Send a UDP datagram to the host."""
    _send(socket.AF_INET, ("127.0.0.1", targets["udp4"]))


@attempt(nothing_said, may_lack="IPv6")
def send_udp_over_ipv6(targets: Targets) -> None:
    """Send a UDP datagram to the host over IPv6."""
    if "udp6" not in targets:
        raise OSError("this machine has no IPv6")
    _send(socket.AF_INET6, ("::1", targets["udp6"]))


@attempt(nothing_said)
def ask_name_server(targets: Targets) -> None:
    """Send a DNS question to a name server of the host, with a secret's place in its name."""
    _send(socket.AF_INET, ("127.0.0.1", targets["udp4"]), DNS_QUESTION)


@attempt(nothing_said)
def send_by_fast_open(targets: Targets) -> None:
    """Send data with TCP fast open, which connects without connect()."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as made:
        made.settimeout(SECONDS)
        made.sendto(b"x", socket.MSG_FASTOPEN, ("127.0.0.1", targets["tcp4"]))


@attempt()
def listen_on_tcp(targets: Targets) -> object:
    """Listen on a TCP port that the host could be talked into connecting to."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return f"listens on port {server.getsockname()[1]}"


@attempt()
def join_dds_discovery(targets: Targets) -> object:
    """Join the multicast group over which ROS nodes find each other."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as made:
        made.bind(("", 0))
        group = struct.pack("4s4s", socket.inet_aton(DDS_GROUP), socket.inet_aton("127.0.0.1"))
        made.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, group)
    return f"joined {DDS_GROUP}"


@attempt(may_lack="CAP_NET_RAW")
def open_raw_socket(targets: Targets) -> object:
    """Make a raw socket, for packets of any address."""
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP):
        return "made a raw socket"


@attempt(may_lack="CAP_NET_RAW")
def open_packet_socket(targets: Targets) -> object:
    """Make a packet socket, which sees every frame of the network."""
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW):
        return "made a packet socket"


@attempt()
def open_netlink_socket(targets: Targets) -> object:
    """Make a netlink socket, which tells and changes the kernel's network settings."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW) as made:
        made.bind((0, 0))
        return "made a netlink socket"


@attempt(quick=False, may_lack="vsock, ALG, CAN, Bluetooth and TIPC sockets")
def open_other_families(targets: Targets) -> object:
    """Make sockets of the other families: virtual machines, kernel cryptography, CAN bus, Bluetooth, TIPC."""
    found = []
    for name in ("AF_VSOCK", "AF_ALG", "AF_CAN", "AF_BLUETOOTH", "AF_TIPC", "AF_RDS", "AF_QIPCRTR"):
        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_RAW, socket.SOCK_SEQPACKET):
            with suppress(OSError, AttributeError), socket.socket(getattr(socket, name), kind):
                found.append(name)
    if not found:
        raise PermissionError("none can be made")
    return ", ".join(dict.fromkeys(found))


@attempt(nothing_said)
def connect_to_path(targets: Targets) -> None:
    """Connect to a Unix socket of the host by its path."""
    _connect(socket.AF_UNIX, targets["path"])


@attempt(nothing_said)
def connect_by_raw_call(targets: Targets) -> None:
    """Connect to a Unix socket of the host by a raw system call."""
    address = struct.pack("H", socket.AF_UNIX) + targets["path"].encode() + b"\0"
    with socket.socket(socket.AF_UNIX) as made:
        call("connect", made.fileno(), ctypes.c_char_p(address), len(address))


@attempt(nothing_said)
def send_to_path(targets: Targets) -> None:
    """Send a datagram to a Unix socket of the host by its path."""
    _send(socket.AF_UNIX, targets["datagram_path"])


@attempt(nothing_said)
def send_from_socket_pair(targets: Targets) -> None:
    """Send a datagram to a path of the host from one end of a socket pair."""
    ends = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    ends[0].sendto(b"x", targets["datagram_path"])


@attempt(nothing_said)
def connect_sequential_packets(targets: Targets) -> None:
    """Connect to a sequential-packet socket of the host."""
    _connect(socket.AF_UNIX, targets["packet_path"], socket.SOCK_SEQPACKET)


@attempt(nothing_said)
def connect_to_abstract_name(targets: Targets) -> None:
    """Connect to a Unix socket of the host by its abstract name (as D-Bus and X11 have)."""
    _connect(socket.AF_UNIX, targets["abstract"])


@attempt(nothing_said)
def send_to_abstract_name(targets: Targets) -> None:
    """Send a datagram to an abstract name of the host."""
    _send(socket.AF_UNIX, targets["abstract_datagram"])


@attempt(nothing_said)
def connect_to_another_broker(targets: Targets) -> None:
    """Connect to the broker of another session's kernel, to be taken for that session."""
    _connect(socket.AF_UNIX, os.path.join(targets["neighbour_sockets"], "broker"))


@attempt(nothing_said, quick=False)
def listen_to_another_kernel(targets: Targets) -> None:
    """Subscribe with ZeroMQ to the output of another session's kernel, and send to its shell."""
    import zmq

    context: Any = zmq.Context.instance()
    for kind, name in ((zmq.SUB, "k-2"), (zmq.DEALER, "k-1")):
        made = context.socket(kind)
        made.linger = 0
        made.connect(f"ipc://{targets['neighbour_sockets']}/{name}")
        made.poll(200)
        made.close()
