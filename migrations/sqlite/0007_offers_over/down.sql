DROP INDEX tasks_untold;
DROP TABLE lapsed_offers;
