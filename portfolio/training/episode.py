"""An episode: a few sections and questions about them. A `Desk` collects the sections while an episode is made."""

from __future__ import annotations

from dataclasses import dataclass, field

import families as fam
from values import Value
from world import NOT_FOUND, Fact, Question, Section, World

MAX_SECTIONS = 5
PLAIN = [f for f in fam.FAMILIES if f.name != "permission"]


@dataclass
class Episode:
    """Sections in the order in which they are numbered, a question about them, more questions of its kind, and the facts that
    plain questions could be asked about as well."""

    sections: list[Section]
    question: Question
    more: list[Question] = field(default_factory=list)
    askable: list[tuple[Fact, Section]] = field(default_factory=list)


class Desk:
    """Lays facts out in sections."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.sections: list[Section] = []
        self.askable: list[tuple[Fact, Section]] = []

    def place(self, fact: Fact, askable: bool = True) -> Section:
        """Put a fact into a section, a new one or one that exists."""
        rng = self.world.rng
        free = [s for s in self.sections if len(s.facts) < 4]
        if free and (len(self.sections) >= MAX_SECTIONS or rng.random() < 0.4):
            section = rng.choice(free)
        else:
            section = self.new()
        self.world.state(section, fact)
        if askable:
            self.note(fact, section)
        return section

    def new(self, title: str | None = None, date: str | None = None) -> Section:
        """A new section."""
        section = self.world.section(title, date)
        self.sections.append(section)
        return section

    def write(self, text: str, section: Section | None = None, title: str | None = None) -> Section:
        """Put a sentence into a section, by default a new one, or an old one if there are enough."""
        if section is None:
            section = self.new(title) if len(self.sections) < MAX_SECTIONS else self.world.rng.choice(self.sections)
        section.sentences.append(text)
        return section

    def note(self, fact: Fact, section: Section) -> None:
        """Remember that a plain question can be asked about a fact."""
        self.askable.append((fact, section))

    def noise(self, counts: list[int], avoid: set[str]) -> None:
        """Add facts of other families."""
        for _ in range(self.world.rng.choice(counts)):
            self.place(self.world.other_fact(avoid))

    def question(self, text: str, answer: str, sections: list[Section], difficulty: str, values: list[str], dress: float = 0.15) -> Question:
        """A question, typed as people do."""
        return Question(self.world.dress(text, dress), answer, list(dict.fromkeys(sections)), difficulty, values)

    def ask(self, fact: Fact, sections: list[Section], difficulty: str, far: float = 0.35, synonym: float = 0.0, answer: str | None = None) -> Question:
        """A question about a fact; `far` and `synonym` are how likely it uses other words than the rule."""
        rng = self.world.rng
        text = self.world.question(fact, rng.random() < far, rng.random() < synonym)
        return self.question(text, answer or fact.answer(), sections, difficulty, [fact.value.text], 0.3)

    def not_found(self, text: str) -> Question:
        """A question that the sources do not answer."""
        return self.question(text, NOT_FOUND, [], "unanswerable", [NOT_FOUND])

    def done(self, questions: list[Question]) -> Episode:
        """Shuffle and pad everything; the first question becomes the main one."""
        rng = self.world.rng
        long = rng.random() < 0.05
        for section in self.sections:
            rng.shuffle(section.sentences)
            self.world.pad(section, 3 if long else 0, 9 if long else 2)
            self.world.connect(section)
        rng.shuffle(self.sections)
        order = {id(s): i for i, s in enumerate(self.sections)}
        for question in questions:
            if "|" not in question.answer:
                question.sections.sort(key=lambda s: order[id(s)])
        return Episode(self.sections, questions[0], questions[1:], self.askable)


def similar(w: World, fact: Fact, count: int) -> list[Fact]:
    """Facts of the same family about other subjects, near-twins and other places."""
    rng = w.rng
    taken = [fact.value.text]
    found: list[Fact] = []
    scopes = w.scopes(count + 1)
    for i in range(count):
        style = rng.random()
        twin = w.twin(fact.subject) if style < 0.35 else None
        if twin:
            other = w.fact(fact.family, twin, fact.loc, tuple(taken))
        elif style < 0.6 and fact.loc and fact.family.name != "permission" and scopes[i] != fact.loc:
            other = w.fact(fact.family, fact.subject, scopes[i], tuple(taken))
        else:
            other = w.fact(fact.family, None, fact.loc if rng.random() < 0.5 else "", tuple(taken))
        if all(other.key != f.key for f in [fact, *found]):
            found.append(other)
            taken.append(other.value.text)
    return found


def different_values(w: World, family: fam.Family, count: int) -> list[Value]:
    """Values of a family that all differ."""
    found: list[Value] = []
    while len(found) < count:
        value = family.make_value(w.rng, 1.0 if w.sober else 0.25)
        if all(value.text != f.text for f in found):
            found.append(value)
    return found
