"""Writer and judge: until it is accepted, but not for ever."""

from __future__ import annotations

from agentflow.testing import Engine, call, scripted_model, text
from cookbook.evaluator_optimizer import ROUNDS, Explanation, explain, explainer, judge
from cookbook.scripts import told
from tests.cookbook.conftest import Play, Silence


async def test_the_judge_sends_a_draft_back_with_criticism_and_accepts_the_better_one(engine: Engine, play: Play) -> None:
    drafts = play(explainer, scripted_model(lambda asked: [text("clear" if "Criticism: too hard" in told(asked) else "murky")]))
    verdicts = play(
        judge, scripted_model(lambda asked: [call("final_result", {"accepted": "clear" in told(asked), "criticism": "too hard"})])
    )
    run = await engine.start(explain, "leases")
    assert await run.result() == Explanation(text="clear", accepted=True, drafts=2)
    assert told(drafts.requests[1].messages) == "Topic: leases\nDraft: murky\nCriticism: too hard"
    assert (len(drafts.requests), len(verdicts.requests)) == (2, 2)


async def test_a_judge_that_is_never_content_ends_the_loop_and_the_result_says_so(engine: Engine, play: Play) -> None:
    drafts = play(explainer, scripted_model([text("murky")]))
    verdicts = play(judge, scripted_model([call("final_result", {"accepted": False, "criticism": "no"})]))
    run = await engine.start(explain, "leases")
    assert await run.result() == Explanation(text="murky", accepted=False, drafts=ROUNDS)
    assert (len(drafts.requests), len(verdicts.requests)) == (ROUNDS, ROUNDS)


async def test_a_crash_while_the_second_draft_is_written_repeats_no_verdict(engine: Engine, play: Play) -> None:
    silence, told_so = Silence(after=1), [True, False]
    drafts = play(explainer, scripted_model([text("a draft")], pace=silence, size=100))
    verdicts = play(judge, scripted_model(lambda _: [call("final_result", {"accepted": told_so.pop(), "criticism": "again"})]))
    run = await engine.start(explain, "leases")
    await silence.broken_by_crash_of(engine)
    assert await run.result() == Explanation(text="a draft", accepted=True, drafts=2)
    assert (len(drafts.requests), len(verdicts.requests)) == (3, 2)
