"""Two models side by side: what one gained over the other, and which differences chance can make.

Every comparison is paired: the same text, the same question. What was set beforehand is tested
alone, and what was only looked at as a family, in which chance gets as many tries. A family can be
too large for its papers to tell anything: then that is said, for it is no finding that nothing was
found.
"""

import itertools
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cosmosage.documents import read_json, read_jsonl
from cosmosage.evaluation import statistics
from cosmosage.evaluation.choices import MEASURES, groups
from cosmosage.evaluation.exposure import marks_of, remarked
from cosmosage.evaluation.texts import by_section, by_source, by_time, untainted

_Texts = dict[str, tuple[list[dict], list[dict]]]
"""By set the records of each text, as the one model read it and as the other did."""
_Asked = dict[str, list[tuple[dict, dict]]]
"""By set each question's record, of the one model and of the other."""


def compare(
    out: Path | Sequence[Path],
    base: str,
    tuned: str,
    margins: Mapping[str, float] | None = None,
    after: str | None = None,
    sets: Collection[str] | None = None,
) -> dict[str, Any]:
    """What one model is better or worse at than another, on the same texts and questions.

    Args:
        out: the folder that ``evaluate`` wrote to; or one for each fold of a cross-validation,
            whose tuned models had each their own texts and questions withheld: sets of one name
            are then put together, and what is compared is the way of training, not one model.
        base, tuned: the names of two models in it; what was trained on is what the tuned one's
            records say, for the base may have been marked for another's training since.
        margins: for sets on which nothing may be lost, how much is taken for nothing: per cent of
            the bits per byte, or points of accuracy. Set it before you look.
        after: the month (``2024-07``) from which on the base cannot have seen what came out: texts
            since then, and those before it, get lines of their own.
        sets: the names of those to compare; by default all that both were measured on.

    Returns:
        ``base``, ``tuned`` and ``lines``, a record a line of the table: ``set``, ``measure``
        (``bits_per_byte``, ``accuracy``, ``accuracy_normalised``, ``accuracy_letters``, or
        ``gold_bits_per_byte``, of the right answers to open questions),
        ``group`` (``all``, ``untainted``, ``since`` or ``before`` a month, a source, a kind of
        section, or of questions one of ``choices.groups``), ``n`` (texts, or questions), ``base``,
        ``tuned``, ``difference`` (tuned minus base) and ``interval`` (95 %; bits per byte: of
        papers and whole books, null for a single one; accuracy: Newcombe), ``p`` (bits per byte:
        turning the signs of papers and whole books; accuracy: exact McNemar), ``p_holm`` (see
        below), ``verdict``: ``fell``, ``rose`` or ``not distinguishable``, and ``decidable``:
        False where it could be nothing but the last, whatever the figures. For bits per byte also
        ``percent`` and ``percent_interval``, of the base's, with ``error`` and ``freedom`` of
        that; for accuracies ``gained`` and ``lost`` (questions). ``smallest_difference``: what
        would be seen four times in five, per cent of bits or a share of the questions, were the
        figures to scatter as they do and the line tried beside its family (at .05 by their
        number); None, or 1, if nothing would. Lines of all of a set with a margin have ``margin``
        and ``kept``: True if the loss is below the margin at 97.5 % (non-inferiority: the interval
        ends before it), False if it is above, None if the set cannot tell.

        A verdict other than ``not distinguishable`` needs intervals without zero, and ``p_holm``
        below .05: ``p`` itself of a set of texts, or open questions, as a whole, and of its texts
        that are no memory; Holm's (1979) of its parts, of its two times, or of all accuracies.
        Few papers cannot reach that: of n the smallest p is 2 / 2^n, and a family multiplies it.
        More bits per byte are worse.

        ``knowledge``: what ``_knowledge`` says of each set of which some questions are answered by
        documents that were trained on, and some by documents that were withheld; all that was
        gained on either kind is one family. ``undated``: by
        set of texts, how many are in neither line of ``after``; empty without it.

    Raises:
        FileNotFoundError: a model was not evaluated.
        ValueError: the two were measured on different sets, or share no measure; a margin for
            a set that there isn't; an ``after`` that is no month; or a text in two folds.
    """
    folds = [out] if isinstance(out, (str, Path)) else out
    margins = margins or {}
    texts, asked = _together([_both(Path(fold), base, tuned, sets) for fold in folds])
    lines = _lines(texts, asked, after)
    if not lines:
        raise ValueError(
            f"{base} and {tuned} share no measure; evaluate both on the same files"
        )
    if unknown := set(margins) - {line["set"] for line in lines}:
        raise ValueError(
            f"a margin is given for {sorted(unknown)[0]}, which was not compared"
        )
    for line in lines:
        if line["group"] == "all" and line["set"] in margins:
            line["margin"] = margins[line["set"]]
            line["kept"] = _kept(line)
    known = [
        {"set": name, **line}
        for name, pairs in asked.items()
        for line in _knowledge(pairs)
    ]
    _judge_knowledge(known)
    undated = {
        name: len(read) - sum(map(len, by_time(read, after).values()))
        for name, (read, _) in (texts.items() if after else ())
    }
    return {
        "base": base,
        "tuned": tuned,
        "lines": lines,
        "knowledge": known,
        "undated": undated,
    }


