-- name: delete_rates
-- Make room for a country's new rates.
DELETE FROM tax_rates WHERE country = $1::text;

-- name: insert_rates
-- A country's rates; those of unknown categories are left out, which the caller counts.
INSERT INTO tax_rates (country, region, category_id, basis_points, name)
SELECT $1::text, r.region, c.id, r.basis_points, r.name
FROM unnest($2::text[], $3::text[], $4::int[], $5::text[]) AS r (region, category, basis_points, name)
LEFT JOIN categories AS c ON c.slug = r.category
WHERE r.category IS NULL OR c.id IS NOT NULL
RETURNING country;

-- name: read_shop_tax
-- How a shop charges tax, where it does.
SELECT mode, tax_number FROM shop_taxes WHERE shop_id = $1::uuid;

-- name: put_shop_tax
-- A shop charges tax this way from now on.
INSERT INTO shop_taxes (shop_id, mode, tax_number) VALUES ($1::uuid, $2::text, $3::text)
ON CONFLICT (shop_id) DO UPDATE SET mode = excluded.mode, tax_number = excluded.tax_number;

-- name: delete_shop_tax
-- A shop charges no tax any more.
DELETE FROM shop_taxes WHERE shop_id = $1::uuid;
