"""How each library builds and checks a path: one module for each way. `validate` picks."""
