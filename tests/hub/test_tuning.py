"""Text models that are tuned: which tokens they read, what of them changes, and gradients of whole batches."""

from pathlib import Path
from typing import Any

import pytest
import torch
from hub_examples import some_texts
from tuning_examples import KINDS, LONGEST, some_labels, text_rows, tiny

from surefoot.errors import InputError
from surefoot.hub.encoder import Encoder
from surefoot.hub.readers import TextReader
from surefoot.hub.tuning.adapt import Full, HeadOnly, LowRank, adapted, first_layers, merged
from surefoot.hub.tuning.backward import backward_whole, dropped
from surefoot.hub.tuning.classifier import TextClassifier, make_classifier, pooled
from surefoot.hub.tuning.place import alone
from surefoot.hub.tuning.settings import Tune
from surefoot.hub.tuning.texts import Tokens, tokens_of
from surefoot.hub.tuning.tune import TextLearner, tune
from surefoot.rows.rows import make_rows
from surefoot.rows.texts import Texts
from surefoot.supervise.losses import AdaptiveConfidence, Confidence, CrossEntropy, WeakLoss


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tiny")


def reader_of(encoder: Encoder) -> TextReader:
    assert isinstance(encoder.reader, TextReader)
    return encoder.reader


def tokens(encoder: Encoder, *texts: str) -> Tokens:
    return tokens_of(reader_of(encoder), Texts((texts,)))


def vectors(classifier: TextClassifier, coded: Tokens, places: list[int]) -> torch.Tensor:
    with torch.no_grad():
        return classifier.vectors(coded.batch(places))


@pytest.mark.parametrize("kind", KINDS)
def test_a_text_reads_the_same_alone_and_beside_longer_ones(folder: Path, kind: str) -> None:
    encoder = tiny(folder, kind)
    coded = tokens(encoder, *some_texts(8))
    classifier = make_classifier(encoder, 2, Full(), seed=0)
    together = vectors(classifier, coded, list(range(8)))
    alone_ = torch.cat([vectors(classifier, coded, [place]) for place in range(8)])
    torch.testing.assert_close(together, alone_, rtol=1e-4, atol=1e-5)
    assert classifier.pools == ("mean" if kind == "bert" else "last")


@pytest.mark.parametrize("kind", ["gpt2", "llama"])
def test_the_last_token_of_exclamation_marks_is_the_last_of_them(folder: Path, kind: str) -> None:
    """Token 0 is "!": whoever looks for the last token that is not 0 reads another one, or none."""
    encoder = tiny(folder, kind)
    texts = ("! ! ! ! !", "bird ! !", "the bird flew over the water", "[END] [END]")
    coded = tokens(encoder, *texts)
    assert coded.coded["input_ids"][0] == [0] * 5
    classifier = make_classifier(encoder, 2, Full(), seed=0)
    found = vectors(classifier, coded, [0, 1, 2, 3])
    body: Any = encoder.module
    for place, ids in enumerate(coded.coded["input_ids"]):
        with torch.no_grad():
            hidden = body(input_ids=torch.tensor([list(ids)])).last_hidden_state[0]
        torch.testing.assert_close(found[place], hidden[-1], rtol=1e-4, atol=1e-5)
        words = [at for at, token in enumerate(ids) if token != 0]
        if words and words[-1] < len(ids) - 1:
            assert not torch.allclose(found[place], hidden[words[-1]], atol=1e-3)
        if kind == "gpt2" and len(ids) > 1:  # without learnt positions equal tokens have equal states
            assert not torch.allclose(found[place], hidden[-2], atol=1e-3)


def test_an_encoders_vector_is_the_mean_over_its_own_tokens(folder: Path) -> None:
    encoder = tiny(folder, "bert")
    coded = tokens(encoder, "bird", "the bird flew over the water")
    found = vectors(make_classifier(encoder, 2, Full(), seed=0), coded, [0, 1])
    body: Any = encoder.module
    with torch.no_grad():
        hidden = body(input_ids=torch.tensor([list(coded.coded["input_ids"][0])])).last_hidden_state[0]
    torch.testing.assert_close(found[0], hidden.mean(dim=0), rtol=1e-4, atol=1e-5)


