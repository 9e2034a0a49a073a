"""How the solve runs: limits, callbacks, warm starts, precision, methods, inputs left alone."""

import warnings

import numpy as np
import pytest
import transport_oracles as oracles
import transport_problems as problems

import numopt
from numopt.transport._certificate import Measures
from numopt.transport._solve import outcome

SOLVE = numopt.entropic_transport


def plan_errors(result, cost, a, b, reg):
    return sum(
        oracles.marginal_errors(oracles.dense_plan(cost, a, b, result.f, result.g, reg), a, b)
    )


class TestLimits:
    def test_no_iterations_give_the_certified_start(self):
        cost, a, b = problems.cloud(30)
        result = SOLVE(cost, a, b, reg=0.01, maxiter=0)
        assert (result.nit, result.status, result.success) == (0, 1, False)
        assert result.marginal_error == pytest.approx(plan_errors(result, cost, a, b, 0.01))
        assert "raise maxiter" in result.message

    def test_no_iterations_may_be_enough(self):
        a, b = problems.uniform(4), problems.uniform(6)
        result = SOLVE(np.ones((4, 6)), a, b, reg=0.01, maxiter=0)
        assert (result.nit, result.status, result.success) == (0, 0, True)

    @pytest.mark.parametrize("method", ["sns", "sinkhorn"])
    @pytest.mark.parametrize("maxiter", [1, 5, 12])
    def test_limit_is_kept_and_reported(self, maxiter, method):
        cost, a, b = problems.cloud(50)
        result = SOLVE(cost, a, b, reg=1e-3, maxiter=maxiter, method=method, tol=1e-12)
        assert (result.nit, result.status, result.success) == (maxiter, 1, False)
        assert result.nit == result.stats["nit_sinkhorn"] + result.stats["nit_newton"]
        assert result.marginal_error == pytest.approx(plan_errors(result, cost, a, b, 1e-3))
        assert result.message.startswith(f"Stopped after {maxiter} iteration")

    def test_best_iterate_is_returned(self):
        cost, a, b = problems.densities(100, 1)
        worse = 0
        for maxiter in range(40, 80, 3):
            result = SOLVE(cost, a, b, reg=1e-4, maxiter=maxiter, tol=1e-11)
            errors = [r["error"] for r in result.history if r["reg"] == 1e-4]
            assert result.marginal_error == pytest.approx(min(errors), rel=1e-5)
            worse += errors[-1] > 1.01 * min(errors)
        assert worse > 0, "no run ended on anything but its best iterate"

    @pytest.mark.parametrize(
        ("success", "stopped", "reported"),
        [(True, 0, 0), (True, 1, 0), (True, 2, 0), (False, 0, 3), (False, 1, 1), (True, 99, 99)],
    )
    def test_status_follows_the_certificate(self, success, stopped, reported):
        error = 1e-9 if success else 1e-7
        found = outcome(stopped, Measures(0, 0, 0, 0, error, 0), 1e-8, 5, "sns")
        assert (found.success, found.status) == (success, reported)

    def test_counters_add_up(self):
        cost, a, b = problems.cloud(60)
        result = SOLVE(cost, a, b, reg=1e-3)
        together = result.stats["nit_sinkhorn"] + result.stats["nit_newton"]
        assert result.nit == together == result.history[-1]["nit"]
        assert result.n_passes > result.nit
        assert result.stats["nit_cg"] >= result.stats["nit_newton"] > 0
        assert 60 <= result.stats["nnz"] < 60 * 60

    def test_path_goes_down_to_the_target(self):
        cost, a, b = problems.cloud(60)
        path = SOLVE(cost, a, b, reg=1e-3).stats["reg_path"]
        assert path[0] == pytest.approx(0.05 * np.ptp(cost))
        assert path[-1] == 1e-3
        assert path == sorted(path, reverse=True)
        assert SOLVE(cost, a, b, reg=0.2).stats["reg_path"] == [0.2]

    def test_scaling_sets_the_first_ratio(self):
        cost, a, b = problems.cloud(60)
        for scaling in (1.5, 3.0):
            path = SOLVE(cost, a, b, reg=1e-3, scaling=scaling).stats["reg_path"]
            assert path[0] / path[1] >= scaling * 0.6

    def test_history_tells_the_regularization_of_each_error(self):
        cost, a, b = problems.cloud(60)
        result = SOLVE(cost, a, b, reg=1e-3)
        regs = [record["reg"] for record in result.history]
        assert list(dict.fromkeys(regs)) == result.stats["reg_path"]
        nits = [record["nit"] for record in result.history]
        assert nits == sorted(nits)
        assert all(record["error"] == record["marginal_error"] for record in result.history)


