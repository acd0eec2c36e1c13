-- Two hundred active workflows of every kind of entry, with clients in some of them, and nothing due.
SET client_min_messages = error;
SELECT mfiauto.set_clock('2027-06-01 10:00+00') \g /dev/null
SELECT mfiauto.create_segment('all_clients', 'SELECT client_id FROM mfiauto.client') \g /dev/null
SELECT mfiauto.create_workflow(format('idle_%s', n), (CASE n % 8
    WHEN 0 THEN '{"for_each": "installment", "anchor": "due_date", "steps": [{"at": "-3 days 09:00", "send": "due"}]}'
    WHEN 1 THEN '{"trigger": {"event": "Fact Recorded"}, "steps": [{"wait": "30 days"}, {"send": "due"}]}'
    WHEN 2 THEN '{"trigger": {"segment": "all_clients", "on": "enter"}, "steps": [{"send": "due"}]}'
    WHEN 3 THEN '{"trigger": {"inactive": "Session Started", "for": "30 days"}, "steps": [{"send": "due"}]}'
    WHEN 4 THEN '{"trigger": {"schedule": "0 9 1 * *", "segment": "all_clients"}, "steps": [{"send": "due"}]}'
    WHEN 5 THEN '{"trigger": {"yearly": "client.joined_on", "at": "09:00"}, "steps": [{"send": "due"}]}'
    WHEN 6 THEN '{"trigger": {"status": "loan", "to": "closed"}, "steps": [{"wait_for": {"event": "Loan Applied"}, "timeout": "90 days"}, {"send": "due"}]}'
    ELSE '{"trigger": {"trait": "days_past_due", "rises_to": 30, "until_below": 10}, "steps": [{"send": "due"}]}' END)::json)
  FROM generate_series(1, 200) n \g /dev/null
SELECT mfiauto.activate_workflow(format('idle_%s', n)) FROM generate_series(1, 200) n \g /dev/null
SELECT mfiauto.run_engine() \g /dev/null
VACUUM ANALYZE;
