"""Problems, peers and the independent evaluation of convex ReLU training.

Every solver gets the same samples, patterns and weight decay. What comes back is judged here: the
objective at the neurons, by how much they leave their cones, and the objective once they have
been projected onto them.
"""

import importlib.util
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

import numopt


class Case(NamedTuple):
    """Samples with a column of ones, targets, weight decay, loss, gates."""

    X: np.ndarray
    y: np.ndarray
    beta: float
    loss: str
    gates: np.ndarray
    # What descent on a network has to reach.
    target: float = 0.0

    @property
    def patterns(self):
        return self.X @ self.gates >= 0


class Network(NamedTuple):
    """Hidden weights (d, m) and output weights (m,) of what was not trained by the program."""

    W1: np.ndarray
    w2: np.ndarray


class Judged(NamedTuple):
    """Objective of neurons, relative infeasibility, and objective of their projections."""

    value: float
    infeasibility: float
    feasible_value: float


class Peer(NamedTuple):
    """A solver: its package, and a function of case and tolerance that returns both neurons."""

    package: str
    solve: Callable[[Case, float], Any]

    def available(self):
        return importlib.util.find_spec(self.package) is not None


CASES = {
    "small": ("random", "squared", 4, 0.5),
    **{
        f"breast-cancer-{loss}-{P}": ("breast_cancer", loss, P, 0.1)
        for loss in ("squared", "logistic", "hinge")
        for P in (20, 100)
    },
    "digits-squared-50": ("digits", "squared", 50, 0.1),
}


def case_of(name=None, source=None, P=None):
    """Return a case by name, or one of squared loss on a data set."""
    source, loss, P, beta = CASES[name] if name else (source, "squared", P, 0.1)
    rng = np.random.default_rng(0)
    if source == "random":
        X, y = rng.normal(size=(30, 3)), rng.choice([-1.0, 1.0], size=30)
    else:
        from sklearn import datasets

        X, target = getattr(datasets, f"load_{source}")(return_X_y=True)
        y = 2.0 * (target % 2) - 1
        if source == "diabetes":
            y = (target - target.mean()) / target.std()
        spread = X.std(axis=0)
        X = (X - X.mean(axis=0)) / np.where(spread > 0, spread, 1)
    X = np.concatenate([X, np.ones((len(X), 1))], axis=1)
    return Case(X, y, beta, loss, rng.standard_normal((X.shape[1], P)))


def losses(z, y, loss):
    """Return the loss of each sample."""
    if loss == "squared":
        return 0.5 * (z - y) ** 2
    return np.logaddexp(0, -y * z) if loss == "logistic" else np.maximum(0, 1 - y * z)


def objective(case, V, W):
    """Return the objective of the program at neurons."""
    z = (case.patterns * (case.X @ (V - W))).sum(axis=1)
    norms = np.linalg.norm(V, axis=0).sum() + np.linalg.norm(W, axis=0).sum()
    return losses(z, case.y, case.loss).sum() + case.beta * norms


def network_objective(case, W1, w2):
    """Return the loss of a network with half the weight decay on all weights."""
    z = np.maximum(case.X @ W1, 0) @ w2
    return losses(z, case.y, case.loss).sum() + 0.5 * case.beta * ((W1**2).sum() + (w2**2).sum())


def evaluated(case, V, W):
    """Return the judgment on neurons, made without the solver they come from."""
    from scipy.optimize import nnls

    signs = 2.0 * case.patterns - 1
    slacks = np.concatenate([(signs * (case.X @ U)).ravel() for U in (V, W)])
    infeasibility = np.linalg.norm(np.minimum(slacks, 0)) / max(np.linalg.norm(slacks), 1e-300)
    projected = []
    for U in (V, W):
        columns = []
        for sign, u in zip(signs.T, U.T, strict=True):
            edges = (sign[:, None] * case.X).T
            weights = nnls(edges, -u, maxiter=100 * len(sign))[0] if u.any() else 0 * sign
            columns.append(u + edges @ weights)
        projected.append(np.stack(columns, axis=1))
    return Judged(objective(case, V, W), infeasibility, objective(case, *projected))


