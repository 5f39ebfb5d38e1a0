"""Which file of a package is the paper, and what its bytes mean.

Authors leave drafts, referee replies, templates and supplements beside the paper, and
write a name in one encoding and the rest in another. Everything here is a preference among
candidates, never a failure: some file is always the best, some decoding always exists.
"""

import re
from pathlib import PurePosixPath

_HINTS = {
    "applemac": "mac_roman",
    "macce": "mac_latin2",
    "latin1": "cp1252",
    "latin9": "iso8859_15",
    "latin2": "iso8859_2",
    "ansinew": "cp1252",
    "cp1252": "cp1252",
    "cp1250": "cp1250",
    "cp1251": "cp1251",
    "koi8-r": "koi8_r",
    "cp437": "cp437",
    "cp850": "cp850",
}
_INPUTENC = re.compile(rb"\\usepackage\s*\[([A-Za-z0-9-]+)\]\s*\{inputenc\}")
_COMMENT = re.compile(r"%(?<!\\%)[^\n]*")
_CLASS = re.compile(
    r"\\(?:documentclass|documentstyle)\s*+(\[[^\]]{0,2000}+\])?+"
    r"\s*+(?:%[^\n]*+\n\s*+)?+\{\s*+([^{}]{0,200}+)\}"
)
_INPUT = re.compile(
    r"\\(?:input|include|subfile|subfileinclude|import\s*+\{[^{}]{0,500}+\}|InputIfFileExists)"
    r"\s*+\{?+\s*+\"?+([^\s{}\\\"]+)"
)
_NOT_A_PAPER = re.compile(
    r"(?i)(?:^|[/_.-])(?:referee|response|reply|rebuttal|cover|letter|template|sample|example"
    r"|supp\w*|old|draft\w*|notes?|diff|submitted|backup|bak|orig\w*|poster|slides|cv|test"
    r"|readme|changes|erratum)(?=$|[/_.\d-])"
)
_A_PAPER = re.compile(r"(?i)^(?:ms|main|paper|article|manuscript|root|arxiv|final)\b")


AGAIN = 500_000  # bytes of files that a document may read in a second time


def decode(data: bytes) -> str:
    """A file's text: UTF-8 if it is that, else what ``inputenc`` says, else the better guess."""
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return data.decode("utf-16", "replace")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        pass
    # what decides lies next to bytes beyond ASCII: the rest need not be looked through
    high = b"\0".join(
        data[max(0, match.start() - 1) : match.end() + 1]
        for match in re.finditer(rb"[\x80-\xff](?:[\0-\x7f]?[\x80-\xff])*+", data)
    )
    if len(re.findall(rb"[\xc3\xe2][\x80-\xbf]", high)) > len(
        re.findall(rb"[\x80-\xff](?![\x80-\xff])(?<![\xc2-\xf4][\x80-\xff])", high)
    ):
        # UTF-8 with a foreign byte here and there
        return re.sub(
            rb"[\x80-\xff]+",
            lambda match: _either(match[0]).encode("utf-8"),
            data,
        ).decode("utf-8", "replace")
    hint = _INPUTENC.search(data)
    name = _HINTS.get(hint[1].decode("ascii").lower(), "") if hint else ""
    guesses = [name] if name else ["cp1252", "mac_roman"]
    best = max(guesses, key=lambda guess: _plausible(high.decode(guess, "replace")))
    return data.decode(best, "replace")


def _either(data: bytes) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("cp1252", "replace")


def _plausible(text: str) -> int:
    """How much the characters beyond ASCII look like a name, a quote or a dash."""
    good = len(
        re.findall(
            r"[a-zA-Z][à-öø-ÿœšž](?![A-ZÀ-Ö])|[‘’“”–—](?=[\w\s.,])|±|°|µ|Å", text
        )
    )
    bad = len(
        re.findall(r"[a-z][À-ÖØ-ÞŠŽŒ‡†‰Ÿ¡-©«-¯¹-¿]|\ufffd|[ˆ˜‹›ƒ√∂∆¬◊ˇ˘˝˛]", text)
    )
    return good - 2 * bad


