"""The optimiser against torch's own, and the rounding against statistics."""

import copy

import pytest
import torch

from cosmosage.optimiser import (
    AdamW,
    Moment,
    clip_scale,
    joined,
    round_stochastically,
    split,
)


def neighbours(values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The bf16 numbers at and beyond fp32 values, towards zero and away from it, as fp32."""
    inner = (values.view(torch.int32) & -0x10000).view(torch.float32)
    outer = ((inner.view(torch.int32)) + 0x10000).view(torch.float32)
    return inner, torch.where(inner == values, inner, outer)


def rounded(values: torch.Tensor, seed: int) -> torch.Tensor:
    """Values through ``round_stochastically``, as fp32."""
    out = torch.empty_like(values, dtype=torch.bfloat16)
    round_stochastically(out, values, torch.Generator().manual_seed(seed))
    return out.float()


def test_rounding_goes_to_the_two_neighbours_only():
    draw = torch.Generator().manual_seed(0)
    values = torch.randn(997, 3, generator=draw) * 10 ** torch.linspace(-30, 30, 3)
    inner, outer = neighbours(values)
    seen = torch.zeros(2, *values.shape, dtype=torch.bool)
    for seed in range(30):
        out = rounded(values, seed)
        seen |= torch.stack([out == inner, out == outer])
        assert ((out == inner) | (out == outer)).all()
    assert seen.float().mean() > 0.9  # both are taken
    exact = values.bfloat16().float()
    assert torch.equal(rounded(exact, 0), exact)
    special = torch.tensor([0.0, -0.0, 1.0, -2.0, 1e-40])
    assert torch.equal(rounded(special, 1)[:4], special[:4])


@pytest.mark.parametrize("value", [1.001, -3.14159, 2.7e-7, 0.9999, -65504.5])
def test_rounding_is_right_on_average(value):
    count = 1 << 18
    values = torch.full((count,), value)
    inner, outer = neighbours(values[:1])
    gap = (outer - inner).abs().item()
    mean = rounded(values, 5).double().mean().item()
    share = abs(value - inner.item()) / gap
    error = gap * (share * (1 - share) / count) ** 0.5  # of a mean of two-valued draws
    assert abs(mean - values[0].item()) < 4 * error + 1e-12 * abs(value)


def test_neighbouring_values_are_rounded_independently():
    # one 64-bit draw serves four values: their errors must not go together
    out = rounded(torch.full((1 << 16, 4), 1 + 2**-8), 3)
    correlation = torch.corrcoef((out - out.mean()).T)
    assert (correlation - torch.eye(4)).abs().max() < 5 / 2**8


def test_rounding_takes_a_transposed_source():
    values = torch.randn(30, 20, generator=torch.Generator().manual_seed(2))
    inner, outer = neighbours(values.T.contiguous())
    out = rounded(values.T, 0)
    assert ((out == inner) | (out == outer)).all()


def network(seed: int = 0, width: int = 16) -> torch.nn.Module:
    """A small network with matrices, biases and a norm."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return torch.nn.Sequential(
            torch.nn.Linear(6, width),
            torch.nn.Tanh(),
            torch.nn.LayerNorm(width),
            torch.nn.Linear(width, 1),
        )


DATA = torch.randn(64, 6, generator=torch.Generator().manual_seed(9))
TARGET = (DATA[:, :1] * DATA[:, 1:2]).sin() + DATA[:, 2:3]


def loss_of(model: torch.nn.Module) -> torch.Tensor:
    """Mean squared error in the model's own number format."""
    dtype = next(model.parameters()).dtype
    return (model(DATA.to(dtype)).float() - TARGET).square().mean()


