"""The small arXiv's metadata: lists by OAI-PMH in the format ``arXiv``, and the search's feeds.

A record is rendered once and kept, about 2 kB of memory each and for each of the two, so that
a page is one join: a client's speed can be measured against it, and not the server's.

Standard: https://www.openarchives.org/OAI/openarchivesprotocol.html
Manual: https://info.arxiv.org/help/api/user-manual.html
"""

import re
import zlib
from bisect import bisect_left, bisect_right
from datetime import date, datetime, timezone
from urllib.parse import parse_qsl
from xml.sax.saxutils import escape

GROUPS = ("cs", "econ", "eess", "math", "q-bio", "q-fin", "stat")
"""Archives that are sets by themselves; all others lie in physics."""

ARGUMENTS = {  # verb: (needed, allowed)
    "Identify": ((), ()),
    "ListSets": ((), ()),
    "ListRecords": (("metadataPrefix",), ("set", "from", "until", "resumptionToken")),
    "GetRecord": (("identifier", "metadataPrefix"), ()),
}
_TIME = "2024-01-01T00:00:00Z"  # of a record that tells none
_NUMBER = re.compile(
    r"(\d{4}\.\d{4,5}|[a-z-]+(?:\.[A-Z]{2})?/\d{7})(?:v(\d+))?", re.ASCII
)
_SUFFIXES = ("Jr", "Jr.", "Sr", "Sr.", "II", "III", "IV")


class Wrong(Exception):
    """What a client did wrong: the code for it, words, and the search's status."""

    def __init__(self, code, words, status=400):
        super().__init__(words)
        self.code, self.status = code, status


def datestamp(record):
    """The day of a record's last change."""
    changed = record.get("datestamp") or record.get("updated")
    return (changed or record.get("published") or "2024-01-01")[:10]


def sets(record):
    """The sets that a record belongs to, from wide to narrow for each category."""
    found = {}
    for category in record.get("categories") or ():
        archive, _, subject = category.partition(".")
        group = archive if archive in GROUPS else "physics"
        parts = [group, archive, subject] if subject else [group, archive]
        found |= dict.fromkeys(":".join(parts[:n]) for n in range(1, len(parts) + 1))
    return list(found)


def _archive(category):
    """The set of a category's archive."""
    archive = category.partition(".")[0]
    return archive if archive in GROUPS else f"physics:{archive}"


def author(name, affiliation=""):
    """A name in the parts that the format has: ``Ada Lovelace`` is Lovelace, Ada."""
    words = name.split()
    suffix = words.pop() if len(words) > 2 and words[-1] in _SUFFIXES else ""
    parts = {
        "keyname": words[-1] if words else "",
        "forenames": " ".join(words[:-1]),
        "suffix": suffix,
        "affiliation": affiliation,
    }
    return f"<author>{_elements(parts)}</author>"


def _elements(parts):
    """Elements for what is there."""
    return "".join(
        f"<{name}>{escape(text)}</{name}>" for name, text in parts.items() if text
    )


def render(record):
    """A record with its header."""
    specs = dict.fromkeys(map(_archive, record.get("categories") or ()))
    header = (
        f"<identifier>oai:arXiv.org:{record['id']}</identifier>"
        f"<datestamp>{datestamp(record)}</datestamp>"
        + "".join(f"<setSpec>{spec}</setSpec>" for spec in specs)
    )
    if record.get("deleted"):
        return f'<record><header status="deleted">{header}</header></record>\n'
    return (
        f"<record><header>{header}</header><metadata>"
        f'<arXiv xmlns="http://arxiv.org/OAI/arXiv/">{metadata(record)}</arXiv>'
        "</metadata></record>\n"
    )


def metadata(record):
    """A record in the format ``arXiv``, which has no version."""
    published = record.get("published") or "2024-01-01"
    updated = record.get("updated") if record.get("version", 1) > 1 else ""
    names = record.get("authors") or ()
    places = record.get("affiliations") or [""] * len(names)
    authors = "".join(map(author, names, places))
    return (
        _elements(
            {
                "id": record["id"],
                "created": published[:10],
                "updated": (updated or "")[:10],
            }
        )
        + f"<authors>{authors}</authors>"
        + _elements(
            {
                "title": record.get("title"),
                "categories": " ".join(record.get("categories") or ()),
                "comments": record.get("comments"),
                "journal-ref": record.get("journal-ref"),
                "doi": record.get("doi"),
                "license": record.get("licence"),
                "abstract": record.get("abstract"),
            }
        )
    )


