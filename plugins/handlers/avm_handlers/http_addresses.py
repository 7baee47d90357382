"""Which addresses a server's answer may send us to: those of the public internet and no others."""

from __future__ import annotations

import ipaddress
import queue
import socket
import threading
from ipaddress import IPv4Address, IPv6Address, IPv6Network

_CLOSED = tuple(
    ipaddress.ip_network(each)
    for each in (
        *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12"),
        *(
            "192.0.0.0/24",
            "192.0.2.0/24",
            "192.88.99.0/24",
            "192.168.0.0/16",
            "198.18.0.0/15",
            "198.51.100.0/24",
        ),
        *("203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4"),
        "168.63.129.16/32",  # looks public, and gives a virtual machine on Azure its secrets
        *("2001::/23", "2001:db8::/32", "3fff::/20"),
    )
)
"""IANA's registries of special-purpose addresses. What `ipaddress` says of them differs between versions of Python."""

_OPEN_IPV6 = IPv6Network("2000::/3")
"""All unicast addresses of the internet so far; everything beyond is private, local or reserved."""

_NAT64 = IPv6Network("64:ff9b::/96")


def is_public(address: str) -> bool:
    """Whether an address, as `getaddrinfo` gives it, is on the public internet.

    Loopback, private, link-local, multicast, shared, documentation and reserved ranges are not. An IPv4 address
    inside an IPv6 one (mapped, NAT64, 6to4) is judged by itself. What is no address is not public.
    """
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return False
    if isinstance(found, IPv6Address):
        inner = _inner(found)
        if inner is None and found not in _OPEN_IPV6:
            return False
        found = inner or found
    return not any(found in network for network in _CLOSED)


def resolve(host: str, port: int, seconds: float) -> list[str]:
    """The addresses of a host, in the system's order of preference.

    Raises OSError where it has none, and TimeoutError (one of them) where the answer takes longer than that: the
    system's resolver cannot be interrupted, so a thread waits for it.
    """
    answers: queue.SimpleQueue[list[str] | OSError] = queue.SimpleQueue()

    def ask() -> None:
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            answers.put(list(dict.fromkeys(str(each[4][0]) for each in found)))
        except OSError as error:
            answers.put(error)
        except UnicodeError as error:  # a name that no resolver takes
            answers.put(OSError(str(error)))

    threading.Thread(target=ask, name="avm-http-resolve", daemon=True).start()
    try:
        answer = answers.get(timeout=max(seconds, 0))
    except queue.Empty:
        raise TimeoutError(f"looking up {host} took too long") from None
    if isinstance(answer, OSError):
        raise answer
    return answer


def _inner(address: IPv6Address) -> IPv4Address | None:
    """The IPv4 address that packets to an IPv6 address end at, if any."""
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return None
