"""Large problems, vectorized, with analytic sparse derivatives."""

import time
from pathlib import Path

import numpy as np
from scipy.sparse import csc_array, csr_array, diags_array, eye_array, hstack, kron, tril
from scipy.special import expit


class Timed:
    """A problem whose callbacks are counted; derivatives are sparse or dense matrices."""

    def reset(self, limit=float("inf")):
        """Forget the calls; from `limit` seconds on, another one raises TimeoutError."""
        self.calls = dict.fromkeys(("f", "g", "c", "J", "H"), 0)
        self.seconds = 0.0
        self.deadline = time.perf_counter() + limit

    def __init_subclass__(cls):
        kinds = {"fun": "f", "grad": "g", "con": "c", "jac": "J", "hess_lagrangian": "H"}
        for name, kind in kinds.items():
            setattr(cls, name, _counted(getattr(cls, name), kind))


def _counted(function, kind):
    def counted(self, *args):
        begin = time.perf_counter()
        value = function(self, *args)
        self.calls[kind] += 1
        end = time.perf_counter()
        self.seconds += end - begin
        if end > self.deadline:
            raise TimeoutError
        return value

    return counted


class EllipticControl(Timed):
    """Steer the state of ``-Lap u + u^3 = z`` on an N by N grid to a target by the control z."""

    def __init__(self, N=32, alpha=1e-4):
        self.name, self.N, self.alpha = f"control-{N}", N, alpha
        self.m, self.n = N * N, 2 * N * N
        h = 1 / (N + 1)
        second = diags_array([-1.0, 2.0, -1.0], offsets=[-1, 0, 1], shape=(N, N)) / h**2
        self.laplace = (kron(second, eye_array(N)) + kron(eye_array(N), second)).tocsr()
        self.laplace *= h**2
        self.h2 = h**2
        t = np.linspace(h, 1 - h, N)
        x, y = np.meshgrid(t, t, indexing="ij")
        self.target = (np.sin(2 * np.pi * x) * np.sin(np.pi * y) + (x > 0.5)).ravel()
        self.x0 = np.zeros(self.n)
        self.reset()

    def structure(self):
        """Return where the entries of the Jacobian and of the lower half of the Hessian are."""
        return sparse_structure(self)

    def jac_values(self, x):
        return self.jac(x).data

    def hess_values(self, x, lam, factor):
        u = x[: self.m]
        top = factor + 6 * self.h2 * u * lam
        return np.concatenate([top, np.full(self.m, factor * self.alpha)])

    def fun(self, x):
        u, z = x[: self.m], x[self.m :]
        gap = u - self.target
        return 0.5 * (gap @ gap + self.alpha * (z @ z))

    def grad(self, x):
        return np.concatenate([x[: self.m] - self.target, self.alpha * x[self.m :]])

    def con(self, x):
        u, z = x[: self.m], x[self.m :]
        return self.laplace @ u + self.h2 * (u**3 - z)

    def jac(self, x):
        u = x[: self.m]
        left = self.laplace + diags_array(3 * self.h2 * u**2)
        return hstack([left, -self.h2 * eye_array(self.m)], format="csr")

    def hess_lagrangian(self, x, lam):
        u = x[: self.m]
        top = 1 + 6 * self.h2 * u * lam
        return diags_array(np.concatenate([top, np.full(self.m, self.alpha)]), format="csc")