def compare_runs(outs: Mapping[str, Path], model: str) -> dict[str, Any]:
    """The models of several runs against each other, pair by pair, on what all measured alike.

    The pairs are tried together: on each set of texts they are a family under Holm, and on all
    multiple choice one. What is compared is models; whether it was a setting that made the
    difference, and not the luck of a seed, only more seeds can tell.

    Args:
        outs: the folder that ``evaluate`` wrote to, by the name of its run.
        model: the name that the models have in all of them: ``tuned``.

    Returns:
        ``lines``, as those of ``compare`` for whole sets, with ``base`` and ``tuned`` the runs'
        figures and ``against`` and ``run`` their names; ``unlike``: a sentence for each set of a
        pair that cannot be compared.

    Raises:
        FileNotFoundError: a run's model was not evaluated.
    """
    figures = {name: _figures(out, model) for name, out in outs.items()}
    lines: list[dict[str, Any]] = []
    said: list[str] = []
    for one, other in itertools.combinations(outs, 2):
        alike, unlike = _alike(figures[one], figures[other])
        said += [
            f"{other} and {one} are not compared on {what}: it does not hold the same in both "
            "runs, or was read in another context"
            for what in unlike
            if what != "number_format"
        ]
        if "number_format" in unlike:
            formats = " and in ".join(unlike["number_format"][::-1])
            said.append(
                f"{other} and {one} are not compared: they were measured in {formats}"
            )
        for kind in alike:
            for name in sorted(figures[one][kind].keys() ^ figures[other][kind].keys()):
                told = one if name in figures[one][kind] else other
                said.append(
                    f"{other} and {one} are not compared on {name}: only {told} was"
                )
        pair = figures[one], figures[other]
        files = [Path(outs[name]) / f"{model}.answers.jsonl" for name in (one, other)]
        found = _lines(_texts_of(alike, *pair), _asked_both(alike, files))
        about = {"run": other, "against": one}
        lines += [about | line for line in found if line["group"] == "all"]
    families: dict[str, list[dict[str, Any]]] = {}
    for line in lines:
        texts = "percent" in line
        families.setdefault(line["set"] if texts else "", []).append(line)
    for family in families.values():
        _judge_family(family)
    return {"lines": lines, "unlike": said}


def _kept(line: dict[str, Any]) -> bool | None:
    """Whether a line's loss is below its margin, with all of its interval."""
    edges = line.get("percent_interval") or line["interval"]
    if edges is None:
        return None
    if "percent" not in line:
        edges = [-100 * edge for edge in reversed(edges)]  # what is lost, in points
    return (
        True
        if edges[1] < line["margin"]
        else None if edges[0] < line["margin"] else False
    )


def _both(
    out: Path, base: str, tuned: str, sets: Collection[str] | None
) -> tuple[_Texts, _Asked]:
    """What two models of one folder were both measured on, in the same way."""
    first, second = _figures(out, base), _figures(out, tuned)
    for kind in ("texts", "questions") if sets is not None else ():
        first[kind] = {name: x for name, x in first[kind].items() if name in sets}
    alike, unlike = _alike(first, second)
    for what, values in unlike.items():
        raise ValueError(
            f"{base} and {tuned} differ in {what} ({values[0]}, {values[1]}); evaluate both in "
            "the same way"
        )
    files = [out / f"{name}.answers.jsonl" for name in (base, tuned)]
    return _texts_of(alike, first, second), _asked_both(alike, files)


def _together(folds: Sequence[tuple[_Texts, _Asked]]) -> tuple[_Texts, _Asked]:
    """The texts and questions of several folds, as if one model had been measured on all."""
    texts: _Texts = {}
    asked: _Asked = {}
    for its_texts, its_asked in folds:
        for name, pair in its_texts.items():
            for whole, part in zip(texts.setdefault(name, ([], [])), pair):
                whole += part
        for name, pairs in its_asked.items():
            asked.setdefault(name, []).extend(pairs)
    named = [[read["id"] for read, _ in pairs] for pairs in asked.values()]
    named += [[read["id"] for read in first] for first, _ in texts.values()]
    for ids in named:
        if twice := [each for each, count in Counter(ids).items() if count > 1]:
            raise ValueError(
                f"{twice[0]} is in more than one fold; each text and question is withheld once"
            )
    return texts, asked


