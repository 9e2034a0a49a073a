"""Accuracy on ten classes: convex training against the rest, next to scikit-learn's network."""

import time
import warnings

import numpy as np

import numopt

PATTERNS, BETA = 64, 0.1


def rows(splits=10, small=False):
    """Yield mean accuracies on held-out digits, with the median seconds of a fit."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    X, label = load_digits(return_X_y=True)
    if small:
        X, label = X[label < 3][:150], label[label < 3][:150]
    found = {name: [] for name in MODELS}
    for seed in range(splits):
        parts = train_test_split(X, label, test_size=0.25, random_state=seed, stratify=label)
        for name, fit in MODELS.items():
            found[name].append(measured(fit, seed, *parts))
    for name, figures in found.items():
        seconds, shares = np.array(figures).T
        yield {
            "case": f"digits, {splits} splits",
            "training": name,
            "seconds": f"{np.median(seconds):.1f}",
            "accuracy": "" if name == "one class of it" else f"{100 * shares.mean():.2f}",
        }


def measured(fit, seed, X, fresh, label, true):
    """Return seconds and the accuracy on fresh samples."""
    began = time.perf_counter()
    model = fit(seed, X, label)
    return time.perf_counter() - began, np.mean(model.predict(fresh) == true)


def convex(seed, X, label):
    model = numopt.ConvexReLUClassifier(
        beta=BETA, n_patterns=PATTERNS, loss="logistic", random_state=seed
    )
    return model.fit(X, label)


def one_class(seed, X, label):
    """Train the first class against the rest; what it predicts is of no interest."""
    convex(seed, X, label == label.min())
    return Answer(label.min())


class Answer:
    """A model that has one answer."""

    def __init__(self, label):
        self.label = label

    def predict(self, X):
        return np.full(len(X), self.label)


def network(seed, X, label):
    from sklearn.neural_network import MLPClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = MLPClassifier(PATTERNS, max_iter=1000, random_state=seed)
        return make_pipeline(StandardScaler(), model).fit(X, label)


MODELS = {
    "ConvexReLUClassifier": convex,
    "one class of it": one_class,
    f"MLPClassifier({PATTERNS})": network,
}
