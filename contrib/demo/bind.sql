-- Tells mfiauto where the demo bank keeps its books: one bind() a role, each value an SQL expression over the table.

SELECT mfiauto.bind('client', 'bank.client', '{
  "client_id": "id",
  "name":      "display_name",
  "phone":     "mobile_no",
  "email":     "email",
  "locale":    "coalesce(lang, ''fr'')",
  "time_zone": "''Africa/Dakar''",
  "birth_date":"date_of_birth",
  "gender":    "gender",
  "region":    "region",
  "literacy":  "literacy",
  "status":    "CASE status WHEN 300 THEN ''active'' WHEN 600 THEN ''closed'' ELSE ''pending'' END",
  "joined_on": "activation_date",
  "source":    "heard_of_us",
  "officer_id":"officer_id",
  "branch_id": "branch_id",
  "traits":    "jsonb_build_object(''household'', household_size, ''sector'', sector)"
}');

SELECT mfiauto.bind('application', 'bank.application', '{
  "application_id": "id",
  "client_id":    "client_id",
  "product":      "product",
  "status":       "status",
  "started_at":   "started_at",
  "submitted_at": "submitted_at",
  "decided_at":   "decided_at",
  "decision":     "decision"
}');

SELECT mfiauto.bind('loan', 'bank.loan', '{
  "loan_id":        "id",
  "client_id":      "client_id",
  "product":        "product",
  "principal":      "principal",
  "currency":       "currency",
  "status":         "CASE status WHEN 100 THEN ''applied'' WHEN 200 THEN ''approved'' WHEN 300 THEN ''active'' WHEN 400 THEN ''withdrawn'' WHEN 500 THEN ''rejected'' WHEN 600 THEN ''closed'' WHEN 601 THEN ''written_off'' WHEN 602 THEN ''rescheduled'' END",
  "applied_on":     "applied_on",
  "approved_on":    "approved_on",
  "disbursed_on":   "disbursed_on",
  "maturity_on":    "maturity_date",
  "closed_on":      "closed_on",
  "written_off_on": "written_off_on",
  "outstanding":    "principal_outstanding",
  "cycle":          "cycle_no",
  "officer_id":     "officer_id",
  "branch_id":      "branch_id"
}');

SELECT mfiauto.bind('loan_party', 'bank.loan_member', '{
  "loan_id":   "loan_id",
  "client_id": "client_id",
  "role":      "role",
  "since":     "joined_on",
  "until":     "left_on"
}');

SELECT mfiauto.bind('installment', 'bank.installment', '{
  "installment_id": "id",
  "loan_id":     "loan_id",
  "number":      "number",
  "due_date":    "due_date",
  "amount_due":  "principal+interest+fees",
  "amount_paid": "coalesce(paid,0)",
  "paid_on":     "paid_on"
}');

SELECT mfiauto.bind('payment', 'bank.payment', '{
  "payment_id": "id",
  "loan_id":   "loan_id",
  "client_id": "client_id",
  "paid_at":   "paid_at",
  "amount":    "amount",
  "reversed":  "reversed"
}');

SELECT mfiauto.bind('holding', 'bank.savings', '{
  "holding_id": "id",
  "client_id": "client_id",
  "product":   "product",
  "opened_on": "opened_on",
  "closed_on": "closed_on",
  "balance":   "balance",
  "status":    "status"
}');
