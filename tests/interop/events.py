"""Reads a topic from its beginning to its end for tests/tests/events.rs, as a receiver would.

One JSON question per line, one answer per line. A receiver deletes repeats by the id of the event:
the first of an id counts, and a later one must say the same.
"""

import json
import sys
import time

from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition

HEADERS = ("event-type", "event-id", "transaction-id", "schema-version")


def partitions(consumer, topic, deadline):
    """Those of the topic that hold anything, with the offset behind their last message."""
    metadata = consumer.list_topics(topic, timeout=deadline - time.monotonic()).topics[topic]
    if metadata.error is not None:
        raise RuntimeError(str(metadata.error))
    ends = {}
    for number in metadata.partitions:
        place = TopicPartition(topic, number)
        low, high = consumer.get_watermark_offsets(place, timeout=deadline - time.monotonic())
        if high > low:
            ends[number] = high
    return ends


def read(question):
    consumer = Consumer(
        {
            "bootstrap.servers": question["brokers"],
            "group.id": "outside",
            "enable.auto.commit": False,
        }
    )
    topic, deadline = question["topic"], time.monotonic() + question["patience"]
    ends = partitions(consumer, topic, deadline)
    consumer.assign([TopicPartition(topic, number, OFFSET_BEGINNING) for number in ends])
    events, repeats, by_id = [], 0, {}
    while ends:
        if time.monotonic() > deadline:
            raise RuntimeError("never read to the end: %s" % ends)
        message = consumer.poll(1.0)
        if message is None:
            continue
        if message.error() is not None:
            raise RuntimeError(str(message.error()))
        if message.offset() + 1 >= ends[message.partition()]:
            del ends[message.partition()]
            consumer.incremental_unassign([TopicPartition(topic, message.partition())])
        headers = dict(message.headers())
        value = message.value().decode("utf-8")
        event = {
            "partition": message.partition(),
            "key": message.key().decode("ascii"),
            "timestamp": message.timestamp()[1],
            "headers": {name: headers[name].decode("ascii") for name in HEADERS},
            "value": value,
        }
        known = by_id.setdefault(json.loads(value)["id"], event)
        if known is event:
            events.append(event)
        elif known == event:
            repeats += 1
        else:
            raise RuntimeError("two events of one id: %s and %s" % (known, event))
    consumer.close()
    return {"events": events, "repeats": repeats}


for line in sys.stdin:
    try:
        answer = read(json.loads(line))
    except Exception as error:
        answer = {"error": repr(error)}
    print(json.dumps(answer), flush=True)
