"""The search report: how the search went, what it chose and from which ancestors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.ticker import MaxNLocator

from deployers.conversion.charts import ACCENT, MODEL, MUTED, READINGS, new_axes, new_row
from deployers.conversion.page import Page
from forecaster.gate import number
from forecaster.importance import importance
from forecaster.pareto import pareto_front

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from forecaster.arrays import Bools, Doubles
    from forecaster.importance import Importance

TABLE_ROWS = 10
GENES_A_ROW = 4
IMPORTANCE_CAPTION = (
    "Each gene by itself, over all candidates as they were after the shortest training; those that began with "
    "inherited weights are compared with each other, the rest likewise. What acts only together with another gene is "
    "not seen here, and of what the search left early there are few."
)
FRONT_CAPTION = (
    "On the front, and in the table below it, is what no other candidate beats in both. Those of few updates were "
    "given up early and might be better by now. training.candidate=NUMBER trains one for good, from the cached search."
)
FRONT_COLUMNS = (
    "Candidate",
    "Updates",
    "Validation RMSE, °C",
    "Parameters",
    "MACs",
    "Bytes as float32",
    "Unlike the winner",
)
BEST_COLUMNS = (
    "Candidate",
    "Generation",
    "Fitness",
    "Updates",
    "Validation RMSE, °C",
    "Parameters",
    "MACs",
    "CPU s",
    "Unlike the winner",
)

Record = dict[str, Any]


def search_page(records: Sequence[Record], summary: Mapping[str, Any]) -> str:
    """The report as one HTML document without outside references.

    Args:
        records: every candidate trained, in order (`records.Record` as a dict).
        summary: `SearchResult.summary()`: winner, stopped, cpu_seconds, peak_bytes.
    """
    winner = int(summary["winner"])
    page = Page("Genetic search", _lead(records, summary))
    page.section("Winner", _winner_words(records, winner))
    page.table(("Gene", "Value"), [(name, text(value)) for name, value in records[winner]["candidate"].items()])
    page.section("Lineage", "From the winner back to the first generation; changes are those to the first parent.")
    page.table(("Candidate", "Generation", "Parents", "Weights", "Fitness", "Changed"), _lineage_rows(records, winner))
    page.section("Progress")
    page.figure(progress_figure(records), _progress_caption(records))
    page.section("Size against error")
    page.figure(front_figure(records, winner), FRONT_CAPTION)
    page.table(FRONT_COLUMNS, _front_rows(records, winner))
    varied = genes(records)
    if varied:
        rows = importance(varied, comparable_fitness(records))
        page.section("Which genes mattered", _importance_words(rows))
        page.figure(importance_figure(rows), IMPORTANCE_CAPTION)
        page.section("Genes", "Fitness by the value of each gene that varied; less is better.")
        page.figure(gene_figure(records, varied, winner), "One dot a candidate; the winner is the star.")
    page.section(f"The best {min(TABLE_ROWS, len(records))}")
    page.table(BEST_COLUMNS, _best_rows(records, winner))
    return page.render()


def _lead(records: Sequence[Record], summary: Mapping[str, Any]) -> str:
    generations = 1 + max(record["generation"] for record in records)
    megabytes = number(round(summary["peak_bytes"] / 1e6))
    return (
        f"{number(len(records))} candidates in {generations} generation(s), ended after {summary['stopped']}, "
        f"{number(round(summary['cpu_seconds'], 1))} CPU seconds, at most {megabytes} MB of memory"
    )


def _winner_words(records: Sequence[Record], winner: int) -> str:
    best = records[winner]
    rank = 1 + sum(record["fitness"] < best["fitness"] for record in records)
    sentence = (
        f"Candidate {winner}: validation RMSE {best['validation_rmse']:.4f} °C, fitness {best['fitness']:.4f} "
        f"(rank {rank} of {len(records)} in the search), {number(best['parameters'])} parameters, "
        f"{number(best['macs'])} multiply-accumulates a forecast."
    )
    if rank == 1:
        return sentence
    return f"{sentence} It was preferred in the finals, where the best are trained again on other seeds."


def text(value: Any) -> str:
    """A gene's value for readers."""
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def lineage(records: Sequence[Record], winner: int) -> list[int]:
    """Indices of the winner and all its ancestors, newest first."""
    found, waiting = set[int](), [winner]
    while waiting:
        index = waiting.pop()
        if index not in found:
            found.add(index)
            waiting.extend(records[index]["parents"])
    return sorted(found, reverse=True)


