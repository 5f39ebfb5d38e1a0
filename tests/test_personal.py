"""Addresses and numbers of people, and what only looks like them."""

import random
import time

import pytest

from cosmosage.corpus.personal import without_personal_data

MAILS = [
    "jane.doe@example.org",
    "j_doe+lists@astro.example.ac.uk",
    "o'neill@example.ie",
    "JANE@EXAMPLE.COM",
    "jane.doe@sub.dept.example.edu",
    "jürgen.müller@exämple.de",
    "a@b.io",
    "first-last@ex-ample.co.jp",
    "mailto:jane@example.org",
    "jane @ example.org",
    "jane [at] example [dot] org",
    "jane(at)example.org",
    "jane [at] dept.example.org",
    "jane {at} example {dot} ac {dot} uk",
    "jane <at> example.org",
    "{jane,john}@example.org",
    "\\{jane, john, ann\\}@dept.example.org",
    "{jane|john}@example.org",
    "x1234@student.example.edu",
    "jane.doe.1980@example.org",
    "_jane@example.org",
    "JaneDoe@Example.Museum",
]
TELEPHONES = """
+49 6221 528-123|+49 6221 528 123|+49 (0)6221 528123|+49-6221-528123|+49/6221/528123
+1 (805) 555-1234|+1 805 555 1234|+1-805-555-1234|+1 805-555-1234|+33 1 42 34 56 78
+44 20 7946 0123|+44 (0)20 7946 0123|+39 06 1234 5678|+81 3 1234 5678|+86 10 1234 5678
+49.6221.528.123|(+49) 6221 528 123|(+1) 805 555 1234|+358 9 1234 5678|+61 2 9876 5432
(805) 555-1234|(805)555-1234
Tel.: 06221/528-123|Tel. 06221 528123|tel: 805-555-1234|TEL: (805) 555 1234|Fax: 528-1234
Telephone: 805 555 1234|phone: 805.555.1234|Phone: +1 805 555 1234|Fax.: 06221 528 124
fax: +49 6221 528124|Tel: +49 (6221) 528-123|Telephone: 01223 337 548|Phone: 337548
tel: 01223-337548|Fax: (01223) 337523|phone: 0131 668 8100|Tel.: +34 922 605 200
Tel.: 0341 9713440|Phone: (520) 621-2288|fax: 520-621-1532|tel: +56 2 2464 4100
"""
TELEPHONES = [
    case for line in TELEPHONES.split("\n") for case in line.split("|") if case
]
NEITHER = [
    "2MASS J05233822-1403022 is an L dwarf",
    "SDSS J123456.78+123456.7 at z = 6.3",
    "the source at +49 12 34.5 is faint",
    "at 12 34 56.7 +45 12 34.5 (J2000)",
    "RA 05 23 38.22, Dec -14 03 02.2",
    "a declination of +69 03 55 in degrees",
    "WISE J085510.83-071442.5",
    "arXiv:2407.04420 and arXiv:astro-ph/9901001",
    "grant 100.016.2019 and ST/M001008/1",
    "grant numbers 12345678 and AST-1234567",
    "doi:10.1103/PhysRevD.98.030001",
    "Phys. Rev. D 98, 030001 (2018)",
    "ApJS 208 (2013) 19-54",
    "MNRAS (2011) 412 1234-1250",
    "between 1998-03-14 and 2001-11-02",
    "on 2015 October 12 at 12:34:56",
    "ISBN 978-0-521-51363-0",
    "ISSN 0004-637X",
    "10 200 300 400 500 photons",
    "a mass of +1.5 -0.3 in units of 10 12",
    "+0.12 -0.10 and +0.34 0.56",
    "values of +10 -5 +3 -2",
    "67.4 +0.5 -0.5 km/s/Mpc",
    "the range 1000-2000 and 3000-4000",
    "multipoles 30-2508 in 83 bins",
    "redshift 0.5-1.5, 1.5-2.5",
    "HD 209458 b and Gaia DR2 1234567890123456789",
    "KIC 8462852 and EPIC 201912552",
    "NGC 4258, IC 1101, M 31, UGC 12158",
    "PSR B1913+16 and PSR J0737-3039",
    "telescope 12345678 of the array",
    "the telephoto lens of 400 mm",
    "phoned home 3 times in 2010",
    "the facsimile of 1610",
    "see (123) and (456) above",
    "equation (805) 555 is not there",
    "version 10.0.0.1 of the code, 192.168.1.10",
    "the matrix 123 456 789 012",
    "@article{key, author = x}",
    "@staticmethod decorates",
    "looked at (or at) it",
    "at (0, 1) and at [2]",
    "user@localhost prompts",
    "5 @ 3 sigma",
    "a @ b",
    "code 1-800 of the survey",
    "+1 sigma and +2 sigma",
    "charge +2 e and -1 e",
]


@pytest.mark.parametrize("mail", MAILS)
@pytest.mark.parametrize("frame", ["Write to {}, please.", "({})", "{}", "E-mail: {}."])
def test_an_address_is_taken_out_and_its_sentence_stays(mail, frame):
    out, found = without_personal_data(frame.format(mail))
    assert out == frame.format("[e-mail]")
    assert found == {"e-mail": 1}


@pytest.mark.parametrize("number", TELEPHONES)
@pytest.mark.parametrize("frame", ["Call {} today.", "{}", "Room 1\n{}\nGermany"])
def test_a_telephone_number_is_taken_out(number, frame):
    out, found = without_personal_data(frame.format(number))
    assert found == {"telephone": 1}
    before, after = frame.split("{}")
    assert out.startswith(before) and out.endswith("[telephone]" + after)
    assert not any(map(str.isdigit, out.removeprefix(before)))


@pytest.mark.parametrize("text", NEITHER)
def test_what_only_looks_like_one_stays(text):
    for each in (text, f"({text})", f"We find: {text}.\n", f"| {text} |"):
        assert without_personal_data(each) == (each, {})


def test_there_are_enough_cases():
    assert len(MAILS) + len(TELEPHONES) >= 60 and len(NEITHER) >= 40


def test_formulas_and_listings_are_left_alone():
    text = "Jane (jane@example.org) has $a@b.org$ and\n\n```\n# jane@example.org\n```"
    out, found = without_personal_data(text)
    assert out == text.replace("(jane@example.org)", "([e-mail])")
    assert found == {"e-mail": 1}


@pytest.mark.parametrize(
    "unit",
    ["a@", "a.", "+1 ", "{a,", "@a.", "tel: 1", "(123) ", "a at] ", "+1 1", "a", "1-"],
)
def test_hostile_text_takes_time_in_proportion_to_its_length(unit):
    def spent(count: int) -> float:
        draw = random.Random(count)
        text = unit * count + "@" + "".join(draw.choices("ab.@", k=100))
        start = time.process_time()
        without_personal_data(text)
        return time.process_time() - start

    spent(1000)
    # four times as long: sixteen times the work, were it quadratic; 2 s is out of reach then
    assert spent(400_000) < 4 * max(spent(100_000), 0.1) + 2
