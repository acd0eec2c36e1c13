-- Fills the demo bank's books, the same for the same seed. psql variables, each with a default:
--   clients  how many (500)         start  the day the story begins, a Monday (2026-01-05)
--   seed     any text ('teranga')
-- Every choice is a hash of the seed, a topic and an id, so no choice depends on another or on the order of rows.
\if :{?clients} \else \set clients 500 \endif
\if :{?start} \else \set start 2026-01-05 \endif
\if :{?seed} \else \set seed teranga \endif

CREATE TABLE bank.scenario AS
  SELECT :'seed'::text AS seed, :'start'::date AS start_on, :clients::integer AS client_count;

-- A number in [0, 1) that stays the same for ever. The seed is written into the function, so that it is a plain expression.
SELECT format($$
  CREATE FUNCTION bank.dice(topic text, id bigint) RETURNS double precision LANGUAGE sql IMMUTABLE AS $dice$
    SELECT ('x' || substr(md5(%L || '/' || topic || '/' || id), 1, 8))::bit(32)::bigint / 4294967296.0::double precision $dice$ $$, :'seed') AS dice
\gset
:dice;
CREATE FUNCTION bank.pick(topic text, id bigint, choices text[]) RETURNS text LANGUAGE sql IMMUTABLE AS $$
  SELECT choices[1 + floor(bank.dice(topic, id) * cardinality(choices))::integer] $$;

CREATE FUNCTION bank.in_trouble(loan_id bigint) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$ SELECT bank.dice('trouble', loan_id) < 0.033 $$;

INSERT INTO bank.branch VALUES
  (1, 'Dakar Medina', 'SN', 'Dakar'), (2, 'Thies', 'SN', 'Thies'), (3, 'Kaolack', 'SN', 'Kaolack'), (4, 'Saint-Louis', 'SN', 'Saint-Louis');
INSERT INTO bank.officer
SELECT g, bank.pick('officer first', g, '{Ousmane,Fatou,Cheikh,Ndeye,Mamadou,Aminata}') || ' ' || bank.pick('officer last', g, '{Sarr,Gueye,Ba,Sy}'),
       '+22177' || lpad((5000000 + g * 137)::text, 7, '0'), 1 + (g - 1) % 4
  FROM generate_series(1, 8) g;

-- Clients. Numbers are typed in many ways; about one in fourteen cannot be used as it stands: missing, too short,
-- a landline, two numbers in one field, a word.
INSERT INTO bank.client (id, display_name, mobile_no, email, lang, date_of_birth, gender, region, literacy, status, activation_date,
                         household_size, sector, heard_of_us, branch_id, officer_id)
SELECT g,
       CASE WHEN p.is_woman THEN bank.pick('first', g, '{Awa,Fatou,Aissatou,Mariama,Khady,Ndeye,Coumba,Sokhna,Bineta,Rokhaya}')
            ELSE bank.pick('first', g, '{Moussa,Ibrahima,Abdoulaye,Modou,Pape,Aliou,Babacar,Seydou,El Hadji,Lamine}') END
       || ' ' || bank.pick('last', g, '{Diop,Ndiaye,Fall,Sow,Diallo,Faye,Gning,Cissé,Kane,Mbaye,Sané,Thiam}'),
       CASE WHEN p.phone_form < 0.40 THEN p.prefix || p.line                                               -- 771234567
            WHEN p.phone_form < 0.58 THEN '+221' || p.prefix || p.line
            WHEN p.phone_form < 0.70 THEN '00221 ' || p.prefix || ' ' || p.line
            WHEN p.phone_form < 0.82 THEN p.prefix || ' ' || substr(p.line, 1, 3) || ' ' || substr(p.line, 4, 2) || ' ' || substr(p.line, 6, 2)
            WHEN p.phone_form < 0.89 THEN p.prefix || '-' || substr(p.line, 1, 3) || '-' || substr(p.line, 4)
            WHEN p.phone_form < 0.93 THEN '(221) ' || p.prefix || '.' || substr(p.line, 1, 3) || '.' || substr(p.line, 4)
            WHEN p.phone_form < 0.95 THEN NULL
            WHEN p.phone_form < 0.96 THEN p.prefix || substr(p.line, 1, 5)
            WHEN p.phone_form < 0.975 THEN '33 8' || substr(p.line, 1, 2) || ' ' || substr(p.line, 3, 4)
            WHEN p.phone_form < 0.99 THEN p.prefix || p.line || '/76' || p.line
            ELSE 'voir son mari' END,
       CASE WHEN bank.dice('email', g) < 0.25 THEN 'client' || g || '@example.com' END,
       CASE WHEN p.tongue < 0.55 THEN 'fr' WHEN p.tongue < 0.85 THEN 'wo' WHEN p.tongue < 0.90 THEN 'en' END,
       s.start_on - (20 * 365 + floor(bank.dice('age', g) * 40 * 365)::integer),
       CASE WHEN p.is_woman THEN 'female' ELSE 'male' END,
       b.region,
       CASE WHEN bank.dice('literacy', g) < 0.35 THEN 'low' WHEN bank.dice('literacy', g) < 0.75 THEN 'medium' ELSE 'high' END,
       CASE WHEN bank.dice('status', g) < 0.93 THEN 300 WHEN bank.dice('status', g) < 0.97 THEN 600 ELSE 100 END,
       s.start_on - (60 + floor(bank.dice('since', g) * 1500)::integer),
       1 + floor(bank.dice('household', g) * 10)::integer,
       bank.pick('sector', g, '{commerce,agriculture,couture,transport,elevage,peche,restauration}'),
       bank.pick('heard', g, '{radio,voisin,agent,facebook,marche}'),
       b.id, 1 + (g % 8)
  FROM bank.scenario s
 CROSS JOIN LATERAL generate_series(1, s.client_count) g
 CROSS JOIN LATERAL (SELECT bank.dice('gender', g) < 0.62 AS is_woman, bank.dice('phone form', g) AS phone_form, bank.dice('tongue', g) AS tongue,
                            bank.pick('prefix', g, '{77,78,76,70,75}') AS prefix, lpad(floor(bank.dice('line', g) * 10000000)::text, 7, '0') AS line) p
  JOIN bank.branch b ON b.id = 1 + ((g % 8)) % 4;

