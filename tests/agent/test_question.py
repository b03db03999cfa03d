import pytest

from qcode.agent.question import is_question


@pytest.mark.parametrize(
    "words",
    [
        "What does remove do when the name is not there? Just explain.",
        "Explain how the parser works.",
        "Please describe the data flow",
        "Is there a bug in here? Do not fix it, only tell me.",
        "test_total fails. Why?",
        "Which files matter?\nChange nothing.",
        "Welche Laufzeit hat diese Funktion?",
        "这个函数做什么\uff1f",
        'What is meant by "lazy"?',
        "How many rows does the table have? One sentence.",
    ],
)
def test_a_question(words: str) -> None:
    assert is_question(words)


@pytest.mark.parametrize(
    "words",
    [
        "Fix the failing test",
        "Can you fix it?",
        "Could you please add a test for this?",
        "Why does it fail? Fix it.",
        "In stats.py the mean is too low.",
        "mean([1]) gives 0.5. It should be 1.",
        "Should we not return None here?",
        "Do not change the tests.",
        "The docstring says: what is x?\n\nMake it say what it is.",
        "",
        "  \n",
    ],
)
def test_a_task(words: str) -> None:
    assert not is_question(words)
