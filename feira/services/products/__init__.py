"""Products: catalogue, stock, images, and the listings that search shows."""