-- Most clients have a loan, a few two; every 25th client gives a group its number. Loans began up to twenty weeks
-- (weekly ones) or ten months (monthly ones) before the story; a few are applied for, refused or written off.
CREATE TEMP TABLE new_loan AS
SELECT row_number() OVER (ORDER BY c.id, k) AS id, c.id AS client_id, NULL::text AS group_name, c.officer_id, c.branch_id,
       CASE WHEN bank.dice('rhythm', c.id * 10 + k) < 0.55 THEN 'week' ELSE 'month' END AS repay_every,
       bank.dice('age of loan', c.id * 10 + k) AS age, bank.dice('size', c.id * 10 + k) AS size, bank.dice('loan fate', c.id * 10 + k) AS fate, k AS cycle_no
  FROM bank.client c CROSS JOIN generate_series(1, 2) k
 WHERE c.status = 300 AND c.id % 25 <> 0 AND CASE k WHEN 1 THEN bank.dice('has loan', c.id) < 0.86 ELSE bank.dice('second loan', c.id) < 0.12 END;
INSERT INTO new_loan
SELECT (SELECT max(id) FROM new_loan) + row_number() OVER (ORDER BY c.id), NULL, bank.pick('group', c.id, '{Takku Liggey,Bokk Jom,Jappo,And Defar,Deggo}') || ' ' || c.id / 25,
       c.officer_id, c.branch_id, 'week', bank.dice('age of loan', c.id * 10), 0.9, 0.1, 1
  FROM bank.client c WHERE c.id % 25 = 0;

INSERT INTO bank.loan (id, client_id, group_name, product, principal, number_of_installments, repay_every, status, applied_on, approved_on, disbursed_on,
                       maturity_date, written_off_on, cycle_no, purpose, officer_id, branch_id)
SELECT n.id, n.client_id, n.group_name,
       CASE WHEN n.group_name IS NOT NULL THEN 'group' WHEN n.repay_every = 'week' THEN 'commerce' ELSE 'equipment' END,
       25000 * (2 + floor(n.size * 18)), t.term, n.repay_every,
       CASE WHEN n.fate < 0.90 THEN 300 WHEN n.fate < 0.93 THEN 100 WHEN n.fate < 0.95 THEN 200 WHEN n.fate < 0.97 THEN 500 WHEN n.fate < 0.98 THEN 400 ELSE 601 END,
       d.day - 14, CASE WHEN n.fate < 0.90 OR n.fate BETWEEN 0.93 AND 0.95 OR n.fate >= 0.98 THEN d.day - 5 END,
       CASE WHEN n.fate < 0.90 OR n.fate >= 0.98 THEN d.day END,
       CASE n.repay_every WHEN 'week' THEN d.day + 7 * t.term ELSE (d.day + make_interval(months => t.term))::date END,
       CASE WHEN n.fate >= 0.98 THEN s.start_on - 10 END, n.cycle_no,
       bank.pick('purpose', n.id, '{stock,semences,machine,moto,betail}'), n.officer_id, n.branch_id
  FROM new_loan n CROSS JOIN bank.scenario s
 CROSS JOIN LATERAL (SELECT CASE n.repay_every WHEN 'week' THEN 24 ELSE 12 END AS term) t
 CROSS JOIN LATERAL (SELECT s.start_on - (CASE n.repay_every WHEN 'week' THEN 10 + floor(n.age * 140) ELSE 20 + floor(n.age * 300) END)::integer AS day) d0
 -- weekly meetings are on Monday to Saturday
 CROSS JOIN LATERAL (SELECT d0.day - CASE WHEN n.repay_every = 'week' AND extract(isodow FROM d0.day) = 7 THEN 1 ELSE 0 END AS day) d;

