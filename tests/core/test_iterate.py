"""The loop every iterative solver runs in."""

import math

import pytest

from numopt._core.iterate import closing, iterate
from numopt._core.outcome import Result


def halve(state):
    return state / 2


def measure(state):
    return {"error": abs(state), "value": state}


def run(state=1.0, step=halve, measure=measure, **options):
    return iterate(state, step, measure, **({"tol": 1e-3, "maxiter": 100} | options))


def test_stops_at_the_tolerance():
    result = run()
    assert result.status == 0
    assert result.nit == 10
    assert result.state == 2.0**-10
    assert [record["nit"] for record in result.history] == list(range(11))
    assert [record["value"] for record in result.history] == [2.0**-k for k in range(11)]


def test_measures_first():
    def step(_):
        raise AssertionError("no step is needed")

    result = run(1e-4, step)
    assert (result.status, result.nit, len(result.history)) == (0, 0, 1)


def test_no_iterations_return_the_start():
    result = run(maxiter=0)
    assert (result.status, result.nit, result.state, result.best_error) == (1, 0, 1.0, 1.0)


@pytest.mark.parametrize("check_every", [1, 3, 7, 100])
def test_measures_every_few_steps_and_after_the_last(check_every):
    result = run(tol=1e-30, maxiter=20, check_every=check_every)
    measured = [record["nit"] for record in result.history]
    assert measured == sorted({*range(0, 21, check_every), 20})
    assert result.status == 1
    assert result.state == 2.0**-20


def test_keeps_the_best_state():
    values = [4.0, 1.0, 2.0, 3.0]
    result = run(0, lambda k: k + 1, lambda k: {"error": values[k]}, maxiter=3)
    assert (result.best, result.best_error, result.state) == (1, 1.0, 3)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_stops_on_a_number_that_is_not_finite(value):
    result = run(0, lambda k: k + 1, lambda k: {"error": [1.0, 2.0, value][k]})
    assert (result.status, result.nit, result.best) == (98, 2, 0)


def test_callback_sees_every_record_and_can_stop():
    seen = []

    def callback(intermediate_result):
        assert isinstance(intermediate_result, Result)
        seen.append((intermediate_result.nit, intermediate_result.value))
        if intermediate_result.nit == 3:
            raise StopIteration

    result = run(callback=callback)
    assert (result.status, result.nit) == (99, 3)
    assert seen == [(k, 2.0**-k) for k in range(4)]


def test_other_exceptions_of_a_callback_reach_the_user():
    def callback(intermediate_result):
        raise ZeroDivisionError(intermediate_result.nit)

    with pytest.raises(ZeroDivisionError):
        run(callback=callback)


def test_solver_may_give_up_with_a_code_of_its_own():
    result = run(give_up=lambda state: 7 if state < 0.2 else None)
    assert (result.status, result.nit) == (7, 3)


def test_convergence_is_reported_before_giving_up():
    assert run(1e-4, give_up=lambda _: 7).status == 0


def test_continues_an_earlier_loop():
    first = run(maxiter=4)
    second = run(first.state, history=first.history, nit=first.nit, maxiter=6)
    assert second.history is first.history
    assert [record["nit"] for record in second.history] == [0, 1, 2, 3, 4, 4, 5, 6]
    assert (second.nit, second.status) == (6, 1)


def test_states_are_never_modified():
    states = []

    def step(state):
        states.append(state)
        return (*state, len(state))

    run((), step, lambda state: {"error": 1.0 / (1 + len(state))}, tol=0.2)
    assert states == [(), (0,), (0, 1), (0, 1, 2)]


class Closable:
    def __init__(self):
        self.closed = 0

    def __call__(self, intermediate_result):
        pass

    def close(self):
        self.closed += 1


def test_callback_is_closed_once():
    callback = Closable()
    with closing(callback):
        assert callback.closed == 0
    assert callback.closed == 1


def test_callback_is_closed_after_an_error():
    callback = Closable()
    with pytest.raises(KeyError), closing(callback):
        raise KeyError
    assert callback.closed == 1


@pytest.mark.parametrize("callback", [None, print])
def test_callback_without_close(callback):
    with closing(callback):
        pass
