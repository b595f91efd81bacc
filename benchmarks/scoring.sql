-- The thirty rules of scoring_ground.py as one would write them by hand for this very definition: the floor that the
-- engine is held to. $now is the moment in microseconds; points are whole hundredths. Kinds: 0 seminar_attended,
-- 1 seminar_registered, 2 document_downloaded, 3 website_visited, 4 inquiry_made, 5 card_exchanged,
-- 6 newsletter_clicked, 7 newsletter_opened, 8 meeting_held, 9 call_made, 10 email_exchanged.

CREATE MACRO halved(points, age, days) AS CAST(round(points * pow(2, -age / days)) AS INTEGER);
CREATE MACRO faded(points, age, days) AS
    CASE WHEN age >= days THEN 0 ELSE (2 * points * (days - age) + days) // (2 * days) END;
CREATE MACRO stepped(age) AS CASE WHEN age >= 365 THEN 400 WHEN age >= 90 THEN 2000 ELSE 4000 END;
CREATE MACRO day() AS 86400000000;
CREATE VIEW fit AS
SELECT p.person,
       CASE WHEN d.value = 'information_systems' AND r.value = 'head' THEN 2000 ELSE 0 END AS it_head,
       CASE WHEN d.value = 'information_systems' AND r.value <> 'head' THEN 1000 ELSE 0 END AS it,
       CASE WHEN d.value = 'marketing' THEN 500 ELSE 0 END AS marketing,
       CASE WHEN r.value IN ('head', 'executive') THEN 1250 ELSE 0 END AS decides,
       CASE WHEN e.value >= 1000 THEN 3000 ELSE 0 END AS large,
       CASE WHEN e.value IS NULL THEN -500 ELSE 0 END AS unknown
FROM 'people.parquet' p
JOIN 'department.parquet' d ON d.code = p.department
JOIN 'role.parquet' r ON r.code = p.role
JOIN 'employees.parquet' e ON e.code = p.employees;
CREATE VIEW seen AS
SELECT a.person, a.row, a.kind, a.occurred_us, CAST(($now - a.occurred_us) // day() AS INTEGER) AS age,
       $now - a.occurred_us AS age_us, t.is_price, t.is_any_price, t.is_jobs, m.value AS minutes
FROM 'activities.parquet' a
JOIN (SELECT code, value LIKE '料金表%' AS is_price, value LIKE '料金%' AS is_any_price, value LIKE 'blog 00%' AS is_jobs
      FROM 'title.parquet') t ON t.code = a.title
JOIN 'minutes.parquet' m ON m.code = a.minutes
WHERE a.occurred_us <= $now;
