"""Drives pyiso8583 for tests/tests/interop.rs: one JSON question per line, one answer per line.

begin  takes a specification of pyiso8583, and the shapes of the values of its fields
read   decodes messages and encodes what they say again
draw   encodes random messages
"""

import codecs
import json
import random
import sys

import iso8583

# Python has no code page 1047. It is 037 with six characters in each other's places.
MOVED = {0xAD: "[", 0xBD: "]", 0x5F: "^", 0xB0: "\u00ac", 0xBA: "\u00dd", 0xBB: "\u00a8"}
CP1047 = "".join(MOVED.get(byte, bytes([byte]).decode("cp037")) for byte in range(256))


def find_codec(name):
    if name != "cp1047":
        return None
    table = codecs.charmap_build(CP1047)
    return codecs.CodecInfo(
        name=name,
        encode=lambda text, errors="strict": codecs.charmap_encode(text, errors, table),
        decode=lambda data, errors="strict": codecs.charmap_decode(data, errors, CP1047),
    )


codecs.register(find_codec)

# Keys of a decoded message that are no fields: type, bitmaps.
NO_FIELDS = ("t", "p", "1", "h")
SHORT = 24


def length(draw, shape):
    """Mostly short; one in sixteen of any length, one in sixty-four the longest."""
    least, most, step = shape["least"], shape["most"], shape["step"]
    kind = draw.randrange(64)
    if kind == 0:
        count = most
    elif kind < 5:
        count = draw.randint(least, most)
    else:
        count = draw.randint(least, min(most, least + SHORT))
    return count - (count - least) % step


# Day 28 is in every month.
PLACES = {"YY": (0, 99), "MM": (1, 12), "DD": (1, 28), "hh": (0, 23), "mm": (0, 59), "ss": (0, 59)}


def value(draw, shape):
    start = draw.choice(shape["starts"]) if shape["starts"] else ""
    date = shape["date"]
    if date:
        places = (date[at : at + 2] for at in range(0, len(date), 2))
        return start + "".join("%02d" % draw.randint(*PLACES[place]) for place in places)
    letters = draw.choices(shape["letters"], k=length(draw, shape))
    if shape["end"] and letters and draw.random() < 0.5:
        letters[-1] = shape["end"]
    return start + "".join(letters)


def message(draw, rows):
    chance = draw.uniform(0.01, 0.25)
    drawn = {number: value(draw, shape) for number, shape in rows if draw.random() < chance}
    drawn["t"] = "%04d" % draw.randrange(10000)
    return drawn


def told(decoded, encoded):
    values = {key: text for key, text in decoded.items() if key not in NO_FIELDS}
    return {"mti": decoded["t"], "values": values, "hex": encoded.hex()}


def read(frame, spec):
    try:
        decoded, _ = iso8583.decode(bytes.fromhex(frame), spec)
        encoded, _ = iso8583.encode(dict(decoded), spec)
    except ValueError as fault:
        return {"fault": str(fault)}
    return told(decoded, encoded)


def write(decoded, spec):
    try:
        encoded, _ = iso8583.encode(dict(decoded), spec)
    except ValueError as fault:
        return {"fault": str(fault)}
    return told(decoded, encoded)


def main():
    spec, rows = {}, []
    for line in sys.stdin:
        question = json.loads(line)
        if question["do"] == "begin":
            spec = question["spec"]
            rows = sorted(question["rows"].items(), key=lambda row: int(row[0]))
            answer = {"ready": True}
        elif question["do"] == "read":
            answer = {"messages": [read(frame, spec) for frame in question["messages"]]}
        else:
            draw = random.Random(question["seed"])
            drawn = [message(draw, rows) for _ in range(question["count"])]
            answer = {"messages": [write(decoded, spec) for decoded in drawn]}
        print(json.dumps(answer), flush=True)


main()
