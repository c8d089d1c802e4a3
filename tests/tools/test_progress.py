import io

from stationkeeper_tools.progress import LINE_INTERVAL_SECONDS, Progress


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_without_a_terminal_progress_is_a_line_per_interval() -> None:
    clock, said = Clock(), list[str]()
    progress = Progress(said.append, clock=clock)

    progress.say("Building")
    for second in range(int(LINE_INTERVAL_SECONDS * 2) + 1):
        progress.show(f"{second} s")
        clock.now += 1

    assert said == ["Building", "15 s", "30 s"]


def test_on_a_terminal_it_is_shown_in_place_and_erased_before_the_next_line() -> None:
    clock, terminal = Clock(), io.StringIO()
    progress = Progress(lambda text: print(text, file=terminal), terminal, clock)

    progress.say("Building")
    progress.show("1 of 3")
    progress.show("too soon")
    clock.now += 1
    progress.show("2 of 3")
    progress.say("Built")

    assert terminal.getvalue() == "Building\n\r\x1b[K1 of 3\r\x1b[K2 of 3\r\x1b[KBuilt\n"


def test_a_long_text_does_not_wrap_on_a_terminal() -> None:
    terminal = io.StringIO()

    Progress(terminal=terminal, clock=Clock()).show("x" * 500)

    assert terminal.getvalue().count("x") == 79
