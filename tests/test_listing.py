"""The listing: every paper once, the newest of what is known, whatever was killed."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from cosmosage import listing
from cosmosage.listing import Filter, Intake, newest, pasted, record

ROOT = Path(__file__).resolve().parent.parent
CC_BY = "http://creativecommons.org/licenses/by/4.0/"
ARXIV = "http://arxiv.org/licenses/nonexclusive-distrib/1.0/"


def paper(number, version=1, **told):
    """A record with some fields."""
    return record(number, version) | told


def lines(out):
    """Id, version and title of each line of a listing, in the file's order."""
    return [(p["id"], p["version"], p["title"]) for p in listing.read(out)]


@pytest.mark.parametrize(
    "text, number, version",
    [
        ("2407.04420", "2407.04420", 0),
        ("arXiv:2407.04420v2", "2407.04420", 2),
        ("arxiv 2407.04420", "2407.04420", 0),
        ("0704.0001", "0704.0001", 0),
        ("astro-ph/0601001", "astro-ph/0601001", 0),
        ("arXiv:astro-ph/0601001v3", "astro-ph/0601001", 3),
        ("hep-th/9711200", "hep-th/9711200", 0),
        ("math.GT/0309136", "math/0309136", 0),
        ("cond-mat.mes-hall/9901001", "cond-mat/9901001", 0),
        ("https://arxiv.org/abs/2407.04420", "2407.04420", 0),
        ("https://arxiv.org/abs/2407.04420v1?context=gr-qc", "2407.04420", 1),
        ("http://www.arxiv.org/pdf/2407.04420v2.pdf", "2407.04420", 2),
        ("https://arxiv.org/pdf/astro-ph/0601001.pdf", "astro-ph/0601001", 0),
        ("https://arxiv.org/html/2407.04420v1#S2.E3", "2407.04420", 1),
        ("https://export.arxiv.org/e-print/2407.04420", "2407.04420", 0),
        ("https://ar5iv.labs.arxiv.org/html/2407.04420", "2407.04420", 0),
        ("https://doi.org/10.48550/arXiv.2407.04420", "2407.04420", 0),
        ("  eprint = {2407.04420},", "2407.04420", 0),
        ("[12] A. Lovelace, arXiv:2407.04420 [astro-ph.CO].", "2407.04420", 0),
        ("(2407.04420)", "2407.04420", 0),
        ("2407.04420.", "2407.04420", 0),
        ("<https://arxiv.org/abs/2407.04420>", "2407.04420", 0),
        ("oai:arXiv.org:2407.04420", "2407.04420", 0),
        ("2407.04420v10", "2407.04420", 10),
        ("the value 2473.0442 is no number", None, 0),  # no month 73
        ("12407.04420", None, 0),
        ("2407.044201", None, 0),
        ("Phys. Rev. D 98/0601001", None, 0),
        ("10.1103/PhysRevD.98.030001", None, 0),
        ("https://example.org/about", None, 0),
        ("version 98/1234567", None, 0),
    ],
)
def test_numbers_in_every_form_that_people_paste(text, number, version):
    found, strange = pasted(text)
    if number is None:
        assert (found, strange) == ({}, [text])
    else:
        assert (found, strange) == ({number: version}, [])


def test_a_pasted_list_names_each_paper_once():
    found, strange = pasted(
        "# my reading list\n2407.00002v1, 2407.00001\n\n2407.00002v3\n"
        "arXiv:2407.00001v2\nHubble (1929)\nastro-ph/0601001 hep-th/9711200v2"
    )
    assert found == {
        "2407.00002": 3,
        "2407.00001": 0,  # asked for without a version: the newest
        "astro-ph/0601001": 0,
        "hep-th/9711200": 2,
    }
    assert strange == ["Hubble (1929)"]


