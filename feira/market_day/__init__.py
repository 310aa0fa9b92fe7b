"""A busy market played through the public API and real sockets only, with everything checked at the end."""
