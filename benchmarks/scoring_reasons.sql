-- Every reason: person, rule (position), row of the activity and points in hundredths, after every limit; see scoring.sql.
CREATE TEMP TABLE seen_once AS SELECT * FROM seen WHERE kind <> 11;
CREATE TEMP TABLE reasons AS
WITH nth AS (
  SELECT person, kind, row, age_us,
         lag(age_us, 2) OVER (PARTITION BY person, kind ORDER BY row) - age_us AS span_us
  FROM seen_once WHERE kind IN (2, 3)
), web AS (
  SELECT person, 14 AS rule, row,
         least(500, 3000 - 500 * (row_number() OVER (PARTITION BY person ORDER BY row DESC) - 1)) AS points
  FROM seen_once WHERE kind = 3 AND age_us <= 90 * day()
  QUALIFY points > 0
  UNION ALL SELECT person, 15, row, faded(800, age, 200) AS points FROM seen_once WHERE kind = 3 AND is_price AND age < 200
  UNION ALL SELECT person, 16, row, halved(400, age, 30) AS points FROM seen_once WHERE kind = 3 AND minutes >= 45
  UNION ALL SELECT person, 17, row, -600 FROM seen_once WHERE kind = 3 AND is_jobs
), web_sums AS (
  SELECT person, sum(points) AS total, coalesce(sum(points) FILTER (points > 0), 0) AS above,
         coalesce(sum(points) FILTER (points < 0), 0) AS below
  FROM web GROUP BY person HAVING sum(points) > 6000 OR sum(points) < -2000
), web_cut AS (
  SELECT person, rule, row,
         CASE WHEN total > 6000 AND points > 0
                THEN greatest(0, least(points, above - (total - 6000) - (run - points)))
              WHEN total < -2000 AND points < 0
                THEN least(0, greatest(points, below - (total + 2000) - (run - points)))
              ELSE points END AS points
  FROM (SELECT *, sum(points) OVER (PARTITION BY person, points > 0 ORDER BY row DESC, rule) AS run
        FROM web JOIN web_sums USING (person))
), mail AS (
  SELECT person, 22 AS rule, row, 200 AS points FROM seen_once WHERE kind = 6 AND age_us <= 180 * day()
  UNION ALL SELECT person, 23, row, halved(300, age, 45) FROM seen_once WHERE kind = 6 AND is_price
  UNION ALL SELECT person, 24, row, 50 FROM seen_once WHERE kind = 7
    QUALIFY row_number() OVER (PARTITION BY person ORDER BY row DESC) <= 10
), mail_sums AS (SELECT person FROM mail GROUP BY person HAVING sum(points) > 2500
), mail_cut AS (
  SELECT person, rule, row, greatest(0, least(points, 2500 - (run - points))) AS points
  FROM (SELECT *, sum(points) OVER (PARTITION BY person ORDER BY row DESC, rule) AS run
        FROM mail SEMI JOIN mail_sums USING (person))
), given AS (
  SELECT person, 0 AS rule, NULL AS row, it_head AS points FROM fit
  UNION ALL SELECT person, 1, NULL, it FROM fit
  UNION ALL SELECT person, 2, NULL, marketing FROM fit
  UNION ALL SELECT person, 3, NULL, least(decides, 4000) FROM fit
  UNION ALL SELECT person, 4, NULL, least(large, 4000 - decides) FROM fit
  UNION ALL SELECT person, 5, NULL, unknown FROM fit
  UNION ALL SELECT person, 6, row, least(5000, 12000 - 5000 * (row_number() OVER (PARTITION BY person ORDER BY row DESC) - 1))
            FROM seen_once WHERE kind = 0
            QUALIFY row_number() OVER (PARTITION BY person ORDER BY row DESC) <= 3
  UNION ALL SELECT person, 7, row, 1500 FROM seen_once WHERE kind = 0 AND age_us <= 365 * day()
  UNION ALL SELECT person, 8, min(row), 750 FROM seen_once WHERE kind = 0 GROUP BY person
  UNION ALL SELECT person, 9, row, halved(1000, age, 90) FROM seen_once WHERE kind = 1
  UNION ALL SELECT person, 10, row, -300 FROM seen_once WHERE kind = 1 AND is_any_price
            QUALIFY row_number() OVER (PARTITION BY person ORDER BY row DESC) <= 3
  UNION ALL SELECT person, 11, row, least(points, 6000 - (run - points))
            FROM (SELECT *, sum(points) OVER (PARTITION BY person ORDER BY row DESC) AS run
                  FROM (SELECT person, row, halved(2000, age, 180) AS points FROM seen_once WHERE kind = 2))
            WHERE run - points < 6000
  UNION ALL SELECT person, 12, row, 1200 FROM seen_once WHERE kind = 2 AND is_price AND age_us <= 180 * day()
  UNION ALL SELECT person, 13, max(row), 2500 FROM nth WHERE kind = 2 AND span_us <= 60 * day() GROUP BY person
  UNION ALL SELECT * FROM web WHERE person NOT IN (SELECT person FROM web_sums)
  UNION ALL SELECT * FROM web_cut
  UNION ALL SELECT person, 18, max(row), CASE WHEN min(age_us) <= 365 * day() THEN 1500 ELSE 0 END
            FROM nth WHERE kind = 3 AND span_us <= 7 * day() GROUP BY person
  UNION ALL SELECT person, 19, row, stepped(age) FROM seen_once WHERE kind = 4
  UNION ALL SELECT person, 20, max(row), CASE WHEN min(age_us) <= 365 * day() THEN 1000 ELSE 0 END
            FROM seen_once WHERE kind = 4 GROUP BY person
  UNION ALL SELECT person, 21, min(row), 600 FROM seen_once WHERE kind = 5 GROUP BY person
  UNION ALL SELECT * FROM mail WHERE person NOT IN (SELECT person FROM mail_sums)
  UNION ALL SELECT * FROM mail_cut
  UNION ALL SELECT person, 25, row, least(points, 9000 - (run - points))
            FROM (SELECT *, sum(points) OVER (PARTITION BY person ORDER BY row DESC) AS run
                  FROM (SELECT person, row, faded(3000, age, 365) AS points FROM seen_once WHERE kind = 8))
            WHERE run - points < 9000
  UNION ALL SELECT person, 26, row, 1000 FROM seen_once WHERE kind = 8 AND minutes > 30
  UNION ALL SELECT person, 27, row, 800 FROM seen_once WHERE kind = 9 AND age_us <= 120 * day()
            QUALIFY row_number() OVER (PARTITION BY person ORDER BY row DESC) <= 3
  UNION ALL SELECT person, 28, row, least(points, 2000 - (run - points))
            FROM (SELECT *, sum(points) OVER (PARTITION BY person ORDER BY row DESC) AS run
                  FROM (SELECT person, row, halved(400, age, 60) AS points FROM seen_once WHERE kind = 10))
            WHERE run - points < 2000
  UNION ALL SELECT person, 29, row, 100 FROM seen_once WHERE kind IN (8, 9, 10) AND age_us <= 30 * day()
)
SELECT CAST(person AS UINTEGER) AS person, CAST(rule AS USMALLINT) AS rule, CAST(row AS UINTEGER) AS row,
       CAST(points AS INTEGER) AS points
FROM given WHERE points <> 0;