@pytest.mark.parametrize(
    "old, new, version, title",
    [
        ((1, "2024-01-01"), (2, "2024-02-01"), 2, "new"),
        ((2, "2024-02-01"), (1, "2024-01-01"), 2, "old"),
        # harvests tell no version: a later change makes another paper of it
        ((2, "2024-02-01T10:00:00Z"), (0, "2024-03-01"), 0, "new"),
        ((2, "2024-02-01T10:00:00Z"), (0, "2024-02-01"), 2, "new"),
        ((2, "2024-02-01T10:00:00Z"), (0, "2024-01-01"), 2, "new"),
        ((0, "2024-02-01"), (2, "2024-02-01T10:00:00Z"), 2, "new"),
        ((0, "2024-02-01"), (3, "2024-03-01T10:00:00Z"), 3, "new"),
        ((0, "2024-02-01"), (2, ""), 2, "new"),
        ((0, ""), (1, "2024-03-01"), 1, "new"),
    ],
)
def test_the_newer_of_two_records(old, new, version, title):
    first = paper("2407.00001", old[0], updated=old[1], title="old", licence=CC_BY)
    second = paper("2407.00001", new[0], updated=new[1], title="new")
    found = newest(first, second)
    assert (found["version"], found["title"]) == (version, title)


def test_of_one_version_all_that_is_known_is_kept():
    first = paper("2407.00001", 1, licence=CC_BY, published="2024-07-01T10:00:00Z")
    second = paper("2407.00001", 1, title="A title", published="2024-07-01")
    for found in (newest(first, second), newest(second, first)):
        assert (found["licence"], found["title"]) == (CC_BY, "A title")
        assert found["published"] == "2024-07-01T10:00:00Z"


def test_an_intake_adds_a_paper_once(tmp_path):
    with Intake(tmp_path, "a") as intake:
        intake.take([paper("2407.00002"), paper("2407.00001")], 1)
        intake.take([paper("2407.00002", 2), paper("astro-ph/0601001")], 2)
        assert len(intake) == 3 and "2407.00001" in intake
    assert intake.counts == {"new": 3, "listed": 3}
    with Intake(tmp_path, "b") as intake:
        assert intake.state is None
        intake.take([paper("2407.00001", 1, title="T"), paper("2407.00000")], 1)
        assert intake.listed("2407.00002") == (2, "")
        assert intake.listed("2407.00009") is None
    assert intake.counts == {"new": 1, "listed": 4}
    assert lines(tmp_path) == [
        ("2407.00000", 1, ""),
        ("2407.00001", 1, "T"),
        ("2407.00002", 2, ""),
        ("astro-ph/0601001", 1, ""),
    ]
    assert [path.name for path in tmp_path.iterdir()] == ["listing.jsonl"]


def test_what_is_deleted_leaves_and_may_come_back(tmp_path):
    with Intake(tmp_path, "a") as intake:
        intake.take([paper("2407.00001"), paper("2407.00002")], 1)
    with Intake(tmp_path, "b") as intake:
        intake.take([paper("2407.00003")], 1, deleted=["2407.00001", "2407.00009"])
    assert intake.counts == {"new": 1, "deleted": 1, "listed": 2}
    with Intake(tmp_path, "c") as intake:
        intake.take([], 1, deleted=["2407.00002"])
        intake.take([paper("2407.00002", 1, title="again")], 2)
    assert lines(tmp_path) == [("2407.00002", 1, "again"), ("2407.00003", 1, "")]


def test_a_listing_of_ones_own_need_not_be_sorted(tmp_path):
    own = [paper("2407.00009"), paper("2407.00001", 2), paper("2407.00001", 1)]
    (tmp_path / "listing.jsonl").write_text("".join(json.dumps(p) + "\n" for p in own))
    with Intake(tmp_path, "a") as intake:
        intake.take([paper("2407.00005", title="half \ud800 a pair")], 1)
    assert lines(tmp_path) == [
        ("2407.00001", 2, ""),
        ("2407.00005", 1, "half ? a pair"),
        ("2407.00009", 1, ""),
    ]


def test_an_error_keeps_what_came_and_the_place(tmp_path):
    with pytest.raises(OSError), Intake(tmp_path, "a") as intake:
        intake.take([paper("2407.00001")], {"page": 1})
        raise OSError("the line is dead")
    assert lines(tmp_path) == [("2407.00001", 1, "")]
    with Intake(tmp_path, "a") as intake:
        assert intake.state == {"page": 1}
        intake.take([paper("2407.00002")], {"page": 2})
    assert intake.counts == {"new": 1, "listed": 2}
    with Intake(tmp_path, "a") as intake:
        assert intake.state is None