def by_numopt(case, tol, method="auto"):
    """Return the neurons of convex_relu."""
    result = numopt.convex_relu(
        case.X,
        case.y,
        beta=case.beta,
        loss=case.loss,
        patterns=case.gates,
        fit_intercept=False,
        tol=tol,
        method=method,
    )
    return result.coef_pos, result.coef_neg


class NoAnswerError(Exception):
    """Another solver gave up."""


def by_cvxpy(case, tol, solver="CLARABEL"):
    """Return the neurons of a general conic solver."""
    import cvxpy as cp

    D, E = case.patterns.astype(float), 2.0 * case.patterns - 1
    V, W = (cp.Variable((case.X.shape[1], D.shape[1])) for _ in range(2))
    z = cp.sum(cp.multiply(D, case.X @ (V - W)), axis=1)
    m = cp.multiply(case.y, z)
    fit = {
        "squared": lambda: 0.5 * cp.sum_squares(z - case.y),
        "logistic": lambda: cp.sum(cp.logistic(-m)),
        "hinge": lambda: cp.sum(cp.pos(1 - m)),
    }[case.loss]()
    norms = cp.sum(cp.norm(V, 2, axis=0)) + cp.sum(cp.norm(W, 2, axis=0))
    inside = [cp.multiply(E, case.X @ U) >= 0 for U in (V, W)]
    options = {"tol_gap_rel": tol, "tol_gap_abs": tol, "tol_feas": 1e-6}
    if solver == "SCS":
        options = {"eps_abs": 1e-4, "eps_rel": 1e-4, "max_iters": 20_000, "time_limit_secs": 240}
    try:
        cp.Problem(cp.Minimize(fit + case.beta * norms), inside).solve(solver=solver, **options)
    except cp.SolverError as error:
        raise NoAnswerError from error
    return V.value, W.value


def by_scnn(case, tol):
    """Return the neurons of the augmented Lagrangian method of Mishkin, Sahiner and Pilanci."""
    from scnn.metrics import Metrics
    from scnn.models import ConvexReLU
    from scnn.optimize import optimize_model
    from scnn.regularizers import NeuronGL1
    from scnn.solvers import AL

    if case.loss != "squared":
        return None
    model = ConvexReLU(case.gates)
    found, _ = optimize_model(
        model,
        # Its tolerances are not relative gaps; at a tenth of ours it is off by ten percent.
        AL(model, tol=1e-3 * tol, constraint_tol=1e-3 * tol),
        Metrics(),
        case.X,
        case.y[:, None],
        regularizer=NeuronGL1(case.beta / len(case.y)),
        return_convex=True,
        unitize_data=False,
        dtype="float64",
    )
    # It sorts the gates.
    order = [int(np.argmin(np.abs(found.G - g[:, None]).sum(axis=0))) for g in case.gates.T]
    return [part[0].T[:, order] for part in found.parameters]


def by_adelie(case, tol):
    """Return the neurons of block coordinate descent with linear constraints on each group."""
    import adelie

    if case.loss == "hinge":
        return None
    n, d = case.X.shape
    patterns = np.asfortranarray(case.patterns)
    families = {"squared": adelie.glm.gaussian, "logistic": adelie.glm.binomial}
    targets = case.y if case.loss == "squared" else (case.y + 1) / 2
    cones = [np.ascontiguousarray(sign[:, None] * case.X) for sign in 2.0 * patterns.T - 1]
    # Its tolerance is on the change of the fit, of which far less is left than of the gap.
    found = adelie.grpnet(
        X=adelie.matrix.convex_relu(np.asfortranarray(case.X), patterns),
        glm=families[case.loss](targets),
        groups=np.arange(0, 2 * patterns.shape[1] * d, d),
        penalty=np.ones(2 * patterns.shape[1]),
        constraints=[
            adelie.constraint.linear(cone, np.zeros(n), np.full(n, 1e30)) for cone in 2 * cones
        ],
        intercept=False,
        lmda_path=[case.beta / n],
        early_exit=False,
        progress_bar=False,
        tol=1e-5 * tol,
    )
    if found.betas.shape[0] == 0:
        raise NoAnswerError
    V, W = np.reshape(found.betas.toarray(), (2, patterns.shape[1], d))
    return V.T, W.T


