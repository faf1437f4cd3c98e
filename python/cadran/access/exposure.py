"""Who can reach an address, and what must be there before others than this machine can."""

from __future__ import annotations

import ipaddress

from cadran.errors import ProjectError


def is_loopback(host: str) -> bool:
    """Whether nobody beside this machine can reach it."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def refuse(host: str, *, is_open: bool, has_tls: bool, insecure: bool, act: str) -> None:
    """Refuse to listen to other machines without tokens or without TLS.

    Args:
        host: the address to listen on.
        is_open: whether anybody is accepted.
        has_tls: whether there is a certificate.
        insecure: whether its owner said that this is meant.
        act: what others could do, such as `ask`.

    Raises:
        ProjectError: it would.
    """
    if insecure or is_loopback(host):
        return
    if is_open:
        raise ProjectError(
            f"On {host} others than this machine could {act}, and there is no token:"
            " make one with `cadran token create NAME`, listen on 127.0.0.1, or say"
            f" --insecure to let anybody {act}."
        )
    if not has_tls:
        raise ProjectError(
            f"On {host} tokens and numbers would cross the network in clear: give"
            " --certificate and --key, listen on 127.0.0.1 behind a proxy with TLS, or say"
            " --insecure."
        )