def _figures(out: Path, name: str) -> dict[str, Any]:
    path = Path(out) / f"{name}.json"
    if not path.is_file():
        raise FileNotFoundError(f"there is no {path}; evaluate {name} first")
    return read_json(path)


def _alike(
    first: dict[str, Any], second: dict[str, Any]
) -> tuple[dict[str, list[str]], dict[str, tuple[str, str]]]:
    """The sets that two models were both measured on: in the same way, by kind; and not so."""
    alike: dict[str, list[str]] = {"texts": [], "questions": []}
    unlike: dict[str, tuple[str, str]] = {}
    for kind, same in alike.items():
        for name in (name for name in first[kind] if name in second[kind]):
            formats = first["number_format"], second["number_format"]
            prints = tuple(f[kind][name]["fingerprint"] for f in (first, second))
            # by default as long as the model takes, which no fingerprint of a set tells
            contexts = [f[kind][name].get("context") for f in (first, second)]
            if formats[0] != formats[1]:
                unlike["number_format"] = formats
            elif contexts[0] != contexts[1]:
                one, other = (f"read in contexts of {n} tokens" for n in contexts)
                unlike[f"the set {name}"] = one, other
            elif prints[0] != prints[1]:
                unlike[f"the set {name}"] = prints
            else:
                same.append(name)
    return alike, unlike


def _texts_of(
    alike: dict[str, list[str]], first: dict[str, Any], second: dict[str, Any]
) -> _Texts:
    """What was read of each set of texts, by one model and by the other."""
    return {
        name: tuple(each["texts"][name]["documents"] for each in (first, second))
        for name in alike["texts"]
    }


def _asked_both(alike: dict[str, list[str]], files: Sequence[Path]) -> _Asked:
    """What two models answered to each question, by set, from their files of answers."""
    if not alike["questions"]:
        return {}
    answered = [list(read_jsonl(file)) for file in files]
    return {name: _pairs(name, *answered) for name in alike["questions"]}


def _lines(
    texts: _Texts, asked: _Asked, after: str | None = None
) -> list[dict[str, Any]]:
    """Two models on each set, from what they read and answered."""
    lines: list[dict[str, Any]] = []
    for name, pair in texts.items():
        lines += [{"set": name, **line} for line in _compare_texts(*pair, after)]
    choices = {name: pairs for name, pairs in asked.items() if "nll" not in pairs[0][0]}
    lines += _compare_answers(choices)
    for name, pairs in asked.items():
        if name not in choices:
            for line in _compare_gold(pairs):
                lines.append({"set": name, **line, "measure": "gold_bits_per_byte"})
    return lines


def _compare_texts(
    first: list[dict], second: list[dict], after: str | None
) -> list[dict[str, Any]]:
    """The line of all texts, and those of their times and parts, each tried as a family."""
    other = {record["id"]: record for record in second}
    first = [remarked(one, marks_of(other[one["id"]])) for one in first]
    whole, parts = {"all": first}, {}
    if clean := untainted(first):
        whole["untainted"] = clean
    times = by_time(first, after) if after else {}
    if len(sources := by_source(first)) > 1:
        parts = sources
    wholes, *families = (
        [
            _compare_group(name, [(one, other[one["id"]]) for one in group])
            for name, group in some.items()
        ]
        for some in (whole, times, parts)
    )
    before, later = by_section(first), by_section(second)
    if len(before) > 1:
        families[-1] += [
            _compare_group(name, list(zip(before[name], later[name])))
            for name in before
        ]
    families = [*([line] for line in wholes), *families]
    for family in families:
        _judge_family(family)
    return list(itertools.chain(*families))


def _judge_family(lines: list[dict[str, Any]]) -> None:
    """Give lines that were looked at together Holm's p, and the verdict that it allows; one alone
    keeps its p.

    Adjusted, the smallest p that each can have is the smallest that the adjusted p can be: a
    larger one elsewhere only lets a line come to its turn earlier, where the factor is larger.
    """
    found = statistics.holm([line["p"] for line in lines])
    least = statistics.holm([_least_p(line) for line in lines])
    for line, p, best in zip(lines, found, least):
        line["p_holm"] = p
        line["verdict"] = "not distinguishable"
        edges = [line["interval"], line.get("percent_interval", line["interval"])]
        if None not in edges and p < 0.05:
            if all(low > 0 for low, _ in edges):
                line["verdict"] = "rose"
            if all(high < 0 for _, high in edges):
                line["verdict"] = "fell"
        line["decidable"] = best < 0.05
        line["smallest_difference"] = _seen(line, 0.05 / len(lines))


