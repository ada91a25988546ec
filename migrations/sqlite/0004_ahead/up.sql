-- Whoever only reads the visit's page has a ticket before they ask for their seat: that is nobody's coming.
ALTER TABLE rtc_tickets ADD COLUMN ahead INTEGER NOT NULL DEFAULT 0 CHECK (ahead IN (0, 1));
