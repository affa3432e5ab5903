"""A stand-in for `docker run` where there is no daemon: reads docker's command line, builds the same walls with
bubblewrap, and refuses options that it does not know, so that none is left out of what is tested.

The "image" is this machine's /usr and Python. `STAND_IN_IGNORES` names an option to leave out, as a container runtime
that does not do what it was told, and `STAND_IN_PACKAGES` a folder to show as the "image" Python's packages.
"""

import os
import site
import sys
from collections.abc import Iterator
from pathlib import Path

IMAGE = "ft-eval-box"
PREFIX = "/venv"
"""Where the environment's Python lies in the "image"."""
KNOWN = {
    "--network", "--cap-drop", "--security-opt", "--user", "--ipc", "--hostname", "--pids-limit", "--memory",
    "--memory-swap", "--ulimit", "--name",
    "--label", "--pull", "--tmpfs", "--log-driver", "--env", "--workdir", "--entrypoint",
}  # fmt: skip
FLAGS = {"--rm", "--interactive", "--read-only"}


def parse(words: list[str]) -> tuple[list[tuple[str, str]], list[str]]:
    """Options with their values, and the image with what follows it."""
    found, left = [], iter(words)
    for word in left:
        if word in FLAGS:
            found.append((word, ""))
        elif word in KNOWN:
            found.append((word, next(left)))
        elif word.startswith("-"):
            sys.exit(f"docker: unknown option {word}")
        else:
            return found, [word, *left]
    sys.exit('docker: "docker run" requires at least 1 argument.')


def walls(options: list[tuple[str, str]]) -> Iterator[str]:
    """Bubblewrap's words for docker's options."""
    ignored = os.environ.get("STAND_IN_IGNORES", "")
    for name, value in options:
        if name == ignored:
            continue
        if (name, value) == ("--network", "none"):
            yield "--unshare-net"
        elif (name, value) == ("--cap-drop", "ALL"):
            yield from ("--cap-drop", "ALL")
        elif name == "--tmpfs":
            path, _, more = value.partition(":")
            size = next(part for part in more.split(",") if part.startswith("size="))[5:]
            yield from ("--perms", "1777", "--size", str(int(size.rstrip("m")) << 20), "--tmpfs", path)
        elif name == "--env":
            yield from ("--setenv", *value.split("=", 1))
    if ignored != "--read-only" and ("--read-only", "") in options:
        yield from ("--remount-ro", "/")


def packages() -> list[str]:
    """Bubblewrap's words for `STAND_IN_PACKAGES`."""
    folder = os.environ.get("STAND_IN_PACKAGES")
    targets = [path for path in site.getsitepackages() if Path(path).is_dir()]
    return ["--ro-bind", folder, targets[0].replace(sys.prefix, PREFIX, 1)] if folder and targets else []


def run(words: list[str]) -> None:
    options, (image, *command) = parse(words)
    if image != IMAGE:
        sys.exit(f"docker: Error response from daemon: No such image: {image}:latest")
    given = dict(options)
    uid, gid = given["--user"].split(":") if os.environ.get("STAND_IN_IGNORES") != "--user" else ("0", "0")
    folders = {"/usr", sys.base_prefix, "/etc/ld.so.cache"}
    links = [(str(Path(link).readlink()), link) for link in ("/lib", "/lib64", "/bin") if Path(link).is_symlink()]
    os.execvp(  # noqa: S606 (it takes this process's place, as docker's client would be)
        "bwrap",
        [
            *("bwrap", "--unshare-user", "--uid", uid, "--gid", gid, "--unshare-pid", "--unshare-ipc", "--as-pid-1"),
            *("--die-with-parent", "--clearenv", "--tmpfs", "/"),
            *(word for folder in sorted(folders) for word in ("--ro-bind", folder, folder)),
            *("--ro-bind", sys.prefix, PREFIX),  # not where it is: that may be below a folder that the options cover
            *packages(),
            *(word for target, link in links for word in ("--symlink", target, link)),
            *("--dev", "/dev", "--proc", "/proc", "--setenv", "PATH", "/usr/bin:/bin", *walls(options)),
            *(
                "--chdir",
                given["--workdir"],
                f"{PREFIX}/bin/python3" if given["--entrypoint"] == "python3" else "/none",
                *command,
            ),
        ],
    )


if __name__ == "__main__":
    if sys.argv[1] == "run":
        run(sys.argv[2:])
    elif sys.argv[1] != "rm":
        sys.exit(f"docker: '{sys.argv[1]}' is not a docker command.")
