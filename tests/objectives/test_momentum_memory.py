"""The memory by id: rows of a subset, draws, and rows that are updated."""

import copy

import pytest
import torch

from limbeck.errors import UserError
from limbeck.models import Outputs
from limbeck.objectives import Setup
from limbeck.objectives.momentum_memory import MomentumMemory, _LateReports

IDS = torch.tensor([90, -4, 2**50, 17, 3, 8])
LABELS = torch.tensor([0, 1, 0, 3, 1, 0])


def memory(
    negatives: str = "any", labels: torch.Tensor | None = LABELS, ids: torch.Tensor = IDS, **options: str
) -> MomentumMemory:
    nothing = Outputs(torch.zeros(1, 4))
    setup = Setup(nothing, nothing, ids, labels)
    return MomentumMemory(setup, 4, momentum=0.5, temperature=0.1, negatives=negatives, **options)


def test_ids_of_any_size_and_order_have_rows_of_their_own() -> None:
    rows = memory().rows(IDS)
    assert sorted(rows.tolist()) == list(range(6))
    assert torch.equal(memory().rows(IDS[[4, 4, 0]]), rows[[4, 4, 0]])


def test_unknown_id() -> None:
    with pytest.raises(UserError, match="id 18 is not among the 6 images"):
        memory().rows(torch.tensor([17, 18]))


def test_draws_start_with_the_image_itself_and_reach_all_others() -> None:
    bank = memory()
    rows = bank.rows(IDS)
    drawn = bank.draw(rows, 200)
    assert torch.equal(drawn[:, 0], rows)
    assert all(set(row.tolist()) == set(range(6)) for row in drawn[:, 1:])
    assert not torch.equal(bank.draw(rows, 200), drawn)


def test_negatives_of_other_classes() -> None:
    bank = memory("other-classes")
    rows = bank.rows(IDS)
    drawn = bank.draw(rows, 300)[:, 1:]
    for row, label in zip(drawn, LABELS, strict=True):
        assert set(row.tolist()) == set(rows[label != LABELS].tolist())
        counts = row.bincount()[rows[label != LABELS]].float()
        assert counts.min() > 0.6 * counts.mean()


def test_distinct_negatives_are_a_fair_draw_without_repetition() -> None:
    """Of 40 images of four classes (of 16, 12, 8 and 4), each sees 20 of the others, every one equally often."""
    labels = torch.cat([torch.full((count,), label) for label, count in enumerate((16, 12, 8, 4))])
    ids = torch.arange(40) * 7 - 50
    bank = memory("other-classes", labels, ids)
    rows = bank.rows(ids)
    counts = torch.zeros(40, 40)
    for _ in range(300):
        drawn = bank.draw(rows, 20)
        assert torch.equal(drawn[:, 0], rows)
        assert all(len(set(row)) == 20 for row in drawn[:, 1:].tolist())
        counts += torch.nn.functional.one_hot(drawn[:, 1:], 40).sum(1)
    others = labels[:, None] != labels
    assert (counts[~others] == 0).all()
    expected = 300 * 20 / others.sum(1)[:, None].expand(-1, 40)[others]
    # Binomial: five standard deviations of 300 draws at p around 1/2 are 43.
    assert (counts[others] - expected).abs().max() < 45


