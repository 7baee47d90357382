"""What a question says of the notes that it asks for: names of authors, days, months and years."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vfs_core.asked import Day, question


@pytest.mark.parametrize(
    ("text", "days"),
    [
        ("What did Ana decide on 16 June, 2023?", [Day(2023, 6, 16)]),
        ("the 3rd of May 2024", [Day(2024, 5, 3)]),
        ("on November 9, 2022", [Day(2022, 11, 9)]),
        ("on Aug 15th", [Day(0, 8, 15)]),
        ("in October 2023", [Day(2023, 10, 0)]),
        ("in March", [Day(0, 3, 0)]),
        ("a trip in 2019", [Day(2019, 0, 0)]),
        ("between 2026-03-20 and 2026-04", [Day(2026, 3, 20), Day(2026, 4, 0)]),
        ("2026年3月20日的会议", [Day(2026, 3, 20)]),
        ("5月开会说了什么", [Day(0, 5, 0)]),
        ("It may march on", []),
        ("May I decide?", []),
        ("room 12, port 8080, 3号", []),
        ("what was decided yesterday", []),
    ],
)
def test_a_question_names_days_months_and_years(text: str, days: list[Day]):
    assert list(question(text).days) == days


@pytest.mark.parametrize(
    ("day", "time", "inside"),
    [
        (Day(2023, 5, 8), "2023-05-08T13:56:00", True),
        (Day(2023, 5, 8), "2023-05-08", True),
        (Day(2023, 5, 8), "2023-05-09T00:00:00Z", False),
        (Day(2023, 5, 8), "2023-05", False),
        (Day(0, 5, 0), "2019-05-31T23:59:59+02:00", True),
        (Day(2023, 0, 0), "2024-01-01", False),
        (Day(2023, 0, 0), "last year", False),
        (Day(2023, 0, 0), "", False),
    ],
)
def test_a_time_lies_in_a_day_as_it_is_written(day: Day, time: str, inside: bool):
    assert day.holds(time) is inside


@pytest.mark.parametrize(
    ("text", "author", "named"),
    [
        ("What did Melanie paint?", "Melanie", True),
        ("what is MELANIE's favourite?", "Melanie Smith", True),
        ("What did Mel paint?", "Melanie", False),
        ("Who is J?", "J", False),
        ("小明昨天说了什么", "小明", True),
        ("昨天说了什么", "小明", False),
        ("anything", "", False),
    ],
)
def test_a_question_names_an_author_by_any_part_of_the_name(text: str, author: str, named: bool):
    assert question(text).names(author) is named


@given(st.text(), st.text(), st.text())
def test_any_text_is_a_question(text: str, author: str, time: str):
    asked = question(text)
    asked.names(author)
    asked.means(time)


@pytest.mark.parametrize(
    ("text", "authors", "left"),
    [
        ("What did Caroline's mom say to Ana?", ["Caroline Smith", "Ana"], "What did mom say to ?"),
        ("Why did JON leave?", ["Jon"], "Why did leave?"),
        ("小明什么时候去北京", ["小明"], "什么时候去北京"),
        ("Caroline?", ["Caroline"], "Caroline?"),
        ("Is Jonathan here?", ["Jon"], "Is Jonathan here?"),
        ("what is C++ (x?", ["C++ (x", "a.*"], "what is C++ (x?"),
        ("the quokka", [], "the quokka"),
    ],
)
def test_a_question_without_the_names_of_authors(text: str, authors: list[str], left: str):
    assert question(text).without(authors) == left