class TestCallback:
    def test_callback_sees_the_history(self):
        seen = []
        cost, a, b = problems.cloud(40)
        result = SOLVE(cost, a, b, reg=0.01, callback=seen.append)
        assert [dict(record) for record in seen] == result.history
        assert all(isinstance(record, numopt.Result) for record in seen)

    @pytest.mark.parametrize("stop", [0, 3, 7])
    def test_callback_can_stop(self, stop):
        def callback(intermediate_result):
            if intermediate_result.nit >= stop:
                raise StopIteration

        cost, a, b = problems.cloud(40)
        result = SOLVE(cost, a, b, reg=1e-3, callback=callback)
        assert (result.nit, result.status, result.success) == (stop, 99, False)
        assert "callback" in result.message
        assert result.marginal_error == pytest.approx(plan_errors(result, cost, a, b, 1e-3))

    def test_stopping_at_a_point_that_passes_is_a_success(self):
        def callback(intermediate_result):
            if intermediate_result.error <= 1e-8 and intermediate_result.reg == 1e-3:
                raise StopIteration

        cost, a, b = problems.cloud(40)
        result = SOLVE(cost, a, b, reg=1e-3, callback=callback, tol=1e-8)
        assert (result.status, result.success) == (99, True)

    def test_errors_in_a_callback_reach_the_user(self):
        def callback(intermediate_result):
            raise KeyError(intermediate_result.nit)

        with pytest.raises(KeyError):
            SOLVE(np.eye(3), reg=0.1, callback=callback)


class TestWarmStart:
    @pytest.mark.parametrize("wide", [False, True])
    @pytest.mark.parametrize("kind", ["result", "pair", "g"])
    def test_solution_is_recognized(self, kind, wide):
        cost, a, b = problems.rectangle(60)
        if wide:
            cost, a, b = cost.T.copy(), b, a
        first = SOLVE(cost, a, b, reg=1e-3, tol=1e-9)
        start = {"result": first, "pair": (first.f, first.g), "g": first.g}[kind]
        again = SOLVE(cost, a, b, reg=1e-3, tol=1e-8, x0=start)
        assert again.success
        assert again.nit <= 1
        assert again.stats["reg_path"] == [1e-3]
        assert again.n_passes <= 4

    @pytest.mark.parametrize("family", ["assign", "cloud", "densities-2", "strokes-1"])
    def test_slightly_changed_problem_takes_fewer_passes(self, family):
        cost, a, b = problems.FAMILIES[family](144)
        first = SOLVE(cost, a, b, reg=1 / 600)
        changed = cost * (1 + 1e-3 * np.random.default_rng(0).random(cost.shape))
        cold = SOLVE(changed, a, b, reg=1 / 640)
        warm = SOLVE(changed, a, b, reg=1 / 640, x0=first)
        assert warm.success
        assert warm.n_passes < cold.n_passes
        np.testing.assert_allclose(warm.plan(), cold.plan(), rtol=0, atol=2e-8)

    @pytest.mark.parametrize("size", [1.0, 30.0])
    def test_bad_start_does_no_harm(self, size, rng):
        cost, a, b = problems.cloud(50)
        result = SOLVE(cost, a, b, reg=1e-3, x0=size * rng.normal(size=50))
        assert result.success
        assert plan_errors(result, cost, a, b, 1e-3) <= 2e-8

    def test_start_is_not_modified(self, rng):
        cost, a, b = problems.cloud(50)
        start = rng.normal(size=50)
        copy = start.copy()
        SOLVE(cost, a, b, reg=1e-2, x0=start)
        np.testing.assert_array_equal(start, copy)

    def test_start_on_a_smaller_support(self, rng):
        cost = rng.random((9, 9))
        a, b = problems.weights(rng, 9), problems.weights(rng, 9)
        a[2], b[5] = 0, 0
        b = b * (a.sum() / b.sum())
        first = SOLVE(cost, a, b, reg=0.01)
        again = SOLVE(cost, a, b, reg=0.01, x0=first)
        assert again.success
        assert again.nit <= 1


