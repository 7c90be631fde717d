"""What the description of the API cannot say to schemathesis."""

import datetime
import json
import os
import re
import urllib.request

import schemathesis
from hypothesis import strategies as st

BASE_URL = os.environ["BASE_URL"]
# Empty if the service needs none.
API_TOKEN = os.environ["API_TOKEN"]

# A date of birth is a day before today, and JSON Schema cannot compare with a clock. That later days are refused is a row of the
# contract suite.
YESTERDAY = datetime.datetime.now(datetime.timezone.utc).date() - datetime.timedelta(days=1)
PAST_DAYS = st.dates(max_value=YESTERDAY).map(datetime.date.isoformat)
schemathesis.openapi.format("date", PAST_DAYS)

# Lines of `POST /populate`: people, and what is skipped.
PERSON = st.fixed_dictionaries(
    {"username": st.from_regex("[A-Za-z]{1,64}", fullmatch=True), "dateOfBirth": PAST_DAYS}
)
NOBODY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=12), inner, max_size=3),
    max_leaves=5,
)
LINES = st.lists((PERSON | NOBODY).map(json.dumps), max_size=20).map("\n".join).map(str.encode)
schemathesis.openapi.media_type("application/x-ndjson", LINES)


@schemathesis.deserializer("application/x-ndjson")
def people(_context, response):
    """The text of `GET /export`, in which every line is one person, ordered by username."""
    text = response.content.decode()
    names = []
    for line in text.splitlines():
        person = json.loads(line)
        names.append(person["username"])
        datetime.date.fromisoformat(person["dateOfBirth"])
    if names != sorted(set(names)):
        raise ValueError("the people are not ordered by username")
    return text


@schemathesis.hook
def before_load_schema(_context, raw_schema):
    for path, item in raw_schema["paths"].items():
        operations = [(name, value) for name, value in item.items() if isinstance(value, dict)]
        for method, operation in operations:
            # Without a token the service does not have what needs one: 404, a row of the contract suite.
            if not API_TOKEN and {} not in operation.get("security", [{}]):
                del item[method]
                continue
            # It would allow any status and hide an undocumented one. It is there for failures of the runtime.
            operation["responses"].pop("default", None)
            # Where bodies are made by a strategy, an example has to be bytes, too.
            content = operation.get("requestBody", {}).get("content", {})
            if "application/x-ndjson" in content:
                lines = content["application/x-ndjson"]
                lines["example"] = lines["example"].encode()
            # The description is the same with and without a token. This service needs it.
            if API_TOKEN and {} in operation.get("security", []):
                operation["security"].remove({})
        if path == "/assets/{asset}":
            # Their names have a hash of their content, so the description cannot have them.
            item["parameters"][0].pop("example")
            item["parameters"][0]["examples"] = {name: {"value": name} for name in assets()}


def assets():
    """The names of the assets of both pages."""
    names = set()
    for page in ("/", "/docs"):
        request = urllib.request.Request(BASE_URL + page, headers={"Accept": "text/html"})
        with urllib.request.urlopen(request, timeout=10) as response:
            names.update(re.findall(r'"assets/([^"]+)"', response.read().decode()))
    return sorted(names)
