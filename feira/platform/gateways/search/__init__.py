"""Product search engines behind one port."""
