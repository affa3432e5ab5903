"""The first signal ends a run in order, the second one at once."""

import os
import signal
import subprocess
import sys
import time

import pytest

from ft_eval.cli.main import cli, main
from ft_eval.cli.stopping import Stopped, ends_in_order


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_the_first_signal_is_an_exception_with_its_exit_code_and_the_handlers_come_back(number, code):
    inherited = signal.signal(number, signal.default_int_handler)  # ignored where the tests run in the background
    try:
        with pytest.raises(Stopped) as caught, ends_in_order():
            signal.raise_signal(number)
        assert signal.getsignal(number) is signal.default_int_handler
    finally:
        signal.signal(number, inherited)
    assert caught.value.exit_code == code


def test_the_command_line_ends_with_the_signals_code(monkeypatch, capsys):
    def stop(**_: object) -> None:
        with ends_in_order():
            signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(cli.commands["status"], "callback", stop)
    with pytest.raises(SystemExit) as left:
        main(["status"])
    assert left.value.code == 143
    assert "ended by SIGTERM" in capsys.readouterr().err


PROGRAM = """
import signal, sys, time
from ft_eval.cli.stopping import ends_in_order
with ends_in_order():
    try:
        print("ready", flush=True)
        time.sleep(60)
    except KeyboardInterrupt:
        print("flushing", flush=True)
        time.sleep(60)
"""


def test_the_second_signal_ends_the_process_at_once():
    with subprocess.Popen([sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for expected in ("ready\n", "flushing\n"):
            assert process.stdout.readline() == expected
            process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 143


def test_a_signal_that_was_ignored_stays_ignored():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with ends_in_order():
            signal.raise_signal(signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_forked_child_dies_of_a_signal_as_it_always_did():
    ready, tell = os.pipe()  # Python forgets a signal that comes while it still forks
    with ends_in_order():
        if (child := os.fork()) == 0:
            os.write(tell, b".")
            time.sleep(30)
            os._exit(0)
        os.read(ready, 1)
        os.kill(child, signal.SIGTERM)
        _, status = os.waitpid(child, 0)
    os.close(ready)
    os.close(tell)
    assert os.WIFSIGNALED(status)
    assert os.WTERMSIG(status) == signal.SIGTERM
