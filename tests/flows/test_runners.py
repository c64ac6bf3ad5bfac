"""A fan-out in this process: the order, who is named in an error, and that nothing begun is dropped."""

from __future__ import annotations

import os
from typing import Any

import pytest

from flows.runners import Call, FanOut, abreast, fan_out
from schemas.errors import ConfigError, DataError, UserError
from schemas.manifest import Ref


class Step:
    """Stands for a task: keeps what it was called with, and under which names."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, Any]] = []
        self.name = ""

    def with_options(self, *, task_run_name: str) -> Step:
        self.name = task_run_name
        return self

    def work(self, number: int) -> int:
        self.seen.append((self.name, number))
        if number == 2:
            raise DataError("is bad.", "row 7", "Mend it.")
        if number == 3:
            raise ZeroDivisionError
        return number * number


@pytest.fixture
def step(monkeypatch: pytest.MonkeyPatch) -> Step:
    monkeypatch.setattr("flows.runners.call", lambda step, *args, **kwargs: step.work(*args, **kwargs))
    return Step()


def calls(*numbers: int) -> list[Call]:
    return [Call((), {"number": number}, f"fold {number}") for number in numbers]


def test_values_come_in_the_order_of_the_calls_each_under_its_name(step: Step) -> None:
    with fan_out("inline") as fan:
        assert fan.width == 1
        assert fan.map(step, calls(5, 4, 1)) == [25, 16, 1]
    assert step.seen == [("fold 5", 5), ("fold 4", 4), ("fold 1", 1)]


def test_the_first_error_is_raised_after_all_others_were_called_and_names_its_call(step: Step) -> None:
    with fan_out("inline") as fan, pytest.raises(DataError) as told:
        fan.map(step, calls(1, 2, 3, 4))
    assert [number for _, number in step.seen] == [1, 2, 3, 4]
    assert str(told.value) == "fold 2: row 7: is bad. Mend it."


def test_a_defect_is_raised_as_it_is(step: Step) -> None:
    with fan_out("inline") as fan, pytest.raises(ZeroDivisionError):
        fan.submit(step, calls(3)[0]).result()


class Engine:
    """Ends calls in an order of its own."""

    width = 2

    def __init__(self) -> None:
        self.ended: set[int] = set()

    def submit(self, task: Any, parameters: Any) -> Any:
        return Future(parameters["number"])

    def done(self, future: Any) -> bool:
        return future.task_run_id in self.ended

    def in_words(self, error: BaseException) -> str:
        return "a machine died." if isinstance(error, BrokenPipeError) else ""


class Future:
    def __init__(self, number: int) -> None:
        self.task_run_id = number

    def result(self) -> Any:
        if self.task_run_id == 9:
            raise BrokenPipeError
        return Ref(step="train", key="a" * 64)


class Task:
    def with_options(self, *, task_run_name: str) -> Task:
        return self

    @staticmethod
    def fn(number: int) -> None: ...


def test_who_ends_first_comes_first_and_this_process_holds_what_a_worker_made(artifacts) -> None:
    from tasks import leases

    artifacts.mkdir()
    engine = Engine()
    fan = FanOut(engine)
    flights = [fan.submit(Task(), one) for one in calls(1, 2)]
    engine.ended.add(2)
    assert fan.first(flights) is flights[1]
    assert not flights[0].done
    try:
        ref = flights[1].result()
        assert leases.held(artifacts) == {str(ref)}
    finally:
        leases.let_go(artifacts)


def test_an_error_waits_for_who_is_still_at_work(artifacts) -> None:
    """Leaving the fan-out would end them."""
    from tasks import leases

    class Slow(Engine):
        looks = 0

        def done(self, future: Any) -> bool:
            self.looks += future.task_run_id == 1
            return future.task_run_id == 9 or self.looks == 3

    engine = Slow()
    with pytest.raises(UserError, match="a machine died"):
        FanOut(engine).map(Task(), calls(9, 1))
    leases.let_go(artifacts)
    assert engine.looks == 3


def test_a_machine_that_died_is_told_in_words_with_the_call_and_the_remedy() -> None:
    engine = Engine()
    engine.ended.add(9)
    pending = FanOut(engine).submit(Task(), calls(9)[0])
    with pytest.raises(UserError) as told:
        pending.result()
    assert (
        str(told.value)
        == "fold 9: a machine died. Repeating the command goes on where each training stopped."
    )


def test_workers_do_not_ask_for_more_cores_than_there_are() -> None:
    assert [abreast(0, 2, cores) for cores in (1, 2, 8)] == [1, 1, 4]
    assert abreast(3, 2, 2) == 3, "who asks for more gets it"


def test_a_pools_process_limits_libraries_but_not_what_the_environment_says(monkeypatch) -> None:
    from flows import worker

    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.delenv("MKL_NUM_THREADS", raising=False)
    worker.limit_threads(3)
    assert (os.environ["OMP_NUM_THREADS"], os.environ["MKL_NUM_THREADS"]) == ("7", "3")
    monkeypatch.delenv("MKL_NUM_THREADS")


def test_ray_that_is_not_installed_is_refused_in_a_sentence_that_says_what_to_install(monkeypatch) -> None:
    monkeypatch.setattr("tasks.extras.find_spec", lambda name: None)
    with (
        pytest.raises(
            ConfigError,
            match=r"--runner ray: Ray is not installed. .*`pip install -c constraints.txt -e '\.\[ray\]'`",
        ),
        fan_out("ray"),
    ):
        raise AssertionError("nothing is opened")


def test_of_several_seeds_the_best_on_validation_is_the_candidate_the_lowest_of_equals() -> None:
    from flows.seeds import choose
    from tasks.show_seeds import seed_rows, spread_words

    reached = {3: 0.1, 4: 0.7, 5: 0.7, 6: -0.2}
    found = [
        {"seed": seed, "version": f"v{seed}", "validation_pct": pct, "episodes": 8, "finished": True}
        for seed, pct in reached.items()
    ]
    assert choose(found)["seed"] == 4
    assert [row[0] for row in seed_rows(found[::-1], 4)] == ["3", "4, candidate", "5", "6"]
    assert spread_words(found).startswith("4 seeds reached -0.20 % to +0.70 % on validation, median +0.40 %.")
