"""Verifies callbacks for tests/tests/callbacks.rs, as a receiver would.

One JSON question per line, one answer per line: what the body says, or why it is not believed.
"""

import json
import sys

from standardwebhooks import Webhook, WebhookVerificationError

for line in sys.stdin:
    question = json.loads(line)
    try:
        said = Webhook(question["secret"]).verify(question["body"], question["headers"])
        answer = {"said": said}
    except WebhookVerificationError as error:
        answer = {"error": str(error)}
    print(json.dumps(answer), flush=True)