def _seen(line: dict[str, Any], alpha: float) -> float | None:
    """The least difference that a line's figures would show at a level, as they scatter."""
    if "percent" not in line:
        discordant = (line["gained"] + line["lost"]) / line["n"]
        return statistics.smallest_difference(line["n"], discordant, alpha)
    if not line["decidable"]:
        return None
    return statistics.Ratio(0.0, line["error"], line["freedom"]).sees(alpha)


def _least_p(line: dict[str, Any]) -> float:
    """The smallest p that a line's papers, or questions, could give."""
    if "n_clusters" in line:
        return statistics.least_sign_flips(line["n_clusters"])
    return statistics.mcnemar(line["n"], 0)


def _compare_gold(pairs: list[tuple[dict, dict]]) -> list[dict[str, Any]]:
    """The line of all open questions, and those of their groups, which are a family."""
    members = groups([one for one, _ in pairs])
    family = [
        _compare_group(name, [pair for pair in pairs if pair[0]["id"] in set(ids)])
        for name, ids in members.items()
    ]
    whole = [_compare_group("all", pairs)]
    _judge_family(whole)
    _judge_family(family)
    return whole + family


def _knowledge(pairs: list[tuple[dict, dict]]) -> list[dict[str, Any]]:
    """What a model gained on questions whose answers it read, beyond what it gained on others.

    Both kinds are of the same subjects and hands, so what was learnt for good shows on both, and
    what was memorised on the first alone. Of an open question the right answer has to have gained
    on an answer to another one: a model that only learnt how such prose is written expects both
    better.

    Returns:
        A line a measure: ``measure`` (an accuracy, or ``gold_beyond_others``); ``contained`` and
        ``withheld``, what was gained on questions of either kind (a share of them, or bits per
        byte that the right answer gained on the other), each with ``contained_interval`` (95 %, of
        papers and whole books; None for a single one) and ``contained_p`` (turning their signs);
        ``beyond``, their difference, with ``beyond_interval`` and ``beyond_p`` (works between the
        two kinds by lot; what is of one book in both kinds counts as two works, which makes p no
        smaller); ``n`` and ``n_clusters``, of each kind. Empty unless there are questions of both
        kinds.
    """
    sided = [
        (one, other)
        for one, other in pairs
        if one.get("group") in ("contained", "withheld")
        and ("nll" not in one or "nll_other" in one)
    ]
    first = np.array([one["group"] == "contained" for one, _ in sided])
    if len(set(first)) < 2:
        return []
    works = np.array(
        [f"{one['group']} {statistics.cluster(one['document'])}" for one, _ in sided],
        object,
    )
    lines = []
    for measure, values in _gains(sided).items():
        line: dict[str, Any] = {
            "measure": measure,
            "n": [int(first.sum()), int((~first).sum())],
            "n_clusters": [len(set(works[kind])) for kind in (first, ~first)],
        }
        ratios = {}
        for kind, chosen in (("contained", first), ("withheld", ~first)):
            some = works[chosen], *values[chosen].T
            ratios[kind] = statistics.Ratio.of(*some)
            line[f"{kind}_p"] = statistics.sign_flips(*some[:2])
        ratios["beyond"] = ratios["contained"].minus(ratios["withheld"])
        line["beyond_p"] = statistics.relabelled(works, first, values)
        for kind, found in ratios.items():
            line |= {kind: found.value, f"{kind}_interval": found.interval()}
        lines.append(line)
    return lines


def _judge_knowledge(lines: list[dict[str, Any]]) -> None:
    """Give lines of ``_knowledge`` Holm's p, and the verdict that it allows.

    What was gained on questions of either kind is one family, and the differences are another,
    for they only tell what kind of gain there is. The verdict is ``learnt`` (withheld ones
    gained), ``memorised`` (those of the other kind gained and withheld ones not, and the
    difference is beyond chance), ``gained, and nobody can tell how``, ``lost`` (one kind did, and
    neither gained) or ``nothing``; ``decidable`` is False where so few documents allow no other
    than that.
    """
    gains = [(line, kind) for line in lines for kind in ("contained", "withheld")]
    for family in (gains, [(line, "beyond") for line in lines]):
        found = statistics.holm([line[f"{kind}_p"] for line, kind in family])
        for (line, kind), p in zip(family, found):
            line[f"{kind}_p_holm"] = p
    least = statistics.holm(
        [statistics.least_sign_flips(n) for line in lines for n in line["n_clusters"]]
    )
    for line, *best in zip(lines, least[::2], least[1::2]):
        line["verdict"] = _kind_of_gain(line)
        line["decidable"] = min(best) < 0.05


