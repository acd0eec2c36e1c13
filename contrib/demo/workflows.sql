-- What the demo bank says, in French, Wolof and English, by text and by voice, and when: one reminder workflow.

SELECT mfiauto.create_template('reminder_before', channel => 'sms', locale => 'fr', class => 'collection',
  body => 'Bonjour {{client.name}}, votre echeance de {{installment.balance_text}} est le {{installment.due_date_text}}. Payez au *144#.');
SELECT mfiauto.create_template('reminder_before', channel => 'sms', locale => 'wo', class => 'collection',
  body => '{{client.name}}, fayal {{installment.balance_text}} balaa {{installment.due_date_text}}. *144#.');
SELECT mfiauto.create_template('reminder_before', channel => 'sms', class => 'collection',
  body => 'Hello {{client.name}}, your installment of {{installment.balance_text}} is due on {{installment.due_date_text}}. Pay with *144#.');

SELECT mfiauto.create_template('reminder_today', channel => 'sms', locale => 'fr', class => 'collection',
  body => 'Bonjour {{client.name}}, votre echeance de {{installment.balance_text}} est pour aujourd''hui. Payez au *144#.');
SELECT mfiauto.create_template('reminder_today', channel => 'sms', locale => 'wo', class => 'collection',
  body => '{{client.name}}, tey ngay fay {{installment.balance_text}}. *144#.');
SELECT mfiauto.create_template('reminder_today', channel => 'sms', class => 'collection',
  body => 'Hello {{client.name}}, your installment of {{installment.balance_text}} is due today. Pay with *144#.');

SELECT mfiauto.create_template('reminder_late', channel => 'sms', locale => 'fr', class => 'collection',
  body => 'Bonjour {{client.name}}, nous n''avons pas recu votre echeance de {{installment.balance_text}} du {{installment.due_date_text}}. Parlez-en a votre agent.');
SELECT mfiauto.create_template('reminder_late', channel => 'sms', locale => 'wo', class => 'collection',
  body => '{{client.name}}, jotunu {{installment.balance_text}} bu {{installment.due_date_text}}. Waxtaan ak sa agent.');
SELECT mfiauto.create_template('reminder_late', channel => 'sms', class => 'collection',
  body => 'Hello {{client.name}}, your installment of {{installment.balance_text}} of {{installment.due_date_text}} has not reached us. Please talk to your officer.');
SELECT mfiauto.create_template('reminder_late', channel => 'voice', class => 'collection',
  body => '{{client.name}}, {{installment.balance_text}}, {{installment.due_date_text}}');

SELECT mfiauto.create_template('reminder_late_voice', channel => 'voice', locale => 'wo', class => 'collection',
  body => '{{client.name}}, jotunu {{installment.balance_text}} bu {{installment.due_date_text}}. Waxtaan ak sa agent.',
  options => '{"audio": "https://media.example/reminder_late.wo.mp3"}');
SELECT mfiauto.create_template('reminder_late_voice', channel => 'voice', class => 'collection',
  body => 'Bonjour {{client.name}}, nous attendons votre echeance de {{installment.balance_text}} du {{installment.due_date_text}}.');

SELECT mfiauto.create_workflow('repayment_reminder', '{
  "for_each": "installment",
  "anchor":   "due_date",
  "class":    "collection",
  "enter_if": "loan.status = ''active'' AND installment.amount_due > 0",
  "exit_if":  "installment.amount_paid >= installment.amount_due OR loan.status <> ''active''",
  "goal":     {"event": "Payment Received", "within": "3 days"},
  "holdout":  5,
  "steps": [
    {"at": "-7 days 09:00", "send": "reminder_before"},
    {"at": "-3 days 09:00", "send": "reminder_before"},
    {"at":  "0 days 09:00", "send": "reminder_today"},
    {"at": "+1 day  09:00", "send": "reminder_late", "channels": ["sms","voice"]},
    {"at": "+3 days 09:00", "if": "client.literacy = ''low''",
         "then": [{"send": "reminder_late_voice", "channels": ["voice"]}],
         "else": [{"send": "reminder_late"}]},
    {"at": "+5 days 09:00", "task": "Visit {{client.name}}: {{installment.balance_text}} late since {{installment.due_date_text}}", "assign": "officer"}
  ]}');