def _verdicts(readme: str) -> dict[str, float]:
    """What arXiv's 00README says of each file: what it takes for the paper and what it ignores."""
    found: dict[str, float] = {}
    for line in readme.lower().splitlines():
        *name, verdict = line.split()[:20] or [""]
        if verdict in ("toplevelfile", "ignore"):
            shown = " ".join(name).removeprefix('"filename":').strip('" ')
            found[shown] = 100.0 if verdict == "toplevelfile" else -100.0
    return found


class Sources:
    """The texts of a package, found by the names that TeX files use for each other."""

    def __init__(self, files: dict[str, bytes]) -> None:
        self.files = files
        self._texts: dict[str, str] = {}
        self._lower: dict[str, str] = {}
        self._base: dict[str, str] = {}
        self._left = AGAIN + sum(map(len, files.values()))
        for name in sorted(
            files, key=lambda name: (name.count("/"), name), reverse=True
        ):
            self._lower[name.lower()] = name
            self._base[PurePosixPath(name).name.lower()] = name

    def may_read(self, name: str) -> bool:
        """Whether a file may be read in, after those that were: all of them once, some again."""
        size = len(self.files[name])
        if size > self._left:
            return False
        self._left -= size
        return True

    def text(self, name: str) -> str:
        """The decoded text of a file."""
        if name not in self._texts:
            self._texts[name] = decode(self.files[name])
        return self._texts[name]

    def find(
        self, name: str, folder: str = "", endings: tuple[str, ...] = (".tex",)
    ) -> str:
        """The file that ``\\input`` with this name means; empty if the package has none."""
        name = name.strip().strip('"').replace("\\", "/").replace("//", "/")
        parts: list[str] = []
        for part in (folder + "/" + name).split("/"):
            if part == "..":
                if parts:
                    parts.pop()
            elif part not in ("", "."):
                parts.append(part)
        if not parts:
            return ""
        inside = "/".join(parts)
        bare = "/".join(part for part in name.split("/") if part not in ("", ".", ".."))
        for candidate in (inside, bare):
            for ending in (*endings, ""):
                if found := self._lower.get((candidate + ending).lower()):
                    return found
        for ending in (*endings, ""):
            if found := self._base.get((parts[-1] + ending).lower()):
                return found
        return ""

    def main(self) -> str:
        """The file that is the paper."""
        names = [
            name
            for name in self.files
            if not name.lower().endswith(
                (".bib", ".bbl", ".sty", ".cls", ".aux", ".def", ".cfg")
            )
        ]
        if len(names) == 1:
            return names[0]
        texts = {name: _COMMENT.sub("", self.text(name)) for name in names}
        used: set[str] = set()
        for name, text in texts.items():
            for match in _INPUT.finditer(text):
                found = self.find(match[1])
                if found and found != name:
                    used.add(found)
        readme = next(
            (self.text(name) for name in self.files if "00README" in name), ""
        )
        best, best_score = "", -1e9
        verdicts = _verdicts(readme)
        for name in sorted(names):
            verdict = verdicts.get(name.lower(), 0.0)
            score = verdict + self._score(name, texts[name], name in used)
            if score > best_score:
                best, best_score = name, score
        return best

    def _score(self, name: str, text: str, used: bool) -> float:
        path = PurePosixPath(name)
        stem = path.stem
        score = 0.0
        if kind := _CLASS.search(text):
            score += 60
            if re.match(
                r"standalone|beamer|letter|subfiles|moderncv|tikz|poster", kind[2]
            ):
                score -= 50
        if re.search(r"\\begin\s*\{document\}", text):
            score += 30
        elif re.search(r"\\(?:bye|end)\s*$", text.rstrip()):
            score += 30
        if re.search(r"\\(?:title|section|beginsection)\b", text):
            score += 10
        if re.search(r"\\(?:begin\s*\{abstract\}|abstract\b)", text):
            score += 15
        if used:
            score -= 60
        if re.sub(r"(?<=[^/])\.[^./]*$", "", name) + ".bbl" in self.files:
            score += 20
        if _NOT_A_PAPER.search(stem):
            score -= 25
        if _A_PAPER.match(stem):
            score += 12
        score -= 4 * name.count("/")
        size = len(text)
        for match in _INPUT.finditer(text):
            if found := self.find(match[1]):
                size += min(len(self.files[found]), 50_000)
        return score + min(20.0, size / 5000)
