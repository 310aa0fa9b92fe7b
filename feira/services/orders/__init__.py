"""Orders: carts, checkout, and one machine that every order goes through."""
