"""The order of hits: what notes say of themselves beside their words, and that only visible ones count."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from vfs_core import confidence, neighbours
from vfs_core.config import load_config
from vfs_core.kernel import Kernel
from vfs_core.ranking import Candidate, leading, meant, rank
from vfs_core.session import Session
from vfs_core.storage import Found
from vfs_core.types import JSON, Draft

FILLER = "and some more words that say nothing about it at all"


@pytest.fixture
def kernel(tmp_path: Path) -> Iterator[Kernel]:
    with Kernel(None, tmp_path / "avm.db") as opened:
        yield opened


@pytest.fixture
def session(kernel: Kernel) -> Session:
    return kernel.session("akashi")


def write(session: Session, path: str, text: str, meta: Mapping[str, JSON] | None = None) -> None:
    session.write(path, text, meta)


def order(session: Session, query: str) -> list[str]:
    hits = session.search(query)
    scores = [hit.score for hit in hits]
    assert scores == sorted(scores, reverse=True)
    assert all(0 <= score <= 1 for score in scores)
    return [hit.path.rpartition("/")[2] for hit in hits]


@pytest.mark.parametrize("key", ["session", "thread"])
def test_hits_of_one_session_raise_each_other(session: Session, key: str):
    write(session, "/memory/alone.md", "the quokka", {key: "a"})
    write(session, "/memory/one.md", f"the quokka {FILLER}", {key: "b"})
    write(session, "/memory/two.md", f"quokka food: a quokka eats leaves {FILLER}", {key: "b"})
    for number in range(20):
        write(session, f"/memory/other{number}.md", FILLER, {key: "c"})
    assert order(session, "quokka")[-1] == "alone.md"


def test_without_metadata_notes_of_a_folder_are_each_for_themselves(session: Session):
    write(session, "/memory/x/lone.md", "the quokka and the others of its kind")
    write(session, "/memory/y/one.md", f"the quokka {FILLER}")
    write(session, "/memory/y/two.md", f"quokka {FILLER}")
    for number in range(20):
        write(session, f"/memory/other{number}.md", FILLER)
    assert order(session, "quokka")[0] == "lone.md"


def test_a_folder_is_a_sequence_where_its_notes_say_when_they_were(session: Session):
    write(session, "/memory/x/alone.md", "the quokka", {"time": "2026-03-02"})
    write(session, "/memory/y/one.md", f"the quokka {FILLER}", {"time": "2026-03-02T10:00"})
    write(session, "/memory/y/two.md", f"quokka and quokka {FILLER}", {"time": "2026-03-02T11:00"})
    write(session, "/memory/y/later.md", f"the quokka {FILLER} {FILLER}", {"time": "2026-05-02T11:00"})
    for number in range(20):
        write(session, f"/memory/other{number}.md", FILLER)
    assert order(session, "quokka") == ["two.md", "one.md", "alone.md", "later.md"]


def test_the_nearest_in_time_gains_the_most_whenever_it_was_written(session: Session):
    drafts = [
        Draft(f"/memory/{hour}.md", text, {"session": "s", "time": f"2026-03-02T{hour}:00"})
        for hour, text in ((14, "far"), (12, "far"), (10, "quokka quokka"), (13, "near"), (11, "near"))
    ]
    session.write_many([draft._replace(content=f"quokka {FILLER} {draft.content}") for draft in drafts])
    session.write_many([(f"/memory/other{number}.md", FILLER) for number in range(20)])
    found = order(session, "quokka")
    assert found.index("11.md") < found.index("14.md")


def test_a_question_that_names_an_author_raises_the_notes_of_that_author(session: Session):
    for name in ("Ana", "Ben", "Caroline"):
        write(session, f"/memory/{name[0]}.md", "a quokka is small", {"author": name})
    assert order(session, "What did Ben say of the quokka?")[0] == "B.md"
    assert order(session, "What did Caroline say of the quokka?")[0] == "C.md"


def test_a_question_that_names_a_month_raises_the_notes_of_that_month(session: Session):
    for month in ("01", "02", "03"):
        write(session, f"/memory/{month}.md", "a quokka is small", {"time": f"2026-{month}-05T12:00:00Z"})
    assert order(session, "the quokka in February")[0] == "02.md"
    assert order(session, "the quokka on 5 March 2026")[0] == "03.md"


@pytest.mark.parametrize("place", ["/memory/private/akashi", "/memory/closed", "/memory/ruled"])
def test_what_an_agent_cannot_see_raises_nothing(tmp_path: Path, place: str):
    file = tmp_path / "config.yaml"
    file.write_text('permissions: [{pattern: "/memory/ruled/*", access: none}]')
    config = load_config(file)
    meta: dict[str, JSON] = {"session": "s"}
    with Kernel(None, tmp_path / "avm.db") as kernel, Kernel(config, tmp_path / "avm.db") as ruled:
        owner, other = kernel.session("akashi"), ruled.session("kuro")
        owner.write_many([(f"/memory/shared/{number}.md", FILLER) for number in range(60)])
        write(owner, "/memory/shared/a.md", f"the quokka {FILLER}", {"session": "other"})
        write(owner, "/memory/shared/b.md", f"the quokka {FILLER}", meta)
        assert order(other, "quokka") == ["a.md", "b.md"]
        owner.mkdir(place, parents=True, exist_ok=True)
        if place == "/memory/closed":
            owner.set_mode(place, 0o700)
        owner.write_many(
            [Draft(f"{place}/{number}.md", f"quokka quokka {FILLER}", meta) for number in range(3)]
        )
        assert order(owner, "quokka")[-1] == "a.md"
        assert order(other, "quokka") == ["a.md", "b.md"]


def test_a_few_hits_are_the_first_of_many(session: Session):
    session.write_many(
        [
            Draft(
                f"/memory/{number}.md", "quokka " * (number % 7 + 1) + FILLER, {"session": f"s{number % 5}"}
            )
            for number in range(150)
        ]
    )
    many = [hit.path for hit in session.search("quokka", 100)]
    for limit in (1, 3, 10, 50):
        assert [hit.path for hit in session.search("quokka", limit)] == many[:limit]


@pytest.mark.parametrize(
    "meta",
    [
        {"session": None, "time": 5, "author": ["x"]},
        {"session": {"a": 1}, "thread": [], "time": "never"},
        {"session": True, "time": "2026-99-99"},
        {"note": 'about "session" and "time"'},
    ],
)
def test_any_metadata_is_ranked(session: Session, meta: dict[str, JSON]):
    write(session, "/memory/a.md", "quokka", meta)
    write(session, "/memory/b.md", "quokka", meta)
    assert sorted(order(session, "quokka in 2026")) == ["a.md", "b.md"]


# --- words and meaning ---------------------------------------------------------------------------


def found(session: Session, path: str, meta: Mapping[str, JSON] | None = None, text: str = FILLER) -> Found:
    session.write(path, text, meta)
    return session.judge.store.find(path)


def names(ranked: list[tuple[Found, float]]) -> list[str]:
    return [each.path.rpartition("/")[2] for each, _ in ranked]


def test_what_both_words_and_meaning_say_comes_before_what_one_says(session: Session):
    both, words, meaning, neither = (found(session, f"/memory/{name}") for name in "bwmn")
    ranked = rank(
        "quokka",
        [
            Candidate(neither, 0.0, 0.0),
            Candidate(words, 0.6, 0.0),
            Candidate(meaning, 0.0, 4.0),
            Candidate(both, 0.6, 4.0),
        ],
    )
    assert names(ranked)[0] == "b" and names(ranked)[-1] == "n"
    scores = [score for _, score in ranked]
    assert scores == sorted(scores, reverse=True) and all(0 <= score <= 1 for score in scores)


def test_a_note_without_a_vector_is_ranked_by_its_words(session: Session):
    plain, near = found(session, "/memory/p"), found(session, "/memory/n")
    assert names(rank("quokka", [Candidate(near, 0.1, 1.5), Candidate(plain, 0.8)])) == ["p", "n"]


def test_words_alone_keep_the_order_of_the_index_and_meaning_alone_its_own(session: Session):
    notes = [found(session, f"/memory/{number}") for number in range(5)]
    by_words = [Candidate(note, 0.9 - number / 10) for number, note in enumerate(notes)]
    by_meaning = [Candidate(note, 0.0, float(number)) for number, note in enumerate(notes)]
    assert names(rank("quokka", by_words)) == ["0", "1", "2", "3", "4"]
    assert names(rank("quokka", by_meaning))[:3] == ["4", "3", "2"]


def test_an_answer_is_raised_by_the_question_before_it(session: Session):
    asks, answer, before, other = (
        found(session, f"/memory/{number}{name}.md", {"session": session_name})
        for number, name, session_name in (
            (2, "asks", "s"),
            (3, "answer", "s"),
            (1, "before", "s"),
            (4, "other", "t"),
        )
    )
    ranked = rank(
        "quokka", [Candidate(asks, 0.8), Candidate(other, 0.2), Candidate(before), Candidate(answer)]
    )
    assert names(ranked)[0] == "2asks.md" and ranked[1][0] in (answer, before)
    assert ranked[-1][0] is other or names(ranked).index("4other.md") > names(ranked).index("3answer.md")


def test_evidence_that_leads_comes_first(session: Session):
    low, high = found(session, "/memory/l"), found(session, "/memory/h")
    assert leading([Candidate(low, 0.1, 1.0), Candidate(high, 0.1, 5.0)], 1) == [high]


def test_meaning_is_looked_for_without_the_name_of_an_author_among_the_hits(session: Session):
    ana = found(session, "/memory/a", {"author": "Ana"})
    plain = found(session, "/memory/p")
    assert meant("What did Ana say of Ben?", [ana, plain]) == "What did say of Ben?"
    assert meant("What did Ana say of Ben?", [plain]) == "What did Ana say of Ben?"


def test_what_follows_a_hit_in_its_session_is_a_candidate_if_the_agent_sees_it(
    session: Session, kernel: Kernel
):
    for number, belongs in ((1, "s"), (2, "s"), (3, "t"), (4, "s")):
        write(session, f"/memory/shared/{number}.md", FILLER, {"session": belongs})
    other = kernel.session("kuro")
    hit = session.judge.store.find("/memory/shared/1.md")

    def following(whose: Session) -> list[str]:
        return [each.path for each in neighbours.following(whose.judge, [hit])]

    assert following(session) == following(other) == ["/memory/shared/2.md"]
    session.set_mode("/memory/shared/2.md", 0o600)
    assert following(session) == ["/memory/shared/2.md"] and following(other) == []
    write(session, "/memory/shared/0.md", FILLER)
    assert neighbours.following(session.judge, [session.judge.store.find("/memory/shared/0.md")]) == []


# --- scores --------------------------------------------------------------------------------------


def test_a_first_hit_that_stands_out_is_surer_than_one_among_many():
    alone = confidence.scores([3.0, 0.5, 0.4])[0]
    among = confidence.scores([3.0] * 12)[0]
    weak = confidence.scores([0.01])[0]
    assert alone > 0.9 and 0.2 < among < 0.6 and weak < 0.3


def test_scores_fall_as_the_evidence_does_and_stay_between_0_and_1():
    evidence = [9.0, 3.0, 3.0, 1.0, 0.0]
    scores = confidence.scores(evidence)
    assert scores == sorted(scores, reverse=True) and scores[-1] == 0.0 and scores[0] < 1.0
    assert confidence.scores([]) == [] and confidence.scores([0.0, 0.0]) == [0.0, 0.0]