class TestPrecision:
    def test_tolerance_below_the_floor_warns(self):
        cost, a, b = problems.cloud(40)
        with pytest.warns(RuntimeWarning, match=r"`tol` = 1e-14 is below 8.9e-12") as caught:
            result = SOLVE(cost, a, b, reg=1e-4, tol=1e-14)
        assert caught[0].filename == __file__
        measured = plan_errors(result, cost, a, b, 1e-4)
        assert measured <= 1e-10
        assert result.success == (result.marginal_error <= 1e-14)
        if not result.success:
            assert result.status == 3
            assert "precision" in result.message

    def test_tolerance_above_the_floor_does_not_warn(self):
        cost, a, b = problems.cloud(40)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert SOLVE(cost, a, b, reg=1e-4, tol=1e-11).success

    @pytest.mark.parametrize("family", ["assign", "cloud", "rectangle", "strokes-1"])
    @pytest.mark.parametrize("inverse_reg", [50, 1200])
    def test_single_precision(self, family, inverse_reg):
        cost, a, b = (x.astype(np.float32) for x in problems.FAMILIES[family](144))
        result = SOLVE(cost, a, b, reg=1 / inverse_reg)
        floor = 4 * np.finfo(np.float32).eps * np.ptp(cost) * inverse_reg
        assert result.success
        assert result.f.dtype == result.plan().dtype == np.float32
        assert type(result.fun) is float
        # Sums in double precision, so that only the entries carry rounding errors.
        errors = oracles.marginal_errors(
            result.plan().astype(float), a.astype(float), b.astype(float)
        )
        assert sum(errors) <= 2 * floor
        assert abs(result.marginal_error - sum(errors)) <= floor

    def test_single_precision_says_where_it_ends(self):
        cost, a, b = (x.astype(np.float32) for x in problems.cloud(60))
        with pytest.warns(RuntimeWarning, match="float32"):
            result = SOLVE(cost, a, b, reg=1e-3, tol=1e-9)
        assert (result.status, result.success) == (3, False)
        assert "float64" in result.message
        assert result.nit < 100

    def test_default_tolerance(self):
        cost, a, b = problems.cloud(40)
        assert "(limit 1.0e-08)" in SOLVE(cost, a, b, reg=1e-2).message
        single = SOLVE(*(x.astype(np.float32) for x in (cost, a, b)), reg=1e-2).message
        assert "(limit 4.8e-05)" in single


