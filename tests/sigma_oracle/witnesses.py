"""Values that a test holds for, and values that only just miss it.

Enters: the value of a test as pySigma reads it. Leaves: JSON values. Neither list is a verdict: the evaluator says what
matches; here it only matters that the interesting values are among them.
"""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address
from typing import Any

from patterns import samples
from sigma.types import (
    Placeholder,
    SigmaBool,
    SigmaCIDRExpression,
    SigmaCompareExpression,
    SigmaExists,
    SigmaExpansion,
    SigmaFieldReference,
    SigmaNull,
    SigmaNumber,
    SigmaRegularExpression,
    SigmaString,
    SigmaTimestampPart,
    SigmaType,
    SpecialChars,
    TimestampPart,
)

#: What stands where a pattern has `*` and `?`: nothing, letters, the wildcards of three languages, text beyond ASCII, lines.
RUNS = ("", "x", "-any thing/", "*", "%_?", "\u00e9\u4e16", "a\nb", "\\")
ONES = ("x", "?", "\u00e9", "\U0001f600", " ")

TIMES = {
    TimestampPart.MINUTE: "2026-03-05T04:{:02}:17Z",
    TimestampPart.HOUR: "2026-03-05T{:02}:06:17Z",
    TimestampPart.DAY: "2026-03-{:02}T04:06:17Z",
    TimestampPart.MONTH: "2026-{:02}-05T04:06:17Z",
    TimestampPart.YEAR: "{:04}-03-05T04:06:17Z",
}
#: Thursdays, which lie in the week that they are counted in by every convention.
WEEKS = tuple(f"2026-{month:02}-{day:02}T04:06:17Z" for month, day in ((1, 8), (3, 5), (7, 16), (12, 24)))


def hits(value: SigmaType) -> list[Any]:
    """Values that the test holds for; the plainest first."""
    match value:
        case SigmaExpansion(values=alternatives):
            return [hit for alternative in alternatives for hit in hits(alternative)]
        case SigmaString():
            return list(dict.fromkeys(texts(value)))
        case SigmaTimestampPart(timestamp_part=TimestampPart.WEEK):
            return list(WEEKS)
        case SigmaTimestampPart(timestamp_part=part, number=number):
            time = TIMES[part].format(number)
            return [time, time.replace("Z", "+00:00"), time.replace("Z", ".250Z")]
        case SigmaNumber(number=number):
            return [number, str(number)]
        case SigmaBool(boolean=boolean):
            return [boolean, str(boolean).lower()]
        case SigmaRegularExpression():
            return list(samples(value.escape(escape_escape_char=False)))
        case SigmaCIDRExpression(network=network):
            last = network.network_address + (network.num_addresses - 1)
            middle = network.network_address + network.num_addresses // 2
            return [str(address) for address in (network.network_address, middle, last)]
        case SigmaCompareExpression(number=SigmaNumber(number=number)):
            return [number + step for step in (1, -1, 0, 0.5, 10, -10, 1000)]
        case SigmaExists():
            return ["present"]
        case SigmaFieldReference():
            return ["same value"]
        case SigmaNull():
            return [None]
    raise TypeError(f"no values for {type(value).__name__}")


def misses(value: SigmaType, hit: Any) -> Iterator[Any]:
    """Values near one that the test holds for, of which most do not pass."""
    match value:
        case SigmaCIDRExpression(network=network):
            first, last = int(network.network_address), int(network.broadcast_address)
            highest = 2**network.max_prefixlen - 1
            for address in (first - 1, last + 1):
                if 0 <= address <= highest:
                    yield str(ip_address(address))
            yield from (f"{network.network_address}/32", f"::ffff:{network.network_address}", "10.x.y", " ")
        case SigmaTimestampPart(number=number):
            yield from (value.number, f"at {number}", "2026-13-45T99:99:99Z")
            yield from ("2001-02-03T14:15:16Z", "2026-03-05T04:06:17+05:30", "2026-03-05")
        case SigmaCompareExpression(number=SigmaNumber(number=number)):
            yield from (str(number + 1), str(number - 1), str(number), f"{number}x", True, "", "nan")
        case SigmaRegularExpression():
            yield f"before {hit} after"
            yield f"{hit}\n"
            yield f"line\n{hit}\nline"
    yield from near(hit)


def near(hit: Any) -> Iterator[Any]:
    """Small changes of a value, whatever tests it."""
    yield from (None, "", " ", [], {})
    yield [hit]
    yield ["something else", hit]
    yield ["something else", "and more"]
    yield {"inner": hit}
    if isinstance(hit, bool):
        yield from (not hit, int(hit), str(hit), str(hit).lower())
        return
    if isinstance(hit, (int, float)):
        yield from (hit + 1, -hit, f"{hit}0", f" {hit}", f"{hit}.0", True)
        return
    if not isinstance(hit, str):
        return
    yield from (hit.upper(), hit.lower(), hit.swapcase())
    yield from (hit + "x", "x" + hit, f"x{hit}x", hit + " ", hit + "\n", hit + "\u0301", hit + hit)
    yield from (hit[1:], hit[:-1], hit[: len(hit) // 2] + "~" + hit[len(hit) // 2 :])
    yield from (hit.replace("\\", "\\\\"), hit.replace("\\", ""), hit.replace("*", "x").replace("?", "y"))
    yield hit.replace("K", "\u212a").replace("k", "\u212a").replace("s", "\u017f")
    if hit.isdigit() and not hit.startswith("0"):
        yield int(hit)


def texts(pattern: SigmaString) -> Iterator[str]:
    """Texts that a pattern fits, each wildcard filled in the same way."""
    if not pattern.contains_special():
        yield "".join(part for part in pattern.s if isinstance(part, str))
        return
    for index in range(max(len(RUNS), len(ONES))):
        run, one = RUNS[index % len(RUNS)], ONES[index % len(ONES)]
        yield "".join(filled(part, run, one) for part in pattern.s)


def filled(part: str | SpecialChars | Placeholder, run: str, one: str) -> str:
    match part:
        case SpecialChars.WILDCARD_MULTI:
            return run
        case SpecialChars.WILDCARD_SINGLE:
            return one
        case Placeholder():
            raise ValueError(f"the placeholder {part.name} has no values")
    return part
