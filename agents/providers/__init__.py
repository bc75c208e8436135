"""Model providers: who there is (registry), how to call one (client), and the one that needs no network (mock)."""