def _gains(pairs: list[tuple[dict, dict]]) -> dict[str, np.ndarray]:
    """By measure what each question gained, and what that is a share of: (questions, 2)."""
    if "nll" in pairs[0][0]:
        right, other = (
            np.array(
                [
                    [a[f"nll{which}"] - b[f"nll{which}"], a[f"bytes{which}"]]
                    for a, b in pairs
                ]
            )
            for which in ("", "_other")
        )
        size = right[:, 1]
        bits = (right[:, 0] - other[:, 0] * size / other[:, 1]) / np.log(2)
        return {"gold_beyond_others": np.array([bits, size]).T}
    return {
        measure: np.array(
            [
                ((b[field] == b["answer"]) - (a[field] == a["answer"]), 1)
                for a, b in pairs
            ],
            float,
        )
        for measure, field in MEASURES.items()
    }


def _kind_of_gain(line: dict[str, Any]) -> str:
    read, unread, beyond = (
        _sign(line[f"{kind}_interval"], line[f"{kind}_p_holm"])
        for kind in ("contained", "withheld", "beyond")
    )
    if unread > 0:
        return "learnt"
    if read > 0:
        return "memorised" if beyond > 0 else "gained, and nobody can tell how"
    return "lost" if min(read, unread) < 0 else "nothing"


def _sign(interval: list[float] | None, p: float) -> int:
    """Of a gain 1, of a loss -1, and 0 of what chance can make."""
    low, high = interval or (0.0, 0.0)
    return (p < 0.05) * (int(low > 0) - int(high < 0))


def _compare_group(name: str, pairs: list[tuple[dict, dict]]) -> dict[str, Any]:
    values = np.array([[a["nll"], b["nll"], a["bytes"]] for a, b in pairs], float)
    before, after, size = (values / [np.log(2), np.log(2), 1]).T  # nats to bits
    clusters = [statistics.cluster(a.get("document") or a["id"]) for a, _ in pairs]
    change = statistics.Ratio.of(clusters, after - before, size)
    share = statistics.Ratio.of(clusters, 100 * (after - before), before)
    return {
        "measure": "bits_per_byte",
        "group": name,
        "n": len(pairs),
        "n_clusters": len(set(clusters)),
        "base": float(before.sum() / size.sum()),
        "tuned": float(after.sum() / size.sum()),
        "difference": change.value,
        "interval": change.interval(),
        "percent": share.value,
        "percent_interval": share.interval(),
        "error": share.error if share.interval() else None,
        "freedom": share.freedom,
        "p": statistics.sign_flips(clusters, after - before),
    }


def _compare_answers(asked: dict[str, list[tuple[dict, dict]]]) -> list[dict[str, Any]]:
    lines = []
    for each, answered in asked.items():
        pairs = {a["id"]: (a, b) for a, b in answered}
        for measure, field in MEASURES.items():
            for group, members in {
                "all": list(pairs),
                **groups([a for a, _ in pairs.values()]),
            }.items():
                right = Counter(
                    tuple(
                        given[field] == given["answer"] for given in pairs[identifier]
                    )
                    for identifier in members
                )
                about = {"set": each, "measure": measure, "group": group}
                lines.append(about | _compare_shares(right))
    _judge_family(lines)
    return lines


def _pairs(name: str, first: list[dict], second: list[dict]) -> list[tuple[dict, dict]]:
    """What two models answered to the questions of a set."""
    one, other = ([a for a in given if a["set"] == name] for given in (first, second))
    return [(remarked(a, marks_of(b)), b) for a, b in zip(one, other)]


def _compare_shares(right: Counter) -> dict[str, Any]:
    """One line of accuracies, from how often (base right, tuned right) was seen."""
    both, lost = right[True, True], right[True, False]
    gained, neither = right[False, True], right[False, False]
    n = both + lost + gained + neither
    return {
        "n": n,
        "base": (both + lost) / n,
        "tuned": (both + gained) / n,
        "difference": (gained - lost) / n,
        "interval": list(statistics.paired_difference(both, gained, lost, neither)),
        "gained": gained,
        "lost": lost,
        "p": statistics.mcnemar(gained, lost),
    }
