"""What programs send and get, field by field, as OpenAI's interface has it.

These forms are also what ``/v1/openapi.json`` says, so that what is documented is what is checked.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from cosmosage.assistant import Answer
from cosmosage.documents import without_halves
from cosmosage.engines import Sampling
from cosmosage.retrieval import Passage
from cosmosage.server.door import Refusal
from cosmosage.server.service import source_page

MESSAGES = 200
"""Of a conversation; of its turns the newest are read that fit."""
CHARACTERS = 100_000
"""Of a message; what is longer is refused before anybody counts its tokens."""
MOST_TOKENS = 4096
"""Of an answer; one that goes on for so long is a model that has lost its thread."""


class Part(BaseModel):
    """A piece of a message; only text is read."""

    type: Literal["text"]
    text: str = Field(max_length=CHARACTERS)


class Turn(BaseModel):
    """A message."""

    role: Literal["system", "developer", "user", "assistant"]
    content: (
        Annotated[str, Field(max_length=CHARACTERS)]
        | Annotated[list[Part], Field(max_length=MESSAGES)]
    )

    @property
    def text(self) -> str:
        """What it says."""
        if isinstance(self.content, str):
            return without_halves(self.content)
        return without_halves("\n".join(part.text for part in self.content))


class Options(BaseModel):
    """``stream_options``."""

    include_usage: bool = False


def _whole(number: Any) -> Any:
    """5.0 is a whole number, as JSON Schema has it."""
    if isinstance(number, float) and number.is_integer():
        return int(number)
    return number


Whole = Annotated[int, BeforeValidator(_whole)]
Stop = Annotated[str, Field(min_length=1, max_length=200)]


class Asked(BaseModel):
    """The body of ``POST /v1/chat/completions``; fields that change no answer are passed over."""

    model_config = ConfigDict(strict=True, extra="ignore", allow_inf_nan=False)

    model: str = Field(max_length=300)
    messages: list[Turn] = Field(min_length=1, max_length=MESSAGES)
    stream: bool | None = None
    stream_options: Options | None = None
    max_tokens: Whole | None = Field(None, ge=1, le=MOST_TOKENS)
    max_completion_tokens: Whole | None = Field(None, ge=1, le=MOST_TOKENS)
    temperature: float | None = Field(None, ge=0, le=2)
    """0, the most likely words, where it is not said; OpenAI's own default is 1."""
    top_p: float | None = Field(None, gt=0, le=1)
    seed: Whole | None = Field(None, ge=-(2**63), lt=2**63)
    stop: Stop | Annotated[list[Stop], Field(max_length=4)] | None = None
    n: Literal[1] | None = None
    logprobs: Literal[False] | None = None
    tools: Annotated[list[Any], Field(max_length=0)] | None = None
    functions: Annotated[list[Any], Field(max_length=0)] | None = None
    response_format: dict[str, Literal["text"]] | None = None
    sources: bool = True

    def sampling(self, usual: int) -> Sampling:
        """How words are chosen."""
        stop = [self.stop] if isinstance(self.stop, str) else self.stop or []
        return Sampling(
            max_tokens=self.max_completion_tokens or self.max_tokens or usual,
            temperature=self.temperature or 0.0,
            top_p=1.0 if self.top_p is None else self.top_p,
            seed=self.seed,
            stop=tuple(stop),
        )

    def question(self) -> tuple[str, list[dict[str, str]]]:
        """The last message, and what was said before it.

        What the system says stands before the question, since not every template has a place for
        it.

        Raises:
            Refusal: the last message is not a user's.
        """
        *before, last = self.messages
        if last.role != "user":
            raise Refusal(400, "the last message has to be the user's question")
        system = [turn.text for turn in before if turn.role in ("system", "developer")]
        history = [
            {"role": turn.role, "content": turn.text}
            for turn in before
            if turn.role in ("user", "assistant")
        ]
        return "\n\n".join([*system, last.text]), history


class Model(BaseModel):
    """A model that is served."""

    id: str
    object: Literal["model"] = "model"
    created: int = 0
    owned_by: str = "cosmosage"


class Models(BaseModel):
    """All of them, which is one."""

    object: Literal["list"] = "list"
    data: list[Model]


class Usage(BaseModel):
    """Tokens, with those of the passages that stood before the question."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int

    @classmethod
    def of(cls, answer: Answer) -> "Usage":
        """What an answer took."""
        return cls(
            prompt_tokens=answer.read,
            completion_tokens=answer.written,
            total_tokens=answer.read + answer.written,
        )


class Source(BaseModel):
    """A passage that the model was given; all of it is from the index."""

    number: int
    """By which the answer may name it."""
    document: str
    passage: int
    title: str
    authors: list[str]
    year: int | None
    licence: str
    url: str
    page: str
    """Where it opens on this server."""
    text: str
    """Of the passage what the model read."""

    @classmethod
    def all_of(cls, answer: Answer) -> list["Source"]:
        """An answer's sources."""
        return [cls.of(n, source) for n, source in enumerate(answer.sources, start=1)]

    @classmethod
    def of(cls, number: int, source: Passage) -> "Source":
        """A passage as programs read it."""
        return cls(
            number=number,
            document=source.document,
            passage=source.number,
            title=source.title,
            authors=list(source.authors),
            year=source.year,
            licence=source.licence,
            url=source.url,
            page=source_page(source.document, source.number),
            text=source.text,
        )


class Said(BaseModel):
    """The message that is the answer."""

    role: Literal["assistant"] = "assistant"
    content: str


class Choice(BaseModel):
    """An answer; there is one."""

    index: Literal[0] = 0
    message: Said
    finish_reason: Literal["stop", "length"]
    logprobs: None = None


class Completion(BaseModel):
    """A whole answer."""

    id: str
    object: Literal["chat.completion"] = "chat.completion"
    created: int
    model: str
    choices: list[Choice]
    usage: Usage
    sources: list[Source]
    unsupported: list[str]
    """Sentences that no source supports."""


class Fault(BaseModel):
    """What is wrong."""

    message: str
    type: str
    param: None = None
    code: None = None


class Faulty(BaseModel):
    """An answer that is none."""

    error: Fault
