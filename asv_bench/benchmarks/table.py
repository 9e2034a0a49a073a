"""Rows of the tables that the report prints: other libraries at equal accuracy, and counts."""

import math
import statistics
from collections import Counter
from typing import NamedTuple

from . import cases, contest, counts, peers

PEERS = ("regot", "POT", "ott", "geomloss")
HEADINGS = {"n_passes": "passes", "nit_newton": "Newton", "nit_cg": "CG"}


class Duel(NamedTuple):
    """Outcomes of numopt and of every other solver on one problem."""

    own: contest.Outcome
    others: dict[str, contest.Outcome]
    limit: float

    @property
    def best(self):
        """Name and outcome of the fastest other solver, or None."""
        return contest.fastest(self.others)

    @property
    def ratio(self):
        """Its time over numopt's; where nobody got there, the limit stands for its time."""
        if self.own.seconds is None:
            return 0.0
        return (self.best[1].seconds if self.best else self.limit) / self.own.seconds


def speed_rows(case, peer_names=None, seeds=None, limit=None, threads=1):
    """Yield one row an accuracy, each over several seeds."""
    late = {}
    limit = limit or case.limit
    for error, goal in case.goals.items():
        duels = []
        for seed in range(seeds or case.seeds):
            task = contest.Task(
                case.family, case.n, case.eta, "numopt", error, seed, limit, threads=threads
            )
            duels.append(duel(task, peer_names or PEERS, late))
            # Whoever runs out of time is not asked again for another seed or a tighter error.
            late |= {
                name: outcome
                for name, outcome in duels[-1].others.items()
                if outcome.why == "limit" and outcome.limit == limit
            }
        yield speed_row(case, error, goal, duels)


def duel(task, peer_names, late):
    others = dict(late)
    own = contest.measure(task)
    for peer in peer_names:
        others |= contest.measure_peer(task, peer, skip=late)
    return Duel(own, others, task.limit)


def speed_row(case, error, goal, duels):
    best = [duel.best for duel in duels]
    ratio = statistics.median(duel.ratio for duel in duels)
    winners = Counter(pair[0] for pair in best if pair)
    sole = duels[0]
    return {
        "case": case.name,
        "error": f"{error:g}",
        "seeds": len(duels),
        "numopt": middle([duel.own for duel in duels]),
        "best peer": winners.most_common(1)[0][0] if winners else "none gets there",
        "its time": middle([pair[1] for pair in best if pair]),
        "ratio": f"{'' if all(best) else '> '}{ratio:.3g}" if sole.others else "",
        "lowest": f"{min(duel.ratio for duel in duels):.3g}" if sole.others else "",
        "goal": f"{goal:g}",
        "met": "yes" if sole.others and ratio >= goal else "no",
        **{heading: median_count(duels, name) for name, heading in HEADINGS.items()},
        "MB": round(max(duel.own.peak_mb for duel in duels)),
        "best peer MB": round(max((pair[1].peak_mb for pair in best if pair), default=0)),
        **{peer: middle(best_of(peer, duels)) for peer in PEERS},
        "all": {name: middle([d.others[name] for d in duels if name in d.others])
                for name in sole.others},
    }  # fmt: skip


def best_of(peer, duels):
    """Outcome of a peer's fastest solver on each problem, or of the one that came closest."""
    outcomes = []
    for d in duels:
        own = {name: o for name, o in d.others.items() if peers.peer_of(name) == peer}
        if own:
            best = contest.fastest(own)
            outcomes.append(best[1] if best else min(own.values(), key=lambda o: o.error))
    return outcomes


def middle(outcomes):
    """Text of the median time; of a failure where most failed."""
    if not outcomes:
        return ""
    failed = [outcome for outcome in outcomes if outcome.seconds is None]
    if 2 * len(failed) <= len(outcomes):
        seconds = [math.inf if o.seconds is None else o.seconds for o in outcomes]
        return f"{statistics.median_low(seconds):.3g}"
    worst = max(failed, key=lambda outcome: outcome.error)
    reached = f" ({worst.error:.0e})" if worst.error < 1 else ""
    return (f"> {worst.limit:.3g}" if worst.why == "limit" else worst.why) + reached


def median_count(duels, name):
    values = [duel.own.counts[name] for duel in duels if duel.own.counts]
    return statistics.median(values) if values else ""


def count_rows():
    """Yield medians over seeds with their ceilings, then the passes that a warm start takes."""
    for family in cases.COUNT_FAMILIES:
        for eta in cases.SEEN:
            found, allowed = counts.median_counts(family, eta), cases.ceilings(family, eta)
            met = found["solved"] == cases.SEEDS and all(
                found[name] <= allowed[name] for name in allowed
            )
            yield count_row(family, eta, found, allowed, met)
    passes = counts.warm_start_passes(1200.0)
    allowed = {"n_passes": passes["cold"] / cases.WARM_GOAL}
    found = {"n_passes": passes["warm"]}
    yield count_row("cloud, warm", 1200, found, allowed, passes["warm"] <= allowed["n_passes"])


def count_row(family, eta, found, allowed, met):
    return {
        "family": family,
        "eta": eta,
        "solved": found.get("solved", ""),
        **{heading: found.get(name, "") for name, heading in HEADINGS.items()},
        "passes allowed": f"{allowed['n_passes']:.3g}",
        "Newton allowed": allowed.get("nit_newton", ""),
        "met": "yes" if met else "no",
    }