class ChainedRosenbrock(Timed):
    """Chained Rosenbrock with trigonometric-exponential constraints (Luksan and Vlcek 1999)."""

    def __init__(self, n=10_000):
        self.name, self.n, self.m = f"chained-{n}", n, n - 2
        self.x0 = np.where(np.arange(n) % 2 == 0, -1.2, 1.0)
        self.reset()

    def structure(self):
        """Return where the entries of the Jacobian and of the lower half of the Hessian are."""
        return sparse_structure(self)

    def jac_values(self, x):
        return self.jac(x).data

    def hess_values(self, x, lam, factor):
        main, side = self._bands(x, lam, factor)
        return tril(diags_array([side, main, side], offsets=[-1, 0, 1], format="csr")).tocsr().data

    def fun(self, x):
        a, b = x[:-1], x[1:]
        return np.sum(100 * (a**2 - b) ** 2 + (a - 1) ** 2)

    def grad(self, x):
        a, b = x[:-1], x[1:]
        g = np.zeros(self.n)
        g[:-1] += 400 * a * (a**2 - b) + 2 * (a - 1)
        g[1:] -= 200 * (a**2 - b)
        return g

    def con(self, x):
        p, q, r = x[:-2], x[1:-1], x[2:]
        return 3 * q**3 + 2 * r - 5 + np.sin(q - r) * np.sin(q + r) + 4 * q - p * np.exp(p - q) - 3

    def jac(self, x):
        p, q, r = x[:-2], x[1:-1], x[2:]
        e = np.exp(p - q)
        # sin(q - r) sin(q + r) = (cos 2r - cos 2q) / 2
        bands = -(1 + p) * e, 9 * q**2 + np.sin(2 * q) + 4 + p * e, 2 - np.sin(2 * r)
        return diags_array(bands, offsets=[0, 1, 2], shape=(self.m, self.n), format="csr")

    def hess_lagrangian(self, x, lam):
        main, side = self._bands(x, lam, 1.0)
        return diags_array([side, main, side], offsets=[-1, 0, 1], format="csc")

    def _bands(self, x, lam, factor):
        a, b = x[:-1], x[1:]
        main, side = np.zeros(self.n), np.zeros(self.n - 1)
        main[:-1] += factor * (1200 * a**2 - 400 * b + 2)
        main[1:] += factor * 200
        side -= factor * 400 * a
        p, q, r = x[:-2], x[1:-1], x[2:]
        e = lam * np.exp(p - q)
        main[:-2] -= (2 + p) * e
        main[1:-1] += lam * (18 * q + 2 * np.cos(2 * q)) - p * e
        main[2:] -= 2 * lam * np.cos(2 * r)
        side[:-1] += (1 + p) * e
        return main, side


class Logistic(Timed):
    """Logistic regression on the unit sphere with ten random linear constraints."""

    def __init__(self, features, labels, name, seed=0):
        self.name = name
        self.A, self.y = features, labels
        self.At = features.T.tocsr() if hasattr(features, "tocsr") else features.T
        rows, self.n = features.shape
        self.m = 11
        rng = np.random.default_rng(seed)
        self.B = rng.normal(size=(10, self.n)) / np.sqrt(self.n)
        self.b = 0.1 * rng.normal(size=10)
        self.x0 = rng.normal(size=self.n) / np.sqrt(self.n)
        self.count = rows
        self.reset()

    def structure(self):
        """Dense: no structure is worth telling."""

    def fun(self, x):
        return np.mean(np.logaddexp(0, -self.y * (self.A @ x)))

    def grad(self, x):
        return -(self.At @ (self.y * expit(-self.y * (self.A @ x)))) / self.count

    def con(self, x):
        return np.append(self.B @ x - self.b, x @ x - 1)

    def jac(self, x):
        return np.vstack([self.B, 2 * x])

    def hess_f(self, x):
        s = expit(self.A @ x)
        weight = s * (1 - s) / self.count
        if hasattr(self.A, "tocsr"):
            return (self.At @ (diags_array(weight) @ self.A)).toarray()
        return self.At @ (weight[:, None] * self.A)

    def hess_c(self, x, v):
        return 2 * v[-1] * np.eye(self.n)

    def hess_lagrangian(self, x, lam):
        return self.hess_f(x) + self.hess_c(x, lam)


def sparse_structure(problem):
    """Return index arrays of the entries of the Jacobian and of the lower half of the Hessian."""
    rng = np.random.default_rng(0)
    x, lam = rng.random(problem.n), rng.random(problem.m)
    G = problem.jac(x).tocoo()
    H = tril(csr_array(problem.hess_lagrangian(x, lam))).tocsr().tocoo()
    return (G.row, G.col), (H.row, H.col)


def synthetic_logistic(rows=20_000, columns=300, seed=0):
    rng = np.random.default_rng(seed)
    A = rng.normal(size=(rows, columns))
    truth = rng.normal(size=columns) / np.sqrt(columns)
    y = np.where(rng.random(rows) < expit(4 * (A @ truth)), 1.0, -1.0)
    return Logistic(A, y, f"logistic-{rows}x{columns}", seed)


def a9a_logistic(folder):
    """Return the problem on a9a; raise NotImplementedError where the data is not."""
    path = Path(folder or "") / "a9a.npz"
    if not folder or not path.exists():
        raise NotImplementedError("the a9a data is not there; name its folder")
    with np.load(path, allow_pickle=False) as z:
        A = csr_array((z["data"].astype(float), z["indices"], z["indptr"]), shape=tuple(z["shape"]))
        return Logistic(A, z["y"].astype(float), "logistic-a9a")


def split_hessian(problem):
    """Return the two parts of a Hessian of the Lagrangian, as trust-constr takes them."""

    def objective(x):
        return csc_array(problem.hess_lagrangian(x, np.zeros(problem.m)))

    def constraints(x, v):
        return csc_array(problem.hess_lagrangian(x, v)) - objective(x)

    return objective, constraints
