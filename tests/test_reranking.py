"""Reranking by a tiny random model: the arithmetic, against sentences embedded one by one."""

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers
from transformers import AutoConfig, BertModel, PreTrainedTokenizerFast

from cosmosage import retrieval
from cosmosage.documents import write_jsonl
from cosmosage.reranking import MEANING, Reranked, Reranker
from cosmosage.retrieval import Index, Passage

TEXTS = [
    "Baryons and photons oscillate together until the drag epoch, and then no longer.",
    "Galaxies form.",
    "",
    "The universe expands. " * 60,
]


@pytest.fixture(name="folder", scope="module")
def bert(tmp_path_factory):
    """A random BERT of 20,000 weights, saved."""
    folder = tmp_path_factory.mktemp("bert")
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    trainer = trainers.WordPieceTrainer(
        vocab_size=120, special_tokens=special, show_progress=False
    )
    tokenizer.train_from_iterator(TEXTS, trainer)
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]"
    )
    settings = AutoConfig.for_model(
        "bert",
        vocab_size=len(wrapped),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=64,
        initializer_range=0.5,  # far from uniform: a wrong mask shows in the mean
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = BertModel(settings)
    model.save_pretrained(folder)
    wrapped.save_pretrained(folder)
    return folder


def alone(folder, text):
    """The mean of a text's tokens, read without any other and without padding."""
    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
    model = BertModel.from_pretrained(folder).eval()
    ids = tokenizer(text)["input_ids"][:63]
    ids = ids if ids[-1] == 3 else [*ids, 3]  # it is cut, and then ended
    with torch.inference_mode():
        hidden = model(torch.tensor([ids])).last_hidden_state[0]
    return hidden.mean(0) / hidden.mean(0).norm()


def passage(number, text):
    """A passage of a document of that number."""
    return Passage(f"d{number}", number, text, 10.0 - number, "On " + text[:5])


def test_vectors_are_the_means_of_each_text_alone(folder):
    found = Reranker.load(folder).vectors(TEXTS * 6)  # in three batches
    assert found.shape == (24, 32)
    for place, vector in enumerate(found):
        wanted = alone(folder, TEXTS[place % 4])
        assert torch.allclose(vector, wanted, atol=1e-5), place


def test_words_and_meaning_are_weighed(folder):
    reranker = Reranker.load(folder)
    question = "Do galaxies form together?"
    passages = [passage(n, text) for n, text in enumerate(TEXTS)]
    found = reranker.rerank(question, passages)
    near = [float(alone(folder, question) @ alone(folder, text)) for text in TEXTS]
    wanted = {n: (10 - n) / 10 + MEANING * near[n] for n in range(4)}
    assert {p.number for p in found} == {0, 1, 2, 3}
    for each in found:
        assert each.score == pytest.approx(wanted[each.number], abs=1e-5)
        assert each.text == TEXTS[each.number] and each.document == f"d{each.number}"
    scores = [each.score for each in found]
    assert scores == sorted(scores, reverse=True)
    assert not reranker.rerank(question, [])


def test_a_model_that_is_none_is_refused(folder, tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no model"):
        Reranker.load(tmp_path / "absent")
    for name in ("config.json", "tokenizer_config.json"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    (tmp_path / "pytorch_model.bin").write_bytes(b"pickled")
    with pytest.raises(ValueError, match="pickled"):
        Reranker.load(tmp_path)


def test_an_index_in_the_order_of_meaning_is_asked_like_one(folder, tmp_path):
    """Of twice as many as are wanted the best; all else is the index's own."""
    records = [
        {"id": f"d{n}", "text": f"Galaxies. {text}"} for n, text in enumerate(TEXTS)
    ]
    write_jsonl(tmp_path / "all.jsonl", records)
    retrieval.build([tmp_path / "all.jsonl"], tmp_path / "index")
    index, reranker = Index.load(tmp_path / "index"), Reranker.load(folder)
    both = Reranked(index, reranker)
    found = both.search("Do galaxies form together?", 2)
    wide = index.search("Do galaxies form together?", 4)
    assert found == reranker.rerank("Do galaxies form together?", wide)[:2]
    assert len(both) == len(index) == 4
    assert both.document("d1") == index.document("d1")
    assert both.frequencies(["galaxy", "x"]) == {"galaxy": 4, "x": 0}