def test_fp32_is_torchs_adamw_bit_for_bit():
    ours, theirs = network(), network()
    optimiser = AdamW(ours.named_parameters(), weight_decay=0.1)
    matrices = [p for p in theirs.parameters() if p.ndim > 1]
    others = [p for p in theirs.parameters() if p.ndim == 1]
    oracle = torch.optim.AdamW(
        [
            {"params": matrices, "weight_decay": 0.1},
            {"params": others, "weight_decay": 0.0},
        ],
        betas=(0.9, 0.95),
        eps=1e-8,
        fused=True,
    )
    for step in range(10):
        rate = 1e-2 / (step + 1)
        loss_of(ours).backward()
        optimiser.step(rate)
        for group in oracle.param_groups:
            group["lr"] = rate
        oracle.zero_grad()
        loss_of(theirs).backward()
        oracle.step()
    for mine, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert torch.equal(mine, other)
        assert mine.grad is None


def test_adamw_by_hand():
    # one weight, gradients 1 and then -2, worked through Loshchilov & Hutter's algorithm 2
    weight = torch.nn.Parameter(torch.tensor([[1.0]]))
    optimiser = AdamW([("w", weight)], weight_decay=0.5)
    expected, first, second = 1.0, 0.0, 0.0
    for step, gradient in enumerate((1.0, -2.0), start=1):
        weight.grad = torch.tensor([[gradient]])
        optimiser.step(0.1)
        first = 0.9 * first + 0.1 * gradient
        second = 0.95 * second + 0.05 * gradient**2
        root = (second / (1 - 0.95**step)) ** 0.5 + 1e-8
        expected -= 0.1 * 0.5 * expected + 0.1 * first / (1 - 0.9**step) / root
    assert weight.item() == pytest.approx(expected, rel=1e-6)


def trained(dtype: torch.dtype, nearest: bool, steps: int = 600) -> float:
    """The loss after small steps, the weights kept in a format and rounded as said."""
    model = network()
    model.load_state_dict({k: v.bfloat16() for k, v in model.state_dict().items()})
    model = model.to(dtype)
    optimiser = AdamW(model.named_parameters())
    oracle = torch.optim.AdamW(model.parameters(), betas=(0.9, 0.95), weight_decay=0)
    for _ in range(steps):
        loss_of(model).backward()
        if nearest:
            for group in oracle.param_groups:
                group["lr"] = 1e-4
            oracle.step()
            oracle.zero_grad()
        else:
            optimiser.step(1e-4)
    return loss_of(model.float()).item()


def test_bf16_follows_fp32_where_nearest_rounding_stands_still():
    start = trained(torch.float32, False, steps=0)
    exact = trained(torch.float32, False)
    ours = trained(torch.bfloat16, False)
    nearest = trained(torch.bfloat16, True)
    learnt = start - exact
    assert learnt > 0.2 * start
    assert abs(ours - exact) < 0.1 * learnt
    assert nearest - exact > 0.3 * learnt


