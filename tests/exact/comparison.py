"""What a case has shown: the stopped training ends as the undisturbed one, or how it differs."""

from collections import Counter
from collections.abc import Callable
from typing import Any

from matrix import Case
from outcome import Outcome
from trainings import SIGNALS, Trainings


def differences(trainings: Trainings, case: Case, name: str) -> list[str]:
    """What differs between the training and the same one stopped and resumed; empty: nothing.

    Raises:
        AssertionError: a training failed, or a stop did not come.
    """
    whole = trainings.train(f"{name}-whole", case.settings, ranks=case.ranks)
    stops = sorted((whole.moment(stop) for stop in case.stops), key=lambda stop: int(stop.partition("@")[2]))
    stopped = trainings.train(f"{name}-stopped", case.settings, stops, ranks=case.ranks)
    found = [
        f"{what}: {_first_difference(get(whole), get(stopped))}"
        for what, get in COMPARED.items()
        if get(whole) != get(stopped)
    ]
    found += [problem for outcome in (whole, stopped) for problem in outcome.records.problems]
    told, again = whole.events, stopped.events
    if any(stop.partition("@")[0] in SIGNALS for stop in stops):  # what was lost is done again
        told, again = Counter(set(told)), Counter(set(again))
    if told != again:
        found.append(f"callbacks were told other events: {sorted((told - again) + (again - told))[:5]}")
    return found


def _best(outcome: Outcome) -> Any:
    state = outcome.state
    return [state["best_metric"], state["best_global_step"], str(state["best_model_checkpoint"]).rpartition("/")[2]]


COMPARED: dict[str, Callable[[Outcome], Any]] = {
    "weights": lambda outcome: outcome.weights,
    "records": lambda outcome: outcome.ledger,
    "logged values": lambda outcome: outcome.logged,
    "best checkpoint": _best,
    "steps": lambda outcome: outcome.state["global_step"],
}


def _first_difference(one: Any, other: Any) -> str:
    if isinstance(one, list) and isinstance(other, list):
        pairs = [(a, b) for a, b in zip(one, other, strict=False) if a != b]
        return f"{pairs[0][0]} and {pairs[0][1]}" if pairs else f"{len(one)} and {len(other)} values"
    return f"{one} and {other}"
