-- How many reminders were sent for an installment that had been paid in full by then, by payments that still stand.
SELECT count(*)
  FROM mfiauto.message_ledger m JOIN bank.installment i ON i.id = m.subject_id
 WHERE m.subject = 'installment' AND m.sent_at IS NOT NULL AND i.paid_on IS NOT NULL
   AND m.sent_at > (SELECT min(p.paid_at) FROM bank.payment p
                     WHERE p.loan_id = i.loan_id AND NOT p.reversed
                       AND (SELECT sum(q.amount) FROM bank.payment q WHERE q.loan_id = p.loan_id AND NOT q.reversed AND (q.paid_at, q.id) <= (p.paid_at, p.id))
                           >= (SELECT sum(x.principal + x.interest + x.fees) FROM bank.installment x WHERE x.loan_id = i.loan_id AND x.number <= i.number));