def _lineage_rows(records: Sequence[Record], winner: int) -> list[tuple[Any, ...]]:
    rows = []
    for index in lineage(records, winner):
        record = records[index]
        parents = ", ".join(map(str, record["parents"])) or "none"
        weights = "drawn" if record["inherited"] is None else f"from {record['inherited']}"
        changed = _changes(record, records[record["parents"][0]]) if record["parents"] else "first generation"
        rows.append((index, record["generation"], parents, weights, record["fitness"], changed))
    return rows


def _changes(child: Record, parent: Record) -> str:
    found = [f"{name} {_word(old)} → {_word(new)}" for name, old, new in _different(parent, child)]
    return "; ".join(found) or "nothing"


def _different(one: Record, other: Record) -> list[tuple[str, Any, Any]]:
    """Genes that are not alike, with both values; a feature that is missing is one not read."""
    first, second = _flat(one["candidate"]), _flat(other["candidate"])
    pairs = [(name, first.get(name, False), second.get(name, False)) for name in dict.fromkeys([*first, *second])]
    return [pair for pair in pairs if pair[1] != pair[2]]


def _word(value: Any) -> str:
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else text(value)


def _flat(candidate: Mapping[str, Any]) -> dict[str, Any]:
    """One entry a gene; a list becomes a yes for each of its members, sine and cosine as one."""
    flat: dict[str, Any] = {}
    for name, value in candidate.items():
        if isinstance(value, list | tuple):
            flat.update({f"reads {item.removesuffix(':sin').removesuffix(':cos')}": True for item in value})
        else:
            flat[name] = value
    return flat


def genes(records: Sequence[Record]) -> dict[str, list[Any]]:
    """Values of each gene that differs between candidates, one a record."""
    flat = [_flat(record["candidate"]) for record in records]
    names = dict.fromkeys(name for one in flat for name in one)
    table = {name: [one.get(name, False) for one in flat] for name in names}
    return {name: values for name, values in table.items() if len(set(map(str, values))) > 1}


def _column(records: Sequence[Record], name: str) -> Doubles:
    return np.array([record[name] for record in records], np.float64)


def progress_figure(records: Sequence[Record]) -> Figure:
    """Fitness of each candidate and the best so far, over evaluations and over CPU seconds."""
    figure, pair = new_row(3.3, 2)
    fitness = _finite(_column(records, "fitness"))
    best = np.fmin.accumulate(fitness)
    scales = (np.arange(1, len(records) + 1), _column(records, "cpu_seconds").cumsum())
    for axes, at, label in zip(pair, scales, ("candidates trained", "CPU seconds of training"), strict=True):
        axes.plot(at, fitness, "o", color=MUTED, ms=4, label="candidate")
        axes.step(at, best, where="post", color=MODEL, lw=1.8, label="best so far")
        axes.set(xlabel=label, ylabel="fitness")
    for first in _generation_starts(records):
        pair[0].axvline(first + 0.5, color=READINGS, lw=0.8, ls=":")
    pair[0].xaxis.set_major_locator(MaxNLocator(integer=True))
    figure.legend(*pair[0].get_legend_handles_labels(), loc="outside upper left", ncols=2, frameon=False)
    return figure


def _generation_starts(records: Sequence[Record]) -> list[int]:
    """Records behind which a new generation begins."""
    generation = [record["generation"] for record in records]
    return [at for at in range(1, len(generation)) if generation[at] != generation[at - 1]]


def _finite(values: Doubles) -> Doubles:
    return np.where(np.isfinite(values), values, np.nan)


def _progress_caption(records: Sequence[Record]) -> str:
    diverged = int((~np.isfinite(_column(records, "fitness"))).sum())
    caption = (
        "Fitness is the RMSE relative to persistence's, raised with size; less is better. Candidates that were "
        "given up early have that of their short training. Dotted: generations."
    )
    return f"{caption} {diverged} candidate(s) diverged and are not drawn." if diverged else caption


def _front(records: Sequence[Record]) -> Bools:
    return pareto_front(np.column_stack([_column(records, "macs"), _column(records, "validation_rmse")]))