def by_adam(case, tol, rates=(1e-3, 1e-2, 1e-1), steps=4000):
    """Return a network with as many units, trained until it is as good as the convex one.

    Each rate gets its steps in turn, and the first that gets there ends it. The patterns of the
    network are free: it may become better than any with those of the program.
    """
    import torch

    X, y = torch.from_numpy(case.X), torch.from_numpy(case.y)
    best = None
    for rate in rates:
        torch.manual_seed(0)
        shape = X.shape[1], 2 * case.gates.shape[1]
        W1 = (torch.randn(shape, dtype=X.dtype) / shape[0] ** 0.5).requires_grad_()
        w2 = (torch.randn(shape[1], dtype=X.dtype) / shape[1] ** 0.5).requires_grad_()
        optimizer = torch.optim.Adam([W1, w2], lr=rate)
        for _ in range(steps):
            z = torch.relu(X @ W1) @ w2
            fit = {
                "squared": lambda z: 0.5 * ((z - y) ** 2).sum(),
                "logistic": lambda z: torch.nn.functional.softplus(-y * z).sum(),
                "hinge": lambda z: torch.relu(1 - y * z).sum(),
            }[case.loss](z)
            value = fit + 0.5 * case.beta * ((W1**2).sum() + (w2**2).sum())
            if best is None or value.item() < best[0]:
                best = value.item(), Network(W1.detach().numpy().copy(), w2.detach().numpy().copy())
            if best[0] <= (1 + tol) * case.target:
                return best[1]
            optimizer.zero_grad()
            value.backward()
            optimizer.step()
    return best[1]


def by_mlp(case, tol):
    """Return a network trained by scikit-learn with its own stopping rule, squared loss only."""
    from sklearn.neural_network import MLPRegressor

    if case.loss != "squared":
        return None
    units = 2 * case.gates.shape[1]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = MLPRegressor(
            hidden_layer_sizes=units, solver="lbfgs", alpha=case.beta, max_iter=5000, tol=tol
        )
        model.set_params(random_state=0).fit(case.X[:, :-1], case.y)
    W1 = np.concatenate([model.coefs_[0], model.intercepts_[0][None, :]])
    # The constant of the output is a unit that is always on.
    always = np.zeros((len(W1), 1))
    always[-1] = 1.0
    return Network(
        np.concatenate([W1, always], axis=1), np.append(model.coefs_[1], model.intercepts_[1])
    )


def by_more_patterns(case, tol, patterns=None, refine=0):
    """Return the network of convex_relu for better patterns than those of the case."""
    result = numopt.convex_relu(
        case.X,
        case.y,
        beta=case.beta,
        loss=case.loss,
        patterns=case.gates if patterns is None else patterns,
        refine=refine,
        fit_intercept=False,
        tol=10 * tol,
        rng=0,
    )
    return Network(result.W1, result.w2)


def from_mlp(case, tol):
    """Return the optimum over the patterns that another library's network has."""
    found = by_mlp(case, tol)
    return None if found is None else by_more_patterns(case, tol, found.W1)


PEERS = {
    "numopt": Peer("numopt", by_numopt),
    "numopt, refine=3": Peer("numopt", lambda case, tol: by_more_patterns(case, tol, refine=3)),
    "numopt on the patterns of MLPRegressor": Peer("sklearn", from_mlp),
    "Clarabel": Peer("clarabel", by_cvxpy),
    "SCS": Peer("scs", lambda case, tol: by_cvxpy(case, tol, "SCS")),
    "pyscnn": Peer("scnn", by_scnn),
    "adelie": Peer("adelie", by_adelie),
    "Adam": Peer("torch", by_adam),
    "MLPRegressor": Peer("sklearn", by_mlp),
}
