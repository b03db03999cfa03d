"""Commands on the screen, and going on with a session."""

from calls import edit

OLD, NEW = "    return sum(xs) / len(x)", "    return sum(xs) / len(xs)"


async def test_diff_undo_and_the_turn_to_go_back_to(screen, repository):
    answers = [{"text": edit("src/average.py", OLD, NEW)}, {"text": "First."}, {"text": "Second."}]
    async with screen(*answers) as seen:
        await seen.type("fix it\n")
        await seen.until("First.", "finished")
        await seen.type("and more\n")
        await seen.until("Second.")
        await seen.type("/diff\n")
        await seen.until("diff --git a/src/average.py", "+    return sum(xs) / len(xs)")
        await seen.type("/rewind\n")
        await seen.until("Back to before turn", "2 and more", "1 fix it")
        await seen.press("down", "enter")
        await seen.until("back to before turn 1", gone="Back to before turn")
        await seen.type("/diff\n")
        await seen.until("the agent has changed nothing")


async def test_clear_begins_with_an_empty_screen(screen):
    async with screen({"text": "An answer."}) as seen:
        await seen.type("hi\n")
        await seen.until("An answer.", "finished")
        await seen.type("/clear\n")
        await seen.until("a new conversation", gone="An answer.")


async def test_theme_and_mode_are_changed_by_commands(screen):
    async with screen() as seen:
        await seen.until("none")
        await seen.type("/theme light\n")
        await seen.type("/mode plan\n")
        await seen.until("plan")
        assert seen.app.theme == "qcode-light"
        await seen.type("/theme blue\n")
        await seen.until("'blue' is no theme: dark or light")
        assert seen.app.theme == "qcode-light"


async def test_a_session_that_is_gone_on_with_shows_what_was_said(screen, tmp_path):
    answers = [{"text": edit("src/average.py", OLD, NEW)}, {"text": "It is fixed."}]
    async with screen(*answers) as seen:
        await seen.type("fix it\n")
        await seen.until("It is fixed.", "finished")
    log = next((tmp_path / "sessions").glob("*.jsonl"))
    async with screen({"text": "Still here."}, resume=log) as seen:
        await seen.until("fix it", "str_replace  src/average.py", "It is fixed.")
        await seen.type("are you there\n")
        await seen.until("Still here.")


async def test_what_cannot_be_opened_is_raised_after_the_screen(screen):
    from qcode.errors import ConfigError

    def fails() -> None:
        raise ConfigError("no model: pull one")

    async with screen(load_first=fails) as seen:
        while seen.app.work.failure is None:
            await seen.pilot.pause(0.02)
        assert str(seen.app.work.failure) == "no model: pull one"


async def test_what_is_typed_while_the_session_opens_is_sent_when_it_is_open(screen):
    import threading

    go = threading.Event()
    async with screen({"text": "Here now."}, load_first=lambda: go.wait(30)) as seen:
        await seen.type("early\n")
        await seen.until("you can type already", "queued  early")
        go.set()
        await seen.until("Here now.", gone="queued")


async def test_what_is_typed_while_a_command_runs_waits_and_esc_ends_the_command(screen):
    answers = [{"text": "First. " * 50}, {"text": "Second."}, {"text": "SUMMARY", "delay_s": 600}, {"text": "Well."}]
    async with screen(*answers) as seen:
        await seen.type("hi\n")
        await seen.until("First.", "finished")
        await seen.type("on\n")
        await seen.until("Second.")
        await seen.type("/compact\n")
        await seen.until("working")
        await seen.type("later\n")
        await seen.until("queued  later")
        await seen.press("escape")
        await seen.until("interrupted", gone="queued")
        await seen.press("enter")
        await seen.until("Well.")


async def test_the_reading_of_a_prompt_is_shown_where_no_turn_is(screen):
    slow = {"text": "SUMMARY", "prefill": {"total": 3000, "cached": 500, "seconds": 30}}
    async with screen({"text": "First. " * 50}, {"text": "Second."}, slow, {"text": "Well."}) as seen:
        await seen.type("hi\n")
        await seen.until("First.", "finished")
        await seen.type("on\n")
        await seen.until("Second.", "finished")
        await seen.type("/compact\n")
        await seen.until("reading", "/3.0k")
        await seen.press("escape")
        await seen.until("interrupted", gone="reading")
        await seen.type("/clear\n")
        await seen.until("a new conversation")
        await seen.type("go on\n")
        await seen.until("Well.", gone="reading")


async def test_what_fills_the_window_is_told_anew_after_a_shortening(screen):
    long = {"text": "A long answer. " * 2000, "usage": {"prompt_tokens": 9000, "completion_tokens": 8000}}
    async with screen(long, {**long, "text": "Second."}, {"text": "SUMMARY"}) as seen:
        await seen.type("hi\n")
        await seen.until("finished", "17.0k")
        await seen.type("on\n")
        await seen.until("Second.", "finished")
        await seen.type("/compact\n")
        await seen.until("shortened from", gone="17.0k")


async def test_a_mode_that_is_none_changes_nothing(screen):
    async with screen(mode="plan") as seen:
        await seen.until("plan")
        await seen.type("/mode fast\n")
        await seen.until("the modes are plan, ask, auto-edit, yolo")
        assert seen.app.work.talk.policy.mode == "plan"


async def test_a_command_that_waits_comes_back_as_it_was_typed(screen):
    async with screen({"text": "slow " * 200, "pace_s": 0.1}) as seen:
        await seen.until("none")
        await seen.type("go\n")
        await seen.until("slow")
        await seen.type("/init with care\n")
        await seen.until("queued", "/init with care")
        await seen.press("escape")
        await seen.until("interrupted", gone="queued")
        assert seen.app.composer.text == "/init with care"


async def test_what_a_command_has_to_say_is_said_and_never_carried_out(screen, repository, tmp_path):
    from qcode.instructions.commands import UserCommand

    async with screen({"text": "I heard it."}, {"text": "That too."}) as seen:
        await seen.until("none")
        own = seen.app.work.talk.briefing.commands
        for name, text in {"evil": "!touch evil.txt", "again": "/again"}.items():
            own[name] = UserCommand(name=name, description="x", text=text, source="x")
        await seen.type("/evil\n")
        await seen.until("I heard it.", "finished")
        await seen.type("/again\n")
        await seen.until("That too.")
        said = [message.text.strip() for message in seen.app.work.talk.history if message.role == "user"]
        assert said == ["!touch evil.txt", "/again"]