def test_long_texts_are_refused_with_a_count_and_cut_where_asked_and_never_left_out(folder: Path) -> None:
    encoder = tiny(folder, "gpt2")
    long = " ".join(["bird"] * (LONGEST + 5))
    texts = ("the bird", long, "over", f"{long} near", " ".join(["land"] * LONGEST))
    with pytest.raises(InputError, match=r"2 of 5 texts are longer than the 40 tokens .*first: row 1, 45 tokens"):
        tokens(encoder, *texts)
    cut = tokens_of(reader_of(encoder), Texts((texts,)), "cut")
    assert (len(cut), cut.cut, cut.lengths) == (5, 2, (2, LONGEST, 1, LONGEST, LONGEST))
    learner = TextLearner("tiny", encoder, HeadOnly(), Tune(epochs=1, overlong="cut"))
    assert tune(learner, some_labels(texts), 0).cut == 2


@pytest.mark.parametrize("texts", [("bird", ""), ("",)])
def test_a_text_without_a_token_is_refused(folder: Path, texts: tuple[str, ...]) -> None:
    with pytest.raises(InputError, match=rf"Row {len(texts) - 1} has a text without a token"):
        tokens(tiny(folder, "gpt2"), *texts)


def test_inputs_that_are_no_texts_are_refused(folder: Path) -> None:
    with pytest.raises(InputError, match="give rows whose inputs are Texts"):
        tokens_of(reader_of(tiny(folder, "bert")), torch.zeros(3, 2))
    with pytest.raises(InputError, match="3 columns"):
        tokens_of(reader_of(tiny(folder, "bert")), Texts((("a",), ("b",), ("c",))))


def test_pairs_of_texts_are_read_together(folder: Path) -> None:
    coded = tokens_of(reader_of(tiny(folder, "bert")), Texts((("the bird",), ("over water",))))
    assert coded.lengths == (7,)
    assert coded.coded["token_type_ids"] == [[0, 0, 0, 0, 1, 1, 1]]


@pytest.mark.parametrize("kind", KINDS)
def test_the_first_layers_are_what_the_whole_model_says_there(folder: Path, kind: str) -> None:
    encoder = tiny(folder, kind)
    total = int(encoder.module.config.num_hidden_layers)  # type: ignore[union-attr]
    coded = tokens(encoder, *some_texts(4))
    whole: Any = encoder.module
    given = coded.batch([0, 1, 2, 3])
    with torch.no_grad():
        states = whole(**given, output_hidden_states=True).hidden_states
    for count in range(1, total + 1):
        body: Any = first_layers(encoder.module, count)
        assert body.config.num_hidden_layers == count
        with torch.no_grad():
            found = body(**given).last_hidden_state
        wanted = states[count]
        if kind != "bert" and count < total:  # the norm after the last layer stays after the last one that is kept
            norm = whole.ln_f if kind == "gpt2" else whole.norm
            with torch.no_grad():
                wanted = norm(wanted)
        kept = given["attention_mask"][:, :, None]
        torch.testing.assert_close(found * kept, wanted * kept, rtol=1e-4, atol=1e-5)
    assert int(encoder.module.config.num_hidden_layers) == total  # type: ignore[union-attr]
    for wrong in (0, total + 1):
        with pytest.raises(InputError, match=f"The model has {total} layers and {wrong}"):
            first_layers(encoder.module, wrong)


@pytest.mark.parametrize("kind", KINDS)
def test_low_rank_differences_begin_at_nothing_and_merge_into_what_they_said(folder: Path, kind: str) -> None:
    encoder = tiny(folder, kind)
    coded = tokens(encoder, *some_texts(4))
    given = coded.batch([0, 1, 2, 3])
    plain, low = (make_classifier(encoder, 2, how, seed=0) for how in (Full(), LowRank(2, 4.0)))
    before = vectors(plain, coded, [0, 1, 2, 3])
    torch.testing.assert_close(vectors(low, coded, [0, 1, 2, 3]), before, rtol=1e-5, atol=1e-6)
    taught = {name for name, each in low.named_parameters() if each.requires_grad}
    assert taught
    assert all("lora_" in name or name == "head.weight" for name in taught)
    with torch.no_grad():
        for name, each in low.named_parameters():
            if "lora_B" in name:
                each.add_(torch.randn(each.shape, generator=torch.Generator().manual_seed(len(name))))
    moved = vectors(low, coded, [0, 1, 2, 3])
    assert not torch.allclose(moved, before, atol=1e-2)
    body: Any = merged(low.body)
    assert not any("lora" in name for name, _ in body.named_parameters())
    with torch.no_grad():
        again = TextClassifier(body, low.head, low.pools).vectors(given)
    torch.testing.assert_close(again, moved, rtol=1e-4, atol=1e-4)


