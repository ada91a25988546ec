# Reads a calendar with Python's icalendar and tells what it understood, as JSON.
import json
import sys
from datetime import timezone

from icalendar import Calendar


def instant(value):
    return value.dt.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def text(value):
    return None if value is None else str(value)


calendar = Calendar.from_ical(sys.stdin.buffer.read())
events = [
    {
        "uid": text(event["UID"]),
        "sequence": int(event["SEQUENCE"]),
        "start": instant(event["DTSTART"]),
        "end": instant(event["DTEND"]),
        "status": text(event["STATUS"]),
        "summary": text(event["SUMMARY"]),
        "description": text(event.get("DESCRIPTION")),
    }
    for event in calendar.walk("VEVENT")
]
if not calendar.subcomponents:
    raise ValueError("a calendar without a component (RFC 5545 3.6)")
print(json.dumps({"method": text(calendar.get("METHOD")), "events": events}))
