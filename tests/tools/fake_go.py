"""A fake `go` for tests: a shell script that prints what the real one prints, and copies itself as the program."""

from pathlib import Path

SCRIPT = """#!/bin/sh
set -e
echo "$1 GOFLAGS=$GOFLAGS GOPROXY=$GOPROXY GOOS=$GOOS CGO_ENABLED=$CGO_ENABLED" >> {log}
case "$1" in
env) {version} ;;
list) echo "go: downloading example.org/a v1.0.0" >&2; echo runtime; echo example.org/a ;;
build) test -f go.mod; test -f go.sum; {build} ;;
esac
"""
GOOD_BUILD = r"""
echo example.org/a >&2
while [ "$1" != -o ]; do case "$1" in *-X*) echo "$1" >> {log} ;; esac; shift; done
echo "#!/bin/sh" > "$2"
"""


def put_fake_go(
    folder: Path, *, version: str = "go1.26.8", version_script: str = "", build_script: str = GOOD_BUILD
) -> Path:
    """Write `go` into `folder`; return the file that gets a line for each call."""
    folder.mkdir(exist_ok=True)
    log = folder / "calls"
    script = SCRIPT.format(
        log=log, version=version_script or f"echo {version}", build=build_script.replace("{log}", str(log))
    )
    go = folder / "go"
    go.write_text(script)
    go.chmod(0o755)
    return log
