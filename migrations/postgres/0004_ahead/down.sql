ALTER TABLE rtc_tickets DROP COLUMN ahead;