class Oai:
    """A listing as OAI-PMH gives it.

    Args:
        records: of the listing, deleted ones too.
    """

    def __init__(self, records):
        self._records = sorted(records, key=lambda r: (datestamp(r), r["id"]))
        self._stamps = [datestamp(record) for record in self._records]
        self._place = {record["id"]: n for n, record in enumerate(self._records)}
        self._texts = [b""] * len(self._records)
        self._members = {"": range(len(self._records))}
        for place, record in enumerate(self._records):
            for spec in sets(record):
                self._members.setdefault(spec, []).append(place)
        self._lists = {}
        self._tokens = {}  # to what a token leads: (list, place)
        self._life = 0  # how often all tokens have died

    def answer(self, query, fault, page, url, now=""):
        """The answer to one request.

        Args:
            query: the address's part behind the question mark.
            fault: ``empty``, ``lost end``, ``expired``, ``again``, or anything else.
            page: records a page.
            url: of this repository.
            now: the time that it tells; empty: the true one.
        """
        if fault == "expired":
            self._tokens.clear()
            self._life += 1
        attributes = ""
        try:
            asked = self._checked(parse_qsl(query, keep_blank_values=True))
            attributes = "".join(
                f' {name}="{escape(text, {chr(34): "&quot;"})}"'
                for name, text in asked.items()
            )
            verb = asked["verb"]
            if verb == "Identify":
                inner = self._identify(url)
            elif verb == "ListSets":
                inner = "".join(
                    f"<set><setSpec>{spec}</setSpec><setName>{spec}</setName></set>"
                    for spec in sorted(filter(None, self._members))
                ).encode()
            elif verb == "GetRecord":
                inner = self._text(self._found(asked["identifier"]))
            else:
                inner = self._page(*self._asked_list(asked), fault, page)
            inner = f"<{verb}>\n".encode() + inner + f"</{verb}>".encode()
        except Wrong as error:
            if error.code in ("badVerb", "badArgument"):
                attributes = ""
            inner = f'<error code="{error.code}">{escape(str(error))}</error>'.encode()
        now = now or datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
        return (
            '<?xml version="1.0" encoding="UTF-8"?>\n'
            '<OAI-PMH xmlns="http://www.openarchives.org/OAI/2.0/">\n'
            f"<responseDate>{now}</responseDate>"
            f"<request{attributes}>{escape(url)}</request>\n"
        ).encode() + b"%b\n</OAI-PMH>\n" % inner

    def prepare(self):
        """Render every record now, before the time is taken."""
        for place in range(len(self._records)):
            self._text(place)

    def _checked(self, pairs):
        """The arguments, as the standard allows them."""
        asked = dict(pairs)
        verb = asked.get("verb", "")
        if verb not in ARGUMENTS or sum(name == "verb" for name, _ in pairs) > 1:
            raise Wrong("badVerb", f"illegal verb {verb!r}")
        needed, allowed = ARGUMENTS[verb]
        given = {name for name in asked if name != "verb"}
        if len(asked) < len(pairs):
            raise Wrong("badArgument", "an argument is repeated")
        if strange := given - {*needed, *allowed}:
            raise Wrong("badArgument", f"illegal arguments: {sorted(strange)}")
        if "resumptionToken" in given:
            if len(given) > 1:
                raise Wrong("badArgument", "resumptionToken is an exclusive argument")
            return asked
        if missing := set(needed) - given:
            raise Wrong("badArgument", f"missing arguments: {sorted(missing)}")
        if asked.get("metadataPrefix", "arXiv") != "arXiv":
            raise Wrong("cannotDisseminateFormat", "only arXiv is spoken here")
        return asked

    def _asked_list(self, asked):
        """Which list, and from which place on."""
        if token := asked.get("resumptionToken"):
            if token not in self._tokens:
                raise Wrong("badResumptionToken", "the token is invalid or has expired")
            return self._tokens[token]
        if "resumptionToken" in asked:
            raise Wrong("badResumptionToken", "the token is empty")
        days = [asked.get("from"), asked.get("until")]
        for day in days:
            if day is not None and not _is_day(day):
                raise Wrong("badArgument", f"{day!r} is no day; write YYYY-MM-DD")
        first, last = days[0] or "", days[1] or "9"
        if first > last:
            raise Wrong("badArgument", "from lies behind until")
        return (asked.get("set", ""), first, last), 0

    def _list(self, key):
        """The places of a list's records."""
        if key not in self._lists:
            spec, first, last = key
            members = self._members.get(spec, ())
            begin = bisect_left(members, first, key=self._stamps.__getitem__)
            end = bisect_right(members, last, key=self._stamps.__getitem__)
            self._lists[key] = members[begin:end]
        return self._lists[key]

    def _page(self, key, start, fault, page):
        """Records from a place of a list on, and the token for what follows."""
        places = self._list(key)
        if not places:
            raise Wrong("noRecordsMatch", "the list is empty")
        shown = places[start : start + page]
        after = start + len(shown)
        token = self._token(key, after) if after < len(places) else ""
        told = bool(start or token)  # a list of one page has no token at all
        if fault == "empty":
            shown = ()
        elif fault == "lost end":
            shown, token, told = shown[: len(shown) // 2], "", True
        elif fault == "again":
            token, told = self._token(key, start), True
        end = (
            f'<resumptionToken cursor="{start}" completeListSize="{len(places)}">'
            f"{token}</resumptionToken>\n"
        )
        return b"".join(map(self._text, shown)) + (end.encode() if told else b"")

    def _token(self, key, place):
        """A token for a place: text that has to be sent back to the letter."""
        serial = zlib.crc32(repr((key, self._life)).encode())
        token = f"list%3D{serial}%26skip%3D{place}|{place + 1}"
        self._tokens[token] = key, place
        return token

    def _text(self, place):
        """A record as it is sent, rendered once."""
        if not self._texts[place]:
            self._texts[place] = render(self._records[place]).encode()
        return self._texts[place]

    def _found(self, identifier):
        """The place of a record."""
        number = identifier.removeprefix("oai:arXiv.org:")
        if number == identifier or number not in self._place:
            raise Wrong("idDoesNotExist", f"{identifier!r} is not known here")
        return self._place[number]

    def _identify(self, url):
        """The repository's card."""
        parts = {
            "repositoryName": "arXiv",
            "baseURL": url,
            "protocolVersion": "2.0",
            "adminEmail": "help@arxiv.org",
            "earliestDatestamp": self._stamps[0] if self._stamps else "2005-09-16",
            "deletedRecord": "persistent",
            "granularity": "YYYY-MM-DD",
        }
        return _elements(parts).encode()


def _is_day(text):
    """Whether a text is a day of the calendar, in the standard's form."""
    try:
        return bool(re.fullmatch(r"\d{4}-\d\d-\d\d", text) and date.fromisoformat(text))
    except ValueError:
        return False


class Search:
    """A listing as the search sees it: sorted once, the papers of each term kept as a set.

    Args:
        records: of the listing; deleted ones are not found.
        minutes: times of submission are compared to the minute.
    """

    def __init__(self, records, minutes=False):
        self._digits = 12 if minutes else 14
        live = [
            (_digits(record.get("published")), record["id"], record)
            for record in records
            if not record.get("deleted")
        ]
        live.sort(key=lambda paper: paper[:2])
        self.records = [record for _, _, record in live]  # the oldest first
        self._times = [when[: self._digits] for when, _, _ in live]
        self._place = {number: place for place, (_, number, _) in enumerate(live)}
        self._texts, self._terms, self._found, self._entries = {}, {}, {}, {}

    def prepare(self):
        """Render every record now."""
        for place in range(len(self.records)):
            self.entry(place, self._newest(place))

    def version(self, place, version):
        """A record as of a version."""
        return {**self.records[place], "version": version}

    def entry(self, place, version):
        """An entry of a feed; the newest version's is rendered once."""
        if version != self._newest(place):
            return entry(self.version(place, version))
        if place not in self._entries:
            self._entries[place] = entry(self.records[place])
        return self._entries[place]

    def found(self, query="", ids="", sort="submittedDate", ascending=False):
        """What a query finds.

        Returns:
            (place, version) of each paper, in order.

        Raises:
            Wrong: the query or an id cannot be read.
        """
        key = query, ids, sort, ascending
        if key not in self._found:
            places = range(len(self.records))
            if query.strip():
                places = Query(query, self._term).places
            if ids:
                asked = filter(None, map(self._numbered, ids.split(",")))
                order = sorted({paper for paper in asked if paper[0] in places})
            else:
                order = [(place, self._newest(place)) for place in sorted(places)]
            if sort == "lastUpdatedDate":
                order.sort(key=self._updated)
            self._found[key] = order if ascending else order[::-1]
        return self._found[key]

    def _newest(self, place):
        return self.records[place].get("version", 1)

    def _updated(self, paper):
        return self.records[paper[0]].get("updated") or _TIME

    def _numbered(self, text):
        """Where the paper with this id stands; None if there is no such."""
        number, version = text.strip(), ""
        if not number:
            return None
        if number not in self._place:
            parts = _NUMBER.fullmatch(number)
            if not parts:
                code = f"incorrect_id_format_for_{number}"
                raise Wrong(code, f"incorrect id format for {number}")
            number, version = parts[1], parts[2]
        if number not in self._place:  # math.GT/0309136 is math/0309136
            number = re.sub(r"\.[A-Z]{2}/", "/", number)
        if number not in self._place:
            return None
        newest = self._newest(self._place[number])
        wanted = int(version or newest)
        return (self._place[number], wanted) if 1 <= wanted <= newest else None

    def _term(self, field, text, span):
        """The places of the papers that hold a term."""
        key = field, text, span
        if key not in self._terms:
            if field == "submittedDate":
                self._terms[key] = self._between(text, span)
            else:
                self._terms[key] = self._holding(field, text.lower())
        return self._terms[key]

    def _between(self, text, span):
        bounds = re.fullmatch(r"\s*(\d{8,14})\s+TO\s+(\d{8,14})\s*", span or "")
        if not bounds:
            raise Wrong("malformed_query", f"no dates: {span or text}")
        first, last = (bound[: self._digits] for bound in bounds.groups())
        return set(
            range(bisect_left(self._times, first), bisect_right(self._times, last))
        )

    def _holding(self, field, wanted):
        texts = self._text(field)
        if field == "cat":  # a whole category, or the beginning of one: astro-ph*
            start = wanted.removesuffix("*")
            fits = str.startswith if start != wanted else str.__eq__
            return {
                place
                for place, text in enumerate(texts)
                if any(fits(category, start) for category in text.split())
            }
        if field == "au":
            wanted = wanted.replace("_", " ")
        wanted = " ".join(wanted.strip("*").split())
        return {place for place, text in enumerate(texts) if wanted in text}

    def _text(self, field):
        """What a field holds, a text a paper; an unknown field is all of them."""
        fields = {"ti": "title", "abs": "abstract", "au": "authors", "id": "id"}
        fields |= {"cat": "categories", "co": "comments", "jr": "journal-ref"}
        asked = [fields[field]] if field in fields else list(fields.values())
        field = field if field in fields else "all"
        if field not in self._texts:
            self._texts[field] = [
                " ".join(" ".join(_words(record.get(name))) for name in asked).lower()
                for record in self.records
            ]
        return self._texts[field]


def _words(value):
    """The words of a text, or of a list of them."""
    return (value if isinstance(value, str) else " ".join(value or ())).split()


def _digits(when):
    """A time as 14 digits."""
    return re.sub(r"\D", "", (when or _TIME)[:19]).ljust(14, "0")


class Query:
    """A query's papers: terms with AND, OR, ANDNOT and parentheses.

    AND and ANDNOT bind tighter than OR; between terms with nothing between them AND is meant.

    Args:
        text: the query.
        term: gives the places of a term, of field, text and span of time.
    """

    _PART = re.compile(
        r"\s*(?:(?P<mark>[()]|(?:AND|OR|ANDNOT)(?![^\s()]))"
        r'|(?:(?P<field>\w+):)?(?:"(?P<quoted>[^"]*)"|\[(?P<span>[^\]]*)\]'
        r'|(?P<plain>[^\s()"\[\]]+)))\s*'
    )

    def __init__(self, text, term):
        self._term, self._parts, at = term, [], 0
        while at < len(text):
            part = self._PART.match(text, at)
            if not part:
                raise Wrong("malformed_query", f"malformed query: {text[at:]}")
            self._parts.append(part)
            at = part.end()
        self.places = self._either()
        if self._parts:
            raise Wrong("malformed_query", "malformed query: too many parentheses")

    def _next(self, *marks):
        """Whether one of these marks comes next; if so it is taken."""
        if self._parts and self._parts[0]["mark"] in marks:
            return self._parts.pop(0)["mark"]
        return ""

    def _either(self):
        places = self._both()
        while self._next("OR"):
            places = places | self._both()
        return places

    def _both(self):
        places = self._one()
        while self._parts and self._parts[0]["mark"] not in ("OR", ")"):
            if self._next("AND", "ANDNOT") == "ANDNOT":
                places = places - self._one()
            else:
                places = places & self._one()
        return places

    def _one(self):
        if self._next("("):
            places = self._either()
            if not self._next(")"):
                raise Wrong(
                    "malformed_query", "malformed query: no closing parenthesis"
                )
            return places
        if not self._parts or self._parts[0]["mark"]:
            raise Wrong("malformed_query", "malformed query: a term is missing")
        part = self._parts.pop(0)
        text = part["quoted"] or part["plain"] or ""
        return self._term(part["field"] or "all", text, part["span"])


def entry(record):
    """A paper in a feed."""
    categories = record.get("categories") or ()
    extra = {
        "comment": record.get("comments"),
        "journal_ref": record.get("journal-ref"),
        "doi": record.get("doi"),
    }
    return (
        f"<entry><id>http://arxiv.org/abs/{record['id']}v{record.get('version', 1)}</id>"
        f"<updated>{record.get('updated') or _TIME}</updated>"
        f"<published>{record.get('published') or _TIME}</published>"
        f"<title>{escape(record.get('title') or '')}</title>"
        f"<summary>  {escape(record.get('abstract') or '')}\n</summary>"
        + "".join(
            f"<author><name>{escape(name)}</name></author>"
            for name in record.get("authors") or ()
        )
        + f'<link title="pdf" href="http://arxiv.org/pdf/{record["id"]}" rel="related"/>'
        + "".join(
            f"<arxiv:{name}>{escape(text)}</arxiv:{name}>"
            for name, text in extra.items()
            if text
        )
        + "".join(f'<arxiv:primary_category term="{term}"/>' for term in categories[:1])
        + "".join(f'<category term="{term}"/>' for term in categories)
        + "</entry>\n"
    )


def feed(entries, total, start):
    """A page of results as arXiv writes it."""
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<feed xmlns="http://www.w3.org/2005/Atom" '
        'xmlns:opensearch="http://a9.com/-/spec/opensearch/1.1/" '
        'xmlns:arxiv="http://arxiv.org/schemas/atom">\n'
        f"<opensearch:totalResults>{total}</opensearch:totalResults>"
        f"<opensearch:startIndex>{start}</opensearch:startIndex>"
        f"<opensearch:itemsPerPage>{len(entries)}</opensearch:itemsPerPage>\n"
        f"{''.join(entries)}</feed>\n"
    ).encode()


def error_feed(error):
    """A feed with one entry that is an error."""
    address = escape(f"http://arxiv.org/api/errors#{error.code}")
    words = escape(str(error))
    told = (
        f"<entry><id>{address}</id><title>Error</title><summary>{words}</summary>"
        f"<updated>{_TIME}</updated>"
        "<author><name>arXiv api core</name></author></entry>\n"
    )
    return feed([told], 1, 0)
