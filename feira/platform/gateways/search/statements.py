"""The SQL of the Postgres search engine. `search_fold` and `search_matches` stand in migration 0003.

The four pages differ in their order only, so that each can use its index. Parameters of a page: $1 tsquery,
$2 words for a match in spite of typos, $3 category, $4 shop, $5 lowest and $6 highest price, $7 in stock; then
$8 and $9, the last key and product of the page before, and $10, how many.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from feira.platform.gateways.search.port import Sort

# English and as it stands: "vases" finds "vase", and no word of another language is cut.
UPSERT: Final = """
INSERT INTO search_documents AS d (
    product_id, version, listed, shop_id, category_slugs, title_folded, document,
    price_min_minor, in_stock, published_at, tsv
)
SELECT $1::uuid, $2::bigint, true, $3::uuid, $4::text[], t.title, $5::text::json, $6::bigint, $7::boolean, $8::timestamptz,
    setweight(to_tsvector('simple', t.title) || to_tsvector('english', t.title), 'A')
    || setweight(to_tsvector('simple', t.categories) || to_tsvector('english', t.categories), 'B')
    || setweight(to_tsvector('simple', t.description) || to_tsvector('english', t.description), 'C')
FROM (
    SELECT search_fold($9::text) AS title, search_fold($10::text) AS description,
        search_fold(array_to_string($4::text[], ' ')) AS categories
) AS t
ON CONFLICT (product_id) DO UPDATE SET
    version = excluded.version, listed = true, shop_id = excluded.shop_id,
    category_slugs = excluded.category_slugs, title_folded = excluded.title_folded,
    document = excluded.document, price_min_minor = excluded.price_min_minor,
    in_stock = excluded.in_stock, published_at = excluded.published_at, tsv = excluded.tsv
WHERE d.version <= excluded.version
"""

REMOVE: Final = """
INSERT INTO search_documents AS d (product_id, version, listed) VALUES ($1::uuid, $2::bigint, false)
ON CONFLICT (product_id) DO UPDATE SET
    version = excluded.version, listed = false, document = NULL, category_slugs = '{}', title_folded = '', tsv = ''
WHERE d.version <= excluded.version
"""

# The last word may be unfinished; the ones before are whole.
PARSE: Final = """
SELECT words, CASE WHEN words <> '' THEN (
    to_tsquery('simple', replace(words, ' ', ' & ') || ':*') || plainto_tsquery('english', words)
)::text END AS wanted
FROM search_fold($1::text) AS words
"""

SET_SIMILARITY: Final = "SELECT set_config('pg_trgm.word_similarity_threshold', $1::text, true)"

_BY_RELEVANCE: Final = """
SELECT document::text AS document, key, product_id FROM (
    SELECT m.document, m.product_id, (1000000 * CASE
        WHEN $2::text IS NOT NULL THEN word_similarity($2::text, m.title_folded)
        ELSE ts_rank(m.tsv, $1::text::tsquery)
    END)::bigint AS key
    FROM search_matches(
        $1::text::tsquery, $2::text, $3::text, $4::uuid, $5::bigint, $6::bigint, $7::boolean
    ) AS m
) AS ranked
WHERE $8::bigint IS NULL OR (key, product_id) < ($8::bigint, $9::uuid)
ORDER BY key DESC, product_id DESC LIMIT $10::int
"""

_NEWEST: Final = """
SELECT m.document::text AS document, (extract(epoch FROM m.published_at) * 1000000)::bigint AS key, m.product_id
FROM search_matches(
    $1::text::tsquery, $2::text, $3::text, $4::uuid, $5::bigint, $6::bigint, $7::boolean
) AS m
WHERE $8::bigint IS NULL
    OR (m.published_at, m.product_id) < ('epoch'::timestamptz + $8::bigint * interval '1 microsecond', $9::uuid)
ORDER BY m.published_at DESC, m.product_id DESC LIMIT $10::int
"""

_CHEAPEST: Final = """
SELECT m.document::text AS document, m.price_min_minor AS key, m.product_id
FROM search_matches(
    $1::text::tsquery, $2::text, $3::text, $4::uuid, $5::bigint, $6::bigint, $7::boolean
) AS m
WHERE $8::bigint IS NULL OR (m.price_min_minor, m.product_id) > ($8::bigint, $9::uuid)
ORDER BY m.price_min_minor, m.product_id LIMIT $10::int
"""

_DEAREST: Final = """
SELECT m.document::text AS document, m.price_min_minor AS key, m.product_id
FROM search_matches(
    $1::text::tsquery, $2::text, $3::text, $4::uuid, $5::bigint, $6::bigint, $7::boolean
) AS m
WHERE $8::bigint IS NULL OR (m.price_min_minor, m.product_id) < ($8::bigint, $9::uuid)
ORDER BY m.price_min_minor DESC, m.product_id DESC LIMIT $10::int
"""

PAGES: Final[Mapping[Sort, str]] = {
    "relevance": _BY_RELEVANCE,
    "newest": _NEWEST,
    "price_asc": _CHEAPEST,
    "price_desc": _DEAREST,
}
