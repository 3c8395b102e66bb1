"""How far work is, on terminals of all sizes and in logs."""

import io
import re
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from rich.console import Console
from tests.cli.screen import Screen

from limbeck.cli import bars, display, progress
from limbeck.cli.bars import Bars, shortened
from limbeck.cli.progress import Lines, Watch, showing_progress
from limbeck.cli.stages import Board, Run, Stage, seconds_left, time_left
from limbeck.progress import Progress


class Clock:
    """Stands still until it is set."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    fake = Clock()
    for module in (bars, progress):
        monkeypatch.setattr(module, "time", fake)
    return fake


@pytest.fixture
def consoles(monkeypatch: pytest.MonkeyPatch) -> Callable[[Console], Console]:
    def use(console: Console) -> Console:
        for module in (bars, display, progress):
            monkeypatch.setattr(module, "console", console)
        return console

    return use


@contextmanager
def on(screen: Screen, use: Callable[[Console], Console], **options: object) -> Iterator[Watch]:
    """Bars on it, drawn when `drawn` is called."""
    use(screen.console(**options))
    with showing_progress() as watch:
        yield watch


def drawn(watch: Watch, screen: Screen) -> list[str]:
    shown = watch._display
    assert isinstance(shown, Bars)
    shown._live.refresh()
    return [line.rstrip() for line in screen.lines if line.strip()]


# Logs


@pytest.fixture
def log(clock: Clock, consoles: Callable[[Console], Console]) -> Callable[[], list[str]]:
    stream = io.StringIO()
    consoles(Console(file=stream, width=80, highlight=False, emoji=False))

    def lines() -> list[str]:
        stamped = stream.getvalue().splitlines()
        assert all(re.match(r"\d\d:\d\d:\d\d  ", line) for line in stamped)
        return [line[10:] for line in stamped]

    return lines


def test_a_log_has_a_line_for_each_run(clock: Clock, log: Callable[[], list[str]]) -> None:
    watch = Watch(Lines())
    watch.begin("comparison", 42, 20)
    for number in range(2):
        run = watch.beside(f"entropy@50-images, seed {number}")
        for step in range(3):
            run.begin("training", 300)
            run.update(100 * step, "loss 1.0")
            run.end()
            clock.now += 5
        run.close("91.94% in 1.3 s")
        watch.update(21 + number)
    watch.end()
    assert log() == [
        "21/42  entropy@50-images, seed 0: 91.94% in 1.3 s · about 5 min left",
        "22/42  entropy@50-images, seed 1: 91.94% in 1.3 s · about 5 min left",
    ]


def test_a_log_gives_a_sign_of_life_where_runs_take_long(clock: Clock, log: Callable[[], list[str]]) -> None:
    watch = Watch(Lines())
    watch.begin("comparison", 4)
    first, second = watch.beside("one"), watch.beside("other")
    for run in (first, second):
        run.begin("training", 1000)
    for step in range(1, 6):
        clock.now += 12
        first.update(10 * step, "loss 1.0")
        second.update(10 * step, "loss 2.0")
    # Of four runs, 3 and 7 hundredths were done in 24 and 48 seconds.
    assert log() == [
        "0/4  one: training 20/1,000 · loss 1.0 · about 53 min left",
        "0/4  one: training 40/1,000 · loss 1.0 · about 45 min left",
    ]
    clock.now += 11
    second.close("failed: no memory")
    watch.update(1)
    assert log()[2:] == ["1/4  other: failed: no memory · about 70 min left"]


def test_a_log_of_one_run_tells_of_it_every_20_seconds(clock: Clock, log: Callable[[], list[str]]) -> None:
    watch = Watch(Lines())
    watch.begin("training", 500)
    for step in range(1, 11):
        clock.now += 10
        watch.update(step, "loss 1.0")
    assert log()[0] == "training 2/500 · loss 1.0 · about 83 min left"
    assert len(log()) == 5
    clock.now += 20_000
    watch.update(11)
    clock.now += 100
    watch.update(12)
    assert len(log()) == 6, "long work speaks less often"


def test_a_message_of_runs_is_said_once(log: Callable[[], list[str]]) -> None:
    watch = Watch(Lines())
    watch.say("images have no labels")
    for title in ("one", "other"):
        run = watch.beside(title)
        for message in ("images have no labels", "no room on the disk", f"{title} is odd"):
            run.say(message)
            run.say(message)
        run.close()
    watch.tell_closed()
    assert log() == ["images have no labels", "no room on the disk", "one is odd", "one", "other is odd", "other"]
    watch.say("images have no labels")
    assert len(log()) == 7, "what is said of the whole is said"


@pytest.mark.parametrize("terminal", ["dumb", "unknown", "file"])
def test_lines_where_no_bars_can_be(
    terminal: str, consoles: Callable[[Console], Console], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", terminal if terminal != "file" else "xterm")
    stream = Screen() if terminal != "file" else io.StringIO()
    consoles(Console(file=stream, force_terminal=True))
    with showing_progress() as watch:
        assert isinstance(watch._display, Lines)


@pytest.mark.parametrize(("rank", "shown"), [("0", 1), ("", 1), ("1", 0)])
def test_of_processes_that_share_a_run_the_first_tells(
    monkeypatch: pytest.MonkeyPatch, log: Callable[[], list[str]], rank: str, shown: int
) -> None:
    monkeypatch.setenv("RANK", rank)
    with showing_progress() as watch:
        watch.begin("training", 2)
        watch.update(1)
        run = watch.beside("one")
        run.close("done")
        watch.say("hello")
        watch.end()
    assert sum("hello" in line for line in log()) == shown


def test_a_run_whose_worker_died_is_said_and_not_counted(clock: Clock, log: Callable[[], list[str]]) -> None:
    watch = Watch(Lines())
    watch.begin("comparison", 4)
    first, second = watch.beside("one"), watch.beside("other")
    first.close("its worker died (SIGKILL)")
    second.begin("training", 10)
    assert log() == ["one: its worker died (SIGKILL)"]
    second.end()
    second.close("90 %")
    watch.update(1)
    again = watch.beside("one")
    again.close("interrupted")
    watch.end()
    assert log()[1:] == ["1/4  other: 90 %", "one: interrupted"]
    again.close("twice")
    assert len(log()) == 3


# Terminals


@pytest.fixture
def _able(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")


pytestmark = pytest.mark.usefixtures("_able")


def many(watch: Progress, runs: int) -> list[Progress]:
    watch.begin("comparison", 42, 20)
    return [watch.beside(f"a-very-long-name-of-an-arm@300-images, seed {number}") for number in range(runs)]


def test_a_comparison_is_a_bar_and_a_line_per_run(clock: Clock, consoles: Callable[[Console], Console]) -> None:
    screen = Screen()
    with on(screen, consoles) as watch:
        first, second = many(watch, 2)
        first.begin("training", 500)
        second.begin("scoring", 100)
        clock.now += 60
        first.update(250, "loss 1.234 · 4,689 images/s")
        second.update(20, "")
        assert [" ".join(line.split()) for line in drawn(watch, screen)] == [
            "comparison ━━━━━ 20/42 0:01:00 · about 43 min left",
            "a-very-long-n…images, seed 0 ━━━━━╸ 50% loss 1.234 · 4,689 images/s",
            "a-very-long-n…images, seed 1 ━━ 20% scoring",
        ]
        first.close("91 % in 60 s")
        watch.update(21)
        watch.say("writing the report")
        second.close("failed: [odd] :star: images")
        watch.update(22)
        assert [" ".join(line.split()) for line in drawn(watch, screen)] == [
            "writing the report",
            "a-very-long-name-of-an-arm@300-images, seed 1: failed: [odd] :star: images",
            "comparison ━━━━━╸ 22/42 0:01:00 · about 20 min left",
        ]
        watch.beside("third").close("its worker died")
        watch.end()
        assert len(drawn(watch, screen)) == 3
        assert screen.cursor, "whatever kills the process now"
    assert not screen.above
    assert screen.widest <= 80


@pytest.mark.parametrize(("width", "height"), [(200, 50), (80, 24), (60, 12), (40, 10), (20, 4), (8, 2), (3, 1)])
@pytest.mark.parametrize("runs", [1, 40])
def test_bars_fit_every_terminal(
    width: int, height: int, runs: int, clock: Clock, consoles: Callable[[Console], Console]
) -> None:
    screen = Screen(width, height)
    with on(screen, consoles) as watch:
        for number, run in enumerate(many(watch, runs)):
            run.begin("training", 500)
            run.update(10 * number, "loss 1.234 · 4,689 images/s")
        clock.now += 10_000
        shown = drawn(watch, screen)
        assert "20/42"[: width // 2] in shown[0]
        assert not screen.above
        for _ in range(3):
            assert drawn(watch, screen) == shown, "drawn in its place"
        if runs > height >= 4:
            assert re.search(r"… ", shown[-1])
    assert screen.widest <= width
    assert not "".join(screen.lines).strip()


def test_nested_stages_are_bars_below_each_other(clock: Clock, consoles: Callable[[Console], Console]) -> None:
    screen = Screen()
    with on(screen, consoles) as watch:
        watch.begin("columns", 3)
        watch.begin("scoring", 1_000, 500)
        clock.now += 10
        watch.update(600, "entropy")
        assert [" ".join(line.split()) for line in drawn(watch, screen)] == [
            "columns 0/3 0:00:10",
            "scoring ━━━━━━━━━━━━ 600/1,000 0:00:10 · about 40 s left · entropy",
        ]


def test_bars_without_colour_tell_the_same(clock: Clock, consoles: Callable[[Console], Console]) -> None:
    screen = Screen()
    with on(screen, consoles, no_color=True, color_system="standard", legacy_windows=False) as watch:
        watch.begin("training", 2)
        watch.update(1)
        (line,) = drawn(watch, screen)
    assert line.startswith("training ━━━━━━━━━━ ")


def test_what_stops_the_work_leaves_the_terminal_as_it_was(
    clock: Clock, consoles: Callable[[Console], Console]
) -> None:
    def interrupted() -> None:
        with on(screen, consoles) as watch:
            many(watch, 3)
            drawn(watch, screen)
            screen.write("^C")  # as terminals do
            raise KeyboardInterrupt

    screen = Screen()
    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert screen.cursor
    assert not "".join(screen.lines).strip()
    screen.write("next")
    assert screen.lines[0] == "next"


def test_warnings_stand_above_the_bars_once(
    clock: Clock, consoles: Callable[[Console], Console], monkeypatch: pytest.MonkeyPatch
) -> None:
    screen, errors = Screen(), Screen()
    monkeypatch.setattr(display, "errors", errors.console())
    monkeypatch.setattr(display, "_warned", set())
    with on(screen, consoles) as watch, warnings.catch_warnings():
        warnings.simplefilter("always")
        monkeypatch.setattr(warnings, "showwarning", display.show_warning)
        watch.begin("training", 2)
        for _ in range(2):
            warnings.warn("[odd] images", stacklevel=1)
        assert drawn(watch, screen)[0] == "warning: [odd] images"
        assert drawn(watch, screen)[1].startswith("training")
        monkeypatch.setattr(errors, "isatty", lambda: False)
        warnings.warn("for a file", stacklevel=1)
    assert errors.lines[0] == "warning: for a file"


# Time left


def whole(done: int, first: int = 0) -> Stage:
    return Stage("comparison", total=40, done=done, first=first, began=0.0)


def running(share: float, began: float = 0.0, first: float = 0.0) -> Run:
    stage = Stage("training", total=1000, done=round(1000 * share), first=round(1000 * first), began=began)
    return Run("one", began, [stage])


def test_time_left_goes_by_the_pace_of_finished_and_begun_runs() -> None:
    assert seconds_left(whole(0), [Run("one", 0.0)], 0, 60.0) is None
    assert seconds_left(whole(10), [], 0, 60.0) == pytest.approx(180)
    assert seconds_left(whole(30, first=20), [], 0, 60.0) == pytest.approx(60)
    # Before the first run is done, and two at a time.
    assert seconds_left(whole(0), [running(0.5)], 0, 60.0) == pytest.approx(79 * 60)
    assert seconds_left(whole(0), [running(0.5), running(0.5)], 0, 60.0) == pytest.approx(39 * 60)
    # A run that was resumed at its middle has done a tenth of itself since.
    assert seconds_left(whole(0), [running(0.6, first=0.5)], 0, 60.0) == pytest.approx(39.4 * 600)


def test_time_left_is_not_shortened_by_runs_that_failed_at_once() -> None:
    assert seconds_left(whole(20), [], 10, 60.0) == pytest.approx(120)
    assert seconds_left(whole(10), [], 10, 60.0) is None


def test_time_left_is_not_shortened_by_runs_that_were_resumed_near_their_end(
    clock: Clock, log: Callable[[], list[str]]
) -> None:
    watch = Watch(Lines())
    watch.begin("comparison", 10)
    for number in (1, 2):
        run = watch.beside("one")
        run.begin("training", 1000, 900)
        clock.now += 30
        run.end()
        run.close("65.60%")
        watch.update(number)
    # A tenth of a run takes half a minute.
    assert log() == [" 1/10  one: 65.60% · about 45 min left", " 2/10  one: 65.60% · about 40 min left"]


def test_the_last_runs_take_as_long_as_the_longest_of_them() -> None:
    assert seconds_left(whole(38), [running(0.5, 40.0), running(0.25, 30.0)], 0, 60.0) == pytest.approx(90)
    # One run still waits for a worker: the rest takes as long as the longest run, at least.
    assert seconds_left(whole(38), [running(0.01)], 0, 60.0) == pytest.approx(99 * 60)


def test_a_board_without_runs_tells_of_its_outermost_stage() -> None:
    assert Board().seconds_left(60.0) is None
    assert Board([Stage("training", 100, 25, 0, 0.0)]).seconds_left(60.0) == pytest.approx(180)
    assert Board([Stage("nothing", 0, 0, 0, 0.0)]).seconds_left(60.0) is None


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (None, ""),
        (4, ""),
        (6, "about 10 s left"),
        (56, "about 1 min left"),
        (5_000, "about 83 min left"),
        (5_400, "about 1.5 h left"),
        (360_000, "about 100 h left"),
    ],
)
def test_time_left_in_words(seconds: float | None, words: str) -> None:
    assert time_left(seconds) == words


def test_names_are_cut_in_the_middle() -> None:
    assert shortened("entropy, seed 1", 20) == "entropy, seed 1"
    assert [shortened("entropy, seed 1", cells) for cells in (9, 2, 1, 0)] == ["entr…ed 1", "e…", "…", ""]
    assert shortened("熵值熵值熵值, seed 1", 9) == "熵值…ed 1"