def test_a_page_is_taken_with_its_place_or_not_at_all(tmp_path):
    def breaking():
        yield paper("2407.00002")
        raise OSError("in the middle of a page")

    with pytest.raises(OSError), Intake(tmp_path, "a") as intake:
        intake.take([paper("2407.00001")], 1)
        intake.take(breaking(), 2)
    assert lines(tmp_path) == [("2407.00001", 1, "")]
    with Intake(tmp_path, "a") as intake:
        assert intake.state == 1


def test_a_damaged_intake_begins_again(tmp_path, capsys):
    with pytest.raises(OSError), Intake(tmp_path, "a") as intake:
        intake.take([paper("2407.00001")], 1)
        raise OSError
    (base,) = tmp_path.glob(".intake-*")
    base.write_bytes(b"no database" * 1000)
    with Intake(tmp_path, "a") as intake:
        assert intake.state is None
    assert "is damaged" in capsys.readouterr().err
    assert lines(tmp_path) == [("2407.00001", 1, "")]


def test_a_killed_intake_goes_on_behind_its_last_page(tmp_path):
    code = (
        "import sys, time\nfrom cosmosage.listing import Intake, record\n"
        f"with Intake({str(tmp_path)!r}, 'a') as intake:\n"
        "    for page in range((intake.state or 0), 50):\n"
        "        papers = [record(f'2407.{page:03d}{k:02d}', 1) for k in range(20)]\n"
        "        intake.take(papers, page + 1)\n"
        "        print(page, flush=True)\n"
        "        time.sleep(0.002)\n"
    )
    begun = []
    for kill_at in (7, 23, 41, None):
        with subprocess.Popen(
            [sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True
        ) as process:
            for line in process.stdout:
                begun.append(int(line))
                if kill_at is not None and int(line) >= kill_at:
                    os.kill(process.pid, signal.SIGKILL)
                    break
    assert process.returncode == 0
    assert [number for number, _, _ in lines(tmp_path)] == [
        f"2407.{page:03d}{k:02d}" for page in range(50) for k in range(20)
    ]
    assert set(begun) <= set(range(50)) and len(begun) <= 53
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize(
    "licence, name, public",
    [
        (CC_BY, "CC BY 4.0", True),
        ("http://creativecommons.org/licenses/by-sa/4.0/", "CC BY-SA 4.0", True),
        ("http://creativecommons.org/licenses/by-nc-sa/4.0/", "CC BY-NC-SA 4.0", False),
        ("http://creativecommons.org/licenses/by-nc-nd/4.0/", "CC BY-NC-ND 4.0", False),
        ("http://creativecommons.org/licenses/by-nd/4.0/", "CC BY-ND 4.0", False),
        ("http://creativecommons.org/publicdomain/zero/1.0/", "CC0 1.0", True),
        ("http://creativecommons.org/licenses/publicdomain/", "public domain", True),
        (ARXIV, "arXiv's non-exclusive licence", False),
        (
            "http://arxiv.org/licenses/assumed-1991-2003/",
            "arXiv's, assumed (1991 to 2003)",
            False,
        ),
        ("", "", False),
        ("MIT", "MIT", False),
    ],
)
def test_licences(licence, name, public):
    assert listing.licence_name(licence) == name
    assert listing.may_use(licence, "public") is public
    assert listing.may_use(licence, "study")


def test_a_filter_keeps_what_meets_all_conditions():
    keep = Filter(("astro-ph", "gr-qc"), "public", "2024-01-01", "2024-12-31")
    good = paper(
        "2407.00001",
        categories=["hep-ph", "astro-ph.CO"],
        licence=CC_BY,
        published="2024-12-31T23:59:59Z",
    )
    assert keep(good)
    assert not keep({**good, "categories": ["hep-ph"]})
    assert not keep({**good, "licence": ARXIV})
    assert not keep({**good, "published": "2025-01-01T00:00:00Z"})
    assert not keep({**good, "published": "2023-12-31"})
    assert Filter()({**good, "licence": ""})
    assert not Filter(("astro-ph.GA",))(good)


@pytest.mark.parametrize(
    "arguments, words",
    [
        ({"licences": "free"}, "has to be study or public"),
        ({"since": "July 2024"}, "since is 'July 2024'; write a date as 2024-07-01"),
        ({"until": "2024-02-31"}, "until is '2024-02-31'"),
    ],
)
def test_a_filter_says_what_is_wrong(arguments, words):
    with pytest.raises(ValueError, match=words):
        Filter(**arguments)
