# Reads a calendar with Ruby's icalendar and tells what it understood, as JSON.
require "stringio"
require "icalendar"
require "json"

def text(value)
  value && value.to_s
end

def instant(value)
  value.to_time.utc.strftime("%Y-%m-%dT%H:%M:%SZ")
end

calendars = Icalendar::Calendar.parse($stdin.read.force_encoding("UTF-8"))
raise "not one calendar but #{calendars.length}" unless calendars.length == 1
parts = calendars.first.events + calendars.first.timezones
raise "a calendar without a component (RFC 5545 3.6)" if parts.empty?
events = calendars.first.events.map do |event|
  {
    uid: text(event.uid), sequence: event.sequence.to_i,
    start: instant(event.dtstart), end: instant(event.dtend),
    status: text(event.status), summary: text(event.summary),
    description: text(event.description)
  }
end
puts JSON.generate({ method: text(calendars.first.ip_method), events: events })