-- Five borrowers a group loan and a guarantor; one of the five left a month ago.
INSERT INTO bank.loan_member
SELECT l.id, c.id, CASE WHEN c.id % 25 = 6 THEN 'guarantor' ELSE 'borrower' END, l.disbursed_on, CASE WHEN c.id % 25 = 5 THEN s.start_on - 30 END
  FROM bank.loan l JOIN new_loan n ON n.id = l.id AND n.group_name IS NOT NULL CROSS JOIN bank.scenario s
  JOIN bank.client c ON c.id / 25 = split_part(l.group_name, ' ', cardinality(string_to_array(l.group_name, ' ')))::integer - 1 AND c.id % 25 BETWEEN 1 AND 6;

-- Schedules: equal principal, flat interest, a fee on the first; whole francs.
INSERT INTO bank.installment (loan_id, number, from_date, due_date, principal, interest, fees)
SELECT l.id, g,
       CASE l.repay_every WHEN 'week' THEN l.disbursed_on + 7 * (g - 1) ELSE (l.disbursed_on + make_interval(months => g - 1))::date END,
       CASE l.repay_every WHEN 'week' THEN l.disbursed_on + 7 * g ELSE (l.disbursed_on + make_interval(months => g))::date END,
       CASE WHEN g = l.number_of_installments THEN l.principal - (l.number_of_installments - 1) * floor(l.principal / l.number_of_installments)
            ELSE floor(l.principal / l.number_of_installments) END,
       round(l.principal * l.annual_rate / 100 / CASE l.repay_every WHEN 'week' THEN 52 ELSE 12 END), CASE WHEN g = 1 THEN 500 ELSE 0 END
  FROM bank.loan l CROSS JOIN LATERAL generate_series(1, l.number_of_installments) g
 WHERE l.disbursed_on IS NOT NULL
 ORDER BY l.id, g;

-- The past: most installments were paid on their day, some late, some not yet. One loan in thirty is in trouble: nothing
-- came for what fell due in the last fifty days. Written-off loans stopped after three installments.
INSERT INTO bank.payment (loan_id, client_id, paid_at, amount, method, receipt_no)
SELECT l.id, l.client_id, (p.paid_on + time '10:30') AT TIME ZONE 'Africa/Dakar', i.principal + i.interest + i.fees, bank.pick('method', i.id, '{cash,orange money,wave}'), 'R' || i.id
  FROM bank.installment i JOIN bank.loan l ON l.id = i.loan_id CROSS JOIN bank.scenario s
 CROSS JOIN LATERAL (SELECT CASE WHEN bank.dice('past', i.id) < 0.70 THEN i.due_date - floor(bank.dice('early', i.id) * 3)::integer
                                 ELSE i.due_date + 1 + floor(bank.dice('late', i.id) * 12)::integer END AS paid_on) p
 WHERE i.due_date < s.start_on AND p.paid_on < s.start_on AND NOT (l.status = 601 AND i.number > 3)
   AND NOT (bank.in_trouble(l.id) AND i.due_date > s.start_on - 50)
 ORDER BY p.paid_on, i.id;
SELECT bank.allocate(ARRAY(SELECT id FROM bank.loan WHERE disbursed_on IS NOT NULL));
UPDATE bank.loan l SET principal_outstanding = (SELECT sum(i.principal) FROM bank.installment i WHERE i.loan_id = l.id AND i.number > 3) WHERE l.status = 601;

INSERT INTO bank.application
SELECT row_number() OVER (ORDER BY l.id), coalesce(l.client_id, (SELECT min(m.client_id) FROM bank.loan_member m WHERE m.loan_id = l.id)), l.product, l.principal,
       CASE WHEN l.status IN (100) THEN 'submitted' WHEN l.status = 400 THEN 'withdrawn' ELSE 'decided' END, l.applied_on + time '09:00', l.applied_on + time '11:00',
       CASE WHEN l.status NOT IN (100, 400) THEN l.applied_on + 7 + time '16:00' END,
       CASE WHEN l.status = 500 THEN 'rejected' WHEN l.status NOT IN (100, 400) THEN 'approved' END
  FROM bank.loan l;
INSERT INTO bank.savings
SELECT row_number() OVER (ORDER BY c.id), c.id, 'livret', c.activation_date + 7, CASE WHEN c.status = 600 THEN c.activation_date + 50 END,
       CASE WHEN c.status = 600 THEN 0 ELSE 500 * floor(bank.dice('savings', c.id) * 200) END, CASE WHEN c.status = 600 THEN 'closed' ELSE 'active' END
  FROM bank.client c WHERE bank.dice('saves', c.id) < 0.5 AND c.status <> 100;
INSERT INTO bank.savings_goal SELECT c.id, c.id, 50000, NULL FROM bank.client c WHERE c.id % 40 = 7;
INSERT INTO bank.card SELECT c.id, c.id, false FROM bank.client c WHERE c.id % 10 = 3;
DROP TABLE new_loan;
ANALYZE bank.client, bank.loan, bank.installment, bank.payment;
