"""The agent as a systemd service: the texts of its unit, its configuration and its user. What is left open of the sandbox, and why:

network (the agent dials brokers and mirrors), its own folder (the region, written in place), /proc/self (a client key is handed to
OpenSSL through a memfd).
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

USER = "everpin"
NAME = "everpin-agent.service"
STATE = "/var/lib"

# The longest that the runner does without feeding: one rescue visit or one dial, each within half a minute, and flash.
_WATCHDOG_S = 300

# Effective for user managers too: seccomp, and what needs no privilege.
_SECCOMP = """\
NoNewPrivileges=yes
LockPersonality=yes
MemoryDenyWriteExecute=yes
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged @resources
SystemCallErrorNumber=EPERM
UMask=0077
"""

_SANDBOX = """\
CapabilityBoundingSet=
AmbientCapabilities=
DevicePolicy=closed
KeyringMode=private
PrivateDevices=yes
PrivateTmp=yes
PrivateUsers=yes
ProcSubset=pid
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectProc=invisible
ProtectSystem=strict
RemoveIPC=yes
"""


def unit(program: str, config: str, device: str, user: "str | None") -> str:
    """Return the unit's text; `user` is whom a system service runs as, None for a user manager's service."""
    lines = [
        "# Written by `everpin agent install`; changes belong in a drop-in (systemctl edit everpin-agent).",
        "[Unit]",
        "Description=everpin agent: keeps this machine's TLS pins up to date",
    ]
    if user is not None:
        lines += ["Wants=network-online.target", "After=network-online.target"]
    lines += [
        # However often it fails, it is tried again: a device must not stay behind.
        "StartLimitIntervalSec=0",
        "",
        "[Service]",
        "Type=notify",
        f"ExecStart={program} agent run --config {config}",
        "Restart=always",
        "RestartSec=30",
        f"WatchdogSec={_WATCHDOG_S}",
        "RuntimeDirectory=everpin",
        "RuntimeDirectoryMode=0755",
        "MemoryMax=192M",
        "TasksMax=16",
    ]
    if user is not None:
        lines += [f"User={user}", *_places((program, config), device)]
    text = "\n".join(lines) + "\n" + _SECCOMP + (_SANDBOX if user is not None else "")
    target = "default.target" if user is None else "multi-user.target"
    return text + f"\n[Install]\nWantedBy={target}\n"


def _places(reads: "Sequence[str]", device: str) -> "list[str]":
    """Return what of the file system the service sees, and may write."""
    homes = [
        path for path in (*reads, device) if path.startswith(("/home/", "/root/", "/run/user/"))
    ]
    found = ["ProtectHome=" + ("read-only" if homes else "yes")]
    if device.startswith(STATE + "/"):
        # systemd makes it, and gives it with all that is in it to the service's user.
        return [*found, f"StateDirectory={device[len(STATE) + 1 :]}", "StateDirectoryMode=0700"]
    return [*found, f"ReadWritePaths={device}"]


def config(device: str, state_file: str) -> str:
    """Return the text of agent.toml."""
    return f"""\
# Written by `everpin agent install`. Nothing in this file is secret.

# The device's folder, as `everpin provision` wrote it.
device = "{device}"
# Log lines as JSON.
json = true
# What `everpin agent status` reads of the running agent; on no flash.
state_file = "{state_file}"
"""


def sysusers() -> str:
    """Return the line that makes the service's user (sysusers.d(5))."""
    return f'# Written by `everpin agent install`.\nu {USER} - "everpin agent" {STATE}/everpin\n'