def test_distinct_draws_are_made_in_parts_and_with_repetition_where_a_class_leaves_too_few(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole, parts = memory("other-classes"), memory("other-classes")
    parts.load_state_dict(whole.state_dict())
    rows = whole.rows(IDS)
    expected = whole.draw(rows, 3)  # class 0 has three of the six images
    assert all(len(set(row)) == 3 for row in expected[:, 1:].tolist())
    monkeypatch.setattr("limbeck.objectives.momentum_memory._KEYS_AT_ONCE", 6)
    assert torch.equal(parts.draw(rows, 3), expected)
    assert whole.draw(rows, 4).shape == (6, 5)


def test_independent_draws_repeat_themselves() -> None:
    bank = memory("other-classes", draws="independent")
    drawn = torch.cat([bank.draw(bank.rows(IDS), 3)[:, 1:] for _ in range(30)])
    assert any(len(set(row)) < 3 for row in drawn.tolist())


def test_positives_of_the_same_class() -> None:
    bank = memory("other-classes", positives="same-class")
    rows = bank.rows(IDS)
    draws = torch.cat([bank.draw(rows, 2)[:, :1] for _ in range(60)], dim=1)
    for row, label in zip(draws.tolist(), LABELS, strict=True):
        assert set(row) == set(rows[label == LABELS].tolist())


@pytest.mark.parametrize(
    ("labels", "message"), [(None, "needs labelled images"), (LABELS * 0, "needs images of two classes")]
)
def test_other_classes_must_exist(labels: torch.Tensor | None, message: str) -> None:
    with pytest.raises(UserError, match=message):
        memory("other-classes", labels)


def test_draws_go_on_where_a_checkpoint_was() -> None:
    first, other = memory(), memory()
    rows = first.rows(IDS)
    first.draw(rows, 5)
    other.load_state_dict(first.state_dict())
    assert torch.equal(first.draw(rows, 5), other.draw(rows, 5))


def test_only_the_rows_of_the_batch_move_and_of_twins_the_last_counts() -> None:
    bank = memory()
    before = bank.student.clone()
    new = torch.nn.functional.normalize(torch.randn(3, 4))
    bank.update(new, new, torch.tensor([2, 5, 2]))
    expected = before.clone()
    expected[2], expected[5] = (before[2] + new[2]) / 2, (before[5] + new[1]) / 2
    expected[[2, 5]] = torch.nn.functional.normalize(expected[[2, 5]])
    torch.testing.assert_close(bank.student, expected)


def test_one_product_equals_gathered_products() -> None:
    bank = memory()
    unit = torch.nn.functional.normalize(torch.randn(6, 4))
    rows = bank.rows(IDS)
    few = bank.draw(rows, 1)[:, :1]  # fewer numbers than images, so that memories are gathered
    many = few.expand(-1, 3)
    bank.log_norms = torch.zeros(2)
    torch.testing.assert_close(bank.scores(unit, unit, few)[0], bank.scores(unit, unit, many)[0][:, :1])


def test_scores_of_the_first_batch_are_scaled_to_mean_one_over_n() -> None:
    bank = memory()
    unit = torch.nn.functional.normalize(torch.randn(6, 4))
    first = bank.scores(unit, unit, bank.draw(bank.rows(IDS), 9))
    torch.testing.assert_close(torch.stack([first[0].exp().mean(), first[1].exp().mean()]), torch.full((2,), 1 / 6))
    norms = bank.log_norms.clone()
    bank.scores(-unit, unit, bank.draw(bank.rows(IDS), 9))
    assert torch.equal(bank.log_norms, norms)


def step(one: MomentumMemory, seed: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Scores of embeddings that learn, and the update that follows."""
    student, teacher = torch.randn(2, 6, 4, generator=torch.Generator().manual_seed(seed)).requires_grad_().unbind()
    student, teacher = (torch.nn.functional.normalize(embedding) for embedding in (student, teacher))
    if student.requires_grad:
        student.retain_grad()
    rows = one.rows(IDS)
    scores = one.scores(student, teacher, one.draw(rows, 9))
    one.update(student, teacher, rows)
    return student, scores[0], scores[1]


def copying(one: MomentumMemory) -> None:
    """As if every update made a new memory at once, which is what updates in place must equal."""
    update = one.update

    def replaced(*given: torch.Tensor) -> None:
        one.student, one.teacher = one.student.clone(), one.teacher.clone()
        one._readers = set()
        update(*given)

    one.update = replaced


def test_updates_in_place_equal_those_of_a_new_memory_to_the_bit() -> None:
    fast, slow = memory(), memory()
    slow.load_state_dict(fast.state_dict())
    copying(slow)
    addresses = fast.student.data_ptr(), fast.teacher.data_ptr()
    for seed in range(4):
        (mine, *results), (theirs, *expected) = step(fast, seed), step(slow, seed)
        assert all(torch.equal(a, b) for a, b in zip(results, expected, strict=True))
        for scores in (results, expected):
            (scores[0].sum() + 2 * scores[1].sum()).backward()
        assert torch.equal(mine.grad, theirs.grad)
        assert torch.equal(fast.student, slow.student)
        assert torch.equal(fast.teacher, slow.teacher)
    assert addresses == (fast.student.data_ptr(), fast.teacher.data_ptr()), "nothing was copied"


def test_a_backward_pass_that_comes_late_or_never_still_finds_the_memory_it_read() -> None:
    fast, slow = memory(), memory()
    slow.load_state_dict(fast.state_dict())
    copying(slow)
    late, other = step(fast, 0), step(slow, 0)
    for bank in (fast, slow):
        step(bank, 1)  # never followed by a backward pass
    for _, *scores in (late, other):
        sum(score.sum() for score in scores).backward()
    assert torch.equal(late[0].grad, other[0].grad)
    state, expected = fast.state_dict(), slow.state_dict()
    assert all(torch.equal(state[key], expected[key]) for key in expected)
    _, *scores = step(fast, 2)
    _, *others = step(slow, 2)
    assert torch.equal(scores[0], others[0])


def test_a_copy_and_a_checkpoint_between_the_passes_hold_the_update() -> None:
    bank = memory()
    before = bank.student.clone()
    _, *scores = step(bank, 0)
    twin, other = copy.deepcopy(bank), memory()
    other.load_state_dict(twin.state_dict())
    assert torch.equal(bank.student, before), "the backward pass will read it"
    sum(score.sum() for score in scores).backward()
    assert torch.equal(bank.student, other.student)
    step(bank, 1)
    bank.load_state_dict(other.state_dict())
    assert torch.equal(bank.rows(IDS), other.rows(IDS))
    bank.scores(torch.ones(6, 4), torch.ones(6, 4), bank.draw(bank.rows(IDS), 3))
    assert torch.equal(bank.student, other.student), "no update of before is made after a restart"


def test_without_a_backward_pass_the_update_is_made_at_once() -> None:
    bank = memory()
    before = bank.student.clone()
    with torch.no_grad():
        step(bank, 0)
    assert not torch.equal(bank.student, before)


def test_a_second_backward_pass_is_refused_rather_than_wrong() -> None:
    _, first, second = step(memory(), 0)
    loss = first.sum() + second.sum()
    loss.backward(retain_graph=True)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


class OnGpu(torch.Tensor):
    """A tensor that says it is on a GPU."""

    device = property(lambda self: torch.device("cuda"))


def test_reports_of_a_gpu_are_told_once_and_in_order_when_they_are_there(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = []

    class Event:
        def record(self, stream: str) -> None:
            assert stream == "stream"
            self.number = len(answers)
            answers.append(False)

        def query(self) -> bool:
            return answers[self.number]

    monkeypatch.setattr(torch.cuda, "Event", Event)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: "stream")
    monkeypatch.setattr(torch, "empty_like", lambda report, device, pin_memory: torch.zeros(2, dtype=torch.int64))
    reports = _LateReports()
    assert [reports.after(torch.tensor([number, 7]).as_subclass(OnGpu)) for number in (0, 1)] == [[], []]
    answers[0] = True
    assert reports.after(torch.tensor([2, 7]).as_subclass(OnGpu)) == [[0, 7]]
    answers[:] = [True] * 3
    assert copy.deepcopy(reports).after(torch.tensor([9, 9])) == [[9, 9]]
    assert reports.after(torch.tensor([3, 7]).as_subclass(OnGpu)) == [[1, 7], [2, 7]]


@pytest.mark.gpu
def test_an_unknown_id_on_a_gpu_is_told_a_little_later_without_a_wait() -> None:
    bank = memory().cuda()
    bank.rows(IDS.cuda())
    torch.cuda.synchronize()
    strange = torch.tensor([17, 18]).cuda()

    def ask() -> None:
        torch.cuda.set_sync_debug_mode("error")
        try:
            bank.rows(strange)  # which may be reported already, where this process was kept waiting
        finally:
            torch.cuda.set_sync_debug_mode("default")
        torch.cuda.synchronize()
        bank.rows(bank.ids)

    with pytest.raises(UserError, match="id 18 is not among the 6 images"):
        ask()


@pytest.mark.gpu
def test_updates_in_place_equal_on_a_gpu() -> None:
    fast, slow = memory().cuda(), memory().cuda()
    slow.load_state_dict(fast.state_dict())
    copying(slow)
    for seed in range(4):
        results = []
        for bank in (fast, slow):
            generator = torch.Generator().manual_seed(seed)
            student = torch.randn(6, 4, generator=generator).cuda().requires_grad_()
            teacher = torch.randn(6, 4, generator=generator).cuda()
            rows = bank.rows(bank.ids)
            scores = bank.scores(student, teacher, bank.draw(rows, 9))
            bank.update(student, teacher, rows)
            sum(score.sum() for score in scores).backward()
            results.append(student.grad)
        torch.testing.assert_close(*results)
        torch.testing.assert_close(fast.student, slow.student)
