"""The launcher of an emulated Pi: imports what an agent needs, then waits on the console for what to do, a JSON map a line.

    {"do": "start", "clock": Unix seconds or null, "seed": hex, "hosts": {name: address}, "argv": ["agent", "run", …]}
    {"do": "start", …, "run": file, "argv": […]}      a program of the device's folder instead of the command `everpin`
    {"do": "start", …, "console": true}                this program reads the console, to its end
    {"do": "clock", "unix": seconds or null}

A snapshot of the machine is taken while it waits. Nothing that differs between two devices, or between two lives of one, has been
looked at by then: not its card, not the time of day. What the snapshot would repeat is renewed before the program starts: the
kernel's random numbers with the seed, those of Python and OpenSSL by the fork and from the kernel.
"""

import encodings.idna  # noqa: F401 - what an agent's libraries import when they are first used
import fcntl
import json
import locale  # noqa: F401
import os
import random
import runpy
import struct
import sys
import tarfile
import termios
import time

import cryptography.hazmat.backends.openssl.backend
import cryptography.x509  # noqa: F401

from everpin.ports.cpython import cli, runner  # noqa: F401

DEVICE = "/var/lib/everpin"
CARDS = (("/dev/vda1", "/dev/vda2"), ("/dev/mmcblk0p1", "/dev/mmcblk0p2"))
RNDADDENTROPY = 0x40085203
RNDRESEEDCRNG = 0x5207


def say(event, **fields):
    """Print a line for the bench."""
    fields["event"] = event
    fields["up_s"] = round(time.clock_gettime(time.CLOCK_BOOTTIME), 2)
    print(json.dumps(fields), flush=True)


def quiet_console():
    """Do not repeat what the bench says."""
    state = termios.tcgetattr(0)
    state[3] &= ~termios.ECHO
    termios.tcsetattr(0, termios.TCSANOW, state)


def set_clock(unix):
    """Set the time of day; None: what a machine without a clock takes it for after power-on."""
    up = time.clock_gettime(time.CLOCK_BOOTTIME)
    # Linux never takes the moment of its own start to lie before 1970.
    time.clock_settime(time.CLOCK_REALTIME, up + 1 if unix is None else max(unix, up + 1))


def renew(seed):
    """Mix the seed into the kernel's generator, and let every state that came out of it end."""
    with open("/dev/urandom", "wb", buffering=0) as device:
        entropy = struct.pack("ii", 8 * len(seed), len(seed)) + seed
        fcntl.ioctl(device, RNDADDENTROPY, entropy)
        fcntl.ioctl(device, RNDRESEEDCRNG)


def take_card():
    """Unpack the device's folder from the card; its region is at /dev/region from then on."""
    until = time.monotonic() + 30
    while not (found := [pair for pair in CARDS if os.path.exists(pair[1])]):
        if time.monotonic() > until:
            raise OSError("no card")
        time.sleep(0.05)
    region, folder = found[0]
    if not os.path.islink("/dev/region"):
        os.symlink(region, "/dev/region")
    os.makedirs(DEVICE, mode=0o700, exist_ok=True)
    with tarfile.open(folder, "r:") as tar:
        tar.extractall(DEVICE, filter="data")


def run(asked):
    """Be the program, in a process of its own."""
    random.seed()
    os.closerange(3, 64)
    if not asked.get("console"):
        os.dup2(os.open("/dev/null", os.O_RDONLY), 0)
    os.chdir("/run/everpin")
    sys.argv = [asked.get("run") or "everpin", *asked["argv"]]
    if "run" in asked:
        sys.path.insert(0, os.path.dirname(asked["run"]))
        runpy.run_path(asked["run"], run_name="__main__")
        return 0
    return cli.main(asked["argv"])


def start(asked):
    """Make this machine the device that it is from now on; return the program's process."""
    set_clock(asked["clock"])
    renew(bytes.fromhex(asked["seed"]))
    hosts = {"localhost": "127.0.0.1", **asked.get("hosts", {})}
    with open("/etc/hosts", "w") as file:
        file.writelines(f"{address} {name}\n" for name, address in hosts.items())
    take_card()
    child = os.fork()
    if child == 0:
        try:
            code = run(asked)
        except SystemExit as ended:
            code = ended.code if isinstance(ended.code, int) else 1
        except BaseException:  # noqa: BLE001 - whatever it was, this copy of the launcher must not go on
            sys.excepthook(*sys.exc_info())
            code = 1
        sys.stdout.flush()
        os._exit(code)
    return child


def main():
    """Do what the bench says, for ever: the first process never ends."""
    with open("/etc/nsswitch.conf", "w") as file:
        file.write("hosts: files\n")  # there is no name server, so none is waited for
    os.makedirs("/run/everpin", exist_ok=True)
    quiet_console()
    print(flush=True)  # ends what a serial port said while its speed was being set
    say("ready")
    for line in sys.stdin:
        asked = json.loads(line)
        if asked["do"] == "clock":
            set_clock(asked["unix"])
        elif asked["do"] == "start":
            child = start(asked)
            if asked.get("console"):
                say("ended", code=os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    while True:
        time.sleep(3600)


if __name__ == "__main__":
    main()