def test_low_rank_changes_only_the_layers_that_are_named(folder: Path) -> None:
    encoder = tiny(folder, "bert")
    body = adapted(first_layers(encoder.module), LowRank(2, 4.0, on=("query",)), 0)
    taught = [name for name, each in body.named_parameters() if each.requires_grad]
    layers = int(encoder.module.config.num_hidden_layers)  # type: ignore[union-attr]
    assert len(taught) == 2 * layers
    assert all(".query." in name for name in taught)
    with pytest.raises(InputError, match="No layer of the model is called nothing"):
        adapted(first_layers(encoder.module), LowRank(on=("nothing",)), 0)
    with pytest.raises(InputError, match="The rank is 0"):
        LowRank(0)


def test_low_rank_differences_are_alpha_over_rank_times_both_matrices_and_drawn_from_the_seed(folder: Path) -> None:
    encoder = tiny(folder, "bert")
    name = "encoder.layer.1.attention.self.query"
    first: list[torch.Tensor] = []
    for seed in (0, 0, 1):
        low: Any = adapted(first_layers(encoder.module), LowRank(2, 6.0, on=("query",)), seed)
        layer = low.get_base_model().get_submodule(name)
        down, up = layer.lora_A["default"].weight, layer.lora_B["default"].weight
        first.append(down.detach().clone())
        with torch.no_grad():
            up.normal_(generator=torch.Generator().manual_seed(3))
        before = encoder.module.get_submodule(name).weight
        after = merged(low).get_submodule(name).weight
        torch.testing.assert_close(after - before, 3 * up @ down, rtol=1e-4, atol=1e-5)
    assert torch.equal(first[0], first[1])
    assert not torch.equal(first[0], first[2])


def test_a_head_alone_sends_no_gradient_into_the_body(folder: Path) -> None:
    encoder = tiny(folder, "llama")
    classifier = make_classifier(encoder, 3, HeadOnly(), seed=0)
    logits = classifier(tokens(encoder, *some_texts(4)).batch([0, 1, 2, 3]))
    logits.square().sum().backward()
    assert not classifier.vectors(tokens(encoder, "bird").batch([0])).requires_grad
    assert all(each.grad is None for each in classifier.body.parameters())
    assert logits.abs().max() == 0  # the head begins at zero


@pytest.mark.parametrize("kind", KINDS)
def test_every_weight_learns_or_the_heads_alone(folder: Path, kind: str) -> None:
    for how, wanted in ((Full(), None), (HeadOnly(), ["head.weight"])):
        named = dict(make_classifier(tiny(folder, kind), 2, how, seed=0).named_parameters())
        taught = [name for name, each in named.items() if each.requires_grad]
        assert taught == (list(named) if wanted is None else wanted)


def test_making_a_classifier_leaves_the_encoder_as_it_was(folder: Path) -> None:
    encoder = tiny(folder, "gpt2")
    before = {name: each.clone() for name, each in encoder.module.named_parameters()}
    learner = TextLearner("tiny", encoder, Full(), Tune(epochs=1, batch=4, rate=0.01), layers=1)
    tune(learner, some_labels(some_texts(8)), 0)
    after = dict(encoder.module.named_parameters())
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)