class TestMethods:
    def test_sinkhorn_takes_sweeps_only(self):
        cost, a, b = problems.cloud(60)
        result = SOLVE(cost, a, b, reg=0.05, method="sinkhorn")
        oracles.assert_optimal(result, cost, a, b, 0.05, 1e-8)
        assert result.stats["nit_newton"] == result.stats["nit_cg"] == result.stats["nnz"] == 0
        assert result.stats["nit_sinkhorn"] == result.nit
        assert result.stats["reg_path"] == [0.05]

    def test_sinkhorn_shrinks_the_error_in_every_sweep(self):
        cost, a, b = problems.cloud(60)
        history = SOLVE(cost, a, b, reg=0.01, method="sinkhorn", maxiter=100).history
        errors = np.array([record["error"] for record in history])
        assert errors.size > 50
        assert (errors[1:] <= errors[:-1] * (1 + 1e-12) + 1e-15).all()

    def test_sns_needs_few_iterations_where_sinkhorn_needs_many(self):
        cost, a, b = problems.assign(100)
        sinkhorn = SOLVE(cost, a, b, reg=1 / 1200, method="sinkhorn")
        assert not sinkhorn.success
        newton = SOLVE(cost, a, b, reg=1 / 1200)
        assert newton.success
        assert newton.nit < 50

    def test_paper_solves_a_random_assignment(self):
        cost, a, b = problems.assign(100)
        result = SOLVE(cost, a, b, reg=1 / 1200, method="sns-paper", tol=1e-9)
        oracles.assert_optimal(result, cost, a, b, 1 / 1200, 1e-9)
        assert result.stats["nit_sinkhorn"] == 20
        assert 0 < result.stats["nit_newton"] < 60

    def test_paper_keeps_the_share_it_is_told(self):
        cost, a, b = problems.assign(100)
        for density in (0.02, 0.1):
            result = SOLVE(cost, a, b, reg=1 / 100, method="sns-paper", density=density, maxiter=23)
            assert result.stats["nnz"] == density * 100 * 100

    def test_paper_stalls_on_a_cloud_and_says_so(self):
        cost, a, b = problems.cloud(100)
        result = SOLVE(cost, a, b, reg=1 / 1200, method="sns-paper", tol=1e-9)
        assert not result.success
        assert result.status in (1, 2)
        assert result.marginal_error > 1e-9
        assert plan_errors(result, cost, a, b, 1 / 1200) == pytest.approx(result.marginal_error)
        if result.status == 2:
            assert "method='sns'" in result.message

    @pytest.mark.parametrize(
        "options",
        [
            {"mass_floor": 1e-9, "mass_cap": 0.03},
            {"damping": 0.3, "clip": 5.0},
            {"density_limit": 1e-9},
            {"density_limit": 1.0},
            {"nnz_limit": 10.0},
            {"cg_rtol": 1e-8, "cg_maxiter": 500},
        ],
        ids=str,
    )
    def test_options_of_the_newton_step_do_not_change_the_answer(self, options):
        cost, a, b = problems.cloud(60)
        result = SOLVE(cost, a, b, reg=1e-3, tol=1e-10, newton_options=options)
        oracles.assert_optimal(result, cost, a, b, 1e-3, 1e-10)


class TestInputs:
    def test_inputs_may_be_read_only(self):
        arrays = problems.rectangle(80)
        for x in arrays:
            x.flags.writeable = False
        copies = [x.copy() for x in arrays]
        result = SOLVE(*arrays, reg=1e-3, x0=arrays[2])
        assert result.success
        result.plan(), result.rounded_plan(), result.jvp_plan(arrays[0]), result.sparse_plan()
        for x, copy in zip(arrays, copies, strict=True):
            np.testing.assert_array_equal(x, copy)

    @pytest.mark.usefixtures("compiled")
    def test_inputs_of_compiled_kernels_may_be_read_only(self):
        self.test_inputs_may_be_read_only()

    @pytest.mark.parametrize("layout", ["fortran", "strided", "reversed", "big-endian"])
    def test_memory_order_does_not_matter(self, layout):
        cost, a, b = problems.cloud(70)
        other = {
            "fortran": np.asfortranarray(cost),
            "strided": np.repeat(np.repeat(cost, 2, axis=0), 3, axis=1)[::2, ::3],
            "reversed": cost[::-1, ::-1].copy()[::-1, ::-1],
            "big-endian": cost.astype(">f8"),
        }[layout]
        expected = SOLVE(cost, a, b, reg=1e-2)
        actual = SOLVE(other, a[::-1].copy()[::-1], b, reg=1e-2)
        np.testing.assert_array_equal(actual.plan(), expected.plan())

    def test_same_input_gives_the_same_bits(self):
        cost, a, b = problems.cloud(100)
        first, second = (SOLVE(cost, a, b, reg=1e-3) for _ in range(2))
        np.testing.assert_array_equal(first.x, second.x)
        assert first.history == second.history

    def test_masses_default_to_uniform(self, rng):
        cost = rng.random((5, 8))
        expected = SOLVE(cost, problems.uniform(5), problems.uniform(8), reg=0.01)
        np.testing.assert_array_equal(SOLVE(cost, reg=0.01).x, expected.x)
