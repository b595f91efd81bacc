-- Everybody's points: person, fit_points, engagement_points in hundredths; see scoring.sql.
CREATE TEMP TABLE totals AS
WITH sums AS (
  SELECT person,
    5000 * count(*) FILTER (kind = 0) AS seminar,
    1500 * count(*) FILTER (kind = 0 AND age_us <= 365 * day()) AS seminar_year,
    750 * CAST(bool_or(kind = 0) AS INTEGER) AS seminar_first,
    sum(CASE WHEN kind = 1 THEN halved(1000, age, 90) END) AS registered,
    -300 * count(*) FILTER (kind = 1 AND is_any_price) AS no_show,
    sum(CASE WHEN kind = 2 THEN halved(2000, age, 180) END) AS download,
    1200 * count(*) FILTER (kind = 2 AND is_price AND age_us <= 180 * day()) AS download_price,
    500 * count(*) FILTER (kind = 3 AND age_us <= 90 * day()) AS visit,
    sum(CASE WHEN kind = 3 AND is_price THEN faded(800, age, 200) END) AS visit_price,
    sum(CASE WHEN kind = 3 AND minutes >= 45 THEN halved(400, age, 30) END) AS visit_long,
    -600 * count(*) FILTER (kind = 3 AND is_jobs) AS visit_jobs,
    sum(CASE WHEN kind = 4 THEN stepped(age) END) AS inquiry,
    CASE WHEN min(age_us) FILTER (kind = 4) <= 365 * day() THEN 1000 ELSE 0 END AS inquiry_last,
    600 * CAST(bool_or(kind = 5) AS INTEGER) AS card,
    200 * count(*) FILTER (kind = 6 AND age_us <= 180 * day()) AS click,
    sum(CASE WHEN kind = 6 AND is_price THEN halved(300, age, 45) END) AS click_price,
    50 * count(*) FILTER (kind = 7) AS open,
    sum(CASE WHEN kind = 8 THEN faded(3000, age, 365) END) AS meeting,
    1000 * count(*) FILTER (kind = 8 AND minutes > 30) AS meeting_long,
    800 * count(*) FILTER (kind = 9 AND age_us <= 120 * day()) AS call,
    sum(CASE WHEN kind = 10 THEN halved(400, age, 60) END) AS mail,
    100 * count(*) FILTER (kind IN (8, 9, 10) AND age_us <= 30 * day()) AS touch
  FROM seen GROUP BY person
), nth AS (
  SELECT person, kind, age_us,
         lag(age_us, 2) OVER (PARTITION BY person, kind ORDER BY row) - age_us AS span_us
  FROM (SELECT person, kind, row, $now - occurred_us AS age_us
        FROM 'activities.parquet' WHERE occurred_us <= $now AND kind IN (2, 3))
), frequent AS (
  SELECT person,
    CASE WHEN bool_or(kind = 2 AND span_us <= 60 * day()) THEN 2500 ELSE 0 END AS downloads,
    CASE WHEN min(age_us) FILTER (kind = 3 AND span_us <= 7 * day()) <= 365 * day() THEN 1500 ELSE 0 END AS visits
  FROM nth WHERE span_us <= 60 * day() GROUP BY person
)
SELECT person,
  it_head + it + marketing + unknown + least(decides + large, 4000) AS fit_points,
  coalesce(least(seminar, 12000) + seminar_year + seminar_first + coalesce(registered, 0) + greatest(no_show, -900)
    + least(coalesce(download, 0), 6000) + download_price + coalesce(inquiry, 0) + coalesce(inquiry_last, 0) + coalesce(card, 0)
    + least(coalesce(meeting, 0), 9000) + meeting_long + least(call, 2400) + least(coalesce(mail, 0), 2000) + touch
    + greatest(least(least(visit, 3000) + coalesce(visit_price, 0) + coalesce(visit_long, 0) + visit_jobs, 6000), -2000)
    + least(click + coalesce(click_price, 0) + least(open, 500), 2500), 0)
    + coalesce(downloads, 0) + coalesce(visits, 0) AS engagement_points
FROM fit LEFT JOIN sums USING (person) LEFT JOIN frequent USING (person)
;