@pytest.mark.parametrize("states", ["fp32", "8bit"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_restored_it_goes_on_bit_for_bit(dtype, states):
    model = network(width=700).to(
        dtype
    )  # a matrix of 4,200 values has moments of 8 bits
    options = {"weight_decay": 0.1, "seed": 3, "states": states}
    optimiser = AdamW(model.named_parameters(), **options)
    for _ in range(5):
        loss_of(model).backward()
        optimiser.step(1e-3)
    other = copy.deepcopy(model)
    state = {name: tensor.clone() for name, tensor in optimiser.state().items()}
    resumed = AdamW(other.named_parameters(), **options)
    resumed.restore(state, optimiser.progress())
    for _ in range(5):
        for each, by in ((model, optimiser), (other, resumed)):
            loss_of(each).backward()
            by.step(1e-3)
    assert resumed.steps == optimiser.steps == 10
    for mine, theirs in zip(model.parameters(), other.parameters(), strict=True):
        assert torch.equal(mine, theirs)
    for name, tensor in optimiser.state().items():
        assert torch.equal(tensor, resumed.state()[name])


def test_the_rounding_follows_its_seed():
    ends = []
    for seed in (0, 0, 1):
        model = network().bfloat16()
        optimiser = AdamW(model.named_parameters(), seed=seed)
        for _ in range(3):
            loss_of(model).backward()
            optimiser.step(1e-4)
        ends.append(torch.cat([p.detach().flatten() for p in model.parameters()]))
    assert torch.equal(ends[0], ends[1])
    assert not torch.equal(ends[0], ends[2])


def test_a_parameter_without_gradient_stays():
    model = network()
    optimiser = AdamW(model.named_parameters(), weight_decay=0.1)
    before = model[0].weight.clone()
    loss_of(model).backward()
    model[0].weight.grad = None
    optimiser.step(1e-2)
    assert torch.equal(model[0].weight, before)
    assert not optimiser.state()["0.weight.first.values"].any()


@pytest.mark.parametrize("signed", [True, False], ids=["first", "second"])
def test_a_byte_keeps_a_moment_within_six_percent(signed):
    draw = torch.Generator().manual_seed(4)
    size = 10 ** (torch.rand(5000, generator=draw) * (6 if signed else 11))
    values = size * (torch.randn(5000, generator=draw).sign() if signed else 1)
    values[::100] = 0
    moment = Moment(values, signed, eight_bit=True)
    moment.write(0, values)
    assert moment.codes.dtype == (torch.int8 if signed else torch.uint8)
    kept = moment.read(0, 5000)
    assert (kept[::100] == 0).all()
    blocks = torch.nn.functional.pad(values.abs(), (0, 120)).view(-1, 256).amax(dim=1)
    share = values.abs() / blocks.repeat_interleave(256)[:5000]
    held = share > (1e-6 if signed else 1e-10)
    error = (kept - values).abs()[held] / values.abs()[held]
    assert error.max() < 0.06
    assert held.float().mean() > 0.9
    lost = (share > 0) & ~held
    assert lost.any() or signed
    if (
        signed
    ):  # what is too small is nothing; in a denominator it is the least that there is
        assert (kept[share < 0.9e-6] == 0).all()
    else:
        assert (kept[lost] > 0).all()


def test_parts_of_a_moment_are_the_whole():
    values = torch.randn(5000, generator=torch.Generator().manual_seed(5))
    whole, parts = (Moment(values, True, eight_bit=True) for _ in range(2))
    whole.write(0, values)
    for first in (0, 2048, 4096):
        parts.write(first, values[first : first + 2048])
    assert torch.equal(whole.codes, parts.codes)
    assert torch.equal(whole.read(2048, 4096), parts.read(0, 5000)[2048:4096])


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_moments_of_a_byte_follow_those_of_fp32(dtype):
    ends, start = {}, loss_of(network(width=700)).item()
    for states in ("fp32", "8bit"):
        model = network(width=700).to(dtype)
        optimiser = AdamW(model.named_parameters(), states=states)
        for _ in range(100):
            loss_of(model).backward()
            optimiser.step(1e-3)
        ends[states] = loss_of(model.float()).item()
    sizes = {name: t.element_size() for name, t in optimiser.state().items()}
    assert sizes["0.weight.second.codes"] == 1 and sizes["2.bias.first.values"] == 4
    assert ends["fp32"] < 0.5 * start
    assert ends["8bit"] == pytest.approx(ends["fp32"], abs=0.03 * start)


@pytest.mark.parametrize("states", ["fp32", "8bit"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_step_in_the_backward_pass_is_the_same_step(dtype, states):
    one, other = network(width=700).to(dtype), network(width=700).to(dtype)
    after = AdamW(one.named_parameters(), states=states, weight_decay=0.1, seed=1)
    within = AdamW(other.named_parameters(), states=states, weight_decay=0.1, seed=1)
    before = None
    for _ in range(5):
        loss_of(one).backward()
        norm = after.norm()
        after.step(1e-3, clip_scale(before, 0.1))  # by the norm of the step before
        assert within.backward(loss_of(other), 1e-3, 0.1) == pytest.approx(norm)
        before = within.progress()["norm"]
        assert all(p.grad is None for p in other.parameters())
    for mine, theirs in zip(one.parameters(), other.parameters(), strict=True):
        assert torch.equal(mine, theirs)


def test_parts_of_a_gradient_are_added_in_fp32():
    weight = torch.nn.Parameter(torch.ones(1, 1, dtype=torch.bfloat16))
    optimiser = AdamW([("w", weight)])
    for part in [1.0] + [2**-9] * 64:  # each too small for a sum in bf16
        weight.grad = torch.full((1, 1), part, dtype=torch.bfloat16)
        optimiser.accumulate()
    assert weight.grad is None
    assert optimiser.norm() == 1 + 64 * 2**-9
    optimiser.forget()
    assert optimiser.norm() == 0
    optimiser.step(1.0)
    assert weight.item() == 1  # nothing to step by


def test_a_value_in_two_halves_is_the_value():
    draw = torch.Generator().manual_seed(2)
    values = torch.randn(4096, 8, generator=draw) * 10 ** torch.linspace(-30, 30, 8)
    values[0] = torch.tensor([0.0, -0.0, 1.0, -2.0, 1 + 2**-8, -1 - 2**-8, 1e-40, 3e38])
    value = torch.empty_like(values, dtype=torch.bfloat16)
    rest = torch.empty_like(values, dtype=torch.int16)
    split(value, rest, values)
    assert torch.equal(
        joined(value, rest).view(torch.int32), values.view(torch.int32)
    )  # bit for bit, the sign of zero with it
    off = (value.float() - values).abs()
    nearest = (values.bfloat16().float() - values).abs()
    assert torch.equal(off, nearest)


@pytest.mark.parametrize("states", ["fp32", "8bit"])
def test_with_their_remainders_bf16_weights_are_those_of_fp32(states):
    """The same gradients take both the same way, bit for bit; rounded by chance, they part."""
    draw = torch.Generator().manual_seed(7)
    start = torch.randn(96, 64, generator=draw).bfloat16()
    wide, narrow, chance = (
        torch.nn.Parameter(start.to(dtype).clone())
        for dtype in (torch.float32, torch.bfloat16, torch.bfloat16)
    )
    rates = {"weight_decay": 0.1, "states": states}
    ours = AdamW([("w", narrow)], **rates, remainders=True)
    theirs = AdamW([("w", wide)], **rates)
    rounded_ = AdamW([("w", chance)], **rates)
    for _ in range(50):
        gradient = torch.randn(96, 64, generator=draw)
        for parameter in (wide, narrow, chance):
            parameter.grad = gradient.to(parameter.dtype)
        wide.grad = narrow.grad.float()
        for optimiser in (ours, theirs, rounded_):
            optimiser.step(1e-4)
    whole = joined(narrow.detach().view(-1), ours.rests["w"])
    assert torch.equal(whole, wide.detach().view(-1))
    moved = (wide.detach() - start).square().mean().sqrt()
    noise = (chance.detach() - wide.detach()).square().mean().sqrt()
    assert noise > moved  # what the remainders are for
    assert "w.rest" in ours.state() and "w.rest" not in rounded_.state()


def test_remainders_are_taken_up_again():
    draw = torch.Generator().manual_seed(9)
    start = torch.randn(64, 64, generator=draw).bfloat16()
    gradients = [torch.randn(64, 64, generator=draw).bfloat16() for _ in range(8)]

    def steps(optimiser, parameter, some):
        for gradient in some:
            parameter.grad = gradient.clone()
            optimiser.step(1e-4)

    whole, cut = (torch.nn.Parameter(start.clone()) for _ in range(2))
    steps(AdamW([("w", whole)], remainders=True), whole, gradients)
    first = AdamW([("w", cut)], remainders=True)
    steps(first, cut, gradients[:4])
    state = {name: tensor.clone() for name, tensor in first.state().items()}
    again = torch.nn.Parameter(cut.detach().clone())
    second = AdamW([("w", again)], remainders=True)
    second.restore(state, first.progress())
    steps(second, again, gradients[4:])
    assert torch.equal(again, whole)