def gradients(
    classifier: TextClassifier, coded: Tokens, weak: torch.Tensor, loss: WeakLoss, microbatch: int
) -> tuple[float, list[torch.Tensor]]:
    classifier.zero_grad()
    taught = [each for each in classifier.parameters() if each.requires_grad]

    def whole(logits: torch.Tensor) -> torch.Tensor:
        return loss(logits, weak, 0.6).mean()

    value = backward_whole(
        lambda part: classifier(coded.batch(list(part))), whole, len(coded), weak.shape[1], microbatch, taught,
        alone(), lambda _: dropped(None),
    )  # fmt: skip
    return value, [torch.zeros_like(each) if each.grad is None else each.grad.clone() for each in taught]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "loss",
    [Confidence(0.75, 0.2, "even"), Confidence(0.5, 0.1, "weak"), AdaptiveConfidence(), CrossEntropy()],
    ids=lambda each: f"{type(each).__name__} {getattr(each, 'balance', '')}",
)
def test_gradients_of_parts_are_those_of_the_whole_batch(folder: Path, kind: str, loss: WeakLoss) -> None:
    """Computed in double precision, so that they can be held to 1e-6 of each other."""
    encoder = tiny(folder, kind)
    texts = some_texts(11)
    coded = tokens(encoder, *texts)
    weak = some_labels(texts, 3).rows.targets.double()
    classifier = make_classifier(encoder, 3, Full(), seed=0).double()
    with torch.no_grad():
        classifier.head.weight.normal_(generator=torch.Generator().manual_seed(1)).mul_(0.3)
    classifier.vectors = _double(classifier)  # type: ignore[method-assign]
    value, wanted = gradients(classifier, coded, weak, loss, 11)
    assert max(float(each.abs().max()) for each in wanted) > 1e-3
    for microbatch in (1, 4):
        again, found = gradients(classifier, coded, weak, loss, microbatch)
        assert again == pytest.approx(value, abs=1e-6)
        for one, other in zip(found, wanted, strict=True):
            torch.testing.assert_close(one, other, rtol=0, atol=1e-6)


def _double(classifier: TextClassifier) -> Any:
    """The classifier's vectors without the cast to float32."""

    def read(given: dict[str, torch.Tensor]) -> torch.Tensor:
        body: Any = classifier.body
        return pooled(body(**given).last_hidden_state, given["attention_mask"], classifier.pools)

    return read


def test_parts_summed_each_by_their_own_loss_would_be_another_gradient(folder: Path) -> None:
    """The check above can fail: hardening row by row is not hardening with the batch's shares."""
    encoder = tiny(folder, "bert")
    texts = some_texts(11)
    coded, weak = tokens(encoder, *texts), some_labels(texts, 2).rows.targets
    classifier = make_classifier(encoder, 2, HeadOnly(), seed=0)
    with torch.no_grad():
        classifier.head.weight.normal_(generator=torch.Generator().manual_seed(1))
    loss = Confidence(0.75, 0.2, "even")
    _, (wanted,) = gradients(classifier, coded, weak, loss, 11)
    classifier.zero_grad()
    for place in range(11):
        (loss(classifier(coded.batch([place])), weak[place : place + 1], 0.6).sum() / 11).backward()
    assert classifier.head.weight.grad is not None
    assert not torch.allclose(classifier.head.weight.grad, wanted, atol=1e-3)


def test_a_model_of_images_is_refused(folder: Path) -> None:
    from dataclasses import replace

    encoder = replace(tiny(folder, "bert"), reads="images")
    with pytest.raises(InputError, match="reads images; give a model of texts"):
        make_classifier(encoder, 2, Full(), seed=0)


def test_labels_that_are_classes_are_refused(folder: Path) -> None:
    from surefoot.supervise.labels import WeakLabels

    learner = TextLearner("tiny", tiny(folder, "bert"))
    with pytest.raises(InputError, match="give distributions over classes"):
        tune(learner, WeakLabels(text_rows(some_texts(4)), frozenset(), "crowd"), 0)
    features = make_rows(torch.zeros(2, 3), torch.tensor([[0.5, 0.5], [0.5, 0.5]]))
    with pytest.raises(InputError, match="give rows whose inputs are Texts"):
        tune(learner, WeakLabels(features, frozenset(), "crowd"), 0)


def test_the_mean_over_tokens_is_not_rounded_with_the_bodys_products() -> None:
    """Under bfloat16 products the sums of a hundred tokens would be off by three thousandths."""
    hidden = torch.randn(3, 100, 8, generator=torch.Generator().manual_seed(0)) + 3
    mask = torch.ones(3, 100, dtype=torch.int64)
    with alone(precision="bfloat16").products():
        found = pooled(hidden, mask, "mean")
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, hidden.mean(dim=1), rtol=1e-5, atol=1e-6)
