-- name: is_public_product
-- Whether anyone may see a product: published, by a shop that trades.
SELECT true FROM products p JOIN shops s ON s.id = p.shop_id
WHERE p.id = $1::uuid AND p.status = 'published' AND s.status = 'approved';