def front_figure(records: Sequence[Record], winner: int) -> Figure:
    """Validation RMSE against multiply-accumulates, with the candidates that no other beats in both."""
    figure, axes = new_axes(3.8, "multiply-accumulates of a forecast", "validation RMSE, °C")
    macs, error, front = _column(records, "macs"), _finite(_column(records, "validation_rmse")), _front(records)
    axes.plot(macs[~front], error[~front], "o", color=MUTED, ms=4, label="candidate")
    order = np.flatnonzero(front)[np.lexsort((error[front], macs[front]))]
    axes.step(macs[order], error[order], where="post", color=ACCENT, lw=1.5, marker="o", ms=6, label="Pareto front")
    axes.plot(macs[winner], error[winner], "*", color=MODEL, ms=15, label="winner")
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.legend(frameon=False, ncols=3, loc="lower left", bbox_to_anchor=(0, 1))
    return figure


def _front_rows(records: Sequence[Record], winner: int) -> list[tuple[Any, ...]]:
    """The front, the smallest first."""
    members = sorted((records[at] for at in np.flatnonzero(_front(records))), key=lambda record: record["macs"])
    names, best = ("index", "updates", "validation_rmse", "parameters", "macs"), records[winner]
    return [(*(each[name] for name in names), 4 * each["parameters"], _unlike(best, each)) for each in members]


def comparable_fitness(records: Sequence[Record]) -> Doubles:
    """Fitness after the shortest training, `(records,)`, over the median of those whose training began alike."""
    fitness = np.array([record["rung_fitness"][0] for record in records])
    is_heir = np.array([record["inherited"] is not None for record in records])
    medians = [np.median(fitness[is_heir == same]) for same in is_heir]
    return np.asarray(fitness / np.array(medians), np.float64)


def _importance_words(rows: Sequence[Importance]) -> str:
    clear = [row.gene for row in rows if row.is_clear]
    return f"More than chance explains: {', '.join(clear) or 'none'}."


def importance_figure(rows: Sequence[Importance]) -> Figure:
    """The share of variance that each gene explains, beside what chance does."""
    figure, axes = new_axes(0.6 + 0.28 * len(rows), "share of the variance of log fitness", "")
    names, at = [row.gene for row in rows], np.arange(len(rows))
    axes.barh(at, [row.share for row in rows], color=[MODEL if row.is_clear else MUTED for row in rows], height=0.6)
    axes.plot([row.chance for row in rows], at, "|", color=READINGS, ms=12, mew=1.5, label="chance, 95 of 100")
    axes.set_yticks(at, names)
    axes.invert_yaxis()
    axes.set_xlim(0, 1)
    axes.legend(frameon=False, loc="lower right")
    return figure


def gene_figure(records: Sequence[Record], varied: Mapping[str, list[Any]], winner: int) -> Figure:
    """Small multiples: fitness by the value of each gene."""
    rows = -(-len(varied) // GENES_A_ROW)
    figure, panels = new_row(2.3 * rows, GENES_A_ROW, rows)
    fitness = _finite(_column(records, "fitness"))
    for axes, (name, values) in zip(panels, varied.items(), strict=False):
        _gene_panel(axes, name, values, fitness, winner)
    for axes in panels[len(varied) :]:
        axes.set_visible(False)
    for axes in panels[::GENES_A_ROW]:
        axes.set_ylabel("fitness")
    return figure


def _gene_panel(axes: Axes, name: str, values: list[Any], fitness: Doubles, winner: int) -> None:
    choices = sorted(set(values), key=lambda value: (str(type(value)), value))
    at = np.array([choices.index(value) for value in values], np.float64)
    # Candidates with the same value stand side by side, in a fixed order.
    at += 0.3 * (np.arange(len(values)) % 7 - 3) / 3
    axes.plot(at, fitness, "o", color=MUTED, ms=3.5)
    axes.plot(at[winner], fitness[winner], "*", color=MODEL, ms=11)
    labels = [_word(choice) for choice in choices]
    axes.set_xticks(range(len(choices)), labels, rotation=30 if max(map(len, labels)) * len(labels) > 22 else 0)
    axes.set_xlim(-0.6, len(choices) - 0.4)
    axes.set_title(name, fontsize=9)
    axes.tick_params(labelsize=8)


def _best_rows(records: Sequence[Record], winner: int) -> list[tuple[Any, ...]]:
    best = sorted(records, key=lambda record: record["fitness"])[:TABLE_ROWS]
    names = ("index", "generation", "fitness", "updates", "validation_rmse", "parameters", "macs", "cpu_seconds")
    return [(*(record[name] for name in names), _unlike(records[winner], record)) for record in best]


def _unlike(winner: Record, record: Record) -> str:
    own = [f"{name} {_word(value)}" for name, _, value in _different(winner, record)]
    return "; ".join(own) or "the winner"
