"""Ten one-function bugs of our own, of no public set: what a small model is tried on when its tools are chosen."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Bug:
    """A function with one bug; `call` should give `expected`, and every one of `checks` be true."""

    code: str
    call: str
    expected: str
    checks: tuple[str, ...]

    @property
    def name(self) -> str:
        return self.code.partition("def ")[2].partition("(")[0]

    @property
    def task(self) -> str:
        """The issue, as a user would write it."""
        return (
            f"`{self.name}` in {self.name}.py gives wrong results\n\n"
            f"For example:\n\n```python\n>>> {self.call}\n```\n\nexpected: `{self.expected}`\n"
        )


BUGS = (
    Bug(
        '''def count_vowels(text):
    """Count the vowels a, e, i, o and u in a text, whatever their case."""
    count = 0
    for char in text:
        if char in "aeiou":
            count += 1
    return count
''',
        "count_vowels('APPLE pie')",
        "4",
        ("count_vowels('AEIOU')==5", "count_vowels('xyz')==0", "count_vowels('Under')==2"),
    ),
    Bug(
        '''def moving_average(values, width):
    """The mean of each run of `width` successive values."""
    result = []
    for start in range(len(values) - width):
        window = values[start:start + width]
        result.append(sum(window) / width)
    return result
''',
        "moving_average([1, 2, 3, 4], 2)",
        "[1.5, 2.5, 3.5]",
        ("moving_average([2],1)==[2.0]", "moving_average([1,2,3],3)==[2.0]"),
    ),
    Bug(
        '''def transpose(rows):
    """Turn rows into columns."""
    result = []
    for column in range(len(rows)):
        result.append([row[column] for row in rows])
    return result
''',
        "transpose([[1, 2, 3], [4, 5, 6]])",
        "[[1, 4], [2, 5], [3, 6]]",
        ("transpose([[1],[2]])==[[1,2]]", "transpose([[1,2],[3,4]])==[[1,3],[2,4]]"),
    ),
    Bug(
        '''def fibonacci(n):
    """The n-th Fibonacci number; the 0th is 0, the first is 1."""
    a, b = 0, 1
    for _ in range(n - 1):
        a, b = b, a + b
    return a
''',
        "fibonacci(6)",
        "8",
        ("fibonacci(0)==0", "fibonacci(1)==1", "fibonacci(10)==55"),
    ),
    Bug(
        '''def caesar(text, shift):
    """Shift each lower-case letter by `shift` places; other characters stay."""
    result = ""
    for char in text:
        if char.islower():
            result += chr((ord(char) - ord("a") + shift) + ord("a") % 26)
        else:
            result += char
    return result
''',
        "caesar('xyz', 3)",
        "'abc'",
        ("caesar('abc',1)=='bcd'", "caesar('a b',25)=='z a'"),
    ),
    Bug(
        '''def to_roman(number):
    """A positive integer as a Roman numeral."""
    values = [(1000, "M"), (900, "CM"), (500, "D"), (400, "CD"), (100, "C"), (90, "XC"),
              (50, "L"), (40, "XL"), (10, "X"), (9, "IX"), (5, "V"), (4, "IV"), (1, "I")]
    result = ""
    for value, symbol in values:
        while number > value:
            result += symbol
            number -= value
    return result
''',
        "to_roman(14)",
        "'XIV'",
        ("to_roman(3)=='III'", "to_roman(1000)=='M'", "to_roman(1994)=='MCMXCIV'"),
    ),
    Bug(
        '''def merge_intervals(intervals):
    """Join the intervals [start, end] that overlap or touch; sorted by start."""
    merged = []
    for start, end in sorted(intervals):
        if merged and start <= merged[-1][1]:
            merged[-1][1] = end
        else:
            merged.append([start, end])
    return merged
''',
        "merge_intervals([[1, 10], [2, 3]])",
        "[[1, 10]]",
        ("merge_intervals([[1,2],[2,5],[7,8]])==[[1,5],[7,8]]", "merge_intervals([[1,10],[2,3],[4,11]])==[[1,11]]"),
    ),
    Bug(
        '''def run_lengths(text):
    """Each character with the number of times that it comes in a row."""
    runs = []
    count = 1
    for before, char in zip(text, text[1:]):
        if char == before:
            count += 1
        else:
            runs.append((before, count))
            count = 1
    return runs
''',
        "run_lengths('aab')",
        "[('a', 2), ('b', 1)]",
        ("run_lengths('abc')==[('a',1),('b',1),('c',1)]", "run_lengths('aa')==[('a',2)]"),
    ),
    Bug(
        '''def rotate(items, places):
    """Rotate a list to the right by any number of places."""
    places = places % len(items)
    return items[places:] + items[:places]
''',
        "rotate([1, 2, 3, 4], 1)",
        "[4, 1, 2, 3]",
        ("rotate([1,2,3],0)==[1,2,3]", "rotate([1,2,3],4)==[3,1,2]"),
    ),
    Bug(
        '''def flatten(nested):
    """All items of lists within lists, in order."""
    result = []
    for item in nested:
        if isinstance(item, list):
            result.append(flatten(item))
        else:
            result.append(item)
    return result
''',
        "flatten([1, [2, [3]]])",
        "[1, 2, 3]",
        ("flatten([])==[]", "flatten([[1],[2,[3,4]]])==[1,2,3,4]"),
    ),
)
